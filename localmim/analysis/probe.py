"""The same images with the same masks, again and again, to see what training does to them."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dataset import BaseDataset, Compose
from torch import Tensor

from localmim.data.shards import ReadMember
from localmim.masking import PatchMask
from localmim.models import MaskedImageModel

from .whole_images import preprocessed, whole_image_pipeline

SEED = 0  # of masks and windows
BATCH = 16


class Probe:
    """Images of a training's own data, spread evenly over it, whole; each has one mask.

    Args:
        runner: whose training is looked at.
        count: images. Where the data has fewer, all of them.

    Raises:
        ValueError: the model is no masked image model, or no image of the data can be read.
    """

    def __init__(self, runner, count: int) -> None:
        self.model: MaskedImageModel = runner.bare_model
        if not isinstance(self.model, MaskedImageModel):
            raise ValueError(
                f"the model is a {type(self.model).__name__}; pictures and signals of a training "
                "are of masked image models: leave ReconstructionHook and SignalsHook out of "
                "custom_hooks"
            )
        sources = _innermost(runner.train_dataloader.dataset)
        size = tuple(sources[0][0]["inputs"].shape[-2:])  # as training sees them
        pipeline = whole_image_pipeline(runner.cfg, size)
        sources = [_read_by(source, pipeline) for source in sources]
        places = [(source, index) for source in sources for index in range(len(source))]
        count = min(count, len(places))
        chosen = (places[k * len(places) // count] for k in range(count))
        samples = (source.prepare_data(index) for source, index in chosen)
        self._samples = [sample for sample in samples if _can_be_used(sample)]
        if not self._samples:
            raise ValueError(f"none of {count} images of the training data can be read")

    def __len__(self) -> int:
        return len(self._samples)

    def batches(self, size: int = BATCH) -> Iterator[tuple[Tensor, PatchMask]]:
        """Normalised views (B, C, H, W), and the mask that they have each time."""
        for begin in range(0, len(self._samples), size):
            images = preprocessed(self._samples[begin : begin + size], self.model)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(SEED + begin)  # what draws does so on the CPU
                images = self.model.views(images)
                yield images, self.model.mask_generator(images)

    @contextmanager
    def evaluating(self) -> Iterator[MaskedImageModel]:
        """The model in evaluation mode; training finds it as it was."""
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            yield self.model
        finally:
            for module, mode in modes:
                module.training = mode


def _can_be_used(sample: dict | None) -> bool:
    """Whether there is an image, whose pixels are numbers."""
    return sample is not None and bool(sample["inputs"].isfinite().all())


def _innermost(dataset: Any) -> list[Any]:
    """The data sets that have images, out of what wraps and joins them."""
    wrapped = vars(dataset)
    inner = wrapped.get("datasets") or ([wrapped["dataset"]] if "dataset" in wrapped else [])
    return [x for each in inner for x in _innermost(each)] or [dataset]


def _read_by(dataset: BaseDataset, pipeline: Compose) -> BaseDataset:
    """The same images through another pipeline."""
    dataset = copy.copy(dataset)
    readers = [step for step in dataset.pipeline.transforms if isinstance(step, ReadMember)]
    dataset.pipeline = Compose([*readers, *pipeline.transforms])
    return dataset
