"""The config of a training out of its checkpoint, without running anything that stands there."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .origin import read_assignments

_TRUSTED = {"localmim.parts", "localmim"}  # old checkpoints name the latter


def training_config(content: Mapping[str, Any], path: str | Path) -> Config:
    """The config that a checkpoint was trained with, options of the command line included.

    Nobody vouches for a checkpoint. Its config is read as plain values, never executed, and may
    name registered parts only: what is built of it is what this project and mmpretrain have.

    Args:
        content: what was loaded from the file.
        path: of the file, for messages.

    Raises:
        ValueError: there is none, or it is more than plain values and names of registered parts.
    """
    meta = content.get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    advice = "name the config it was trained with by --config"
    if not isinstance(text, str) or "model" not in (settings := read_assignments(text)):
        raise ValueError(f"{path} does not hold the config of a training: {advice}")
    for what in _not_plain(text):
        raise ValueError(f"the config in {path} is not made of plain values ({what}): {advice}")
    imports = set((settings.pop("custom_imports", None) or {}).get("imports", ()))
    if others := sorted(imports - _TRUSTED):
        raise ValueError(
            f"the config in {path} imports {', '.join(others)}, which is not done at the word of a "
            f"checkpoint: {advice}"
        )
    for name in _types(settings):
        if not name.isidentifier():
            raise ValueError(
                f"the config in {path} has a type {name!r}, which is no name of a registered part: "
                f"{advice}"
            )
    return Config(settings)


def _not_plain(text: str) -> Iterator[str]:
    """What in a config is neither a number, text, list or dictionary."""
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.Assign):
            yield ast.unparse(statement)
            continue
        for node in ast.walk(statement.value):
            named = isinstance(node, ast.Name) and node.id != "dict"
            if named or isinstance(node, (ast.Attribute, ast.BinOp, ast.JoinedStr)):
                yield ast.unparse(node)


def _types(value: Any) -> Iterator[str]:
    """All values of keys ``type``, however deep."""
    if isinstance(value, Mapping):
        if "type" in value:
            yield str(value["type"])
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _types(item)
