"""Masked-image pre-training on mmpretrain.

``import localmim`` takes no time: what it offers is imported when it is used. Configs name
``localmim.parts``, which registers every part.
"""

from importlib import import_module
from typing import Any

from .version import __version__

_PACKAGES = ("analysis", "checkpoints", "data", "engine", "evaluation", "models")

__all__ = ["__version__", *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"localmim.{name}")
    raise AttributeError(f"module 'localmim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
