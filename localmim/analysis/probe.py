"""The same images with the same masks, again and again, to see what training does to them."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from mmengine.dataset import BaseDataset, Compose
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, Dataset

from localmim.data.shards import ReadMember
from localmim.data.wrapping import innermost_datasets
from localmim.engine.image_size import training_steps
from localmim.masking import PatchMask
from localmim.models import MaskedImageModel

from .whole_images import preprocessed, whole_image_pipeline

SEED = 0  # of masks and windows
BATCH = 16


class Probe:
    """Images of a training's own data, spread evenly over it, whole; each has one mask.

    Args:
        runner: that trains a masked image model, not shared out.
        count: images. Where the data has fewer, all of them.

    Raises:
        ValueError: none of these images can be read.
    """

    def __init__(self, runner, count: int) -> None:
        self.model: MaskedImageModel = runner.bare_model
        sources = innermost_datasets(runner.train_dataloader.dataset)
        pipeline = whole_image_pipeline(training_steps(runner.cfg)[0], training_size(runner))
        joined = ConcatDataset([_ReadBy(source, pipeline) for source in sources])
        count = min(count, len(joined))
        self._samples = usable(joined[k * len(joined) // count] for k in range(count))
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
                mask = self.model.mask_generator(images)
            yield images, mask


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, uncompiled; training finds it as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.compiler.set_stance("force_eager"):  # shapes and modes of its own
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def training_size(runner) -> tuple[int, int]:
    """(height, width) of the images that a runner trains on, in pixels."""
    return tuple(innermost_datasets(runner.train_dataloader.dataset)[0][0]["inputs"].shape[-2:])


def usable(samples: Iterable[dict | None]) -> list[dict]:
    """Those of which there is an image, whose pixels are numbers."""
    return [x for x in samples if x is not None and bool(x["inputs"].isfinite().all())]


class _ReadBy(Dataset):
    """The same images through another pipeline; None for one that cannot be read."""

    def __init__(self, dataset: BaseDataset, pipeline: Compose) -> None:
        self.dataset = copy.copy(dataset)
        readers = [step for step in dataset.pipeline.transforms if isinstance(step, ReadMember)]
        self.dataset.pipeline = Compose([*readers, *pipeline.transforms])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict | None:
        return self.dataset.prepare_data(index)
