"""A command-line tool in this process, which has imported everything already."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

TOOLS = Path(__file__).parents[1] / "tools"


def main_of(name: str) -> Callable:
    """The function ``main`` of ``tools/NAME.py``."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main
