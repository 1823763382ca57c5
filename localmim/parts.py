"""Importing this registers every part: ``custom_imports = dict(imports=["localmim.parts"])``."""

from .collecting import imports_kept

with imports_kept():
    from . import analysis, checkpoints, data, engine, evaluation, models
    from .hub import register_models

    register_models()

__all__ = ["analysis", "checkpoints", "data", "engine", "evaluation", "models"]
