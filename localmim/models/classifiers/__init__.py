from .knn import KNNClassifier
from .linear_probe import LinearProbe

__all__ = ["KNNClassifier", "LinearProbe"]
