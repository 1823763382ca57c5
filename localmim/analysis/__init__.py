from .reconstruction import draw_hog, draw_pixels, draw_targets, reconstruction_figures

__all__ = ["draw_hog", "draw_pixels", "draw_targets", "reconstruction_figures"]
