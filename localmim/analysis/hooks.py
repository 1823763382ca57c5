"""What can be seen of a pre-training while it runs."""

import time

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.optim.scheduler.param_scheduler import LinearParamScheduler
from mmengine.registry import HOOKS

from .health import Health
from .looking import LookingHook
from .probe import Probe
from .reconstruction import reconstruction_figures
from .signals import Skill, effective_rank, gradient_norms, visible_features


@HOOKS.register_module()
class ReconstructionHook(LookingHook):
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

    def prepare(self, runner) -> None:
        self.probe = Probe(runner, self.images)

    def look(self, runner, step: int) -> None:
        images, mask = next(self.probe.batches(size=self.images))
        for name, figure in reconstruction_figures(self.model, images, mask):
            runner.visualizer.add_image(f"reconstruction_{name}", _pixels(figure), step=step)


@HOOKS.register_module()
class SignalsHook(LookingHook):
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

    def prepare(self, runner) -> None:
        self.probe = Probe(runner, self.images)
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
        runner.message_hub.update_info("skill", skills)
        now = time.perf_counter()
        share, self._seen = (now - begun) / (now - self._seen), now
        widths = [tap.channels for tap in self.model.backbone.taps]
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
        model, skill = self.model, Skill()
        features: list[list[torch.Tensor]] = [[] for _ in model.backbone.taps]
        for images, mask in self.probe.batches():
            found = model.backbone(images, mask)
            skill.add(model.neck(found, mask), model.target_generator(images), mask)
            for kept, x in zip(features, visible_features(model, found, mask), strict=True):
                kept.append(x.float().cpu())
        return skill.of_scales(), [effective_rank(torch.cat(x)) for x in features]

    def _gradient_norms(self) -> dict[str, float]:
        model = self.model
        images, mask = next(self.probe.batches())
        predictions, targets = model.reconstruct(images, mask)
        losses = model.head.loss(predictions, targets, mask)
        return gradient_norms(model, sum(x for k, x in losses.items() if k.startswith("loss")))


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
