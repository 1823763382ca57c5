"""Command-line tools, called by tests."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
DEMO = ROOT / "configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"


def main_of(name: str) -> Callable:
    """The function ``main`` of ``tools/NAME.py``, in this process, which has imported it all."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def benchmark(name: str, *arguments: object) -> str:
    """What ``tools/benchmarks/NAME.py`` prints, in a process of its own."""
    command = [sys.executable, TOOLS / f"benchmarks/{name}.py", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
