"""Batches that can be gone through from any place, and samples that are drawn alike each time."""

import random
import signal
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_dist_info
from torch.utils.data import BatchSampler, DataLoader, Dataset, get_worker_info

# Where a seed is used, so that no two uses share their numbers.
_SAMPLE, _STEP = 0, 1
# Seconds without a batch after which a worker is taken to hang, where the config sets none.
PATIENCE = 600

SampleKey = tuple[Any, tuple[int, int, int]]


def seed_step(seed: int, iteration: int) -> None:
    """Seed masks, drop path and all else that a training step draws on this process.

    Args:
        seed: of the run, the same on all processes.
        iteration: number of the step, from 0.
    """
    _seed(torch.manual_seed, _STEP, seed, iteration, get_dist_info()[0])


def _seed(seed_torch: Callable[[int], Any], *numbers: int) -> None:
    entropy = np.random.SeedSequence(numbers).generate_state(4)
    random.seed(entropy.tobytes())
    np.random.seed(entropy)
    seed_torch(int.from_bytes(entropy[:2].tobytes(), "little"))


class ResumableBatches(BatchSampler):
    """Another sampler's batches from any one on, with a seed for every sample.

    A sample's seed follows from the seed of the run, the pass through the data and the sample's
    place in it, counted over all processes: samplers deal in turn, so that an image is cropped
    alike however many processes share a batch.

    Args:
        batches: lists of indices; torch's BatchSampler or one with the same attributes.
    """

    def __init__(self, batches: BatchSampler) -> None:
        self.batches = batches
        self.rank, self.world_size = get_dist_info()
        self.start_at(seed=0, epoch=0, batch=0)

    @property
    def sampler(self) -> Any:
        """Of the indices; mmengine's hook sets its epoch."""
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    def start_at(self, seed: int, epoch: int, batch: int) -> None:
        """Where the next iteration starts: the run's seed, the pass and the first batch of it."""
        self.seed, self.epoch, self.first = seed, epoch, batch
        if hasattr(self.sampler, "seed"):
            self.sampler.seed = seed
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)
        if isinstance(self.sampler, InfiniteSampler):  # goes on where it is, also in a new loop
            self.sampler.indices = self.sampler._indices_of_rank()

    def __iter__(self) -> Iterator[list[SampleKey]]:
        first, seed, epoch = self.first, self.seed, self.epoch
        place = 0
        for number, batch in enumerate(self.batches):
            if number >= first:
                places = range(place, place + len(batch))
                keys = [(seed, epoch, p * self.world_size + self.rank) for p in places]
                yield list(zip(batch, keys, strict=True))
            place += len(batch)

    def __len__(self) -> int:
        return len(self.batches)


class SeededSamples(Dataset):
    """A data set whose random transforms depend on the sample's key alone.

    Neither the process that reads a sample nor what that process read before matters.

    Args:
        dataset: of any kind that has a length.
        num_workers: of the loader.
    """

    def __init__(self, dataset: Dataset, num_workers: int) -> None:
        self.dataset = dataset
        # What each worker is reading, for the message if it dies.
        self.reading = torch.full((max(num_workers, 1),), -1, dtype=torch.long).share_memory_()

    def __getitem__(self, key: SampleKey) -> Any:
        index, numbers = key
        _seed(torch.default_generator.manual_seed, _SAMPLE, *numbers)  # the CPU's alone is fast
        if (worker := get_worker_info()) is None or not isinstance(index, int):
            return self.dataset[index]
        self.reading[worker.id] = index
        sample = self.dataset[index]
        self.reading[worker.id] = -1
        return sample

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # Not there yet while it is unpickled; and what would take samples past their seeds.
        if name in ("dataset", "__getitems__"):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def being_read(self) -> str:
        """The samples that the workers have in hand, by path where the data set tells it."""
        names = []
        for index in (i for i in self.reading.tolist() if i >= 0):
            info = getattr(self.dataset, "get_data_info", lambda _: {})(index)
            names.append(str(info.get("img_path", f"sample {index}")))
        return ", ".join(names) or "none"


