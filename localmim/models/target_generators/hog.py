"""Histograms of oriented gradients at several scales from one pass over the image."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.wiring import TargetMap

from .base import float_images
from .drawing import Show, draw_hog


def sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical Sobel responses of every channel, reflect-padded.

    The kernels are [[1, 0, -1], [2, 0, -2], [1, 0, -1]] and its transpose, as cross-correlations.

    Args:
        images: (B, C, H, W).

    Returns:
        gx and gy, (B, C, H, W) each.
    """
    x = F.pad(images, (1, 1, 1, 1), mode="reflect")
    columns = torch.add(x[..., :-2, :], x[..., 1:-1, :], alpha=2).add_(x[..., 2:, :])
    rows = torch.add(x[..., :-2], x[..., 1:-1], alpha=2).add_(x[..., 2:])
    return columns[..., :-2] - columns[..., 2:], rows[..., :-2, :] - rows[..., 2:, :]


def cell_histograms(gx: Tensor, gy: Tensor, bins: int, cell: int) -> Tensor:
    """Mean gradient magnitude per cell and unsigned orientation.

    The whole magnitude sqrt(gx^2 + gy^2) goes into bin floor(atan2(gx, gy) / pi * bins) mod bins.

    Args:
        gx, gy: (B, C, H, W).
        bins: orientations over half a turn.
        cell: side of a cell in pixels.

    Returns:
        (B, C, H / cell, W / cell, bins).
    """
    batch, channels, height, width = gx.shape
    rows, cols = height // cell, width // cell
    magnitude = torch.hypot(gx, gy)
    # In 0, ..., 2 * bins. A pixel that is no number makes its cell none, and must not be an index.
    angle = torch.atan2(gx, gy).nan_to_num_(0.0).div_(math.pi).mul_(bins).floor_().add_(bins)

    def by_cell(x: Tensor) -> Tensor:
        x = x.view(batch, channels, rows, cell, cols, cell).permute(0, 1, 2, 4, 3, 5)
        return x.reshape(batch, channels, rows, cols, cell * cell)

    turn = magnitude.new_zeros(batch, channels, rows, cols, 2 * bins + 1)
    turn.scatter_add_(-1, by_cell(angle).long(), by_cell(magnitude))
    out = turn[..., :bins] + turn[..., bins:-1]
    out[..., 0] += turn[..., -1]
    return out.div_(cell * cell)


def coarser(histograms: Tensor, factor: int) -> Tensor:
    """Average (B, C, h, w, bins) over squares of factor x factor cells."""
    if factor == 1:
        return histograms
    squares = histograms.unflatten(3, (-1, factor)).unflatten(2, (-1, factor))
    # Sums of whole rows and columns, several times faster on a CPU than one mean over both.
    return sum(sum(squares.unbind(3)).unbind(4)).div_(factor**2)


@MODELS.register_module()
class MultiScaleHOG(BaseModule):
    """HOG targets for all taps (Wang et al. 2023, section 3.2; Dalal and Triggs 2005).

    Gradients and orientations are computed once; the histogram of a coarse cell is the mean of
    those of finer cells, normalised (L2 over the bins of each channel) at its own scale.

    Args:
        bins: orientations over half a turn.
        cells: side of a cell in pixels, one per tap; each a multiple of the smallest.
        offsets: per tap one (gx, gy) constant added to the gradients, as left in the Sobel filters
            of some released LocalMIM checkpoints; None, the default, for none. They are a buffer
            of the module, saved and loaded with the weights, and cost a pass per tap.
    """

    def __init__(
        self,
        bins: int = 9,
        cells: Sequence[int] = (4, 8, 16, 32),
        offsets: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        super().__init__()
        if bins < 1 or any(cell < 1 or cell % min(cells) for cell in cells):
            raise ValueError(
                "bins must be positive and every one of cells a multiple of the smallest, got "
                f"bins={bins}, cells={tuple(cells)}"
            )
        if offsets is not None and (
            len(offsets) != len(cells) or any(len(pair) != 2 for pair in offsets)
        ):
            raise ValueError(
                f"offsets must hold one (gx, gy) pair for each of the {len(cells)} cells "
                f"{tuple(cells)}, got {offsets}"
            )
        self.bins = bins
        self.cells = tuple(cells)
        if offsets is not None:
            offsets = torch.tensor(offsets, dtype=torch.float64)
        self.register_buffer("offsets", offsets)

    def maps(self, channels: int) -> tuple[TargetMap, ...]:
        """What is made of images with so many channels, one map per tap."""
        return tuple(TargetMap(channels * self.bins, cell) for cell in self.cells)

    def draw(self, maps: Tensor, tap: int, images: Tensor, show: Show) -> list[np.ndarray]:
        """Pictures of maps: strokes along the contours."""
        cell_pixels = max(12, 384 // min(maps.shape[2:]))
        return [draw_hog(x, self.bins, cell_pixels) for x in maps]

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Describe normalised images (B, C, H, W), each channel by itself.

        Returns:
            Per tap (B, C * bins, H / cell, W / cell), colour-major: the bins of the first channel,
            then those of the second, and so on. Each channel's histogram has unit length, or is
            zero where the cell is flat.
        """
        gx, gy = sobel(float_images(images, self.cells))
        if self.offsets is not None:
            return tuple(
                self._normalized(cell_histograms(gx + dx, gy + dy, self.bins, cell))
                for cell, (dx, dy) in zip(self.cells, self.offsets, strict=True)
            )
        finest = min(self.cells)
        histograms = {finest: cell_histograms(gx, gy, self.bins, finest)}
        for cell in sorted({*self.cells} - {finest}):
            nearest = max(finer for finer in histograms if cell % finer == 0)
            histograms[cell] = coarser(histograms[nearest], cell // nearest)
        return tuple(self._normalized(histograms[cell]) for cell in self.cells)

    @staticmethod
    def _normalized(histogram: Tensor) -> Tensor:
        """Unit length over the bins, which move to the channels."""
        histogram = F.normalize(histogram, dim=-1, eps=1e-12)
        return histogram.permute(0, 1, 4, 2, 3).flatten(1, 2)
