"""What can be seen of a pre-training while it runs."""

import time
from abc import abstractmethod

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.hooks import Hook
from mmengine.optim.scheduler.param_scheduler import LinearParamScheduler
from mmengine.registry import HOOKS
from torch import nn

from localmim.engine.training_state import is_sharded
from localmim.models import MaskedImageModel

from .health import Health
from .probe import Probe
from .reconstruction import reconstruction_figures
from .signals import Skill, effective_rank, gradient_norms, visible_features


class _LookingHook(Hook):
    """Looks at the model every few epochs or iterations, and after the last one."""

    priority = "LOW"

    def __init__(self, interval: int, by_epoch: bool, images: int) -> None:
        for name, value in (("interval", interval), ("images", images)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        self.interval, self.by_epoch, self.images = interval, by_epoch, images

    def before_train(self, runner) -> None:
        why_not = _why_not(runner.bare_model)
        if why_not:
            runner.logger.warning(f"{type(self).__name__} has nothing to look at: {why_not}")
        self.probe = None if why_not else Probe(runner, self.images)

    def after_train_epoch(self, runner) -> None:
        if self.by_epoch and (
            self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)
        ):
            self._look(runner, runner.iter)  # which the last iteration has counted already

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if not self.by_epoch and (
            self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        ):
            self._look(runner, runner.iter + 1)

    def _look(self, runner, step: int) -> None:
        if self.probe is not None:
            with self.probe.evaluating():
                self.look(runner, step)

    @abstractmethod
    def look(self, runner, step: int) -> None:
        """Look at the model, which is in evaluation mode.

        Args:
            runner: in training.
            step: iterations so far.
        """


@HOOKS.register_module()
class ReconstructionHook(_LookingHook):
    """Draw how training images are reconstructed: a picture of each scale, a row for each image.

    The images are spread evenly over the data and have the same masks each time. A row has the
    input, what the model sees of it, the target, and the prediction where it is hidden. Pictures go
    to every backend of the visualizer: files of the work dir, TensorBoard, Weights & Biases,
    MLflow.

    Args:
        interval: epochs or iterations between pictures.
        by_epoch: which of both.
        images: rows.
    """

    def __init__(self, interval: int = 1, by_epoch: bool = True, images: int = 6) -> None:
        super().__init__(interval, by_epoch, images)

    def look(self, runner, step: int) -> None:
        model = self.probe.model
        images, mask = next(self.probe.batches(size=self.images))
        for name, figure in reconstruction_figures(model, images, mask):
            runner.visualizer.add_image(f"reconstruction_{name}", _pixels(figure), step=step)


@HOOKS.register_module()
class SignalsHook(_LookingHook):
    """Log signals of health that need no labels, and say a word when something is off.

    To the visualizer's backends go, of images that are the same each time (see
    :mod:`~localmim.analysis.signals`):

    - ``skill/scale_T``: 0 is as good as predicting the mean target, 1 perfect;
    - ``effective_rank/tap_T``: how many directions the features of visible positions use;
    - ``gradient_norm/PART``: of each block, without the loss scale of float16.

    A line of the log says the first two. Warnings say what usually causes what was seen, once.

    Args:
        interval: epochs or iterations between looks.
        by_epoch: which of both.
        images: that are looked at.
    """

    def __init__(self, interval: int = 1, by_epoch: bool = True, images: int = 64) -> None:
        super().__init__(interval, by_epoch, images)

    def before_train(self, runner) -> None:
        super().before_train(runner)
        self.health = Health()
        self._seen = time.perf_counter()

    def look(self, runner, step: int) -> None:
        begun = time.perf_counter()
        skills, ranks = self._skills_and_ranks()
        scalars = {f"skill/scale_{n}": skill for n, skill in enumerate(skills)}
        scalars |= {f"effective_rank/tap_{n}": rank for n, rank in enumerate(ranks)}
        norms = self._gradient_norms()
        scalars |= {f"gradient_norm/{part}": norm for part, norm in norms.items()}
        runner.visualizer.add_scalars(scalars, step=step)
        now = time.perf_counter()
        share, self._seen = (now - begun) / (now - self._seen), now
        widths = [tap.channels for tap in self.probe.model.backbone.taps]
        runner.logger.info(
            f"Skill by scale: {', '.join(f'{skill:.1%}' for skill in skills)} (0 is the mean "
            "target). Directions that taps use: "
            f"{', '.join(f'{r:.0f} of {w}' for r, w in zip(ranks, widths, strict=True))}. "
            f"To find out took {now - begun:.1f} s, {share:.1%} of the time"
        )
        for warning in self.health.judge(skills, ranks, warm=_is_warm(runner)):
            runner.logger.warning(warning)

    @torch.no_grad()
    def _skills_and_ranks(self) -> tuple[list[float], list[float]]:
        model, skill = self.probe.model, Skill()
        features: list[list[torch.Tensor]] = [[] for _ in model.backbone.taps]
        for images, mask in self.probe.batches():
            found = model.backbone(images, mask)
            skill.add(model.neck(found, mask), model.target_generator(images), mask)
            for kept, x in zip(features, visible_features(model, found, mask), strict=True):
                kept.append(x.float().cpu())
        return skill.of_scales(), [effective_rank(torch.cat(x)) for x in features]

    def _gradient_norms(self) -> dict[str, float]:
        model = self.probe.model
        images, mask = next(self.probe.batches())
        predictions, targets = model.reconstruct(images, mask)
        losses = model.head.loss(predictions, targets, mask)
        return gradient_norms(model, sum(x for k, x in losses.items() if k.startswith("loss")))


def _why_not(model: nn.Module) -> str | None:
    """Why a model cannot be looked at, if so."""
    if is_sharded(model):
        return "the model is shared out among the processes (model_wrapper_cfg)"
    if not isinstance(model, MaskedImageModel):
        return f"the model is a {type(model).__name__}, which is no masked image model"
    return None


def _is_warm(runner) -> bool:
    """Whether all schedules that rise in a line have ended."""
    rising = [s for s in runner.param_schedulers or () if isinstance(s, LinearParamScheduler)]
    return all(schedule.last_step >= schedule.end - 1 for schedule in rising)


def _pixels(figure: Figure) -> np.ndarray:
    """A figure as an image, (H, W, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(130)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
