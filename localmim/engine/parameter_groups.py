"""Few parameter groups for an optimiser, in the place of one for each parameter."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch.optim import Optimizer

_OF_ONE = ("params", "param_name")  # what parameters of a group do not share


def merge_groups(optimizer: Optimizer) -> None:
    """Let parameters with equal settings share a group, in an optimiser that has not stepped.

    mmengine's constructors give each parameter a group of its own, whose updates are launched one
    by one. An update is the same for each parameter, in whichever group; sums over all of them, as
    norms, may differ in their last bits.
    """
    optimizer.param_groups[:] = _merged(optimizer.param_groups)[0]


def merge_saved_groups(checkpoint: dict[str, Any]) -> None:
    """The same in a checkpoint of mmengine's own runner, with its schedules' values by group."""
    state = checkpoint["optimizer"]
    groups, first = _merged(state.get("param_groups", []))
    number = len(state.get("param_groups", []))
    if isinstance(schedules := checkpoint.get("param_schedulers"), list):
        checkpoint["param_schedulers"] = [_picked(s, first, number) for s in schedules]
    checkpoint["optimizer"] = {**state, "param_groups": groups}


def _merged(groups: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    """Merged groups as plain dictionaries, and the number of the first that went into each."""
    merged: list[dict[str, Any]] = []
    shared: list[dict[str, Any]] = []
    first = []
    for number, group in enumerate(groups):
        settings = {key: value for key, value in group.items() if key not in _OF_ONE}
        if settings not in shared:
            shared.append(settings)
            merged.append({"params": [], **settings})
            first.append(number)
        merged[shared.index(settings)]["params"].extend(group["params"])
    return merged, first


def _picked(schedule: Mapping[str, Any], first: list[int], number: int) -> dict[str, Any]:
    """The state of a schedule with the values of some of ``number`` groups.

    mmengine counts the settings that new groups would have as one more, the last.
    """
    kept = [*first, number]
    lengths = (number, number + 1)
    by_group = {k: v for k, v in schedule.items() if isinstance(v, list) and len(v) in lengths}
    picked = {k: [v[i] for i in kept if i < len(v)] for k, v in by_group.items()}
    return {**schedule, **picked}
