"""Masked-image pre-training on mmpretrain.

``import localmim`` takes no time: what it offers is imported when it is used. Configs name
``localmim.parts``, which registers every part.
"""

from importlib import import_module
from typing import Any

from .version import __version__

# Functions, each what the command of its name does, and where they are.
_FUNCTIONS = {
    "pretrain": "localmim.command.pretrain",
    "finetune": "localmim.command.finetune",
    "knn": "localmim.command.knn",
    "embed": "localmim.command.embed",
    "doctor": "localmim.command.doctor",
    "convert": "localmim.checkpoints.convert_file",
}
_PACKAGES = ("analysis", "checkpoints", "data", "engine", "evaluation", "models")

__all__ = ["__version__", *_FUNCTIONS, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        import_module("localmim.parts")
        module = import_module(_FUNCTIONS[name])
        return module.convert_file if name == "convert" else getattr(module, name)
    if name in _PACKAGES:
        return import_module(f"localmim.{name}")
    raise AttributeError(f"module 'localmim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
