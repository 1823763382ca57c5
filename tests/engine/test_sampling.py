import os
import random
import signal
import time
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Subset

from localmim.engine.sampling import ResumableLoader, check_enough, seed_step


class Draws:
    """Ten samples: their index and what three generators draw for it."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(()).item()

    def get_data_info(self, index):
        return {"img_path": f"image_{index}.jpg"}


def loader(dataset=None, sampler=DefaultSampler, **settings):
    dataset = dataset or Draws()
    settings = dict(batch_size=3, num_workers=0, collate_fn=list) | settings
    return ResumableLoader(DataLoader(dataset, sampler=sampler(dataset), **settings))


WORKERS = [
    dict(),
    dict(num_workers=2),
    dict(num_workers=2, persistent_workers=True, prefetch_factor=4),
]


@pytest.mark.parametrize("workers", WORKERS)
def test_samples_depend_on_seed_pass_and_place_alone(workers):
    expected = [list(loader().start_at(5, epoch, 0)) for epoch in (0, 1)]
    several = loader(**workers)
    for epoch, first in ((1, 0), (0, 2), (1, 3), (0, 0)):
        assert list(several.start_at(5, epoch, first)) == expected[epoch][first:]
    drawn = [x for epoch in expected for batch in epoch for sample in batch for x in sample[1:]]
    assert len(set(drawn)) == 60
    assert list(loader().start_at(6, 0, 0))[0] != expected[0][0]


def test_every_image_comes_once_a_pass_in_another_order():
    orders = [[s[0] for b in loader().start_at(0, epoch, 0) for s in b] for epoch in (0, 1)]
    assert all(Counter(order) == Counter(range(10)) for order in orders)
    assert orders[0] != orders[1]


def test_an_endless_sampler_starts_where_it_is_told_to():
    whole = loader(sampler=InfiniteSampler).start_at(5, 0, 0)
    expected = [next(whole) for _ in range(12)]
    again = loader(sampler=InfiniteSampler, num_workers=2)
    for first in (9, 0, 4):  # also backwards
        part = again.start_at(5, 0, first)
        assert [next(part) for _ in range(3)] == expected[first : first + 3]


def test_processes_that_share_a_batch_draw_what_one_draws(monkeypatch):
    def samples(rank, world_size):
        for module in ("mmengine.dataset.sampler", "localmim.engine.sampling"):
            monkeypatch.setattr(f"{module}.get_dist_info", lambda: (rank, world_size))
        batches = loader(batch_size=4 // world_size).start_at(5, 1, 1)
        return [set(batch) for batch in batches]

    alone, first, second = samples(0, 1)[0], samples(0, 2)[0], samples(1, 2)[0]
    assert first | second == alone and not first & second


def test_steps_depend_on_seed_iteration_and_process_and_on_nothing_else(monkeypatch):
    def draws(seed, iteration, rank=0):
        monkeypatch.setattr("localmim.engine.sampling.get_dist_info", lambda: (rank, 2))
        torch.rand(iteration + 1)
        seed_step(seed, iteration)
        return random.random(), np.random.rand(), torch.rand(()).item()

    first = draws(0, 5)
    assert draws(0, 5) == first
    for other in (draws(0, 6), draws(1, 5), draws(5, 0), draws(0, 5, rank=1)):
        assert all(a != b for a, b in zip(first, other, strict=True))


class Deadly(Draws):
    def __getitem__(self, index):
        if index == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Hanging(Draws):
    def __getitem__(self, index):
        if index == 4:
            time.sleep(1000)
        return super().__getitem__(index)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [(Deadly(), "died: killed for lack of memory"), (Hanging(), "delivered nothing for 2 s")],
)
def test_a_worker_that_dies_or_hangs_is_an_error_that_names_the_image(dataset, message):
    begin = time.monotonic()
    unlucky = loader(dataset, num_workers=1, timeout=2)
    error = pytest.raises(RuntimeError, match=f"{message}.*Being read: image_4.jpg")
    with error, unlucky.explained():
        list(unlucky.start_at(0, 0, 0))
    (worker,) = unlucky._batches._workers
    unlucky.close()
    worker.join(10)
    assert not worker.is_alive() and time.monotonic() - begin < 30


def test_other_errors_are_left_alone():
    with pytest.raises(RuntimeError, match="^something else$"), loader().explained():
        raise RuntimeError("something else")


def test_signals_of_a_group_do_not_end_workers():
    several = loader(num_workers=2, persistent_workers=True)
    expected = list(several.start_at(0, 0, 0))
    for worker in several._iterator._workers:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(worker.pid, number)
    assert list(several.start_at(0, 0, 0)) == expected


def test_data_that_does_not_fill_a_batch_is_refused(monkeypatch):
    check_enough(loader(batch_size=10))
    with pytest.raises(ValueError, match=r"batch_size is 11 .* 10 images: set .*batch_size=10"):
        check_enough(loader(batch_size=11))
    monkeypatch.setattr("localmim.engine.sampling.get_dist_info", lambda: (0, 4))
    with pytest.raises(ValueError, match=r"batch_size is 3 on 4 .*batch_size=2$"):
        check_enough(loader())


def test_streams_and_single_samples_are_refused():
    with pytest.raises(TypeError, match="exact resumption needs"):
        ResumableLoader(DataLoader(Draws(), batch_size=None))


def test_data_sets_that_read_several_samples_at_once_are_seeded_too():
    """torch's Subset does."""
    part = Subset(Draws(), range(9))
    expected = list(loader(part).start_at(5, 0, 0))
    assert list(loader(part, num_workers=2).start_at(5, 0, 0)) == expected


def test_the_data_set_is_seen_through():
    several = loader()
    assert several.batch_size == 3 and len(several) == 4
    assert several.dataset.get_data_info(1) == {"img_path": "image_1.jpg"}
    assert not hasattr(several.dataset, "metainfo")
    assert isinstance(several.batch_sampler, BatchSampler)
