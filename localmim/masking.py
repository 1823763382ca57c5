"""Which cells of an image are hidden, and how features move between dense maps and visible tokens.

Everything here is a pure function of tensors: no model, no state, and no synchronisation with the
device unless the docstring says so.

An image is divided into a grid of square *cells*. A cell holds ``s * s`` feature positions, where
``s`` depends on the stride of the feature map (a ViT whose patches are the cells has ``s = 1``).
Visible tokens are kept *cell-major*: all positions of the first visible cell in row-major order,
then those of the next one. Merging 2x2 neighbours is then a reshape inside a cell, and one mask
serves every scale.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def nearest_multiples(size: tuple[int, int], unit: int) -> tuple[int, int]:
    """The nearest height and width that are positive multiples of a unit."""
    height, width = (max(round(length / unit), 1) * unit for length in size)
    return height, width


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor on the CPU to a device without waiting for the device."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@dataclass(frozen=True)
class PatchMask:
    """The mask of one batch, shared by every scale.

    Attributes:
        hidden: (B, Gh, Gw) bool, True where the cell is hidden and has to be reconstructed.
        visible: (B, K) long, the row-major numbers of the visible cells in ascending order. Every
            image has the same K.
        drawn: the mask as it was drawn on the CPU, if it was: (M, Gh, Gw) bool like ``hidden``,
            where M is B or, for one mask shared by all images, 1.
    """

    hidden: Tensor
    visible: Tensor
    drawn: Tensor | None = None

    @classmethod
    def from_scores(cls, scores: Tensor, num_visible: int) -> "PatchMask":
        """Keep the ``num_visible`` cells of each image that have the smallest scores.

        Args:
            scores: (B, Gh, Gw) float.
            num_visible: number of visible cells of an image, in [1, Gh * Gw - 1].
        """
        cells = scores[0].numel()
        if not 1 <= num_visible < cells:
            raise ValueError(
                f"num_visible must lie in [1, {cells - 1}] on a grid of "
                f"{scores.shape[1]}x{scores.shape[2]} cells, got {num_visible}"
            )
        visible = scores.flatten(1).argsort(dim=1, stable=True)[:, :num_visible].sort().values
        hidden = torch.ones_like(scores, dtype=torch.bool).flatten(1)
        hidden = hidden.scatter(1, visible, False)
        return cls(hidden.view_as(scores), visible)

    @classmethod
    def from_hidden(cls, hidden: Tensor) -> "PatchMask":
        """Make a mask from a given map; waits for the device to count the visible cells.

        Args:
            hidden: (B, Gh, Gw) bool. Every image must have the same number of visible cells;
                none may be hidden altogether, all may be visible.
        """
        counts = (~hidden).flatten(1).sum(1).tolist()
        if len(set(counts)) != 1 or counts[0] == 0:
            raise ValueError(
                "hidden must leave the same number of cells, at least one, visible in every image; "
                f"visible cells per image: {counts}"
            )
        visible = (~hidden).flatten(1).nonzero()[:, 1].view(len(hidden), -1)
        return cls(hidden, visible)

    def spread(self, batch_size: int, device: torch.device) -> "PatchMask":
        """Bring a mask drawn on the CPU to a batch on a device, without waiting for the device.

        Args:
            batch_size: B. The mask is that of B images, or of one, which all of them share then.
            device: where the images are.
        """
        return PatchMask(
            send(self.hidden, device).expand(batch_size, -1, -1),
            send(self.visible, device).expand(batch_size, -1),
            self.hidden,
        )

    def complement(self) -> "PatchMask":
        """The mask that hides what this one shows: ``visible`` are then the hidden cells.

        For decoders that compute at hidden cells only. Does not wait for the device.
        """
        flat = self.hidden.flatten(1)
        count = flat.shape[1] - self.visible.shape[1]
        hidden_first = (~flat).byte().argsort(dim=1, stable=True)
        drawn = None if self.drawn is None else ~self.drawn
        return PatchMask(~self.hidden, hidden_first[:, :count], drawn)

    def on_cpu(self) -> Tensor:
        """``drawn``, or a copy of ``hidden`` on the CPU, which waits for the device.

        What depends on the mask alone (which tokens share a window) is planned there.
        """
        return self.hidden.cpu() if self.drawn is None else self.drawn

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return tuple(self.hidden.shape[1:])

    def hidden_at(self, size: tuple[int, int]) -> Tensor:
        """Which positions of a grid as fine as the cells, or finer, are hidden.

        Args:
            size: (h, w), a multiple of the grid of cells by the same factor along both sides.

        Returns:
            (B, h, w) bool.
        """
        factor = positions_per_side(size, self)
        return self.hidden.repeat_interleave(factor, 1).repeat_interleave(factor, 2)

    def at(self, size: tuple[int, int]) -> Tensor:
        """The hidden fraction of each position on another grid.

        Args:
            size: (h, w). Either a multiple of the grid of cells (the mask is repeated) or a
                divisor of it (the mask is averaged), by the same factor along both sides.

        Returns:
            (B, h, w) float32 in [0, 1].
        """
        (rows, cols), (h, w) = self.grid, size
        if h % rows == 0 and h * cols == w * rows:
            return self.hidden_at(size).float()
        if rows % h == 0 and h * cols == w * rows:
            return F.avg_pool2d(self.hidden.float().unsqueeze(1), rows // h).squeeze(1)
        raise ValueError(
            f"a mask on {rows}x{cols} cells has no {h}x{w} version: size must be a multiple or a "
            "divisor of the grid of cells, by the same factor along both sides"
        )


def positions_per_side(size: tuple[int, int], mask: PatchMask) -> int:
    """How many positions of a map of some (height, width) lie along one side of a cell.

    Raises:
        ValueError: the map does not divide into the mask's cells.
    """
    (height, width), (rows, cols) = size, mask.grid
    side = height // rows
    if side == 0 or (rows * side, cols * side) != (height, width):
        raise ValueError(
            f"a map of {height}x{width} positions does not divide into {rows}x{cols} square cells"
        )
    return side


def visible_positions(mask: PatchMask, side: int) -> Tensor:
    """The row-major numbers of the visible positions of a map, cell-major.

    Args:
        mask: on a grid of (Gh, Gw) cells, K of them visible.
        side: s, positions along a side of a cell.

    Returns:
        (B, K * s * s) long, in [0, Gh * s * Gw * s).
    """
    cols, inside = mask.grid[1], torch.arange(side, device=mask.visible.device)
    row = (mask.visible // cols * side)[:, :, None, None] + inside[:, None]
    col = (mask.visible % cols * side)[:, :, None, None] + inside
    return (row * (cols * side) + col).flatten(1)


def gather_cells(x: Tensor, mask: PatchMask) -> Tensor:
    """Take the positions of visible cells out of a dense map.

    Args:
        x: (B, C, Gh * s, Gw * s), features or pixels.
        mask: on a grid of (Gh, Gw) cells.

    Returns:
        (B, K * s * s, C), cell-major.

    Raises:
        ValueError: the mask is for another grid or batch size.
    """
    batch, channels, height, width = x.shape
    if batch != len(mask.visible):
        raise ValueError(f"a mask of {len(mask.visible)} images does not fit a batch of {batch}")
    side = positions_per_side((height, width), mask)
    rows, cols = mask.grid
    cells = x.reshape(batch, channels, rows, side, cols, side).permute(0, 2, 4, 3, 5, 1)
    cells = cells.reshape(batch, rows * cols, side * side * channels)
    index = mask.visible.unsqueeze(-1).expand(-1, -1, cells.shape[-1])
    return cells.gather(1, index).view(batch, -1, channels)


def scatter_cells(tokens: Tensor, mask: PatchMask, fill: Tensor) -> Tensor:
    """Put visible tokens back to their places in a dense map.

    Args:
        tokens: (B, K * s * s, C), cell-major.
        mask: on a grid of (Gh, Gw) cells, K of them visible.
        fill: (C,), the value of every hidden position (a mask token, or zeros).

    Returns:
        (B, C, Gh * s, Gw * s), channels-last in memory.
    """
    (batch, length, channels), (rows, cols) = tokens.shape, mask.grid
    num_visible = mask.visible.shape[1]
    side = int((length // num_visible) ** 0.5)
    if side * side * num_visible != length:
        raise ValueError(
            f"{length} tokens are not a square number for each of {num_visible} visible cells"
        )
    size = side * side * channels
    index = mask.visible.unsqueeze(-1).expand(-1, -1, size)
    dense = fill.to(tokens.dtype).expand(batch, rows * cols, side * side, channels)
    dense = dense.reshape(batch, rows * cols, size)
    dense = dense.scatter(1, index, tokens.reshape(batch, num_visible, size))
    dense = dense.view(batch, rows, cols, side, side, channels).transpose(2, 3)
    return dense.reshape(batch, rows * side, cols * side, channels).permute(0, 3, 1, 2)
