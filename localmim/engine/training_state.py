"""What a training is at one moment: gathered for a checkpoint, and put back."""

import copy
import time
from collections.abc import Mapping
from typing import Any

import mmengine
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size, is_distributed, is_main_process
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from .sharding import like


def training_state(runner, meta: dict, optimizer: bool, schedules: bool) -> dict[str, Any]:
    """What mmengine saves, and the gradients in the middle of an accumulation.

    All processes have to call this together.

    Args:
        runner: in training.
        meta: "epoch", "iter" and "training" (see :func:`describe`), to which is added what else
            mmengine says there.
        optimizer: whether to save the optimiser.
        schedules: whether to save the schedules.

    Returns:
        The state, complete on the main process. Tensors are those of the training, unless they
        had to be gathered.
    """
    model = runner.bare_model
    gather = on_cpu if is_sharded(model) else (lambda state: state)
    state = {
        "meta": meta | _meta(runner),
        "state_dict": gather(model.state_dict()),
        "message_hub": runner.message_hub.state_dict(),
    }
    if optimizer:
        state["optimizer"] = gather(runner.optim_wrapper.state_dict())
        if _within_accumulation(runner.optim_wrapper):
            state["gradients"] = accumulated_gradients(model, runner.cpu_group)
    if schedules and (schedulers := runner.param_schedulers) is not None:
        state["param_schedulers"] = (
            {name: [s.state_dict() for s in several] for name, several in schedulers.items()}
            if isinstance(schedulers, dict)
            else [scheduler.state_dict() for scheduler in schedulers]
        )
    return state


def _meta(runner) -> dict[str, Any]:
    dataset = runner.train_dataloader.dataset
    return dict(
        cfg=runner.config_text,
        seed=runner.seed,
        experiment_name=runner.experiment_name,
        time=time.strftime("%Y%m%d_%H%M%S"),
        mmengine_version=mmengine.__version__,
        **({"dataset_meta": dataset.metainfo} if hasattr(dataset, "metainfo") else {}),
    )


def _within_accumulation(optim_wrapper) -> bool:
    steps = getattr(optim_wrapper, "_inner_count", 0)
    return steps % getattr(optim_wrapper, "_accumulative_counts", 1) != 0


def describe(runner) -> dict[str, Any]:
    """What a checkpoint says of its training besides the state, in plain types."""
    loop = runner.train_loop
    accumulated = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
    return dict(
        by_epoch=hasattr(loop, "run_epoch"),
        total_batch=runner.world_size * loop.dataloader.batch_size * accumulated,
        accumulated=accumulated,
        images=len(loop.dataloader.dataset),
        position=list(loop.position),
    )


def on_cpu(value: Any) -> Any:
    """A copy of nested containers in which every tensor is whole, on the CPU and its own.

    Sharded tensors are gathered, so all processes have to call this together.
    """
    if isinstance(value, Tensor):
        value = value.full_tensor() if isinstance(value, DTensor) else value
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        copied = type(value)((key, on_cpu(item)) for key, item in value.items())
        if hasattr(value, "_metadata"):  # versions of the modules, in a state dict
            copied._metadata = value._metadata
        return copied
    if isinstance(value, (list, tuple)):
        return type(value)(on_cpu(item) for item in value)
    return copy.deepcopy(value)


def is_sharded(model: nn.Module) -> bool:
    """Whether processes hold parts of the parameters, as under torch's ``fully_shard``."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def accumulated_gradients(model: nn.Module, group: dist.ProcessGroup | None) -> list[dict] | None:
    """What the steps since the last update have added up, of every process, on the main one.

    All processes have to call this together. Under DDP the gradients of a process are its own
    until an update.

    Args:
        model: not wrapped.
        group: of all processes, over which objects go by the CPU; None for a single one.

    Returns:
        By the process's number, gradients by the parameter's name; None on other processes.
    """
    own = {name: on_cpu(x.grad) for name, x in model.named_parameters() if x.grad is not None}
    if not is_distributed():
        return [own]
    everyone = [None] * dist.get_world_size() if is_main_process() else None
    dist.gather_object(own, everyone, group=group)
    return everyone


def restore_position(checkpoint: Mapping[str, Any], runner) -> None:
    """Let the loop start where the checkpoint was written, also within an epoch."""
    loop, then = runner.train_loop, checkpoint["meta"].get("training")
    if then is not None:
        epoch, batch = then["position"]
        loop.position = (epoch, min(batch, len(loop.dataloader)) if then["by_epoch"] else batch)
    elif hasattr(loop, "run_epoch"):  # of mmengine's own runner
        loop.position = (loop.epoch, max(loop.iter - loop.epoch * len(loop.dataloader), 0))
    else:
        loop.position = (0, loop.iter)


def restore_gradients(checkpoint: Mapping[str, Any], model: nn.Module) -> None:
    """Go on in the middle of an accumulation.

    Args:
        checkpoint: its "gradients", if any, are those of each process.
        model: not wrapped.
    """
    if not (everyone := checkpoint.get("gradients")):
        return
    rank = get_rank()
    for name, parameter in model.named_parameters():
        parts = [own[name] for own in everyone if name in own]
        if parts:
            # What counts is the mean. It is exact where all parts are, as of a sharded model.
            if len(parts) == get_world_size() and not isinstance(parameter, DTensor):
                own = parts[rank]
            elif all(part.equal(parts[0]) for part in parts):
                own = parts[0]
            else:
                own = sum(parts) / len(parts)
            parameter.grad = like(own, parameter)
