from .init import init_linear_and_norm
from .positions import sincos_positions

__all__ = ["init_linear_and_norm", "sincos_positions"]
