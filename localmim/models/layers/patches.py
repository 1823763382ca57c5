"""Cells of images, and patch embedding of visible cells."""

import torch.nn.functional as F
from torch import Tensor, nn

from localmim.masking import PatchMask, gather_cells, nearest_multiples


def cell_in_pixels(images: Tensor, mask: PatchMask, stride: int) -> int:
    """Side of a mask's cells on images of a batch.

    Args:
        images: (B, C, H, W).
        mask: on square cells.
        stride: of the encoder's last features, which has to divide the cells.

    Raises:
        ValueError: the mask does not fit the images or the encoder.
    """
    (height, width), (rows, cols) = images.shape[2:], mask.grid
    cell = height // rows
    if (rows * cell, cols * cell) != (height, width) or cell % stride or not cell:
        near = nearest_multiples((height, width), stride)
        raise ValueError(
            f"a mask on {rows}x{cols} cells does not fit images of {height}x{width} pixels: this "
            f"encoder needs square cells of a multiple of {stride} pixels (cell_size of the mask "
            f"generator) and images of whole cells, such as {near[0]}x{near[1]}"
        )
    return cell


def embed_visible(patch_embed: nn.Module, images: Tensor, mask: PatchMask) -> Tensor:
    """Embed the patches of visible cells; hidden pixels are never read.

    A convolution whose patches do not overlap is a linear map of each patch.

    Args:
        patch_embed: mmcv's PatchEmbed with square patches of p pixels that do not overlap.
        images: (B, C, Gh * s * p, Gw * s * p).
        mask: on a grid of (Gh, Gw) cells, K of them visible.

    Returns:
        (B, K * s * s, embed_dims), cell-major.
    """
    projection = patch_embed.projection
    patch = projection.kernel_size[0]
    side = images.shape[2] // (mask.grid[0] * patch)
    pixels = gather_cells(images, mask).view(*mask.visible.shape, side, patch, side, patch, -1)
    patches = pixels.transpose(3, 4).flatten(4).flatten(1, 3)
    weight = projection.weight.permute(0, 2, 3, 1).flatten(1)
    x = F.linear(patches, weight, projection.bias)
    return x if patch_embed.norm is None else patch_embed.norm(x)
