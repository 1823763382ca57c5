"""Mask generators: images (B, C, H, W) -> PatchMask."""

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask, nearest_multiples


@MODELS.register_module()
class RandomMasking(BaseModule):
    """Hide a random part of the cells of each image, uniformly.

    As in MAE (He et al. 2022, section 3) and LocalMIM (Wang et al. 2023, section 3.1): every cell
    draws uniform noise and the ones with the least stay visible. The noise is
    drawn on the CPU: the same seed gives the same masks on every device, and what depends on the
    mask alone can be planned without waiting for the device.

    Args:
        cell_size: side of a cell in pixels; a model gives its backbone's unless the config has one.
        ratio: hidden part of the cells, in (0, 1).
        shared: one mask for all images of a batch on a device, as GreenMIM (Huang et al. 2022) and
            LocalMIM do on a Swin, instead of one for each image.
        rounding: which way the number of hidden cells is rounded: "up", so that
            ``int(cells * (1 - ratio))`` stay visible, as in MAE, LocalMIM and A2MIM, or "down", so
            that ``int(cells * ratio)`` are hidden, as in LoMaR.
    """

    def __init__(
        self,
        cell_size: int,
        ratio: float = 0.75,
        shared: bool = False,
        rounding: str = "up",
    ) -> None:
        super().__init__()
        if rounding not in ("up", "down"):
            raise ValueError(
                f'rounding of the number of hidden cells must be "up" or "down", got {rounding!r}'
            )
        if not 0 < ratio < 1:
            raise ValueError(
                f"ratio, the hidden part of the cells, must lie in (0, 1), got {ratio}"
            )
        self.cell_size = cell_size
        self.ratio = ratio
        self.shared = shared
        self.rounding = rounding

    def forward(self, images: Tensor) -> PatchMask:
        """Draw the mask of a batch of images (B, C, H, W).

        Raises:
            ValueError: H or W is no multiple of the cell, or the grid has too few cells to hide
                some and keep some.
        """
        batch, _, height, width = images.shape
        rows, cols = self.grid(height, width)
        num_visible = self.count_visible(rows * cols)
        if not 1 <= num_visible < rows * cols:
            raise ValueError(
                f"ratio {self.ratio} leaves {num_visible} of {rows}x{cols} cells visible; at least "
                "one must be visible and one hidden: take larger images, smaller cells or another "
                "ratio"
            )
        scores = self.scores(1 if self.shared else batch, rows, cols)
        return PatchMask.from_scores(scores, num_visible).spread(batch, images.device)

    def scores(self, count: int, rows: int, cols: int) -> Tensor:
        """Uniform noise on the CPU, (count, rows, cols): the cells with the least stay visible.

        A generator that prefers other masks gives other scores.
        """
        return torch.rand(count, rows, cols)

    def count_visible(self, cells: int) -> int:
        """How many of an image's cells stay visible."""
        # The small constant keeps e.g. 10 * (1 - 0.9) from becoming 0 by floating point.
        if self.rounding == "up":
            return int(cells * (1 - self.ratio) + 1e-6)
        return cells - int(cells * self.ratio + 1e-6)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of cells of an image; ValueError where it does not divide."""
        cell = self.cell_size
        if height % cell or width % cell or not height or not width:
            near = nearest_multiples((height, width), cell)
            raise ValueError(
                f"images of {height}x{width} pixels do not divide into cells of {cell}x{cell}; "
                f"the nearest size that does is {near[0]}x{near[1]} (set the crop in the pipeline)"
            )
        return height // cell, width // cell
