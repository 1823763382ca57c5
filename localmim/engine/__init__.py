from .data_checks import DataCheckHook, check_data_paths
from .epoch_seed import EpochSeedHook, seed_worker
from .image_checks import UnusableImagesHook
from .image_size import settle_image_size
from .precision import mixed_precision_optim_wrapper
from .runner import LocalMIMRunner

__all__ = [
    "DataCheckHook",
    "EpochSeedHook",
    "LocalMIMRunner",
    "UnusableImagesHook",
    "check_data_paths",
    "mixed_precision_optim_wrapper",
    "seed_worker",
    "settle_image_size",
]
