"""The masked Swin by its definition: dense attention over all tokens, slow and without groups."""

import torch

from localmim.masking import PatchMask, gather_cells


def slow_forward(
    backbone: torch.nn.Module, images: torch.Tensor, mask: PatchMask
) -> list[torch.Tensor]:
    """The taps of a SparseSwin with patches of 4; hidden keys and other windows are masked out.

    Hidden tokens are computed too, and attend to themselves, but nothing sees them.
    """
    visible = 1 - mask.at((images.shape[2] // 4, images.shape[3] // 4))
    x, (rows, cols) = backbone.patch_embed(images)
    taps = []
    for number, stage in enumerate(backbone.stages):
        y, z = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
        y, z = y.flatten(), z.flatten()
        seen = visible[:, :: 2**number, :: 2**number].flatten(1).bool()
        for block in stage.blocks:
            msa, window = block.attn.w_msa, block.attn.window_size
            shift = block.attn.shift_size if min(rows, cols) > window else 0
            wy, wz = (y + window - shift) // window, (z + window - shift) // window
            together = (wy[:, None] == wy) & (wz[:, None] == wz)
            span = window - 1
            offset = (y[:, None] - y).clamp(-span, span) + span
            offset = offset * (2 * span + 1) + (z[:, None] - z).clamp(-span, span) + span
            bias = msa.relative_position_bias_table[offset].permute(2, 0, 1)
            allowed = (together & seen[:, None]) | torch.eye(len(y), dtype=torch.bool)
            qkv = msa.qkv(block.norm1(x)).unflatten(2, (3, msa.num_heads, -1))
            query, key, value = qkv.permute(2, 0, 3, 1, 4)
            scores = msa.scale * query @ key.transpose(-2, -1) + bias
            scores = scores.masked_fill(~allowed[:, None], float("-inf"))
            x = x + msa.proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
            x = block.ffn(block.norm2(x), identity=x)
        if stage.downsample is not None:
            x, (rows, cols) = stage.downsample(x, (rows, cols))
        x_map = getattr(backbone, f"norm{number}")(x).transpose(1, 2).unflatten(2, (rows, cols))
        taps.append(gather_cells(x_map, mask))
    return taps
