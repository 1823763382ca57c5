from .. import prepared  # noqa: F401  (first)
from .cropping import LoadRandomResizedCrop
from .loading import LoadBands, LoadImage
from .packing import PackImage
from .sharded import BlockShuffleSampler, ShardedImages
from .unlabelled import UnlabelledImages
from .unusable import Reason, UnusableImage

__all__ = [
    "BlockShuffleSampler",
    "LoadBands",
    "LoadImage",
    "LoadRandomResizedCrop",
    "PackImage",
    "Reason",
    "ShardedImages",
    "UnlabelledImages",
    "UnusableImage",
]
