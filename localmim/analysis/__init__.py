from .reconstruction import reconstruction_figures
from .whole_images import load_whole_images

__all__ = ["load_whole_images", "reconstruction_figures"]
