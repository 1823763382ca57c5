"""One small decoder per tap."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList, Sequential
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.masking import PatchMask, scatter_cells, visible_positions
from localmim.models.layers import (
    EnlargeTokens,
    PointwiseConv,
    QueryLayer,
    init_linear_and_norm,
    lay_out_squares,
    sincos_positions,
)
from localmim.wiring import Tap, TargetMap


def _steps_finer(stride: int, target_stride: int) -> int:
    """How often a map has to be halved in stride; negative where it becomes coarser."""
    steps = math.log2(stride / target_stride)
    if not steps.is_integer():
        raise ValueError(
            f"a tap of stride {stride} (out_indices, merges) predicts targets of that stride, or "
            f"finer or coarser ones by a power of two, not {target_stride} (cells or patch_sizes)"
        )
    return int(steps)


def _enlarging(steps: int, channels: int) -> tuple[nn.Sequential, int]:
    """Layers that make 2x2 tokens of each, several times, and the channels they leave.

    Each transposed convolution halves the channels; norm and GELU stand between two of them.
    """
    layers: list[nn.Module] = []
    for step in range(steps):
        if step:
            layers += [nn.LayerNorm(channels, eps=1e-6), nn.GELU()]
        layers.append(EnlargeTokens(channels, channels // 2))
        channels //= 2
    return nn.Sequential(*layers), channels


class LocalDecoder(BaseModule):
    """Predict one target map from the features of one tap.

    Linear embedding (of squares of tokens), mask tokens at hidden cells, fixed sine-cosine
    positions, pre-norm Transformer blocks, norm, rescaling (nothing at scale 1), 1x1 convolution
    (Wang et al. 2023, section 3.2 and its appendix). Whatever comes after the last attention looks
    at each token by itself, so it is computed where it is asked for, on tokens. (Averages, for
    coarser targets, are taken of the predictions, which is the same.)

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
                QueryLayer(
                    embed_dims,
                    num_heads,
                    int(embed_dims * mlp_ratio),
                    norm_cfg=dict(type="LN", eps=1e-6),
                )
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        steps = _steps_finer(tap.stride * merge, target.stride)
        self.average = 2 ** max(-steps, 0)
        self.rescale, channels = _enlarging(steps, embed_dims)
        self.pred = PointwiseConv(channels, target.channels)

    @property
    def rescales(self) -> bool:
        """Whether the target has another stride than the tap."""
        return self.average > 1 or len(self.rescale) > 0

    def init_weights(self) -> None:
        """Initialise as MAE's decoder; convolutions keep torch's default."""
        super().init_weights()
        init_linear_and_norm(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, feature: Tensor, mask: PatchMask, positions: Tensor, hidden: PatchMask | None = None
    ) -> Tensor:
        """Predict the target of one tap.

        Args:
            feature: (B, P + K * s * s, C), P extra tokens first.
            mask: with K visible cells.
            positions: (h * w, embed_dims) of the tap's dense grid, merged.
            hidden: the complement of the mask, to predict in hidden cells only and leave zeros
                elsewhere.

        Returns:
            (B, D, H / stride, W / stride) of the target.
        """
        num_extra = self.num_extra_tokens
        x = self.embed(_merge_in_cells(self.input_norm(feature), mask, self.merge))
        dense = scatter_cells(x[:, num_extra:], mask, self.mask_token.flatten())
        grid = dense.shape[2:]
        tokens = dense.flatten(2).transpose(1, 2) + positions.to(x.dtype)
        tokens = torch.cat([x[:, :num_extra], tokens], dim=1)
        if hidden is None or self.average > 1:
            tokens = self._predict(self.blocks(tokens)[:, num_extra:])
            maps = lay_out_squares(tokens, grid).squeeze(1).permute(0, 3, 1, 2)
            return maps if self.average == 1 else F.avg_pool2d(maps, self.average)
        side = grid[0] // mask.grid[0]
        places = visible_positions(hidden, side) + num_extra
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        tokens = self._predict(self.blocks[-1](tokens, places))
        squares = lay_out_squares(tokens, (side, side)).flatten(1, 3)
        return scatter_cells(squares, hidden, squares.new_zeros(squares.shape[-1]))

    def _predict(self, tokens: Tensor) -> Tensor:
        """(B, t, embed_dims) -> (B, t, 4, ..., 4, D): each token in its finer ones."""
        return self.pred(self.rescale(self.norm(tokens)))


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

    Attributes:
        hidden_only: says to the model that what is visible can be left out.

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

    hidden_only = True

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
        if not any(decoder.rescales for decoder in self.decoders):
            for decoder in self.decoders:
                nn.init.xavier_uniform_(decoder.pred.weight.flatten(1))
                nn.init.zeros_(decoder.pred.bias)

    def forward(
        self, features: Sequence[Tensor], mask: PatchMask, hidden_only: bool = False
    ) -> tuple[Tensor, ...]:
        """Predict the targets of all taps.

        Args:
            features: per tap (B, P + K * s * s, C), where s is the tap's positions along a side
                of a cell.
            mask: with K visible cells on (Gh, Gw).
            hidden_only: leave out what is visible, which is then zero, where that saves work.

        Returns:
            Per tap (B, D, H / stride, W / stride) of its target.
        """
        layouts: dict[tuple[tuple[int, int], int], Tensor] = {}
        hidden = mask.complement() if hidden_only else None
        predictions = []
        for decoder, feature in zip(self.decoders, features, strict=True):
            tokens = feature.shape[1] - decoder.num_extra_tokens
            side = math.isqrt(tokens // mask.visible.shape[1]) // decoder.merge
            grid, width = (mask.grid[0] * side, mask.grid[1] * side), decoder.embed.out_features
            if (grid, width) not in layouts:
                layouts[grid, width] = sincos_positions(grid, width, feature.device)
            predictions.append(decoder(feature, mask, layouts[grid, width], hidden))
        return tuple(predictions)


def _per_tap(name: str, value, taps: int) -> tuple:
    """Spread one value over the taps, or check that a sequence has one value per tap."""
    if not isinstance(value, (tuple, list)):
        return (value,) * taps
    if len(value) != taps:
        raise ValueError(f"{name} has {len(value)} values for {taps} taps of the backbone: {value}")
    return tuple(value)
