from .epoch_seed import EpochSeedHook, seed_worker
from .precision import mixed_precision_optim_wrapper
from .runner import PretrainRunner

__all__ = ["EpochSeedHook", "PretrainRunner", "mixed_precision_optim_wrapper", "seed_worker"]
