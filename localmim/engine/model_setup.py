"""How a runner makes its model ready: initialised, wrapped or shared out, compiled."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.optim import BaseOptimWrapper, OptimWrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from localmim.checkpoints import init_weights

from . import sharding
from .blocks import compile_blocks, recompute_blocks
from .finite_steps import FiniteStepsHook
from .guarded_step import guard
from .parameter_groups import merge_groups
from .schedules import fit_warm_up
from .training_state import is_sharded


class ModelSetup(Runner):
    """The part of :class:`~localmim.engine.runner.LocalMIMRunner` between config and first step."""

    @property
    def bare_model(self) -> nn.Module:
        """The model without a wrapper of several processes."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """As mmengine, with BN for SyncBN where there is no GPU to synchronise."""
        if not torch.cuda.is_available():
            model = revert_sync_batchnorm(model)
        kind = (model_wrapper_cfg or {}).get("type")
        if kind == "MMFullyShardedDataParallel":
            raise ValueError(
                f"model_wrapper_cfg: {kind} is torch's former way, whose checkpoints are parts: "
                f"set model_wrapper_cfg.type={sharding.WRAPPER}"
            )
        if kind != sharding.WRAPPER:
            return super().wrap_model(model_wrapper_cfg, model)
        if not self.distributed:
            raise ValueError(
                f"model_wrapper_cfg: {sharding.WRAPPER} shares a model out among processes, and "
                "there is one; start several with tools/dist_train.sh"
            )
        settings = {k: v for k, v in model_wrapper_cfg.items() if k != "type"}
        self._initialize(model.to(get_device()))  # before processes have parts only
        return sharding.shard(model, settings)

    def _maybe_compile(self, target: str) -> None:
        """Compile block by block; as mmengine does where no blocks are known."""
        settings = self.cfg.get("compile")
        if not settings:
            return
        names = compile_blocks(self.bare_model, {} if settings is True else settings)
        if names:
            self.logger.info(f"{len(names)} blocks will be compiled: the first steps take longer")
        else:
            super()._maybe_compile(target)

    def _init_model_weights(self) -> None:
        """Initialise, check that pre-trained weights arrived, and log which did."""
        if not is_sharded(self.bare_model):  # which has been done with before
            self._initialize(self.bare_model)

    def _initialize(self, model: nn.Module) -> None:
        if not hasattr(model, "init_weights"):
            return
        for name, report in init_weights(model).items():
            self.logger.info(f"{name}: {report}")
        for tensor in model.state_dict().values():
            broadcast(tensor)

    def build_optim_wrapper(self, optim_wrapper: dict | OptimWrapper) -> BaseOptimWrapper:
        """As mmengine, with few groups, and guarded steps where a hook tells of skipped ones."""
        built = super().build_optim_wrapper(optim_wrapper)
        if isinstance(optim_wrapper, dict) and isinstance(built, OptimWrapper):
            merge_groups(built.optimizer)
        if is_sharded(self.bare_model):
            sharding.load_sharded(built.optimizer)
        told = any(isinstance(hook, FiniteStepsHook) for hook in self.hooks)
        return guard(built, self.model) if told else built

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """As mmengine, with a warm-up that fits the length of the training."""
        listed = [scheduler] if isinstance(scheduler, dict) else scheduler
        counted = isinstance(self._train_loop, BaseLoop) and isinstance(listed, Sequence)
        if counted and listed and all(isinstance(x, dict) and "type" in x for x in listed):
            epoch_length = len(self.train_dataloader)
            scheduler, said = fit_warm_up(listed, self.max_iters, epoch_length)
            if said:
                self.logger.warning(said)
        return super().build_param_scheduler(scheduler)

    def prepare_blocks(self) -> None:
        """Recompute what the config's ``activation_checkpointing`` names, before a training.

        The setting is taken from mmengine, whose way takes names only, and fails in moving
        averages of the weights.
        """
        if is_sharded(self.bare_model):
            sharding.check_hooks(self.hooks)
        if which := self.cfg.pop("activation_checkpointing", None):
            names = recompute_blocks(self.bare_model, which)
            self.logger.info(f"{len(names)} blocks are computed again in the backward pass")
