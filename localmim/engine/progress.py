"""A bar in the place of the log's lines, for who watches."""

import logging
import sys

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from tqdm import tqdm

SHOWN_EVERY = 0.5  # seconds


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show where a training is: images a second, waiting for data, loss, skill, time left.

    The screen has the bar and what the log warns of; the log's file has everything, as before.
    Speed and waiting are ``ThroughputHook``'s, the skill is that of the last look of
    ``SignalsHook``, its mean over scales.
    """

    priority = "VERY_LOW"  # after what measures

    def before_train(self, runner) -> None:
        self.bar: tqdm | None = None
        if not is_main_process():
            return
        self.bar = tqdm(
            total=runner.max_iters,
            initial=runner.iter,
            unit="step",
            desc="training",
            mininterval=SHOWN_EVERY,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
            "[{elapsed}<{remaining}{postfix}]",
        )
        for handler in runner.logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.setStream(_AboveTheBar())

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self.bar is None:
            return
        scalars = runner.message_hub.log_scalars
        shown = []
        for name, text in (
            ("train/images_per_second", "{:.0f} images/s"),
            ("train/waiting", "waiting {:.0%}"),
            ("train/loss", "loss {:.3f}"),
        ):
            if name in scalars:
                shown.append(text.format(scalars[name].current()))
        if skills := runner.message_hub.runtime_info.get("skill"):
            shown.append(f"skill {sum(skills) / len(skills):.0%}")
        self.bar.set_postfix_str(", ".join(shown), refresh=False)
        self.bar.update()

    def after_train(self, runner) -> None:
        if self.bar is not None:
            self.bar.close()


class _AboveTheBar:
    """A stream that writes without breaking a bar."""

    def write(self, text: str) -> None:
        if text := text.rstrip("\n"):
            tqdm.write(text, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()
