"""Importing this registers every part: ``custom_imports = dict(imports=["localmim.parts"])``."""

from . import analysis, checkpoints, data, engine, evaluation, models

__all__ = ["analysis", "checkpoints", "data", "engine", "evaluation", "models"]
