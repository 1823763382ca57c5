from .backbones import SparseSwin, SparseViT
from .heads import ReconstructionHead
from .localmim import LocalMIM
from .mask_generators import RandomMasking
from .mim import MaskedImageModel
from .necks import LocalDecoders
from .target_generators import MultiScaleHOG, MultiScalePixels

__all__ = [
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
