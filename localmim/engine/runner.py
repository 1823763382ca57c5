"""mmengine's runner, with an exact learning rate and nothing half-written or half-loaded."""

import copy
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from datetime import timedelta
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from localmim.checkpoints import (
    FitReport,
    compare_state_dicts,
    why_not_started,
    why_not_whole,
)

from .backends import share_folders
from .checkpoint_writer import CheckpointWriter
from .config_checks import check_config
from .console import be_brief, describe_data, describe_model
from .data_checks import check_data_paths
from .image_size import settle_image_size
from .loops import ResumableEpochLoop, ResumableIterLoop
from .model_setup import ModelSetup
from .parameter_groups import merge_saved_groups
from .preemption import StopRequest
from .resuming import (
    check_is_training,
    check_same_training,
    find_newest,
    restarted,
    start_anew,
)
from .training_state import (
    describe,
    on_cpu,
    restore_gradients,
    restore_position,
    training_state,
)

_LOOPS = {"EpochBasedTrainLoop": ResumableEpochLoop, "IterBasedTrainLoop": ResumableIterLoop}


@RUNNERS.register_module()
class LocalMIMRunner(ModelSetup):
    """The runner of every config here (``runner_type = "LocalMIMRunner"``), in any scope.

    It differs from mmengine's in these places:

    - training goes on from a checkpoint of any iteration as if it had never stopped;
    - a checkpoint appears under its name only when it is complete and on the disk;
    - resuming takes the newest checkpoint that can be read, and refuses one of a training with
      other settings; a process that was started again resumes by itself;
    - a signal of a cluster, and Ctrl-C, lets the training save before it ends;
    - the learning rate is scaled by the real total batch: processes x batch x accumulation;
    - weights named by an ``init_cfg`` of type "Pretrained" have to arrive, and what each encoder
      received is logged; those of ``load_from`` have to fill the encoder, and when testing the
      model;
    - ``image_size`` of a pre-training config sets backbone and crops, which otherwise must agree;
    - parameters with the same learning rate, decay and so on share a group of the optimiser;
    - updates whose gradients are not finite are skipped, if a FiniteStepsHook tells of them;
    - keys of the config that nobody reads, and data that does not exist, are errors before anything
      else;
    - ``activation_checkpointing=True`` and ``compile=True`` are of the blocks of the model, each
      by itself;
    - ``model_wrapper_cfg=dict(type="FullyShard")`` shares parameters, gradients and optimiser out
      among the processes;
    - SyncBN becomes BN also where several processes train on CPUs.

    Attributes:
        checkpoint_writer: writes checkpoints beside the training.
        stop_request: the signal that asks a training to end.
        cpu_group: all processes, for small things that do not go by the device; None for a single
            one.
    """

    def __init__(self, *args, **kwargs) -> None:
        self.checkpoint_writer = CheckpointWriter()
        self.stop_request = StopRequest()
        self.cpu_group: dist.ProcessGroup | None = None
        super().__init__(*args, **kwargs)

    @classmethod
    def from_cfg(cls, cfg: Config) -> "LocalMIMRunner":
        """Build the runner of a config, all of whose images have one size.

        Raises:
            ValueError: nobody reads a key of the config, a number cannot work, or backbone and
                crops of a pre-training are meant for different sizes.
        """
        check_config(cfg)
        cfg = copy.deepcopy(cfg)
        settle_image_size(cfg)
        return super().from_cfg(cfg)

    def train(self) -> nn.Module:
        """Train, once the training and validation data is known to be there."""
        check_data_paths(self.cfg, ["train", "val"] if self._val_loop else ["train"])
        if self.distributed and self.cpu_group is None:
            seconds = self.cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout")
            timeout = None if seconds is None else timedelta(seconds=seconds)
            self.cpu_group = dist.new_group(backend="gloo", timeout=timeout)
        self.prepare_blocks()
        with self.stop_request:
            try:
                return super().train()
            finally:
                if isinstance(self._train_loop, tuple(_LOOPS.values())):
                    self._train_loop.dataloader.close()
                self.checkpoint_writer.wait()

    def test(self) -> dict:
        """Test, once the test data is known to be there."""
        check_data_paths(self.cfg, ["test"])
        return super().test()

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """As mmengine; without workers, what is said of them is left out."""
        if isinstance(dataloader, dict) and dataloader.get("num_workers") == 0:
            of_workers = ("persistent_workers", "prefetch_factor", "timeout")
            dataloader = {k: v for k, v in dataloader.items() if k not in of_workers}
        return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """As mmengine, with loops that can start anywhere in the place of its own."""
        if isinstance(loop, dict):
            loop = dict(loop)
            if "by_epoch" in loop and "type" not in loop:
                by_epoch = loop.pop("by_epoch")
                loop["type"] = "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop"
            loop["type"] = _LOOPS.get(loop.get("type"), loop.get("type"))
        built = super().build_train_loop(loop)
        self.logger.info(f"{describe_model(self.bare_model)}; the log is in {self.log_dir}")
        self.logger.info(describe_data(built.dataloader))
        return built

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """As mmengine, with a screen that leaves out what only the file needs."""
        logger = super().build_logger(*args, **kwargs)
        be_brief(logger)
        return logger

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        """As mmengine, with one folder of TensorBoard and MLflow for all starts of a training."""
        share_folders(visualizer, self.work_dir)
        return super().build_visualizer(visualizer)

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

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
        then: Iterable[Callable[[], Any]] | None = None,
    ) -> None:
        """Save what mmengine saves, and what an exact resumption needs beside it.

        All processes have to call this together.

        Args:
            out_dir: the folder. What lies elsewhere than in local files is written by mmengine.
            filename: of the file, which appears when it is complete and on the disk.
            file_client_args: as in mmengine.
            save_optimizer: whether to save the optimiser.
            save_param_scheduler: whether to save the schedules.
            meta: may have "epoch" and "iter", which else are those at the end of an epoch, or of
                an iteration.
            by_epoch: which of both.
            backend_args: as in mmengine.
            then: what to call when the file is there. With it this returns at once; without it
                this waits.
        """
        meta = dict(meta or {})
        meta.setdefault("epoch", self.epoch + by_epoch)
        meta.setdefault("iter", self.iter + (not by_epoch))
        meta["training"] = describe(self)
        if "://" in str(out_dir):
            if is_main_process():
                options = (save_optimizer, save_param_scheduler, meta, by_epoch, backend_args)
                super().save_checkpoint(out_dir, filename, file_client_args, *options)
                for call in then or ():
                    call()
            return
        self.checkpoint_writer.wait()  # so that no two states take memory
        checkpoint = training_state(self, meta, save_optimizer, save_param_scheduler)
        if is_main_process():
            self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
            self.checkpoint_writer.write(on_cpu(checkpoint), Path(out_dir, filename), then or ())
            if then is None:
                self.checkpoint_writer.wait()

    @cached_property
    def config_text(self) -> str:
        """The config as a file; laying it out takes a moment."""
        return self.cfg.pretty_text

    def load_or_resume(self) -> None:
        """As mmengine, with the newest checkpoint that can be read where none is named.

        A process that was started again goes on from its own training's last checkpoint, if there
        is one yet.

        Raises:
            FileNotFoundError: there is nothing to resume.
            ValueError: the checkpoint is of another model or training, or of none.
        """
        if isinstance(self._train_loop, BaseLoop) and not self._has_loaded:
            folder = Path(self.work_dir)
            if restarted() and (folder / "last_checkpoint").exists():
                self._resume, self._load_from = True, None
            if self._resume and self._load_from is None:
                self._load_from = str(find_newest(folder, self.logger))
            if not self._resume or Path(self._load_from).resolve().parent != folder.resolve():
                start_anew(folder)
        super().load_or_resume()

    def resume(self, filename: str, *args, **kwargs) -> None:
        """As mmengine, to the very place in the data and within an accumulation."""
        super().resume(filename, *args, **kwargs)
        restore_position(self._resumed, self)
        restore_gradients(self._resumed, self.bare_model)
        rates = sorted({group["lr"] for group in self.optim_wrapper.param_groups})
        self.logger.info(
            f"Resumed {filename} at epoch {self.epoch}, iteration {self.iter}, batch "
            f"{self.train_loop.position[1]} of the epoch; learning rate {rates[-1]:g}"
        )
        del self._resumed

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load as mmengine does, then make sure that the checkpoint was this model's.

        Raises:
            ValueError: when resuming, anything does not fit, or the checkpoint is of a training
                with other settings; when testing, the model lacks anything; when training from
                weights, the encoder lacks anything.
        """
        with redirect_stdout(StringIO()):  # what is printed of the fit is said here, once
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        state_dict = checkpoint.get("state_dict", checkpoint)
        # mmengine drops the prefix of a distributed wrapper.
        state_dict = {name.removeprefix("module."): x for name, x in state_dict.items()}
        report = compare_state_dicts(state_dict, self.bare_model.state_dict())
        if not report.matched or (self._resume and not report.complete):
            raise ValueError(f"{filename} does not fit the model of this config: {report}")
        if self._resume:
            check_is_training(checkpoint, filename)
            if isinstance(self.optim_wrapper, OptimWrapper):
                merge_saved_groups(checkpoint)
            check_same_training(checkpoint, filename, self)
            self._resumed = checkpoint
        else:
            self._check_weights(filename, report)
        return checkpoint

    def _check_weights(self, filename: str, report: FitReport) -> None:
        """Make sure that the weights are enough, for a training or a test."""
        training = isinstance(self._train_loop, BaseLoop)
        why_not = why_not_started if training else why_not_whole
        if what := why_not(self.bare_model, report):
            raise ValueError(f"{filename} is not of the model of this config, {what}: {report}")
        if training and (report.unexpected or report.mismatched):
            self.logger.warning(f"Of {filename} not all is used: {report}")
        elif training and report.missing:
            self.logger.info(f"Parts begin at random that {filename} does not have: {report}")
