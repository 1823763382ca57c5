"""Training that skips steps which are not finite, says so, and stops where they do not end."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor

from .guarded_step import GuardedStep, Update

ADVICE = (
    "If the same images come again and again, look at them. Else the training diverges: go on from "
    "a checkpoint of before with a lower learning rate, a longer warm-up or "
    "optim_wrapper.clip_grad.max_norm=1, and in bfloat16 or float32 if this was float16. "
    "FiniteStepsHook's max_skipped_in_a_row says how many steps are skipped before training stops"
)
FEW = 8  # names in a message


@dataclass(frozen=True)
class Evidence:
    """What a process knows of the batches of a skipped update.

    Attributes:
        losses: a text for each loss that is not finite.
        images: paths of all images.
        broken_images: paths of those with pixels that are not finite.
        parameters: a text for each parameter whose gradient is not finite.
    """

    losses: tuple[str, ...]
    images: tuple[str, ...]
    broken_images: tuple[str, ...]
    parameters: tuple[str, ...]

    def summary(self, grad_norm: float) -> str:
        """Losses and images in a line."""
        losses = _few(self.losses) if self.losses else f"losses finite, grad_norm {grad_norm}"
        if not self.images:
            return f"{losses}; images unknown"
        broken = self.broken_images
        pixels = f"pixels not finite in {_few(broken)}" if broken else "their pixels finite"
        return f"{losses}; {len(self.images)} images, {pixels}"


def _joined(found: Sequence[Evidence]) -> Evidence:
    """What all processes know, whose parameters are the same ones."""
    joined = {name: [] for name in Evidence.__dataclass_fields__}
    for evidence in found:
        for name, texts in joined.items():
            texts.extend(getattr(evidence, name))
    joined["parameters"] = dict.fromkeys(joined["parameters"])
    return Evidence(**{name: tuple(texts) for name, texts in joined.items()})


@HOOKS.register_module()
class FiniteStepsHook(Hook):
    """Skip updates whose loss or gradients are not finite, and stop where they do not end.

    With this hook, LocalMIMRunner guards the steps of its optimiser wrapper (see
    :class:`~localmim.engine.guarded_step.GuardedStep`). Each skipped update is warned of, with its
    losses and the images whose pixels are not finite themselves. The log has the ``grad_norm`` of
    updates that were taken, losses averaged without those that are not finite and, once there is
    one, the count of ``skipped_steps``, which a resumed run continues. Schedules of the learning
    rate and moving averages of weights go on through skipped updates.

    Updates that float16 skips to find the best scale of the loss are told apart, as
    ``scaler_skips``: dynamic loss scaling is on, no loss is NaN or infinite, and the scale is still
    above 1. They do not count towards the limit, nor end a row.

    Args:
        max_skipped_in_a_row: so many skipped updates, none taken between them, end the training.

    Raises:
        FloatingPointError: the limit is reached.
    """

    def __init__(self, max_skipped_in_a_row: int = 10) -> None:
        if not isinstance(max_skipped_in_a_row, int) or max_skipped_in_a_row < 1:
            raise ValueError(
                f"max_skipped_in_a_row must be a positive integer, got {max_skipped_in_a_row!r}"
            )
        self.limit = max_skipped_in_a_row

    def before_train(self, runner) -> None:
        self.in_a_row = 0
        self.batches: list[tuple[Any, Any]] = []  # and their losses, since the last update
        self.guarded = isinstance(runner.optim_wrapper, GuardedStep)
        if not self.guarded:
            runner.logger.warning(
                f"Losses and gradients that are not finite are not looked for: no guard for steps "
                f"of {type(runner.optim_wrapper).__name__} with {type(runner.model).__name__} in "
                f"{type(runner).__name__}"
            )

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if not self.guarded:
            return
        self.batches.append((data_batch, outputs))
        update, runner.optim_wrapper.last_update = runner.optim_wrapper.last_update, None
        if update is None:
            return
        if update.skipped:
            self._report(runner, update)
        else:
            self.in_a_row = 0
        self.batches.clear()

    def _report(self, runner, update: Update) -> None:
        """Count, warn, and stop if there were too many. All processes are here together."""
        evidence = _joined(
            all_gather_object(
                Evidence(
                    _infinite_losses(outputs for _, outputs in self.batches),
                    *_image_paths(batch for batch, _ in self.batches),
                    _described(update.broken, runner),
                )
            )
        )
        _leave_out_of_averages(runner)
        now = f"iteration {runner.iter + 1}"
        if not evidence.losses and update.loss_scale is not None and update.loss_scale > 1:
            count = _count(runner, "scaler_skips")
            runner.logger.info(
                f"Step skipped at {now}: gradients overflowed at a loss scale of "
                f"{update.loss_scale:g}, which becomes lower. {count} such steps so far"
            )
            return
        self.in_a_row += 1
        count = _count(runner, "skipped_steps")
        text = f"{now}: {evidence.summary(update.grad_norm)}"
        runner.logger.warning(
            f"Step skipped at {text}. {count} skipped so far, {self.in_a_row} in a row; training "
            f"stops at {self.limit}"
        )
        if self.in_a_row >= self.limit:
            runner.logger.error("Images of the last skipped step:\n" + "\n".join(evidence.images))
            raise FloatingPointError(
                f"{self.in_a_row} steps in a row had a loss or gradients that are not finite and "
                f"were skipped. The last at {text}. Images (the log has all): "
                f"{_few(evidence.images)}. Gradients that are not finite: "
                f"{_few(evidence.parameters)}. Weights that are not finite: "
                f"{_few(_not_finite(runner.model.state_dict().items()))}. {ADVICE}"
            )


def _not_finite(named: Iterable[tuple[str, Any]]) -> list[str]:
    """Names of tensors with NaN or infinity."""
    return [
        name for name, value in named if isinstance(value, Tensor) and not value.isfinite().all()
    ]


def _count(runner, name: str) -> int:
    """Count one more in the log, from what a resumed run has counted before."""
    hub, key = runner.message_hub, f"train/{name}"
    count = int(hub.get_scalar(key).current()) + 1 if key in hub.log_scalars else 1
    hub.update_scalar(key, count)
    return count


def _leave_out_of_averages(runner) -> None:
    """Let losses that are not finite count for nothing in the means that the log shows."""
    for name, buffer in runner.message_hub.log_scalars.items():
        if name.startswith("train/") and "loss" in name:
            values, counts = buffer.data
            broken = ~np.isfinite(values)
            values[broken] = counts[broken] = 0


def _infinite_losses(outputs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Losses that are not finite; their sum, ``loss``, only if no other is."""
    pairs = [pair for losses in outputs for pair in losses.items() if "loss" in pair[0]]
    values = [(name, torch.as_tensor(loss).item()) for name, loss in pairs]
    broken = [(name, value) for name, value in values if not math.isfinite(value)]
    parts = [(name, value) for name, value in broken if name != "loss"]
    place = f" on process {get_rank()}" if get_world_size() > 1 else ""
    return tuple(f"{name} {value}{place}" for name, value in parts or broken)


