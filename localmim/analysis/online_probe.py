"""What the features of a pre-training are worth for classes, while it runs."""

import time
from pathlib import Path

import torch
from mmengine.dataset import Compose
from mmengine.dist import is_main_process
from mmengine.registry import HOOKS
from torch import Tensor

from localmim.checkpoints import load_from_file
from localmim.data.unusable import UnusableImage
from localmim.durable import written_aside
from localmim.engine.image_size import training_steps

from .labelled import balanced_accuracy, knn_scores, labelled_folder, linear_scores, pooled
from .looking import LookingHook
from .probe import BATCH, training_size, usable
from .whole_images import preprocessed, whole_image_pipeline

BEST, SCORE = "best_probe.pth", "linear_probe"  # file, and entry of its meta


@HOOKS.register_module()
class OnlineProbeHook(LookingHook):
    """Classify a small labelled folder by frozen features now and then.

    For each tap, by the mean over positions of whole images without a mask:

    - ``probe/knn_tap_T``: the 20 nearest images vote, weighted (as in KNNClassifier);
    - ``probe/linear_tap_T``: a logistic regression on standardised features.

    Both are balanced accuracies, the mean of the classes' parts that are right, of images that were
    held out. The images are read once and kept, scaled to the size of training. Nothing of the
    training depends on them.

    Args:
        data_root: a folder with a subfolder for each class, of which a quarter is held out, or with
            ``train`` and ``val`` of such folders.
        interval: epochs or iterations between looks.
        by_epoch: which of both.
        images: that are used at most, evenly over the classes.
        keep_best: keep the model with the best linear probe of its last tap so far, without the
            optimiser, as ``best_probe.pth`` in the work folder.

    Raises:
        FileNotFoundError: there is no such folder, or a class has no image.
        ValueError: there are fewer than two classes, or a class has a single image.
    """

    def __init__(
        self,
        data_root: str | Path,
        interval: int = 1,
        by_epoch: bool = True,
        images: int = 1000,
        keep_best: bool = False,
    ) -> None:
        super().__init__(interval, by_epoch, images)
        self.keep_best, self._best = keep_best, 0.0
        self.folder = labelled_folder(data_root, images)

    def prepare(self, runner) -> None:
        self._seen = time.perf_counter()
        if not is_main_process():
            return
        kept = Path(runner.work_dir, BEST)
        if self.keep_best and runner._resume and kept.exists():
            self._best = load_from_file(kept)["meta"][SCORE]
        pipeline = whole_image_pipeline(training_steps(runner.cfg)[0], training_size(runner))
        parts = (self.folder.train, self.folder.val)
        self._parts = [
            usable(_labelled(pipeline, path, label) for path, label in files) for files in parts
        ]
        unusable = sum(map(len, parts)) - sum(map(len, self._parts))
        if unusable:
            runner.logger.warning(f"{unusable} of the labelled images cannot be read")
        for samples in self._parts:
            if lacking := set(range(len(self.folder.classes))) - {x["label"] for x in samples}:
                name = self.folder.classes[min(lacking)]
                raise ValueError(f"too few images of the class {name} can be read")

    def look(self, runner, step: int) -> None:
        if not is_main_process():
            return
        begun = time.perf_counter()
        (train, train_labels), (val, val_labels) = map(self._features, self._parts)
        found = {
            kind: [
                balanced_accuracy(score(a, train_labels, b), val_labels)
                for a, b in zip(train, val, strict=True)
            ]
            for kind, score in (("knn", knn_scores), ("linear", linear_scores))
        }
        scalars = {f"probe/{k}_tap_{n}": x for k, of in found.items() for n, x in enumerate(of)}
        runner.visualizer.add_scalars(scalars, step=step)
        if self.keep_best and found["linear"][-1] > self._best:
            self._best = float(found["linear"][-1])
            meta = {"cfg": runner.cfg.pretty_text, "iter": step, SCORE: self._best}
            with written_aside(Path(runner.work_dir, BEST)) as aside:
                torch.save({"state_dict": self.model.state_dict(), "meta": meta}, aside)
        now = time.perf_counter()
        share, self._seen = (now - begun) / (now - self._seen), now
        knn, linear = (", ".join(f"{x:.1%}" for x in of) for of in found.values())
        runner.logger.info(
            f"Classes by the features of taps (chance is {1 / len(self.folder.classes):.1%}): "
            f"nearest neighbours {knn}; linear probe {linear}. To find out took "
            f"{now - begun:.1f} s, {share:.1%} of the time"
        )

    @torch.no_grad()
    def _features(self, samples: list[dict]) -> tuple[list[Tensor], Tensor]:
        """Of each tap (N, C), and the labels (N,)."""
        taps = self.model.backbone.taps
        found: list[list[Tensor]] = [[] for _ in taps]
        for begin in range(0, len(samples), BATCH):
            images = preprocessed(samples[begin : begin + BATCH], self.model)
            maps = self.model.backbone(images)
            for kept, tap, x in zip(found, taps, maps, strict=True):
                kept.append(pooled(x, tap.extra_tokens).float())
        labels = torch.tensor([sample["label"] for sample in samples])
        return [torch.cat(x) for x in found], labels.to(found[0][0].device)


def _labelled(pipeline: Compose, path: str, label: int) -> dict | None:
    """An image as the model wants it, and its class; None if it cannot be read."""
    try:
        return pipeline({"img_path": path}) | {"label": label}
    except UnusableImage:
        return None
