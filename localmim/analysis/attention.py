"""What the attention of a layer does, head by head.

Everything is about patches: attention among them, without class tokens, each query's shares adding
up to 1. In a Swin patches attend within windows, and so a window is what is measured.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Attention:
    """The attention of one layer on some images.

    Attributes:
        shares: (B, W, heads, n, n): within each of W windows, row q has the shares of the keys of
            patch q. A ViT has one window with all patches.
        places: (W, n) long: which patches they are, in row-major order of the grid.
        grid: rows and columns of patches.
        stride: side of a patch in pixels.
    """

    shares: Tensor
    places: Tensor
    grid: tuple[int, int]
    stride: int

    @property
    def points(self) -> Tensor:
        """Where the patches lie, (W, n, 2): row and column in pixels."""
        rows, cols = self.places // self.grid[1], self.places % self.grid[1]
        return torch.stack([rows, cols], -1).float() * self.stride

    def of_patch(self, row: int, col: int) -> Tensor:
        """What one patch attends to, the mean of the heads: (B, rows, cols)."""
        window, query = (self.places == row * self.grid[1] + col).nonzero()[0].tolist()
        found = self.shares.new_zeros(len(self.shares), self.grid[0] * self.grid[1])
        found[:, self.places[window]] = self.shares[:, window, :, query].mean(1)
        return found.view(-1, *self.grid)

    def measures(self) -> dict[str, Tensor]:
        """For each image and head, (B, heads), the mean over windows:

        - "nmi": see :func:`normalized_mutual_information`;
        - "distance" in pixels: see :func:`attention_distance`;
        - "entropy" in nats: see :func:`attention_entropy`.

        Shifted windows at the border are put together of pieces that do not see each other, which
        alone lets keys tell of queries; they are left out.
        """
        points = self.points
        sides = (points.amax(1) - points.amin(1)) / self.stride + 1
        whole = sides.prod(-1) == self.places.shape[1]
        shares, points = self.shares[:, whole], points[whole][:, None]
        return {
            "nmi": normalized_mutual_information(shares).mean(1),
            "distance": attention_distance(shares, points).mean(1),
            "entropy": attention_entropy(shares).mean(1),
        }


def normalized_mutual_information(attention: Tensor) -> Tensor:
    """How much a key says of the query that attends to it, from 0 to 1.

    I(q, k) / sqrt(H(q) H(k)), with queries equally likely and p(k | q) the attention (Park et al.
    2023, "What do self-supervised Vision Transformers learn?", section 2). 0 where all queries
    attend alike, 1 where each has keys of its own, as in a permutation.

    Args:
        attention: (..., N, N), rows add up to 1.

    Returns:
        (...).
    """
    attention = attention.double()
    count = attention.shape[-2]
    keys = attention.mean(-2)
    of_keys = _entropy(keys)
    information = of_keys - _entropy(attention).mean(-1)
    of_queries = torch.tensor(float(count), dtype=torch.double, device=attention.device).log()
    return information.clamp_min(0) / (of_queries * of_keys).sqrt().clamp_min(1e-12)


def attention_entropy(attention: Tensor) -> Tensor:
    """Mean entropy of the queries' shares in nats, 0 to log N: (..., N, N) -> (...)."""
    return _entropy(attention.double()).mean(-1)


def attention_distance(attention: Tensor, points: Tensor) -> Tensor:
    """Mean distance to what is attended to (Dosovitskiy et al. 2021, figure 7).

    Args:
        attention: (..., N, N).
        points: (..., N, 2), where the N lie, in pixels.

    Returns:
        (...), in pixels.
    """
    return (attention * torch.cdist(points, points)).sum(-1).mean(-1)


def _entropy(shares: Tensor) -> Tensor:
    return torch.special.entr(shares).sum(-1)
