from .knn import KNNClassifier, nearest_votes
from .linear_probe import LinearProbe

__all__ = ["KNNClassifier", "LinearProbe", "nearest_votes"]
