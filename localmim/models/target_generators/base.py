"""What target generators share."""

from collections.abc import Sequence

import torch
from torch import Tensor


def float_images(images: Tensor, cells: Sequence[int]) -> Tensor:
    """Images in at least single precision, checked to divide into all cells.

    Args:
        images: (B, C, H, W).
        cells: sides of the targets' cells in pixels.
    """
    height, width = images.shape[2:]
    for cell in cells:
        if height % cell or width % cell:
            raise ValueError(
                f"images of {height}x{width} pixels do not divide into the target's cells of "
                f"{cell}x{cell}: both sides must be multiples of all of {tuple(cells)}"
            )
    return images.to(torch.promote_types(images.dtype, torch.float32))
