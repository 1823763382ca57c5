"""An optimiser's step that numbers which are not finite cannot take."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from mmengine.optim import BaseOptimWrapper, OptimWrapper
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


@dataclass(frozen=True)
class Update:
    """What became of one update of the weights.

    Attributes:
        grad_norm: total norm of the gradients before clipping, without the loss scale.
        broken: parameters whose gradients are not finite, where the update was skipped.
        loss_scale: the dynamic scale of the loss in an update that was skipped, else None.
    """

    grad_norm: float
    broken: tuple[nn.Parameter, ...] = ()
    loss_scale: float | None = None

    @property
    def skipped(self) -> bool:
        return not math.isfinite(self.grad_norm)


class GuardedStep:
    """What :func:`guard` puts before the class of an optimiser wrapper.

    An update is taken if the total norm of its gradients is finite, and is then what it is
    without the guard, bit by bit. Otherwise neither weights nor optimiser change, and the running
    statistics of norms are again what they were before the batches of this update. The norm
    decides alone, and is of the gradients that all processes share, so they agree without a word:

    - DistributedDataParallel averages gradients, and an average with a NaN is one;
    - a loss that is not finite is multiplied by NaN on its way back, hence all gradients are NaN
      that depend on it, also those that would have been finite or zero;
    - gradients whose squares overflow float32 in the sum, from 1e19 on, count as not finite.

    The norm is computed once, also where the gradients are clipped by it, read by the host once
    for each update, and logged as ``grad_norm``. After an update, :attr:`last_update` describes it
    until someone sets it to None.
    """

    last_update: Update | None = None
    _watched: nn.Module | None = None
    _within_update = False

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """As the parent's, around a forward pass; remembers the running statistics first."""
        if not self._within_update:
            self._remember_statistics(model)
            self._within_update = True
        with super().optim_context(model):
            yield

    def backward(self, loss: Tensor, **kwargs) -> None:
        """As the parent's; a loss that is not finite gives gradients that are not."""
        super().backward(loss * (1 + 0 * loss.detach()), **kwargs)

    def step(self, **kwargs) -> None:
        """Clip and step as the parent does, or skip the update."""
        self._within_update = False
        scaler = getattr(self, "loss_scaler", None)
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        parameters = [
            parameter
            for group in self.optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        norm = self._total_norm(parameters)
        self.last_update = Update(float(norm))
        if self.last_update.skipped:
            self._skip(parameters)
            return
        self.message_hub.update_scalar("train/grad_norm", self.last_update.grad_norm)
        with self._clipped(parameters, norm):
            super().step(**kwargs)

    def _total_norm(self, parameters: list[nn.Parameter]) -> Tensor:
        clip = self.clip_grad_kwargs or {}
        settings = {name: clip[name] for name in ("norm_type", "foreach") if name in clip}
        norm = get_total_norm([parameter.grad for parameter in parameters], **settings)
        # Of a sharded model: every process has a part of it.
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    @contextmanager
    def _clipped(self, parameters: list[nn.Parameter], norm: Tensor) -> Iterator[None]:
        """Clip, and keep the parent from unscaling and clipping again."""
        clip, self.clip_grad_kwargs = self.clip_grad_kwargs, None
        try:
            if clip and self.grad_name == "grad_norm":
                clip_grads_with_norm_(parameters, clip["max_norm"], norm, clip.get("foreach"))
            elif clip:
                self.clip_func(parameters, **clip)
            yield
        finally:
            self.clip_grad_kwargs = clip

    def _skip(self, parameters: list[nn.Parameter]) -> None:
        """Leave everything as it was before this update, but for the scale of the loss."""
        finite = torch.stack([_local(x.grad).isfinite().all() for x in parameters]).tolist()
        broken = tuple(x for x, good in zip(parameters, finite, strict=True) if not good)
        self.last_update = Update(self.last_update.grad_norm, broken, self._dynamic_loss_scale())
        if self._watched is not None:
            self._restore_statistics()
        if hasattr(self, "loss_scaler"):
            self.loss_scaler.update(self._scale_update_param)

    def _dynamic_loss_scale(self) -> float | None:
        scaler = getattr(self, "loss_scaler", None)
        dynamic = scaler is not None and scaler.is_enabled() and self._scale_update_param is None
        return scaler.get_scale() if dynamic else None

    def _remember_statistics(self, model: nn.Module) -> None:
        if self._watched is not model:
            self._watched = model
            self._norms = [module for module in model.modules() if isinstance(module, _NormBase)]
            self._kept = [[x.clone() for x in group] for group in self._statistics()]
            return
        for kept, statistics in zip(self._kept, self._statistics(), strict=True):
            torch._foreach_copy_(kept, statistics)

    def _restore_statistics(self) -> None:
        for kept, statistics in zip(self._kept, self._statistics(), strict=True):
            torch._foreach_copy_(statistics, kept)

    def _statistics(self) -> list[list[Tensor]]:
        """The norms' buffers as they are now, those of one type together."""
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for module in self._norms:
            for buffer in module.buffers(recurse=False):
                by_type.setdefault(buffer.dtype, []).append(buffer)
        return list(by_type.values())


def _local(gradient: Tensor) -> Tensor:
    return gradient.to_local() if hasattr(gradient, "to_local") else gradient


@cache
def _guarded(kind: type[OptimWrapper]) -> type[OptimWrapper]:
    return type(f"Guarded{kind.__name__}", (GuardedStep, kind), {})


def guard(optim_wrapper: BaseOptimWrapper, model: nn.Module) -> BaseOptimWrapper:
    """Guard the steps of an optimiser wrapper of any class from now on (see :class:`GuardedStep`).

    Its class becomes a subclass ``Guarded...`` of what it was. One that is guarded stays so, and
    others are left alone where the norm would not be that of all gradients: several optimisers in
    one wrapper, and models in FullyShardedDataParallel (not ``fully_shard``), whose gradients no
    process has the whole norm of. It has to be guarded before the schedules of its learning rate
    are built, which keep its method ``step``.

    Args:
        optim_wrapper: as built.
        model: whose parameters it updates, as wrapped for several processes.

    Returns:
        The same object.
    """
    simple = isinstance(optim_wrapper, OptimWrapper) and not isinstance(optim_wrapper, GuardedStep)
    if simple and not isinstance(model, FullyShardedDataParallel):
        optim_wrapper.__class__ = _guarded(type(optim_wrapper))
    return optim_wrapper
