"""Command-line tools, called by tests."""

import contextlib
import importlib.util
import os
import runpy
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
DEMO = ROOT / "configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"


def main_of(name: str) -> Callable:
    """The function ``main`` of ``tools/NAME.py``, in this process, which has imported it all."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def tool(name: str, *arguments: object) -> str:
    """What ``tools/NAME.py`` prints, in this process, which has imported it all."""
    path, shown = TOOLS / f"{name}.py", StringIO()
    with (
        mock.patch.object(sys, "argv", [path.name, *map(str, arguments)]),
        mock.patch.object(sys, "path", [str(path.parent), *sys.path]),
        contextlib.redirect_stdout(shown),
    ):
        before = os.getcwd()
        os.chdir(ROOT)
        try:
            runpy.run_path(str(path), run_name="__main__")
        finally:
            os.chdir(before)
    return shown.getvalue()


def benchmark(name: str, *arguments: object) -> str:
    """What ``tools/benchmarks/NAME.py`` prints, likewise."""
    return tool(f"benchmarks/{name}", *arguments)
