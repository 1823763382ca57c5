from .. import prepared  # noqa: F401  (first)
from .classification import AUC, BalancedAccuracy, area_under_curve

__all__ = ["AUC", "BalancedAccuracy", "area_under_curve"]
