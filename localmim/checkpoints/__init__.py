from .convert import Conversion, convert
from .convert_file import convert_file
from .files import Checkpoint, read_checkpoint, write_checkpoint
from .fit import FitReport, compare_state_dicts, load_into
from .report import ConversionReport
from .safe_loading import load_from_file
from .tables import DIALECTS

__all__ = [
    "DIALECTS",
    "Checkpoint",
    "Conversion",
    "ConversionReport",
    "FitReport",
    "compare_state_dicts",
    "convert",
    "convert_file",
    "load_from_file",
    "load_into",
    "read_checkpoint",
    "write_checkpoint",
]
