"""Image relative position encoding: contextual, product method, on keys."""

import math

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn

# Distances up to ALPHA have an index of their own, farther ones share logarithmically larger
# ranges, all from GAMMA on the index int(BETA) (Wu et al. 2021, equation 18, ratio 1.9).
ALPHA, BETA, GAMMA = 1.9, 3.8, 15.2
REACH = int(BETA)
NUM_BUCKETS = (2 * REACH + 1) ** 2 + 1  # the last one for pairs with the class token


def distance_index(distance: Tensor) -> Tensor:
    """The piecewise index of signed distances in patches.

    Args:
        distance: any shape, integers.

    Returns:
        The same shape, long in [-3, 3].
    """
    near = distance.double()
    ratio = math.log(GAMMA / ALPHA)
    far = ALPHA + (near.abs().clamp(min=1) / ALPHA).log() / ratio * (BETA - ALPHA)
    far = near.sign() * far.round().clamp(max=BETA)
    return torch.where(near.abs() <= ALPHA, near, far).trunc().long()


def relative_buckets(grid: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Which entry of a table each query uses for each key.

    Args:
        grid: rows and columns of patches, any.
        device: of the result.

    Returns:
        (1 + rows * cols, 1 + rows * cols) long: query by key, the class token first.
    """
    rows, cols = (
        distance_index(torch.arange(n, device=device)[:, None] - torch.arange(n, device=device))
        + REACH
        for n in grid
    )
    buckets = rows[:, None, :, None] * (2 * REACH + 1) + cols[None, :, None, :]
    return F.pad(buckets.flatten(2).flatten(0, 1), (1, 0, 1, 0), value=NUM_BUCKETS - 1)


class IRPE(BaseModule):
    """A table of relative positions that queries are compared with as with keys.

    Args:
        head_dims: width of a head.
    """

    def __init__(self, head_dims: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, head_dims, NUM_BUCKETS))

    def forward(self, query: Tensor, buckets: Tensor) -> Tensor:
        """What is added to the scaled attention logits.

        Every query is compared with the 50 entries once, whatever the number of keys.

        Args:
            query: (B, heads, N, head_dims), not scaled.
            buckets: (N, N) long.

        Returns:
            (B, heads, N, N).
        """
        by_bucket = query @ self.table
        return by_bucket.gather(-1, buckets.expand(*query.shape[:2], -1, -1))


class IRPELayer(TransformerEncoderLayer):
    """mmpretrain's layer whose attention has an :class:`IRPE` (``attn.irpe``)."""

    def forward(self, x: Tensor, buckets: Tensor) -> Tensor:
        """Attend with relative positions.

        Args:
            x: (B, N, embed_dims), the class token first.
            buckets: (N, N) long, see :func:`relative_buckets`.

        Returns:
            (B, N, embed_dims).
        """
        x = x + irpe_attention(self.attn, self.ln1(x), buckets)
        return self.ffn(self.ln2(x), identity=x)


def irpe_attention(attn: nn.Module, x: Tensor, buckets: Tensor) -> Tensor:
    """mmpretrain's MultiheadAttention with relative positions.

    The bias is the only tensor with a value for each pair of tokens beside what fused attention
    needs.
    """
    qkv = attn.qkv(x).unflatten(2, (3, attn.num_heads, attn.head_dims))
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    bias = attn.irpe(query, buckets)
    dropout = attn.attn_drop if attn.training else 0.0
    out = F.scaled_dot_product_attention(query, key, value, bias, dropout)
    out = attn.proj_drop(attn.proj(out.transpose(1, 2).flatten(2)))
    return attn.out_drop(attn.gamma1(out))
