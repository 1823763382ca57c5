"""What looks at a model now and then while it trains."""

from abc import abstractmethod

from mmengine.hooks import Hook
from torch import nn

from localmim.engine.training_state import is_sharded
from localmim.models import MaskedImageModel

from .probe import evaluating


class LookingHook(Hook):
    """Looks at the model every few epochs or iterations, and after the last one."""

    priority = "LOW"

    def __init__(self, interval: int, by_epoch: bool, images: int) -> None:
        for name, value in (("interval", interval), ("images", images)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        self.interval, self.by_epoch, self.images = interval, by_epoch, images
        self.model: MaskedImageModel | None = None

    def before_train(self, runner) -> None:
        why_not = _why_not(runner.bare_model)
        if why_not:
            runner.logger.warning(f"{type(self).__name__} has nothing to look at: {why_not}")
        else:
            self.model = runner.bare_model
            self.prepare(runner)

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
        if self.model is not None:
            with evaluating(self.model):
                self.look(runner, step)

    @abstractmethod
    def prepare(self, runner) -> None:
        """Read what is looked at, before a training of :attr:`model`."""

    @abstractmethod
    def look(self, runner, step: int) -> None:
        """Look at the model, which is in evaluation mode.

        Args:
            runner: in training.
            step: iterations so far.
        """


def _why_not(model: nn.Module) -> str | None:
    """Why a model cannot be looked at, if so."""
    if is_sharded(model):
        return "the model is shared out among the processes (model_wrapper_cfg)"
    if not isinstance(model, MaskedImageModel):
        return f"the model is a {type(model).__name__}, which is no masked image model"
    return None
