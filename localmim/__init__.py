"""Masked-image pre-training on mmpretrain; importing the package registers its parts."""

from .operators import provide_operators
from .stack import check_stack, import_mmpretrain, installed_versions, leave_out_multimodal
from .version import __version__

check_stack(installed_versions())
provide_operators()
leave_out_multimodal(installed_versions())
import_mmpretrain()

from . import analysis, checkpoints, data, engine, evaluation, models  # noqa: E402

__all__ = ["__version__", "analysis", "checkpoints", "data", "engine", "evaluation", "models"]
