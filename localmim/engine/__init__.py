from .. import prepared  # noqa: F401  (first)
from .checkpoint_hook import DurableCheckpointHook
from .config_checks import check_config
from .data_checks import DataCheckHook, check_data_paths
from .finite_steps import FiniteStepsHook
from .guarded_step import guard
from .image_checks import UnusableImagesHook
from .image_size import settle_image_size
from .mlflow import ContinuedMLflowBackend
from .precision import mixed_precision_optim_wrapper
from .progress import ProgressBarHook
from .runner import LocalMIMRunner
from .tensorboard import ContinuedTensorboardBackend
from .throughput import ThroughputHook

__all__ = [
    "ContinuedMLflowBackend",
    "ContinuedTensorboardBackend",
    "DataCheckHook",
    "DurableCheckpointHook",
    "FiniteStepsHook",
    "LocalMIMRunner",
    "ProgressBarHook",
    "ThroughputHook",
    "UnusableImagesHook",
    "check_config",
    "check_data_paths",
    "guard",
    "mixed_precision_optim_wrapper",
    "settle_image_size",
]
