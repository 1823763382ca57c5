"""Fixed sine-cosine position embeddings."""

import torch
from torch import Tensor


def sincos_positions(
    grid: tuple[int, int], channels: int, device: torch.device | None = None
) -> Tensor:
    """Two-dimensional sine-cosine positions of a grid, as in MAE (He et al. 2022).

    Args:
        grid: rows and columns.
        channels: width of the embedding, a multiple of 4. The quarters are: sine and cosine of the
            column, sine and cosine of the row, with frequencies 10000^(-4k / channels).

    Returns:
        (rows * cols, channels) float32, row-major; computed in float64.
    """
    if channels % 4:
        raise ValueError(
            f"channels of a 2-D sine-cosine embedding must be a multiple of 4, got {channels}"
        )
    quarter = channels // 4
    index = torch.arange(quarter, dtype=torch.float64, device=device)
    frequency = 10000.0 ** (-index / quarter)
    row, col = (
        torch.arange(n, dtype=torch.float64, device=device)[:, None] * frequency for n in grid
    )
    rows, cols = grid
    col = torch.cat([col.sin(), col.cos()], dim=1).expand(rows, cols, 2 * quarter)
    row = torch.cat([row.sin(), row.cos()], dim=1)[:, None].expand(rows, cols, 2 * quarter)
    return torch.cat([col, row], dim=2).flatten(0, 1).float()
