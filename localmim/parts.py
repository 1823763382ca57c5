"""Importing this registers every part: ``custom_imports = dict(imports=["localmim.parts"])``."""

from . import analysis, checkpoints, data, engine, evaluation, models
from .hub import register_models

register_models()

__all__ = ["analysis", "checkpoints", "data", "engine", "evaluation", "models"]
