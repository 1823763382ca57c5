"""Pictures of what a model reconstructs, one per scale."""

import math
from collections.abc import Iterator
from functools import singledispatch

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from localmim.masking import PatchMask
from localmim.models import MaskedImageModel, MultiScaleHOG, MultiScalePixels

COLUMNS = ("input", "masked input", "target", "reconstruction")


def draw_hog(histogram: Tensor, bins: int, cell_pixels: int = 12) -> np.ndarray:
    """Draw HOG as oriented strokes: bright where the histogram is large, along the contour.

    Args:
        histogram: (C * bins, h, w), colour-major; the colours are averaged.
        bins: orientations over half a turn.
        cell_pixels: side of a drawn cell.

    Returns:
        (h * cell_pixels, w * cell_pixels) float32 in [0, 1].
    """
    weights = histogram.unflatten(0, (-1, bins)).mean(0).clamp(0, 1).float().cpu().numpy()
    picture = np.einsum("bhw,bij->hiwj", weights, _strokes(bins, cell_pixels))
    height, width = weights.shape[1:]
    return picture.reshape(height * cell_pixels, width * cell_pixels).clip(0, 1)


def _strokes(bins: int, side: int) -> np.ndarray:
    """One stroke per orientation, (bins, side, side) in [0, 1], drawn large and averaged down."""
    zoom = 8
    centre, reach = side * zoom / 2, side * zoom * 0.45
    thickness = round(zoom * max(1, side / 12))
    strokes = np.zeros((bins, side * zoom, side * zoom), np.float32)
    for number, stroke in enumerate(strokes):
        # Bins count atan2(gx, gy); a contour is at right angles to its gradient.
        angle = (number + 0.5) * math.pi / bins
        dx, dy = reach * math.cos(angle), -reach * math.sin(angle)
        start, end = (centre - dx, centre - dy), (centre + dx, centre + dy)
        cv2.line(stroke, tuple(map(round, start)), tuple(map(round, end)), 1.0, thickness)
    return strokes.reshape(bins, side, zoom, side, zoom).mean((2, 4))


def draw_pixels(patches: Tensor, patch_size: int, like: Tensor | None = None) -> Tensor:
    """Put patches together again.

    Args:
        patches: (B, p * p * C, h, w), flattened as (row, column, channel).
        patch_size: p.
        like: (B, C, H, W) images whose patches' mean and variance undo the normalisation; None if
            the patches are not normalised.

    Returns:
        (B, C, h * p, w * p).
    """
    if like is not None:
        plain = MultiScalePixels((patch_size,), normalize=False)(like)[0]
        var, mean = torch.var_mean(plain, dim=1, keepdim=True)
        patches = patches * (var + 1e-6).sqrt() + mean
    grid = patches.unflatten(1, (patch_size, patch_size, -1)).permute(0, 3, 4, 1, 5, 2)
    return grid.flatten(4, 5).flatten(2, 3)


@singledispatch
def draw_targets(generator, tap: int, maps: Tensor, images: Tensor, show) -> list[np.ndarray]:
    """Pictures of a batch of target maps, by the kind of their generator.

    Maps of a generator for which nothing is registered (``@draw_targets.register``) are drawn as
    the mean of their channels, each in its own range.

    Args:
        generator: a target generator.
        tap: the number of the tap.
        maps: (B, D, h, w), targets or predictions.
        images: (B, C, H, W), normalised.
        show: turns such images into pictures.

    Returns:
        B pictures, (h', w') or (h', w', 3) in [0, 1].
    """
    means = maps.mean(dim=1).float()
    low, high = means.amin(dim=(1, 2), keepdim=True), means.amax(dim=(1, 2), keepdim=True)
    return list(((means - low) / (high - low).clamp_min(1e-12)).cpu().numpy())


@draw_targets.register
def _(generator: MultiScaleHOG, tap: int, maps: Tensor, images: Tensor, show) -> list[np.ndarray]:
    cell_pixels = max(12, 384 // min(maps.shape[2:]))
    return [draw_hog(x, generator.bins, cell_pixels) for x in maps]


@draw_targets.register
def _(generator: MultiScalePixels, tap: int, maps: Tensor, images: Tensor, show):
    like = images if generator.normalize else None
    return show(draw_pixels(maps, generator.patch_sizes[tap], like))


def _shower(model: MaskedImageModel):
    """A function that undoes the preprocessor: (B, C, H, W) -> B pictures (H, W, 3) in [0, 1]."""
    preprocessor = model.data_preprocessor

    def show(images: Tensor) -> list[np.ndarray]:
        if getattr(preprocessor, "_enable_normalize", False):
            images = images * preprocessor.std + preprocessor.mean
        colours = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
        pictures = (colours / 255).clamp(0, 1).permute(0, 2, 3, 1)
        return list(pictures.float().cpu().numpy())

    return show


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
    show = _shower(model)
    hidden = F.interpolate(mask.hidden[:, None].float(), images.shape[2:])
    inputs, masked = show(images), show(images)
    for picture, where in zip(masked, hidden[:, 0].bool().cpu().numpy(), strict=True):
        picture[where] = 0.5
    for tap, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        weight = (mask.at(target.shape[2:])[:, None] > 0).to(target.dtype)
        pasted = prediction.to(target.dtype) * weight + target * (1 - weight)
        drawn = [
            draw_targets(model.target_generator, tap, maps, images, show)
            for maps in (target, pasted)
        ]
        stride = images.shape[2] // target.shape[2]
        rows = list(zip(inputs, masked, *drawn, strict=True))
        yield f"scale{tap}_stride{stride}", _figure(rows, f"scale {tap}, stride {stride} px")


def _figure(rows: list[tuple[np.ndarray, ...]], title: str) -> Figure:
    height, width = rows[0][0].shape[:2]
    size = 2.4
    shape = (size * len(COLUMNS), size * len(rows) * height / width + 0.6)
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(len(rows), len(COLUMNS), squeeze=False)
    for row, pictures in zip(axes, rows, strict=True):
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
    for axis, name in zip(axes[0], COLUMNS, strict=True):
        axis.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure
