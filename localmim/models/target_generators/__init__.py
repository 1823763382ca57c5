from .drawing import Show, draw_means
from .hog import MultiScaleHOG
from .pixel import MultiScalePixels

__all__ = ["MultiScaleHOG", "MultiScalePixels", "Show", "draw_means"]
