from .irpe_vit import IRPEViT
from .masked_convnext import MaskedConvNeXt
from .masked_resnet import MaskedResNet
from .masked_vit import MaskedViT
from .packed_convnext import PackedConvNeXt
from .packed_resnet import PackedResNet
from .released_swin import ReleasedSwin
from .sparse_swin import SparseSwin
from .sparse_vit import SparseViT

__all__ = [
    "IRPEViT",
    "MaskedConvNeXt",
    "MaskedResNet",
    "MaskedViT",
    "PackedConvNeXt",
    "PackedResNet",
    "ReleasedSwin",
    "SparseSwin",
    "SparseViT",
]
