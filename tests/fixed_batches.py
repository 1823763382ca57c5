"""For runs whose weights are compared: double precision, masks that follow from the image alone,
three encoders trained by one process, and hooks that write down what a process has seen."""

import os
import signal
import zlib
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.registry import MODELS

from localmim.durable import written_aside
from localmim.models import RandomMasking


@MODELS.register_module()
class DoublePreprocessor(ClsDataPreprocessor):
    def forward(self, data, training=False):
        data = super().forward(data, training)
        return {**data, "inputs": data["inputs"].double()}


@MODELS.register_module()
class MaskingByContent(RandomMasking):
    """The same image has the same mask in any batch, process and order."""

    def forward(self, images):
        self.seeds = [zlib.crc32(image.numpy().tobytes()) for image in images]
        return super().forward(images)

    def scores(self, count, rows, cols):
        generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]
        return torch.stack([torch.rand(rows, cols, generator=g) for g in generators])


@MODELS.register_module()
class SideBySide(BaseModel):
    """Several models on the same images, in float64; they share nothing."""

    def __init__(self, models, data_preprocessor=None, init_cfg=None):
        super().__init__(data_preprocessor, init_cfg)
        self.models = torch.nn.ModuleDict({name: MODELS.build(cfg) for name, cfg in models.items()})
        self.double()

    def forward(self, inputs, data_samples=None, mode="loss"):
        losses = {}
        for name, model in self.models.items():
            for loss, value in model.loss(inputs).items():
                losses[f"{name}.{loss}"] = value
        return losses


def bare(model):
    return model.module if is_model_wrapper(model) else model


def save(runner, name, content):
    """Write WORK_DIR/NAME.RANK."""
    with written_aside(f"{runner.work_dir}/{name}.{get_rank()}") as partial:
        torch.save(content, partial)


@HOOKS.register_module()
class SaveWeights(Hook):
    """Write the weights of every process before training and at the end of the first epoch."""

    def before_train(self, runner):
        self.before = {name: x.clone() for name, x in bare(runner.model).state_dict().items()}

    def after_train_epoch(self, runner):
        if runner.epoch == 0:
            save(runner, "weights", [self.before, bare(runner.model).state_dict()])


@HOOKS.register_module()
class SaveMasksAndCrops(Hook):
    """Write the masks and the mean of every crop of the first epoch, process by process."""

    def before_train(self, runner):
        self.masks, self.means = [], []
        bare(runner.model).mask_generator.register_forward_hook(self.record)

    def record(self, _module, images, mask):
        self.masks.append(mask.hidden)
        self.means.append(images[0].mean(dim=(1, 2, 3)))

    def after_train_epoch(self, runner):
        if runner.epoch == 0:
            save(runner, "seen", [torch.cat(self.masks), torch.cat(self.means)])


@HOOKS.register_module()
class NoteEpochs(Hook):
    """Write down which epochs have been trained to their end."""

    def after_train_epoch(self, runner):
        if get_rank() == 0:
            with open(f"{runner.work_dir}/epochs", "a") as notes:
                notes.write(f"{runner.epoch} ")


@HOOKS.register_module()
class DieOnce(Hook):
    """Process 1 is killed in the middle of the second epoch, unless it has been started again."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first and get_rank() == 1 and runner.epoch == batch_idx == 1:
            Path(runner.work_dir, "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
