from .. import prepared  # noqa: F401  (first)
from .backbones import (
    IRPEViT,
    MaskedConvNeXt,
    MaskedResNet,
    MaskedViT,
    PackedConvNeXt,
    PackedResNet,
    ReleasedSwin,
    SparseSwin,
    SparseViT,
)
from .classifiers import KNNClassifier, LinearProbe
from .data_preprocessor import MIMDataPreprocessor
from .heads import FrequencyHead, ReconstructionHead
from .localmim import LocalMIM
from .lomar import LoMaR
from .mask_generators import RandomMasking
from .mim import MaskedImageModel
from .necks import LinearDecoder, LocalDecoders
from .target_generators import MultiScaleHOG, MultiScalePixels

__all__ = [
    "FrequencyHead",
    "IRPEViT",
    "KNNClassifier",
    "LinearDecoder",
    "LinearProbe",
    "LoMaR",
    "LocalDecoders",
    "LocalMIM",
    "MIMDataPreprocessor",
    "MaskedConvNeXt",
    "MaskedImageModel",
    "MaskedResNet",
    "MaskedViT",
    "MultiScaleHOG",
    "MultiScalePixels",
    "RandomMasking",
    "ReconstructionHead",
    "PackedConvNeXt",
    "PackedResNet",
    "ReleasedSwin",
    "SparseSwin",
    "SparseViT",
]
