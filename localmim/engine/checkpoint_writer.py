"""Writing checkpoints beside the training."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from localmim.checkpoints.report import first
from localmim.durable import written_aside


class CheckpointWriter:
    """Writes one checkpoint at a time in a thread, while the training goes on.

    An error in writing is raised at the next call of any method.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future | None = None

    def write(
        self, checkpoint: Mapping[str, Any], path: Path, then: Iterable[Callable[[], Any]] = ()
    ) -> None:
        """Begin to write, once what was begun before is done.

        Args:
            checkpoint: on the CPU, changed by nobody after this.
            path: of the file, which appears when it is complete and on the disk.
            then: to be called when it is.
        """
        self.wait()
        self._pending = self._thread.submit(_write, checkpoint, path, tuple(then))

    def check(self) -> None:
        """Raise the error of a write that failed, without waiting."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            FloatingPointError: the checkpoint has weights that are not finite; nothing was written.
            OSError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


def _write(checkpoint: Mapping[str, Any], path: Path, then: tuple[Callable[[], Any], ...]) -> None:
    if bad := not_finite(checkpoint):
        raise FloatingPointError(
            f"{path.name} was not written because {len(bad)} of its tensors hold numbers that are "
            f"not finite ({first(bad)}); the checkpoints before it are as they were. The learning "
            "rate may be far too high: gradients can be finite and their steps not"
        )
    try:
        with written_aside(path) as partial:
            torch.save(checkpoint, partial)
    except RuntimeError as error:  # what a full disk is to torch, in terms of its source code
        free = shutil.disk_usage(path.parent).free / 1e6
        reason = str(error).splitlines()[0]
        raise OSError(
            f"{path} could not be written; {free:.0f} MB are free in its folder. The checkpoints "
            f"before it are as they were ({reason})"
        ) from error
    for call in then:
        call()


def not_finite(checkpoint: Mapping[str, Any]) -> list[str]:
    """Names of the weights, running statistics and optimiser's averages that are not finite."""
    found = [*_tensors(checkpoint.get("state_dict", {}), "state_dict")]
    found += _tensors(checkpoint.get("optimizer", {}), "optimizer")
    return [name for name, x in found if x.is_floating_point() and not x.isfinite().all()]


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for key, item in enumerate(value):
            yield from _tensors(item, f"{name}.{key}")


def remove_partial_files(folder: Path) -> None:
    """Remove what writes that were killed have left."""
    for path in folder.glob(".*.pth.*.partial.pth"):
        path.unlink(missing_ok=True)


def point_to(path: Path, folder: Path) -> None:
    """Let ``last_checkpoint`` of a folder name a checkpoint, as mmengine's does."""
    with written_aside(folder / "last_checkpoint") as partial:
        partial.write_text(os.fspath(path))
