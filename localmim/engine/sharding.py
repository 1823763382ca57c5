"""Models whose parameters are shared out among processes, by torch's ``fully_shard``."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from .blocks import blocks_of

WRAPPER = "FullyShard"  # as the type of model_wrapper_cfg


def shard(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """Give each process its part of every parameter, of gradients and of the optimiser.

    A block has its whole parameters while it computes. Checkpoints are those of a model that is not
    sharded, and are loaded whatever they come from. All processes have to call this together.

    Args:
        model: on its device, initialised, the same on all processes.
        settings: of torch's ``fully_shard``, such as ``reshard_after_forward=False``.

    Returns:
        The model itself.
    """
    device = next(model.parameters()).device.type
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    for block in blocks_of(model).values():
        fully_shard(block, mesh=mesh, **settings)
    fully_shard(model, mesh=mesh, **settings)
    for module in model.modules():
        if any(isinstance(x, DTensor) for x in module.parameters(recurse=False)):
            module.register_load_state_dict_pre_hook(_share_out)
    return model


def like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, shared out as a parameter is if it is; on its device, of its type.

    All processes have to call this together, with the same tensor.
    """
    tensor = tensor.to(device=parameter.device, dtype=parameter.dtype)
    if not isinstance(parameter, DTensor) or isinstance(tensor, DTensor):
        return tensor
    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)


def _share_out(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """What a module does before it loads a state of whole tensors."""
    for name, parameter in module.named_parameters(recurse=False):
        given = state_dict.get(prefix + name)
        if isinstance(given, Tensor) and given.shape == parameter.shape:
            state_dict[prefix + name] = like(given, parameter)


def load_sharded(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimiser of a sharded model load a state of whole tensors."""
    optimizer.register_load_state_dict_pre_hook(_share_out_state)


def _share_out_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    numbers = (number for group in state["param_groups"] for number in group["params"])
    parameters = (x for group in optimizer.param_groups for x in group["params"])
    found = dict(zip(numbers, parameters, strict=True))
    shared = {
        number: {
            key: like(value, found[number]) if _is_moment(value, found[number]) else value
            for key, value in values.items()
        }
        for number, values in state["state"].items()
    }
    return {**state, "state": shared}


def _is_moment(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() > 0


def check_hooks(hooks: list[Hook]) -> None:
    """Refuse what takes a process's part for the model.

    Raises:
        ValueError: there is a moving average of the weights, or checkpoints go elsewhere than to
            local files, where mmengine writes them.
    """
    if any(isinstance(hook, EMAHook) for hook in hooks):
        raise ValueError(
            f"custom_hooks: EMAHook copies the model, which {WRAPPER} of model_wrapper_cfg has "
            "shared out among the processes: leave one of them out"
        )
    for hook in hooks:
        if "://" in str(folder := getattr(hook, "out_dir", None)):
            raise ValueError(
                f"default_hooks.checkpoint.out_dir: {folder} is no local folder, and a model that "
                f"{WRAPPER} has shared out is saved to one only"
            )
