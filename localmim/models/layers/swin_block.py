"""The blocks and patch mergings of mmpretrain's Swin on visible tokens.

The modules and their weights are the parent's; what they compute on is what is visible.
"""

import torch.nn.functional as F
from mmpretrain.models.backbones.swin_transformer import SwinBlock
from torch import Tensor, nn

from .window_groups import WindowGroups


class SparseSwinBlock(SwinBlock):
    """mmpretrain's block, whose attention can be within groups of visible tokens."""

    def forward(self, x: Tensor, place: WindowGroups | tuple[int, int]) -> Tensor:
        """What the parent gives for (B, H * W, C) at ``place`` (H, W), or for groups.

        Args:
            x: (B, T, C), visible tokens.
            place: the plan of their attention.

        Returns:
            As x.
        """
        if not isinstance(place, WindowGroups):
            return super().forward(x, place)
        x = x + self.attn.drop(grouped_attention(self.attn.w_msa, self.norm1(x), place))
        return self.ffn(self.norm2(x), identity=x)


def grouped_attention(msa: nn.Module, x: Tensor, groups: WindowGroups) -> Tensor:
    """mmpretrain's WindowMSA within groups.

    Args:
        msa: with the table of relative position biases.
        x: (B, T, C), visible tokens.
        groups: a plan for the T tokens of one image, which all share, or for all B * T.
    """
    num_groups, size = groups.tokens.shape
    heads = msa.num_heads
    qkv = msa.qkv(x).view(-1, len(groups.slots), 3, heads, x.shape[-1] // heads)
    # (3, B, heads, groups * size, C / heads), so that a group of a head is a head to attention.
    qkv = qkv.permute(2, 0, 3, 1, 4).index_select(3, groups.tokens.flatten())
    query, key, value = qkv.unflatten(3, (num_groups, size)).flatten(2, 3)
    table = F.pad(msa.relative_position_bias_table.t(), (0, 1), value=float("-inf"))
    bias = table.index_select(1, groups.offsets.flatten()).view(1, -1, size, size)
    dropout = msa.attn_drop.p if msa.training else 0.0
    out = F.scaled_dot_product_attention(query, key, value, bias, dropout, scale=msa.scale)
    out = out.unflatten(1, (heads, num_groups)).flatten(2, 3).transpose(1, 2)
    out = out.index_select(1, groups.slots).reshape(x.shape)
    return msa.proj_drop(msa.proj(out))


def merge_in_cells(merging: nn.Module, x: Tensor, side: int) -> Tensor:
    """mmcv's PatchMerging on visible tokens.

    The four children are concatenated channel-major, as ``nn.Unfold`` does: the values of one
    channel at (0, 0), (0, 1), (1, 0) and (1, 1), then those of the next. The released LocalMIM
    concatenates child by child, row by row; the original Swin child by child, column by column.

    Args:
        merging: with its norm and reduction.
        x: (B, K * side * side, C), cell-major.
        side: tokens along a side of a cell, even.

    Returns:
        (B, K * side * side / 4, merging.out_channels).
    """
    batch, _, channels = x.shape
    x = x.view(batch, -1, side // 2, 2, side // 2, 2, channels).permute(0, 1, 2, 4, 6, 3, 5)
    return merging.reduction(merging.norm(x.reshape(batch, -1, 4 * channels)))
