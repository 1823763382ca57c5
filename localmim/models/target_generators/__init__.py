from .hog import MultiScaleHOG
from .pixel import MultiScalePixels

__all__ = ["MultiScaleHOG", "MultiScalePixels"]
