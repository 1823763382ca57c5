"""Pictures of what a model reconstructs, one per scale."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from localmim.masking import PatchMask
from localmim.models import MaskedImageModel
from localmim.models.target_generators import draw_means

COLUMNS = ("input", "masked input", "target", "reconstruction")
GAP = 0.03  # between pictures, of their width


def pictures_of(model: MaskedImageModel, images: Tensor) -> list[np.ndarray]:
    """Images (B, C, H, W) without the preprocessor's normalisation, B times (H, W, 3) in [0, 1]."""
    preprocessor = model.data_preprocessor
    if getattr(preprocessor, "_enable_normalize", False):
        images = images * preprocessor.std + preprocessor.mean
    colours = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    pictures = (colours / 255).clamp(0, 1).permute(0, 2, 3, 1)
    return list(pictures.float().cpu().numpy())


@torch.no_grad()
def reconstruction_figures(
    model: MaskedImageModel, images: Tensor, mask: PatchMask
) -> Iterator[tuple[str, Figure]]:
    """One figure per scale, a row per image: input, masked input, target, reconstruction.

    The reconstruction shows predictions at hidden positions and the target at visible ones.

    Args:
        model: in evaluation mode.
        images: (B, C, H, W), normalised.
        mask: which cells are hidden.

    Yields:
        A name such as ``scale0_stride4`` and the figure.
    """
    predictions, targets = model.reconstruct(images, mask)
    show = partial(pictures_of, model)
    draw = getattr(model.target_generator, "draw", draw_means)
    hidden = F.interpolate(mask.hidden[:, None].float(), images.shape[2:])
    inputs, masked = show(images), show(images)
    for picture, where in zip(masked, hidden[:, 0].bool().cpu().numpy(), strict=True):
        picture[where] = 0.5
    for tap, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        weight = (mask.at(target.shape[2:])[:, None] > 0).to(target.dtype)
        pasted = prediction.to(target.dtype) * weight + target * (1 - weight)
        drawn = [draw(maps, tap, images, show) for maps in (target, pasted)]
        stride = images.shape[2] // target.shape[2]
        rows = list(zip(inputs, masked, *drawn, strict=True))
        yield f"scale{tap}_stride{stride}", _figure(rows, f"scale {tap}, stride {stride} px")


def _figure(rows: list[tuple[np.ndarray, ...]], title: str) -> Figure:
    """All pictures on the same axes: axes take longer to draw than pictures do."""
    height, width = rows[0][0].shape[:2]
    tall, across, down = height / width, 1 + GAP, height / width + GAP
    size = 2.4
    shape = (size * len(COLUMNS), size * len(rows) * tall + 0.6)
    figure = Figure(figsize=shape, layout="constrained")
    axis = figure.add_subplot()
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            left, top = column * across, row * down
            place = (left, left + 1, top + tall, top)
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=place)
    for column, name in enumerate(COLUMNS):
        axis.text(column * across + 0.5, -GAP, name, ha="center", va="bottom", fontsize=9)
    axis.set(xlim=(0, len(COLUMNS) * across - GAP), ylim=(len(rows) * down - GAP, 0))
    axis.set_axis_off()
    figure.suptitle(title, fontsize=10)
    return figure
