"""What a training makes of its machine, in the log: images a second, waiting, utilisation."""

import os
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from .matrix_ceiling import matrix_ceiling
from .step_costs import StepCounter

_SETTLING = 10  # iterations that advice leaves out: caches and workers fill
_ENOUGH = 500  # iterations that tell whether training waits, in loops that have no epochs


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log what the training reaches; nothing waits for the device, and no result changes.

    - ``images_per_second``: of all processes together;
    - ``waiting``: the share of time, 0 to 1, in which this process had no batch to train on. On a
      GPU a wait counts that the device did not fill with what it had left to do;
    - ``mfu``: on GPUs, the floating-point operations of a step (counted in the first one) a second,
      as a share of what this GPU reaches in big matrix products in the same precision (measured
      before training).

    They are means of the last iterations and one iteration late, because the hook comes after all
    others: what these take is neither waiting nor lost from the images a second. Validation, and
    what comes between epochs, is left out.

    Where training waits for more than ``max_waiting`` of an epoch, a line of advice says so, once.

    Args:
        window: iterations that are averaged.
        max_waiting: share of waiting above which there is advice.
        mfu: measure utilisation on GPUs; costs about a second before training.
    """

    priority = "LOWEST"

    def __init__(self, window: int = 50, max_waiting: float = 0.1, mfu: bool = True) -> None:
        self.max_waiting, self.mfu = max_waiting, mfu
        self._recent: deque[tuple[float, float, int]] = deque(maxlen=window)
        self._counter: StepCounter | None = None

    def before_train(self, runner) -> None:
        device = next(runner.model.parameters()).device
        self._on_gpu = device.type == "cuda"
        self._recent.clear()
        self._iterations, self._seconds, self._waited = 0, 0.0, 0.0
        self._advised, self._flops = False, 0
        self._device_done: torch.cuda.Event | None = None
        self._ceiling = self._measured_ceiling(runner, device) if self.mfu else None
        self._start()

    def _measured_ceiling(self, runner, device: torch.device) -> float | None:
        """Operations a second; None on a CPU."""
        if not self._on_gpu:
            return None
        ceiling = matrix_ceiling(device, _precision(runner.optim_wrapper))
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)  # the log's memory is the training's
        return ceiling

    def _start(self, *_args, **_kwargs) -> None:
        self._begun = time.perf_counter()

    # What comes between is no waiting for data.
    before_train_epoch = after_val = _start

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        self._wait = time.perf_counter() - self._begun
        if self._device_done is not None and not self._device_done.query():
            self._wait = 0.0  # the device is still at it
        if self._ceiling is not None and not self._flops:
            self._counter = StepCounter()
            self._counter.__enter__()

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self._flops, self._counter = self._counter.total.flops, None
        if self._on_gpu:
            self._device_done = torch.cuda.Event()
            self._device_done.record()
        now = time.perf_counter()
        self._iterations += 1
        if self._iterations > 1:  # the first one starts workers and kernels
            self._add(runner, now - self._begun, self._wait, _images(data_batch))
        self._begun = now
        if self._iterations % _ENOUGH == 0:
            self._advise(runner)

    def _add(self, runner, seconds: float, waited: float, images: int) -> None:
        """Log the means with an iteration more."""
        self._recent.append((seconds, waited, images))
        if self._iterations > _SETTLING:
            self._seconds += seconds
            self._waited += waited
        spent, waits, seen = map(sum, zip(*self._recent, strict=True))
        scalars = {
            "images_per_second": seen / spent * get_world_size(),
            "waiting": waits / spent,
        }
        if self._ceiling is not None:
            scalars["mfu"] = self._flops * len(self._recent) / spent / self._ceiling
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f"train/{name}", value)

    def after_train_epoch(self, runner) -> None:
        self._advise(runner)

    def _advise(self, runner) -> None:
        """Say what to do where training has waited too long since the last time."""
        share = self._waited / self._seconds if self._seconds else 0.0
        self._seconds, self._waited = 0.0, 0.0
        if share <= self.max_waiting or self._advised or not is_main_process():
            return
        self._advised = True
        workers = getattr(runner.train_dataloader, "num_workers", 0)
        runner.logger.warning(
            f"Training waits for data {share:.0%} of the time. More workers help "
            f"(train_dataloader.num_workers, now {workers}; this machine has {os.cpu_count()} "
            "CPUs), or smaller image files; tools/benchmarks/loader.py says how many keep up"
        )


def _precision(optim_wrapper: Any) -> torch.dtype:
    """What matrices are multiplied in."""
    if not hasattr(optim_wrapper, "cast_dtype"):  # mmengine's AmpOptimWrapper has it
        return torch.float32
    return optim_wrapper.cast_dtype or torch.get_autocast_dtype("cuda")


def _images(data_batch: Any) -> int:
    """Images of a batch of mmpretrain, mmseg or mmdet."""
    if not isinstance(data_batch, Mapping):
        return 0
    samples = data_batch.get("data_samples")
    return len(samples if samples is not None else data_batch.get("inputs", ()))
