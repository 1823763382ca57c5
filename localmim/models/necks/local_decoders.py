"""One small decoder per tap."""

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule, ModuleList, Sequential
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import LayerNorm2d
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.masking import PatchMask, scatter_cells
from localmim.models.layers import init_linear_and_norm, sincos_positions
from localmim.wiring import Tap, TargetMap


def _rescaling(stride: int, target_stride: int, channels: int) -> tuple[nn.Sequential, int]:
    """Layers that bring a map from one stride to another, and the channels they leave.

    The map grows or shrinks by a power of two. Enlarging halves the channels at each transposed
    convolution of 2x2, with a norm over channels and GELU between two of them; shrinking averages.
    """
    scale = stride / target_stride
    if not math.log2(scale).is_integer():
        raise ValueError(
            f"a tap of stride {stride} (out_indices, merges) predicts targets of that stride, or "
            f"finer or coarser ones by a power of two, not {target_stride} (cells or patch_sizes)"
        )
    if scale < 1:
        return nn.Sequential(nn.AvgPool2d(round(1 / scale))), channels
    layers: list[nn.Module] = []
    for step in range(int(math.log2(scale))):
        if step:
            layers += [LayerNorm2d(channels, eps=1e-6), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
    return nn.Sequential(*layers), channels


class LocalDecoder(BaseModule):
    """Predict one target map from the features of one tap.

    Linear embedding (of squares of tokens), mask tokens at hidden cells, fixed sine-cosine
    positions, pre-norm Transformer blocks, norm, rescaling (nothing at scale 1), 1x1 convolution
    (Wang et al. 2023, section 3.2 and its appendix).

    Args:
        tap: visible tokens of C channels.
        target: of D channels.
        embed_dims: width of the decoder.
        depth: number of Transformer blocks.
        num_heads: attention heads.
        mlp_ratio: hidden width of the blocks' MLPs relative to ``embed_dims``.
        merge: side of the squares of tokens that are embedded as one.
    """

    def __init__(
        self,
        tap: Tap,
        target: TargetMap,
        embed_dims: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float,
        merge: int,
    ) -> None:
        super().__init__()
        if tap.dense:
            raise ValueError(
                "LocalDecoders take visible tokens, but the backbone's taps are whole maps with "
                "the hidden part in them: they need LinearDecoder"
            )
        if merge > 1 and tap.extra_tokens:
            raise ValueError(
                f"merges of {merge} are for taps without extra tokens, but the backbone's have "
                f"{tap.extra_tokens} (its class token)"
            )
        if embed_dims % 4 or embed_dims % num_heads:
            raise ValueError(
                f"embed_dims {embed_dims} must be a multiple of 4 (sine-cosine positions) and of "
                f"num_heads {num_heads}"
            )
        self.num_extra_tokens = tap.extra_tokens
        self.merge = merge
        self.input_norm = nn.Identity() if tap.normalized else nn.LayerNorm(tap.channels, eps=1e-6)
        self.embed = nn.Linear(tap.channels * merge**2, embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.blocks = Sequential(
            *(
                TransformerEncoderLayer(
                    embed_dims,
                    num_heads,
                    int(embed_dims * mlp_ratio),
                    norm_cfg=dict(type="LN", eps=1e-6),
                )
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.rescale, channels = _rescaling(tap.stride * merge, target.stride, embed_dims)
        self.pred = nn.Conv2d(channels, target.channels, 1)

    def init_weights(self) -> None:
        """Initialise as MAE's decoder; convolutions keep torch's default."""
        super().init_weights()
        init_linear_and_norm(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, feature: Tensor, mask: PatchMask, positions: Tensor) -> Tensor:
        """Predict the target of one tap.

        Args:
            feature: (B, P + K * s * s, C), P extra tokens first.
            mask: with K visible cells.
            positions: (h * w, embed_dims) of the tap's dense grid, merged.

        Returns:
            (B, D, H / stride, W / stride) of the target.
        """
        num_extra = self.num_extra_tokens
        x = self.embed(_merge_in_cells(self.input_norm(feature), mask, self.merge))
        dense = scatter_cells(x[:, num_extra:], mask, self.mask_token.flatten())
        tokens = dense.flatten(2).transpose(1, 2) + positions.to(x.dtype)
        tokens = self.blocks(torch.cat([x[:, :num_extra], tokens], dim=1))
        tokens = self.norm(tokens[:, num_extra:])
        return self.pred(self.rescale(tokens.transpose(1, 2).unflatten(2, dense.shape[2:])))


def _merge_in_cells(x: Tensor, mask: PatchMask, merge: int) -> Tensor:
    """(B, K * s * s, C), cell-major -> (B, K * s * s / m^2, m * m * C), squares row by row."""
    if merge == 1:
        return x
    batch, length, channels = x.shape
    count = mask.visible.shape[1]
    side = math.isqrt(length // count)
    if side % merge:
        raise ValueError(
            f"merges of {merge} do not divide the {side}x{side} positions of a cell: take larger "
            "cells (cell_size of the mask generator) or a smaller merge"
        )
    x = x.view(batch, count, side // merge, merge, side // merge, merge, channels).transpose(3, 4)
    return x.reshape(batch, length // merge**2, merge**2 * channels)


@MODELS.register_module()
class LocalDecoders(BaseModule):
    """The neck of local multi-scale reconstruction: one :class:`LocalDecoder` per tap.

    What connects a tap with its target follows from both: widths, rescaling, class tokens, and a
    LayerNorm of the decoder's own where the backbone has not normalised the tap. A config holds
    choices only, each one value for all taps or a sequence with one per tap. The defaults are
    LocalMIM's on a ViT (Wang et al. 2023, appendix); on a Swin it has widths 64, 128, 128 and 128
    and 4 heads.

    Args:
        taps: of the backbone; the model gives them.
        maps: of the target generator, one per tap; the model gives them.
        embed_dims: width of the decoders.
        depth: Transformer blocks of a decoder.
        num_heads: attention heads.
        mlp_ratio: hidden width of MLPs relative to ``embed_dims``.
        merges: side of the squares of a tap's tokens that are embedded as one, which the decoder's
            cost falls with. For the fine taps of a CNN.
    """

    def __init__(
        self,
        taps: Sequence[Tap],
        maps: Sequence[TargetMap],
        embed_dims: int | Sequence[int] = 256,
        depth: int | Sequence[int] = 1,
        num_heads: int | Sequence[int] = 8,
        mlp_ratio: float | Sequence[float] = 4.0,
        merges: int | Sequence[int] = 1,
    ) -> None:
        super().__init__()
        choices = zip(
            _per_tap("embed_dims", embed_dims, len(taps)),
            _per_tap("depth", depth, len(taps)),
            _per_tap("num_heads", num_heads, len(taps)),
            _per_tap("mlp_ratio", mlp_ratio, len(taps)),
            _per_tap("merges", merges, len(taps)),
            strict=True,
        )
        # mmengine's list, unlike torch's, passes init_weights() on.
        self.decoders = ModuleList(
            LocalDecoder(tap, target, *chosen)
            for tap, target, chosen in zip(taps, maps, choices, strict=True)
        )

    def init_weights(self) -> None:
        """Initialise as the decoders' papers do.

        Where no decoder rescales (MAE, LocalMIM on a Swin) the predictions are linear layers and
        start as such; next to convolutions (LocalMIM on a ViT) they keep torch's default.
        """
        super().init_weights()
        if not any(len(decoder.rescale) for decoder in self.decoders):
            for decoder in self.decoders:
                nn.init.xavier_uniform_(decoder.pred.weight.flatten(1))
                nn.init.zeros_(decoder.pred.bias)

    def forward(self, features: Sequence[Tensor], mask: PatchMask) -> tuple[Tensor, ...]:
        """Predict the targets of all taps.

        Args:
            features: per tap (B, P + K * s * s, C), where s is the tap's positions along a side
                of a cell.
            mask: with K visible cells on (Gh, Gw).

        Returns:
            Per tap (B, D, H / stride, W / stride) of its target.
        """
        layouts: dict[tuple[tuple[int, int], int], Tensor] = {}
        predictions = []
        for decoder, feature in zip(self.decoders, features, strict=True):
            tokens = feature.shape[1] - decoder.num_extra_tokens
            side = math.isqrt(tokens // mask.visible.shape[1]) // decoder.merge
            grid, width = (mask.grid[0] * side, mask.grid[1] * side), decoder.embed.out_features
            if (grid, width) not in layouts:
                layouts[grid, width] = sincos_positions(grid, width, feature.device)
            predictions.append(decoder(feature, mask, layouts[grid, width]))
        return tuple(predictions)


def _per_tap(name: str, value, taps: int) -> tuple:
    """Spread one value over the taps, or check that a sequence has one value per tap."""
    if not isinstance(value, (tuple, list)):
        return (value,) * taps
    if len(value) != taps:
        raise ValueError(f"{name} has {len(value)} values for {taps} taps of the backbone: {value}")
    return tuple(value)
