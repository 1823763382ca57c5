"""Files of a folder that give no image: counted, listed, and an error where they are many."""

import math
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop
from torch import Tensor
from tqdm import tqdm

from localmim.data.unlabelled import UNSEEN, USABLE, UnlabelledImages
from localmim.data.unusable import Reason, UnusableImage, printable
from localmim.durable import written_aside

FILE = "unusable_images.tsv"
_THREADS = 4  # few, because each may decode a huge image
_NAMED = 3  # files that an error names for each reason
_DEVIATIONS = 3  # by which a share among some files may exceed the limit for all


def folders_of_images(dataset: Any) -> list[UnlabelledImages]:
    """The :class:`UnlabelledImages` in a data set and its wrappers, each once."""
    if isinstance(dataset, UnlabelledImages):
        return [dataset]
    inner = getattr(dataset, "dataset", None)
    parts = [inner] if inner is not None else getattr(dataset, "datasets", None) or ()
    found = [folder for part in parts for folder in folders_of_images(part)]
    return list({id(folder): folder for folder in found}.values())


@HOOKS.register_module()
class UnusableImagesHook(Hook):
    """Count the files that give no image, list them, and stop where they are too many.

    Before the run some files are read, evenly spaced in the list. From then on it is known of
    every file that was read whether it gave an image. The list, ``unusable_images.tsv`` in the
    work dir, has a path and a reason a line, and is written before the run, after each epoch, every
    ``interval`` iterations if it has grown, and before the error. Training data sets that are no
    :class:`UnlabelledImages` are left alone.

    Args:
        max_share: the share of unusable files in the training data above which training stops.
            While only some files have been read, the share among them has to exceed it by three
            standard deviations.
        samples: number of files read before the run, 0 or more.
        interval: iterations between two counts.

    Raises:
        ValueError: too many files are unusable, or the processes see different files.
    """

    priority = "LOWEST"  # the checkpoint of an epoch is saved before an error ends the run

    def __init__(self, max_share: float = 0.1, samples: int = 256, interval: int = 500) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f"max_share must be in 0 to 1, got {max_share}")
        for name, value, least in (("samples", samples, 0), ("interval", interval, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be an int, {least} or more, got {value!r}")
        self.max_share, self.samples, self.interval = max_share, samples, interval
        self.folders: list[UnlabelledImages] = []

    def before_run(self, runner) -> None:
        loop = runner._train_loop
        built = isinstance(loop, BaseLoop)
        self.folders = folders_of_images(loop.dataloader.dataset) if built else []
        if not self.folders:
            return
        self._compare_lists()
        if is_main_process():
            with _random_numbers_kept():
                self._read_some()
        self._listed = -1
        self._check(runner)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self.folders and self.every_n_train_iters(runner, self.interval):
            self._check(runner)

    def after_train_epoch(self, runner) -> None:
        if not self.folders:
            return
        unusable, seen, total = self._check(runner)
        if unusable:
            runner.logger.warning(
                f"After epoch {runner.epoch + 1}: {unusable} of {seen} images read so far (of "
                f"{total}) are unusable, listed in {Path(runner.work_dir, FILE)}"
            )

    def _compare_lists(self) -> None:
        """A process with other files would wait for the others forever, or train on other data."""
        counts = all_gather_object([len(folder) for folder in self.folders])
        if any(count != counts[0] for count in counts):
            raise ValueError(
                "the processes find different numbers of images below data_root: "
                f"{', '.join(str(sum(count)) for count in counts)}. Does every machine see the "
                "same complete folder?"
            )

    def _read_some(self) -> None:
        ends = np.cumsum([len(folder) for folder in self.folders])
        count = min(self.samples, int(ends[-1]))
        numbers = np.linspace(0, ends[-1] - 1, count).astype(int)

        def read(number: int) -> None:
            which = int(np.searchsorted(ends, number, side="right"))
            self.folders[which].prepare_data(int(number - ends[which]) % len(self.folders[which]))

        with (
            ThreadPoolExecutor(_THREADS) as pool,
            tqdm(total=count, desc="reading some images", unit="image", delay=3) as bar,
        ):
            for _ in pool.map(read, numbers):
                bar.update()

    def _check(self, runner) -> tuple[int, int, int]:
        """Merge what all processes found, list it, and stop if it is too much.

        Returns:
            Numbers of unusable files, of files that were read, and of all files.
        """
        states = [_merged(folder.states) for folder in self.folders]
        every = torch.cat(states)
        unusable, seen = int((every > USABLE).sum()), int((every != UNSEEN).sum())
        if unusable != self._listed:
            try:
                self._write(runner.work_dir, states)
                self._listed = unusable
            except OSError as error:  # a full disk, perhaps for a while; no reason to stop
                runner.logger.error(f"{Path(runner.work_dir, FILE)} cannot be written: {error}")
        if unusable > self._allowed(seen, len(every)):
            raise ValueError(self._complaint(states, seen, Path(runner.work_dir, FILE)))
        return unusable, seen, len(every)

    def _allowed(self, seen: int, total: int) -> float:
        spread = math.sqrt(seen * self.max_share * (1 - self.max_share)) if seen < total else 0
        return seen * self.max_share + _DEVIATIONS * spread

    def _complaint(self, states: list[Tensor], seen: int, file: Path) -> str:
        unusable = list(_unusable(self.folders, states))
        lines = [
            f"{len(unusable)} of {seen} images that were read are unusable, more than max_share "
            f"{self.max_share:g} of the UnusableImagesHook allows:"
        ]
        for reason in Reason:
            which = [(folder, idx) for folder, idx, found in unusable if found is reason]
            if which:
                named = "".join(f"\n    {_why(folder, idx)}" for folder, idx in which[:_NAMED])
                lines.append(f"  {len(which)} x {reason.text}, such as{named}")
        lines.append(
            f"All are listed in {file}. Mend or remove these files, set what the reasons ask for, "
            "or allow more: see Files that give no image in docs/guides/your_images.md"
        )
        return "\n".join(lines)

    @master_only
    def _write(self, work_dir: str, states: list[Tensor]) -> None:
        with (
            written_aside(Path(work_dir, FILE)) as path,
            open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file,
        ):
            file.write("path\treason\n")
            for folder, idx, reason in _unusable(self.folders, states):
                file.write(f"{_escaped(folder.path(idx))}\t{reason.text}\n")


def _merged(states: Tensor) -> Tensor:
    """The highest of the processes' states of each file."""
    merged = states.clone()
    all_reduce(merged, "max")
    return merged


def _unusable(
    folders: list[UnlabelledImages], states: list[Tensor]
) -> Iterator[tuple[UnlabelledImages, int, Reason]]:
    for folder, state in zip(folders, states, strict=True):
        for idx in (state > USABLE).nonzero().flatten().tolist():
            yield folder, idx, Reason(int(state[idx]))


def _why(folder: UnlabelledImages, idx: int) -> str:
    """What is wrong with a file, in full, as far as it is still so."""
    try:
        folder.pipeline(folder.get_data_info(idx))
    except UnusableImage as error:
        return str(error)
    return printable(folder.path(idx))


def _escaped(path: str) -> str:
    for character, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        path = path.replace(character, escape)
    return path


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """Leave the random generators as they were: whether files are checked changes no training."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
