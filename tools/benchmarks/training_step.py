"""A whole training step of any config, on images that lie on the device (for the benchmarks)."""

import inspect
import resource
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import OPTIMIZERS, init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

from localmim.engine import settle_image_size
from localmim.engine.blocks import compile_blocks
from localmim.engine.matrix_ceiling import seconds
from localmim.engine.parameter_groups import merge_groups
from localmim.engine.step_costs import Parts, StepCounter

OPTIMIZER = "optimizer"
UPDATE = (OPTIMIZER, "update")
WATCHING = ("watching", "")  # the measurement itself


@dataclass(frozen=True)
class Settings:
    """How steps are run.

    Attributes:
        batch_size: images a step.
        device: cpu or cuda.
        dtype: float32, or autocast to bfloat16 or float16.
        size: side of the images; None for the config's own.
        compiled: compile the blocks, each by itself.
    """

    batch_size: int = 8
    device: str = "cpu"
    dtype: str = "float32"
    size: int | None = None
    compiled: bool = False


def read_config(name: str) -> Config:
    """The config of a path, or of PACKAGE::PATH as in _base_."""
    return get_config(name) if "::" in name else Config.fromfile(name)


class TrainingStep:
    """Preprocessing of uint8 images, forward with targets, backward; the optimiser apart.

    Args:
        cfg: a config of pre-training or of a classifier.
        settings: how.
    """

    def __init__(self, cfg: Config, settings: Settings) -> None:
        torch.manual_seed(0)
        init_default_scope("mmpretrain")
        settle_image_size(cfg)
        self.settings = settings
        self.device, self.dtype = torch.device(settings.device), getattr(torch, settings.dtype)
        # One process has nothing to synchronise.
        self.model = revert_sync_batchnorm(_build_model(cfg)).to(self.device).train()
        shape = (settings.batch_size, *image_shape(cfg, settings.size))
        self.images = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
        self.data_samples = data_samples(cfg, settings.batch_size)
        wrapper = {k: v for k, v in cfg.optim_wrapper.items() if k not in ("loss_scale", "dtype")}
        self.optim_wrapper = self._build_optimizer(wrapper)
        if cfg.get("runner_type") == "LocalMIMRunner":  # which does so
            merge_groups(self.optim_wrapper.optimizer)
        self.fused = self._fused_optimizer(wrapper)
        if settings.compiled:
            compile_blocks(self.model, {})

    def _build_optimizer(self, wrapper: dict) -> OptimWrapper:
        return build_optim_wrapper(self.model, {**wrapper, "type": "OptimWrapper"})

    def _fused_optimizer(self, wrapper: dict) -> OptimWrapper | None:
        """The config's optimiser with a fused kernel, few groups; None if there is none."""
        optimizer = wrapper["optimizer"]
        if self.optim_wrapper.optimizer.defaults.get("fused"):
            return self.optim_wrapper
        if "fused" not in inspect.signature(OPTIMIZERS.get(optimizer["type"])).parameters:
            return None
        fused = self._build_optimizer({**wrapper, "optimizer": {**optimizer, "fused": True}})
        merge_groups(fused.optimizer)
        return fused

    def losses(self) -> torch.Tensor:
        """Preprocessing and forward."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            batch = {"inputs": self.images, "data_samples": self.data_samples}
            batch = self.model.data_preprocessor(batch, training=True)
            losses = self.model.loss(**batch)
        return self.model.parse_losses(losses)[0]

    def gradients(self) -> None:
        """Preprocessing, forward and backward."""
        self.optim_wrapper.backward(self.losses())

    def time(self, both_optimizers: bool = True) -> dict[str, float]:
        """Seconds of a step's parts: gradients, optimizer, and fused (the optimiser, fused).

        Args:
            both_optimizers: update with the fused optimiser too, if it is another one; its state
                takes memory.
        """
        spent = {"gradients": seconds(self.gradients, self.device)}
        spent[OPTIMIZER] = seconds(self.optim_wrapper.step, self.device)
        if both_optimizers and self.fused is not None:
            other = self.fused is not self.optim_wrapper
            spent["fused"] = seconds(self.fused.step, self.device) if other else spent[OPTIMIZER]
        spent[OPTIMIZER] += (zeroing := seconds(self.optim_wrapper.zero_grad, self.device))
        if "fused" in spent:
            spent["fused"] += zeroing
        return spent

    def time_of(self, steps: int) -> float:
        """Seconds of several steps; the device is waited for at the end alone."""

        def run() -> None:
            for _ in range(steps):
                self.gradients()
                self.optim_wrapper.step()
                self.optim_wrapper.zero_grad()

        return seconds(run, self.device)

    def flops(self) -> int:
        """Floating-point operations of a step."""
        return self.count().total.flops

    def count(self) -> StepCounter:
        """What a step costs, by parts, uncompiled."""
        parts = Parts(self.model)
        eager = torch.compiler.set_stance("force_eager")
        with eager, parts.watched(), StepCounter(parts) as counter:
            self.gradients()
            parts.switch(UPDATE)
            self.optim_wrapper.step()
        self.optim_wrapper.zero_grad()
        return counter

    def seconds_of_parts(self) -> dict[tuple[str, str], float]:
        """Seconds of each part's forward and backward, uncompiled."""
        stamps = []
        parts = Parts(self.model, on_change=lambda: stamps.append((parts.running, self._stamp())))
        with torch.compiler.set_stance("force_eager"), parts.watched():
            start = self._stamp()
            loss = self.losses()
            parts.switch(WATCHING)
            parts.follow_backward(loss)
            self.optim_wrapper.backward(loss)
            parts.switch(UPDATE)
            self.optim_wrapper.step()
            stamps.append((parts.running, self._stamp()))
        self.optim_wrapper.zero_grad()
        return self._between(start, stamps)

    def _stamp(self):
        """A moment in the work of the device; nothing waits for it."""
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, start, stamps: list) -> dict[tuple[str, str], float]:
        spent = defaultdict(float)
        if cuda := self.device.type == "cuda":
            torch.cuda.synchronize()
        for running, stamp in stamps:
            spent[running] += start.elapsed_time(stamp) / 1e3 if cuda else stamp - start
            start = stamp
        spent.pop(WATCHING)
        return dict(spent)

    def parts(self) -> list[dict]:
        """Seconds, operations and bytes of a step's parts, those that take most time first."""
        costs = self.count().costs
        runs = [self.seconds_of_parts() for _ in range(3)]
        rows = [
            {
                "part": part,
                "direction": direction,
                "seconds": statistics.median(run.get((part, direction), 0.0) for run in runs),
                **vars(costs[part, direction]),
            }
            for part, direction in set(costs).union(*runs)
        ]
        return sorted(rows, key=lambda row: -row["seconds"])

    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return tuple(self.images.shape[2:])

    def peak_memory(self) -> float:
        """Peak memory of this process in GiB: the device's, or the resident set on a CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def build_step(config: str, settings: Settings) -> TrainingStep:
    """A step of the config of that name."""
    return TrainingStep(read_config(config), settings)


def _build_model(cfg: Config) -> torch.nn.Module:
    """The model, with the config's preprocessor as the runner would give it."""
    model = dict(cfg.model)
    if model.get("data_preprocessor") is None:
        model["data_preprocessor"] = cfg.get("data_preprocessor")
    return MODELS.build(model)


def image_shape(cfg: Config, size: int | None) -> tuple[int, int, int]:
    """Channels, height and width of a config's images; 224 px where it names no size."""
    backbone = cfg.model.backbone
    size = size or backbone.get("img_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    return backbone.get("in_channels", 3), height, width


def data_samples(cfg: Config, batch_size: int) -> list[DataSample]:
    """Labels for classifiers, and masks where the config's pipeline makes them (SimMIM)."""
    samples = [DataSample().set_gt_label(0) for _ in range(batch_size)]
    for transform in cfg.train_dataloader.dataset.get("pipeline", []):
        if str(transform["type"]).endswith("MaskGenerator"):
            generator = TRANSFORMS.build(transform)
            for sample in samples:
                sample.set_mask(torch.as_tensor(generator({})["mask"]))
    return samples
