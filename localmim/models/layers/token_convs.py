"""Convolutions that look at each position by itself, on tokens.

As matrix products over the last dimension they need no map, can leave positions out, and are
faster. Their weights have the names and shapes of torch's convolutions.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class EnlargeTokens(nn.ConvTranspose2d):
    """A transposed convolution of 2x2 with stride 2, which makes four tokens of each.

    Args:
        in_channels: C.
        out_channels: D.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., 4, D): upper left, upper right, lower left, lower right."""
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)
        return F.linear(x, weight, self.bias.repeat(4)).unflatten(-1, (4, -1))


class PointwiseConv(nn.Conv2d):
    """A convolution of 1x1.

    Args:
        in_channels: C.
        out_channels: D.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., D)."""
        return F.linear(x, self.weight.flatten(1), self.bias)


def lay_out_squares(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Put tokens that have been enlarged to their places.

    Args:
        tokens: (B, n * h * w, 4, ..., 4, D), a 4 for each time that they were enlarged.
        size: (h, w), of n rectangles of tokens.

    Returns:
        (B, n, h * f, w * f, D), f = 2 to the power of the number of times.
    """
    times = tokens.dim() - 3
    finer = [part for _ in range(times) for part in (2, 2)]
    x = tokens.reshape(len(tokens), -1, *size, *finer, tokens.shape[-1])
    rows, cols = range(4, 4 + 2 * times, 2), range(5, 5 + 2 * times, 2)
    x = x.permute(0, 1, 2, *rows, 3, *cols, -1)
    height, width = (side * 2**times for side in size)
    return x.reshape(len(tokens), -1, height, width, tokens.shape[-1])
