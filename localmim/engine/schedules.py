"""Schedules that fit the length of a training, whatever that is."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim.scheduler.param_scheduler import LinearParamScheduler
from mmengine.registry import PARAM_SCHEDULERS

WARM_UP = 0.1  # of a training that is too short for the warm-up of its config


def fit_warm_up(
    schedules: Sequence[Mapping[str, Any]], iterations: int, epoch_length: int
) -> tuple[list[dict[str, Any]], str]:
    """Shorten a warm-up that would take more than half of a training to a tenth of it.

    What follows begins where it ends. A warm-up of no more than one iteration is dropped: it would
    leave the learning rate at its first value.

    Args:
        schedules: configs of ``param_scheduler``.
        iterations: of the training.
        epoch_length: of these, in an epoch.

    Returns:
        The schedules, and what was changed, in words; "" for nothing.
    """

    def unit(schedule: Mapping[str, Any]) -> int:
        return epoch_length if schedule.get("by_epoch", True) else 1

    ends = [round(x["end"] * unit(x)) for x in schedules if _is_warm_up(x)]
    end = max(ends, default=0)
    if not ends or (end > 1 and 2 * end <= iterations):
        return [dict(schedule) for schedule in schedules], ""
    short = round(WARM_UP * iterations) if end > 1 else 0
    fitted = []
    for schedule in map(dict, schedules):
        for edge in ("begin", "end"):
            if edge in schedule and round(schedule[edge] * unit(schedule)) == end:
                # Where epochs are converted, fractions are rounded down.
                schedule[edge] = (short + 0.1) / unit(schedule) if unit(schedule) > 1 else short
                if schedule.get("by_epoch", True):
                    schedule["convert_to_iter_based"] = True
        if short > 1 or not _is_warm_up(schedule):
            fitted.append(schedule)
    left = f"{short}" if short > 1 else "none"
    return fitted, (
        f"The warm-up of {end} iteration{'s'[: end > 1]} does not fit a training of {iterations}: "
        f"{left} in its place"
    )


def _is_warm_up(schedule: Mapping[str, Any]) -> bool:
    """Whether a schedule rises in a line from the first iteration on."""
    kind = schedule["type"]
    kind = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    rises = schedule.get("start_factor", 1 / 3) < schedule.get("end_factor", 1.0)
    linear = isinstance(kind, type) and issubclass(kind, LinearParamScheduler)
    return linear and rises and "end" in schedule and schedule.get("begin", 0) == 0
