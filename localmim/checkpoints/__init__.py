from .. import prepared  # noqa: F401  (first)
from .convert import Conversion, convert
from .convert_file import convert_file
from .encoder import build_encoder, encoder_config, encoder_dialect
from .files import Checkpoint, read_checkpoint, write_checkpoint
from .fit import FitReport, compare_state_dicts, load_into
from .origin import read_assignments
from .pretrained import EncoderReport, init_weights, why_not_started, why_not_whole
from .remote import fetch
from .report import ConversionReport
from .safe_loading import load_from_file
from .tables import DIALECTS
from .training_config import training_config
from .usage import timm_call, timm_vectors, transformers_preprocessor

__all__ = [
    "DIALECTS",
    "Checkpoint",
    "Conversion",
    "ConversionReport",
    "EncoderReport",
    "FitReport",
    "build_encoder",
    "compare_state_dicts",
    "convert",
    "convert_file",
    "encoder_config",
    "encoder_dialect",
    "fetch",
    "init_weights",
    "load_from_file",
    "load_into",
    "read_assignments",
    "read_checkpoint",
    "timm_call",
    "timm_vectors",
    "transformers_preprocessor",
    "training_config",
    "why_not_started",
    "why_not_whole",
    "write_checkpoint",
]
