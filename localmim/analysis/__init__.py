from .reconstruction import draw_hog, draw_pixels, reconstruction_figures

__all__ = ["draw_hog", "draw_pixels", "reconstruction_figures"]
