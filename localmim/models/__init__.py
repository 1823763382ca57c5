from .backbones import SparseSwin, SparseViT
from .classifiers import KNNClassifier, LinearProbe
from .heads import ReconstructionHead
from .localmim import LocalMIM
from .mask_generators import RandomMasking
from .mim import MaskedImageModel
from .necks import LocalDecoders
from .target_generators import MultiScaleHOG, MultiScalePixels

__all__ = [
    "KNNClassifier",
    "LinearProbe",
    "LocalDecoders",
    "LocalMIM",
    "MaskedImageModel",
    "MultiScaleHOG",
    "MultiScalePixels",
    "RandomMasking",
    "ReconstructionHead",
    "SparseSwin",
    "SparseViT",
]
