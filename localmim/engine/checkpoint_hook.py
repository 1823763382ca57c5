"""When a training saves: by schedule, by the clock and when it is asked to end."""

import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import is_distributed, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from .checkpoint_writer import point_to, remove_partial_files
from .preemption import Preempted

RECOVERY = "recovery.pth"


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook for machines that fail.

    - An old checkpoint is removed when the new one is complete and on the disk, and
      ``last_checkpoint`` names the new one from then on.
    - ``recovery.pth`` beside the checkpoints of the schedule is never older than some minutes. It
      goes when the training is complete.
    - SIGTERM, SIGUSR1 and Ctrl-C: all processes save after the same step and end.

    Files are written beside the training, by the runner's CheckpointWriter.

    Args:
        recovery_minutes: most minutes of training that a crash can cost; 0 for no recovery file.
        grace_seconds: after a signal, when the process ends even if it could not save.
        **kwargs: arguments of mmengine's CheckpointHook.
    """

    def __init__(
        self, *, recovery_minutes: float = 15, grace_seconds: float = 120, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if recovery_minutes < 0 or grace_seconds <= 0:
            raise ValueError(
                "DurableCheckpointHook: recovery_minutes must not be negative and grace_seconds "
                f"must be positive, got {recovery_minutes} and {grace_seconds}"
            )
        self.recovery_minutes = recovery_minutes
        self.grace_seconds = grace_seconds

    def before_train(self, runner) -> None:
        super().before_train(runner)
        runner.stop_request.grace_seconds = self.grace_seconds
        self._saved_at = time.monotonic()
        if is_main_process() and "://" not in self.out_dir:
            remove_partial_files(Path(self.out_dir))

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._save_if_needed(runner, runner.iter + 1)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if hasattr(self, "_saved_at"):  # in a training
            self._save_if_needed(runner, runner.iter)

    def after_train(self, runner) -> None:
        runner.checkpoint_writer.wait()
        super().after_train(runner)
        if is_main_process() and self.save_last:
            self._remove(self._path(RECOVERY))

    def _save_if_needed(self, runner, iteration: int) -> None:
        """Save by the clock or because of a signal, on all processes after the same step."""
        runner.checkpoint_writer.check()
        asked = runner.stop_request.number
        overdue = 0 < 60 * self.recovery_minutes < time.monotonic() - self._saved_at
        stop, interrupt, overdue = _agree(
            runner.cpu_group,
            asked is not None,
            asked == signal.SIGINT,
            is_main_process() and overdue,
        )
        if not (stop or overdue):
            return
        runner.logger.info(f"Saving {RECOVERY} at iteration {iteration}")
        self._save(runner, RECOVERY, dict(epoch=runner.epoch, iter=iteration))
        if stop:
            runner.checkpoint_writer.wait()
            runner.logger.info(
                f"Saved {self._path(RECOVERY)} at iteration {iteration} and ending as asked; "
                "--resume goes on from there"
            )
            raise Preempted(128 + signal.SIGINT if interrupt else 0)

    def _path(self, filename: str) -> str:
        return self.file_backend.join_path(self.out_dir, filename)

    def _save(self, runner, filename: str, meta: dict[str, Any], old: tuple[str, ...] = ()) -> None:
        """Write a checkpoint and only then point to it and remove old ones."""
        path = self._path(filename)
        then: list[Callable[[], Any]] = [partial(point_to, path, Path(runner.work_dir))]
        then += [partial(self._remove, other) for other in old]
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            then=then,
            **self.args,
        )
        self._saved_at = time.monotonic()

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict[str, Any]) -> None:
        old: list[int] = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            ids = [*self.keep_ckpt_ids, step]
            old = ids[: -self.max_keep_ckpts]
            self.keep_ckpt_ids = deque(ids[-self.max_keep_ckpts :], self.max_keep_ckpts)
            # With those that are there until the new one is: a resumed run removes what it finds.
            runner.message_hub.update_info("keep_ckpt_ids", ids)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self._path(filename)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        paths = tuple(self._path(self.filename_tmpl.format(number)) for number in old)
        self._save(runner, filename, meta, paths)

    def _save_best_checkpoint(self, runner, metrics: dict[str, float]) -> None:
        """As mmengine, which would remove the best one so far before it writes the new one."""
        backend, self.file_backend = self.file_backend, _LaterRemovals(self.file_backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
            outdated = self.file_backend.removals
        finally:
            self.file_backend = backend
        if outdated:
            runner.checkpoint_writer.wait()
            best = getattr(self, "best_ckpt_path_dict", {"": getattr(self, "best_ckpt_path", None)})
            for path in {*outdated} - {*best.values()}:  # one of the same name is the new one
                self._remove(path)


class _LaterRemovals:
    """A file backend that only remembers what it is to remove."""

    def __init__(self, backend) -> None:
        self._backend = backend
        self.removals: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removals.append(path)


def _agree(group: dist.ProcessGroup | None, *wishes: bool) -> tuple[bool, ...]:
    """For each wish, whether any process has it."""
    if not is_distributed():
        return wishes
    wanted = torch.tensor(wishes, dtype=torch.uint8)
    dist.all_reduce(wanted, dist.ReduceOp.MAX, group=group)
    return tuple(bool(value) for value in wanted)
