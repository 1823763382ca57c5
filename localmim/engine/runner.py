"""mmengine's runner, with an exact learning rate and nothing half-written or half-loaded."""

import copy
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import broadcast, master_only
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, Runner
from torch import nn

from localmim.checkpoints import compare_state_dicts, init_weights, why_not_whole

from .config_checks import check_config
from .data_checks import check_data_paths
from .image_size import settle_image_size


@RUNNERS.register_module()
class LocalMIMRunner(Runner):
    """The runner of every config here (``runner_type = "LocalMIMRunner"``), in any scope.

    It differs from mmengine's in these places:

    - the learning rate is scaled by the real total batch: processes x batch x accumulation;
    - a checkpoint appears under its name only when it is complete;
    - weights named by an ``init_cfg`` of type "Pretrained" have to arrive, and what each encoder
      received is logged;
    - resuming from a checkpoint that does not fit the model is an error, so is testing with one,
      and so is loading one of which nothing fits;
    - ``image_size`` of a pre-training config sets backbone and crops, which otherwise must agree;
    - data that does not exist is an error before anything else;
    - SyncBN becomes BN also where several processes train on CPUs.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> "LocalMIMRunner":
        """Build the runner of a config, all of whose images have one size.

        Raises:
            ValueError: backbone and crops of a pre-training are meant for different sizes.
        """
        check_config(cfg)
        cfg = copy.deepcopy(cfg)
        settle_image_size(cfg)
        return super().from_cfg(cfg)

    def train(self) -> nn.Module:
        """Train, once the training and validation data is known to be there."""
        check_data_paths(self.cfg, ["train", "val"] if self._val_loop else ["train"])
        return super().train()

    def test(self) -> dict:
        """Test, once the test data is known to be there."""
        check_data_paths(self.cfg, ["test"])
        return super().test()

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """As mmengine, with BN for SyncBN where there is no GPU to synchronise."""
        if not torch.cuda.is_available():
            model = revert_sync_batchnorm(model)
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        """Initialise, check that pre-trained weights arrived, and log which did."""
        model = self._bare_model
        if not hasattr(model, "init_weights"):
            return
        for name, report in init_weights(model).items():
            self.logger.info(f"{name}: {report}")
        for tensor in model.state_dict().values():
            broadcast(tensor)

    @property
    def _bare_model(self) -> nn.Module:
        return self.model.module if is_model_wrapper(self.model) else self.model

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rate linearly by total batch / ``base_batch_size`` and log it."""
        if not auto_scale_lr or not auto_scale_lr.get("enable", False):
            return
        loader = self._train_dataloader
        batch = loader["batch_size"] if isinstance(loader, dict) else loader.batch_size
        accumulated = optim_wrapper._accumulative_counts
        total, base = self.world_size * batch * accumulated, auto_scale_lr["base_batch_size"]
        # Also the settings from which mmengine logs `base_lr`, which its own scaling leaves out.
        for group in optim_wrapper.param_groups:
            group["lr"] *= total / base
        configured = optim_wrapper.optimizer.defaults["lr"]
        self.logger.info(
            f"Total batch {total} = {self.world_size} process(es) x {batch} images x {accumulated} "
            f"accumulated. Learning rate {configured:g} of batch {base} becomes "
            f"{configured * total / base:g}"
        )

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        """Save as mmengine does, under a temporary name until the file is complete."""
        if "://" in out_dir:
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        partial = Path(out_dir, f"{filename}.partial")
        try:
            super().save_checkpoint(out_dir, partial.name, *args, **kwargs)
            os.replace(partial, Path(out_dir, filename))
        finally:
            partial.unlink(missing_ok=True)

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load as mmengine does, then make sure that the checkpoint was this model's.

        Raises:
            ValueError: nothing in it fits the model or, when resuming, anything does not or, when
                testing, the model lacks anything.
        """
        checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        state_dict = checkpoint.get("state_dict", checkpoint)
        # mmengine drops the prefix of a distributed wrapper.
        state_dict = {name.removeprefix("module."): x for name, x in state_dict.items()}
        report = compare_state_dicts(state_dict, self._bare_model.state_dict())
        if not report.matched or (self._resume and not report.complete):
            raise ValueError(f"{filename} does not fit the model of this config: {report}")
        training = isinstance(self._train_loop, BaseLoop)
        if not training and (what := why_not_whole(self._bare_model, report)):
            raise ValueError(f"{filename} is not of the model of this config, {what}: {report}")
        return checkpoint