def _image_paths(batches: Iterable[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Paths of all images, and of those with pixels that are not finite."""
    paths, broken = [], []
    for batch in batches:
        batch = batch if isinstance(batch, Mapping) else {}
        samples, images = batch.get("data_samples") or (), batch.get("inputs")
        names = list(batch.get("img_path") or (str(sample.get("img_path")) for sample in samples))
        paths.extend(names)
        if isinstance(images, (Tensor, Sequence)) and len(images) == len(names):
            broken.extend(_not_finite(zip(names, images, strict=True)))
    return tuple(paths), tuple(broken)


def _described(broken: Sequence[Tensor], runner) -> tuple[str, ...]:
    """Name, learning rate and weight decay of parameters."""
    groups = runner.optim_wrapper.optimizer.param_groups
    group_of = {id(x): group for group in groups for x in group["params"]}
    wanted = {id(parameter) for parameter in broken}
    return tuple(
        f"{name.removeprefix('module.')} (lr {group_of[id(x)]['lr']:.3g}, weight decay "
        f"{group_of[id(x)].get('weight_decay', 0):g})"
        for name, x in runner.model.named_parameters()
        if id(x) in wanted
    )


def _few(texts: Sequence[str]) -> str:
    """The first of them and how many more; "none" if there are none."""
    more = f" and {len(texts) - FEW} more" if len(texts) > FEW else ""
    return (", ".join(texts[:FEW]) + more) or "none"