class ResumableLoader(DataLoader):
    """A data loader that starts at any batch and names what a dead or hanging worker was reading.

    Args:
        loader: another loader of a data set with a length, whose settings this one takes.

    Raises:
        TypeError: the loader is of a stream, which has no places to start at.
    """

    def __init__(self, loader: DataLoader) -> None:
        if loader.batch_sampler is None:
            raise TypeError(
                "train_dataloader: exact resumption needs a data set with a length and batches of "
                f"indices, got a {type(loader.dataset).__name__} without a batch sampler"
            )
        workers = loader.num_workers
        super().__init__(
            SeededSamples(loader.dataset, workers),
            batch_sampler=ResumableBatches(loader.batch_sampler),
            num_workers=workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=(loader.timeout or PATIENCE) if workers else 0,
            worker_init_fn=partial(_begin_worker, loader.worker_init_fn),
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )
        self._batches: Iterator[Any] | None = None
        # At the end of any process, where multiprocessing would wait for workers that it signals.
        Finalize(None, _close, (weakref.ref(self),), exitpriority=10)

    @property
    def batch_size(self) -> int:
        """Images per batch of this process."""
        return self.batch_sampler.batch_size

    @batch_size.setter
    def batch_size(self, _: None) -> None:
        """torch sets None, as it does with any batch sampler."""

    def start_at(self, seed: int, epoch: int, batch: int) -> Iterator[Any]:
        """The batches of a pass through the data from one of them on.

        Args:
            seed: of the run.
            epoch: number of the pass, from 0.
            batch: number of the first batch to deliver, from 0.
        """
        self.batch_sampler.start_at(seed, epoch, batch)
        self._batches = iter(self)
        return self._batches

    def close(self) -> None:
        """End the workers, also one that hangs. They do not end of signals, see _begin_worker."""
        batches, self._batches, self._iterator = self._batches, None, None
        if hasattr(batches, "_shutdown_workers"):
            batches._shutdown_workers()
            for worker in batches._workers:
                if worker.is_alive():
                    worker.kill()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say of which worker and samples an error is, if it is of a worker.

        torch notices a dead worker in a signal handler, so that the error can come up anywhere.

        Raises:
            RuntimeError: a worker died or delivered nothing for too long.
        """
        try:
            yield
        except RuntimeError as error:
            if not str(error).startswith("DataLoader "):
                raise
            raise RuntimeError(self._what_happened(error)) from error

    def _what_happened(self, error: RuntimeError) -> str:
        if "timed out" in str(error):
            what = (
                f"delivered nothing for {self.timeout:g} s: does the storage hang? "
                "train_dataloader.timeout is how long to wait"
            )
        else:
            what = (
                "died: killed for lack of memory (fewer with train_dataloader.num_workers, or "
                "smaller images), or crashed in a library on a file"
            )
        return f"a data loader's worker {what}. Being read: {self.dataset.being_read()} ({error})"


def check_enough(loader: ResumableLoader) -> None:
    """Refuse data that does not fill one batch of all processes.

    Raises:
        ValueError: with the numbers and what to set.
    """
    images, batch = len(loader.dataset), loader.batch_size
    world_size = get_dist_info()[1]
    if images < batch * world_size or len(loader) == 0:
        most = images // world_size
        raise ValueError(
            f"train_dataloader.batch_size is {batch} on {world_size} process(es), but the data "
            f"set has {images} images: set --cfg-options train_dataloader.batch_size={max(most, 1)}"
            + ("" if most else f" and take at most {images} process(es)")
        )


def _begin_worker(then: Callable[[int], None] | None, worker_id: int) -> None:
    """Leave signals to the main process, which saves and then ends its workers.

    Ctrl-C and the signals of a cluster reach all processes of a group. A worker that died of one
    would take the training with it before it has saved.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    if then is not None:
        then(worker_id)


def _close(reference: "weakref.ref[ResumableLoader]") -> None:
    if (loader := reference()) is not None:
        loader.close()
