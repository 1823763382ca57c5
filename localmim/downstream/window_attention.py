"""Attention on a map: within windows or over all of it, with decomposed relative positions."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn


def cut_windows(x: Tensor, window: tuple[int, int]) -> Tensor:
    """Cut a map into windows that do not overlap.

    Args:
        x: (B, H, W, C).
        window: (height, width) of a window. The map is padded with zeros at the bottom and the
            right to a multiple of it.

    Returns:
        (B * rows * cols, height * width, C), row-major, the windows of an image together.
    """
    (height, width), channels = window, x.shape[3]
    x = F.pad(x, (0, 0, 0, -x.shape[2] % width, 0, -x.shape[1] % height))
    x = x.unflatten(2, (-1, width)).unflatten(1, (-1, height)).transpose(2, 3)
    return x.reshape(-1, height * width, channels)


def join_windows(x: Tensor, window: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Undo :func:`cut_windows` for a map of ``grid`` (H, W): (B, H, W, C)."""
    rows, cols = (-(-n // side) for n, side in zip(grid, window, strict=True))
    x = x.unflatten(1, window).unflatten(0, (-1, rows, cols))
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return x[:, : grid[0], : grid[1]]


def relative_embeddings(table: Tensor, length: int) -> Tensor:
    """Look up the embedding of every distance along one axis.

    Args:
        table: (2 * N - 1, C), the embeddings of the distances -(N - 1) to N - 1.
        length: tokens along the axis. If it is not N, the table is interpolated linearly to that
            length, as in MViTv2 (Li et al. 2022).

    Returns:
        (length, length, C); entry (q, k) is that of the distance q - k.
    """
    if len(table) != 2 * length - 1:
        resized = F.interpolate(table.T[None].float(), size=2 * length - 1, mode="linear")
        table = resized[0].T.to(table)
    place = torch.arange(length, device=table.device)
    return table[place[:, None] - place[None, :] + length - 1]


class WindowAttention(BaseModule):
    """Self-attention of the tokens of a map, on a dense attention's own layers.

    To the logit of query q = (i, j) and key (k, l) is added q . R_h[i - k] + q . R_w[j - l], the
    decomposed relative positions of MViTv2 (Li et al. 2022), shared by the heads. The tables start
    at zero, where the attention is the plain one.

    Windows reach over the border of a map that they do not divide. What lies outside takes no part
    in the attention. (Li et al. pad with zeros there, which take part as keys and values.)

    Args:
        dense: the attention whose projections and drop rates are taken over, under their names.
        table_grid: (rows, columns) for which the tables are laid out.
        window: side of the windows in tokens, or None for attention over the whole map.
    """

    def __init__(
        self, dense: MultiheadAttention, table_grid: tuple[int, int], window: int | None
    ) -> None:
        super().__init__()
        self.num_heads, self.window, self.attn_drop = dense.num_heads, window, dense.attn_drop
        self.qkv, self.proj, self.proj_drop = dense.qkv, dense.proj, dense.proj_drop
        self.gamma1, self.out_drop = dense.gamma1, dense.out_drop
        rows, cols = table_grid
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * rows - 1, dense.head_dims))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * cols - 1, dense.head_dims))

    def forward(self, x: Tensor) -> Tensor:
        """Attend: (B, H, W, C) to the same shape."""
        grid = tuple(x.shape[1:3])
        window = grid if self.window is None else (self.window, self.window)
        qkv = cut_windows(self.qkv(x), window).unflatten(2, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        bias = self._relative_bias(query, window)
        if any(n % side for n, side in zip(grid, window, strict=True)):
            inside = cut_windows(x.new_ones(1, *grid, 1), window).bool()  # (windows, T, 1)
            bias = bias.unflatten(0, (-1, len(inside)))
            bias = bias.masked_fill(~inside[:, None].mT, -torch.inf).flatten(0, 1)
        out = F.scaled_dot_product_attention(
            query, key, value, bias, dropout_p=self.attn_drop if self.training else 0.0
        )
        out = self.proj(join_windows(out.transpose(1, 2).flatten(2), window, grid))
        return self.out_drop(self.gamma1(self.proj_drop(out)))

    def _relative_bias(self, query: Tensor, window: tuple[int, int]) -> Tensor:
        """The bias of every pair of tokens: (N, heads, T, d) to (N, heads, T, T)."""
        query = query.unflatten(2, window)
        of_rows = relative_embeddings(self.rel_pos_h, window[0])
        of_cols = relative_embeddings(self.rel_pos_w, window[1])
        rows = torch.einsum("nhijd,ikd->nhijk", query, of_rows)
        cols = torch.einsum("nhijd,jld->nhijl", query, of_cols)
        return (rows[..., :, None] + cols[..., None, :]).flatten(4, 5).flatten(2, 3)
