import random
from types import SimpleNamespace

import numpy as np
import torch
from torch.utils.data import DataLoader

from localmim.engine import EpochSeedHook, seed_worker


def draws(seed, epoch):
    EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch))
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_numbers_follow_from_seed_and_epoch_alone():
    first = draws(0, 5)
    draws(0, 6)
    assert draws(0, 5) == first
    for other in (draws(0, 6), draws(1, 5), draws(5, 0)):
        assert all(a != b for a, b in zip(first, other, strict=True))


class Draws:
    def __len__(self):
        return 4

    def __getitem__(self, _):
        return random.random(), np.random.rand(), torch.rand(()).item()


def test_workers_follow_the_epoch_and_differ_from_each_other():
    loader = DataLoader(Draws(), batch_size=1, num_workers=2, worker_init_fn=seed_worker)
    epochs = []
    for epoch in (0, 1, 0):
        draws(0, epoch)
        epochs.append([tuple(x.item() for x in batch) for batch in loader])
    assert epochs[0] == epochs[2] != epochs[1]
    assert len({value for batch in epochs[0] + epochs[1] for value in batch}) == 24
