from .loading import LoadBands, LoadImage
from .unlabelled import UnlabelledImages
from .unusable import Reason, UnusableImage

__all__ = ["LoadBands", "LoadImage", "Reason", "UnlabelledImages", "UnusableImage"]
