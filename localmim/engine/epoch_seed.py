"""Random numbers that depend on the seed and the epoch, not on when the process started."""

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed masks and augmentation from (seed, epoch, rank) at the start of every epoch.

    A resumed run then draws what the uninterrupted run would have drawn. Without this, mmengine
    starts from the plain seed again, and the masks and crops of the first epochs repeat. The
    data loader has to start its workers anew each epoch (``persistent_workers=False``) and seed
    them by :func:`seed_worker`.
    """

    priority = "VERY_HIGH"

    def before_train_epoch(self, runner) -> None:
        entropy = (runner.seed, runner.epoch, get_rank())
        _seed_all(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed Python and NumPy in a data loader's worker as torch has been seeded there."""
    _seed_all(torch.initial_seed() % 2**63)
