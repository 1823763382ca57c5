from .fit import FitReport, compare_state_dicts, load_into
from .safe_loading import load_from_file

__all__ = ["FitReport", "compare_state_dicts", "load_from_file", "load_into"]
