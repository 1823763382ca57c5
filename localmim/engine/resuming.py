"""From which checkpoint a training goes on, and whether that is a training of this config."""

import os
from collections.abc import Iterator, Mapping
from logging import Logger
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from torch.optim import Optimizer

from localmim.checkpoints import load_from_file, read_assignments
from localmim.checkpoints.report import first

from .checkpoint_writer import not_finite
from .training_state import describe

# What a checkpoint says of its training, and what it is called in messages.
_SETTINGS = {
    "total_batch": "total batch",
    "accumulated": "batches a step",
    "by_epoch": "counts epochs",
}
# Counters and choices of an implementation, which do not say what is trained.
_MOVING = {"last_step", "_global_step", "_last_value", "verbose"}
_INDIFFERENT = {
    *("params", "lr", "foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay")
}
_INDIFFERENT_MODEL = ("init_cfg", "with_cp")


def restarted() -> bool:
    """Whether torch's launcher or Slurm has started this process again after it ended."""
    names = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
    return any(int(os.environ.get(name) or 0) > 0 for name in names)


def newest_checkpoint(folder: Path) -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint of a work dir from which a training can go on.

    Args:
        folder: the work dir. Files that hold the best weights only are left aside.

    Returns:
        Its path, or None; and newer ones that were passed over, with the reason.
    """
    files = [path for path in folder.glob("*.pth") if not path.name.startswith((".", "best_"))]
    passed_over: dict[Path, str] = {}
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            checkpoint = load_from_file(path)
            check_is_training(checkpoint, path.name)
            if bad := not_finite(checkpoint):
                raise ValueError(f"{len(bad)} tensors are not finite ({first(bad)})")
        except (OSError, ValueError) as error:
            passed_over[path] = str(error)
        else:
            return path, passed_over
    return None, passed_over


def find_newest(folder: Path, logger: Logger) -> Path:
    """The same checkpoint for all processes, with a word on those that were passed over.

    Raises:
        FileNotFoundError: there is none to go on from.
    """
    found: list[Any] = [None, {}]
    if is_main_process():
        found = list(newest_checkpoint(folder))
    broadcast_object_list(found)
    path, passed_over = found
    for other, reason in passed_over.items():
        logger.warning(f"Passed over {other}, which can not be resumed from: {reason}")
    if path is None:
        reasons = f" but {len(passed_over)} that can not be resumed from" if passed_over else ""
        raise FileNotFoundError(
            f"--resume: there is no checkpoint in {folder}{reasons}. Leave --resume out to start "
            "from scratch, or name another folder with --work-dir"
        )
    return path


def check_is_training(checkpoint: Mapping[str, Any], name: str) -> None:
    """Refuse files that hold weights without the state of a training.

    Raises:
        ValueError: with what to do instead.
    """
    meta = checkpoint.get("meta")
    counts = isinstance(meta, Mapping) and all(
        isinstance(meta.get(key), int) for key in ("epoch", "iter")
    )
    if not counts or not {"state_dict", "optimizer", "message_hub"} <= checkpoint.keys():
        raise ValueError(
            f"{name} holds weights, but not the state of a training, which --resume goes on from. "
            f"To start a training from its weights: --cfg-options load_from={name}"
        )


def check_same_training(checkpoint: Mapping[str, Any], name: str, runner) -> None:
    """Make sure that a checkpoint is of a training with the settings of a runner.

    What it holds replaces the runner's learning rate, schedule and optimiser's settings, which
    would otherwise be logged and not used.

    Args:
        checkpoint: passed :func:`check_is_training`.
        name: of its file.
        runner: about to train, with its optimiser and schedules built.

    Raises:
        ValueError: with the settings that differ.
    """
    then = checkpoint["meta"].get("training", {})
    now = describe(runner)
    differences = [
        f"{what}: {then[key]} there, {now[key]} here"
        for key, what in _SETTINGS.items()
        if key in then and then[key] != now[key]
    ]
    differences += _different_optimizers(checkpoint["optimizer"], runner.optim_wrapper.optimizer)
    if then.get("images", now["images"]) == now["images"]:
        differences += _different_schedules(checkpoint.get("param_schedulers"), runner)
    differences += _different_models(checkpoint["meta"].get("cfg"), runner.cfg)
    if differences:
        raise ValueError(
            f"{name} is of a training with other settings: {first(differences)}. --resume goes on "
            "with the same training: give it the settings that it had (processes x batch_size may "
            "be divided otherwise). To start another training from its weights, leave --resume out "
            f"and set --cfg-options load_from={name}"
        )
    if then.get("images", now["images"]) != now["images"]:
        runner.logger.warning(
            f"The training data had {then['images']} images when {name} was written and has "
            f"{now['images']} now: what follows is not what an uninterrupted run would have given"
        )


def start_anew(folder: Path) -> None:
    """Forget which checkpoint an earlier training in the same work dir wrote last."""
    if is_main_process():
        (folder / "last_checkpoint").unlink(missing_ok=True)


def _different_optimizers(state: Mapping[str, Any], optimizer: Optimizer) -> Iterator[str]:
    theirs, ours = state.get("param_groups", []), optimizer.param_groups
    if [len(g["params"]) for g in theirs] != [len(g["params"]) for g in ours]:
        yield f"parameter groups: {len(theirs)} there, {len(ours)} here"
        return
    if lacking := (ours[0].keys() ^ theirs[0].keys()) - _INDIFFERENT:
        yield f"optimiser: another one, one has {first(sorted(lacking))}"
        return
    for key in ours[0].keys() - _INDIFFERENT:
        if f"initial_{key}" in ours[0]:  # changes in the course of a training
            continue
        for one, other in zip(theirs, ours, strict=True):
            if not _same(one.get(key), other.get(key)):
                what = key.replace("initial_lr", "learning rate").replace("_", " ")
                yield f"{what}: {one.get(key)} there, {other.get(key)} here"
                break


def _different_schedules(theirs: Any, runner) -> Iterator[str]:
    ours = runner.param_schedulers or []
    if not isinstance(theirs, list) or not isinstance(ours, list):
        return
    if len(theirs) != len(ours):
        yield f"param_scheduler: {len(theirs)} there, {len(ours)} here"
        return
    for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        state = other.state_dict()
        for key in state.keys() - _MOVING:
            if not _same(one.get(key), state[key]):
                yield f"param_scheduler.{number}.{key}: {one.get(key)} there, {state[key]} here"


def _different_models(text: Any, cfg: Config) -> Iterator[str]:
    if not isinstance(text, str):
        return
    theirs, ours = read_assignments(text), read_assignments(cfg.pretty_text)
    for name in ("model", "data_preprocessor"):
        yield from _differences(name, theirs.get(name), ours.get(name))


def _differences(name: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if key not in _INDIFFERENT_MODEL:
                yield from _differences(f"{name}.{key}", one.get(key), other.get(key))
    elif not _same(one, other):
        yield f"{name}: {one} there, {other} here"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-9 * max(abs(one), abs(other))
    return one == other
