"""Convolutional networks on visible cells, with dense convolutions only.

The features of visible cells are *packed*: (B, C, K * s * s, 1), channels-last in memory, the
positions cell-major. What works on each position by itself (1x1 convolutions, norms, activations)
works on a packed map as it is, and a batch norm has the statistics of what is visible. What looks
at neighbours sees a dense map that is zero where cells are hidden, and of its result the visible
part is kept: a submanifold sparse convolution, as in SparK (Tian et al. 2023), without its library.
"""

import torch
from torch import Tensor, nn

from localmim.masking import PatchMask, positions_per_side, visible_positions

from .rows import PutRows, TakeRows


class VisibleCells:
    """Moves features between dense and packed maps for one mask.

    Args:
        mask: on a grid of (Gh, Gw) cells, K of them visible.
    """

    def __init__(self, mask: PatchMask) -> None:
        self.mask = mask
        self._rows: dict[int, Tensor] = {}

    def pack(self, dense: Tensor) -> Tensor:
        """(B, C, Gh * s, Gw * s) -> (B, C, K * s * s, 1)."""
        side = positions_per_side(tuple(dense.shape[2:]), self.mask)
        rows = TakeRows.apply(dense.permute(0, 2, 3, 1).flatten(0, 2), self._rows_of(side))
        return rows.view(len(dense), -1, 1, dense.shape[1]).permute(0, 3, 1, 2)

    def unpack(self, packed: Tensor) -> Tensor:
        """(B, C, K * s * s, 1) -> (B, C, Gh * s, Gw * s), zero where cells are hidden."""
        batch, channels, length, _ = packed.shape
        side = round((length // self.mask.visible.shape[1]) ** 0.5)
        height, width = (cells * side for cells in self.mask.grid)
        rows = packed.permute(0, 2, 3, 1).reshape(-1, channels)
        dense = PutRows.apply(rows, self._rows_of(side), batch * height * width)
        return dense.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _rows_of(self, side: int) -> Tensor:
        """(B * K * s * s,) long: the visible positions, cell-major, among all of the batch."""
        if side not in self._rows:
            places, (rows, cols) = visible_positions(self.mask, side), self.mask.grid
            image = torch.arange(len(places), device=places.device)[:, None]
            self._rows[side] = (image * (rows * side * cols * side) + places).flatten()
        return self._rows[side]


def tokens_of(packed: Tensor) -> Tensor:
    """(B, C, K * s * s, 1) -> (B, K * s * s, C)."""
    return packed.squeeze(3).transpose(1, 2)


def hide_pixels(images: Tensor, mask: PatchMask) -> Tensor:
    """Images (B, C, H, W) whose hidden pixels are zero."""
    hidden = mask.hidden_at(tuple(images.shape[2:]))
    return torch.where(hidden.unsqueeze(1), 0.0, images)


def run_visible(layer: nn.Module, x: Tensor, cells: VisibleCells) -> Tensor:
    """Apply a layer to a packed map.

    Args:
        layer: a convolution, a pooling, a norm, or nn.Sequential of them.
        x: (B, C, K * s * s, 1).
        cells: of the mask with K visible cells.

    Returns:
        A packed map, with s divided by the layer's stride.
    """
    if isinstance(layer, nn.Sequential):
        for part in layer:
            x = run_visible(part, x, cells)
        return x
    sizes = [getattr(layer, name, 1) for name in ("kernel_size", "stride")]
    if all(size in (1, (1, 1)) for size in sizes):
        return layer(x)
    return cells.pack(layer(cells.unpack(x)))
