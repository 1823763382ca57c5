"""mmengine's runner, with an exact learning rate and checkpoints that are never half-written."""

import os
from pathlib import Path

from mmengine.dist import master_only
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from localmim.checkpoints import compare_state_dicts


@RUNNERS.register_module()
class PretrainRunner(Runner):
    """The runner of every config here (``runner_type = "PretrainRunner"``).

    It differs from mmengine's in three places:

    - the learning rate is scaled by the real total batch: processes x batch x accumulation;
    - a checkpoint appears under its name only when it is complete;
    - resuming from a checkpoint that does not fit the model is an error, and so is loading one of
      which nothing fits.
    """

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
            ValueError: nothing in it fits the model or, when resuming, anything does not.
        """
        checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        state_dict = checkpoint.get("state_dict", checkpoint)
        # mmengine drops the prefix of a distributed wrapper.
        state_dict = {name.removeprefix("module."): x for name, x in state_dict.items()}
        report = compare_state_dicts(state_dict, model.state_dict())
        if not report.matched or (self._resume and not report.complete):
            raise ValueError(f"{filename} does not fit the model of this config: {report}")
        return checkpoint
