from .sparse_swin import SparseSwin
from .sparse_vit import SparseViT

__all__ = ["SparseSwin", "SparseViT"]
