"""How target maps become pictures."""

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

# Turns images (B, C, H, W) as the model sees them into B pictures (H, W, 3) in [0, 1].
Show = Callable[[Tensor], list[np.ndarray]]


def draw_means(maps: Tensor, tap: int, images: Tensor, show: Show) -> list[np.ndarray]:
    """The mean of the channels, each map in its own range.

    What stands in for the method ``draw`` of a target generator that has none.

    Args:
        maps: (B, D, h, w), targets or predictions.
        tap: the number of the tap.
        images: (B, C, H, W), normalised, from which the targets are made.
        show: turns such images into pictures.

    Returns:
        B pictures, (h', w') or (h', w', 3) in [0, 1].
    """
    means = maps.mean(dim=1).float()
    low, high = means.amin(dim=(1, 2), keepdim=True), means.amax(dim=(1, 2), keepdim=True)
    return list(((means - low) / (high - low).clamp_min(1e-12)).cpu().numpy())


def draw_hog(histogram: Tensor, bins: int, cell_pixels: int = 12) -> np.ndarray:
    """Draw HOG as oriented strokes along the contour, as bright as the bin's share of the energy.

    Histograms have unit length, so that squares are shares. A cell without a direction is dark.

    Args:
        histogram: (C * bins, h, w), colour-major; the shares of the colours are averaged.
        bins: orientations over half a turn.
        cell_pixels: side of a drawn cell.

    Returns:
        (h * cell_pixels, w * cell_pixels) float32 in [0, 1].
    """
    weights = histogram.unflatten(0, (-1, bins)).clamp(0, 1).square().mean(0).float().cpu().numpy()
    picture = np.einsum("bhw,bij->hiwj", weights, _strokes(bins, cell_pixels))
    height, width = weights.shape[1:]
    return picture.reshape(height * cell_pixels, width * cell_pixels).clip(0, 1)


@lru_cache
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
        like: the same of the patches as they were before normalisation, whose mean and variance
            undo it; None if the patches are not normalised.

    Returns:
        (B, C, h * p, w * p).
    """
    if like is not None:
        var, mean = torch.var_mean(like, dim=1, keepdim=True)
        patches = patches * (var + 1e-6).sqrt() + mean
    grid = patches.unflatten(1, (patch_size, patch_size, -1)).permute(0, 3, 4, 1, 5, 2)
    return grid.flatten(4, 5).flatten(2, 3)
