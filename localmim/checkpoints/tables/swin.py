"""Swin Transformers.

Patch merging concatenates the four children of a token and the weights that follow depend on their
order. Ours is that of ``nn.Unfold``, channel by channel and row by row within a channel, as in
mmpretrain, mmseg and mmdet. The original Swin, timm and transformers go child by child, column by
column: (0, 0), (1, 0), (0, 1), (1, 1); LocalMIM's released pre-training child by child, row by row:
(0, 0), (0, 1), (1, 0), (1, 1).
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..architecture import Architecture, window_of
from ..neutral import count
from ..rules import Fields, Fixed, Rule, Table, joined, linear_for_conv, renamed, same
from .decoders import (
    NO_HEAD,
    OTHER_PARTS,
    OUTPUT_NORMS,
    PRETRAINING_ONLY,
    TIMM_BLOCK,
    join_released,
    local_decoders,
    released_constants,
    released_decoders,
    split_released,
)

_STAGE = "stages.{s}.blocks.{i}."
_MM_BLOCK = {
    "norm1": "norm1",
    "attn.qkv": "attn.w_msa.qkv",
    "attn.proj": "attn.w_msa.proj",
    "norm2": "norm2",
    "mlp.fc1": "ffn.layers.0.0",
    "mlp.fc2": "ffn.layers.1",
}
_PAIRS = ("weight", "bias")


def _read_rows(x: Tensor) -> Tensor:
    """(..., 4 * C), child by child row by row -> channel by channel."""
    return x.unflatten(-1, (4, -1)).transpose(-1, -2).flatten(-2)


def _write_rows(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 4)).transpose(-1, -2).flatten(-2)


def _read_columns(x: Tensor) -> Tensor:
    """(..., 4 * C), child by child column by column -> channel by channel."""
    return x.unflatten(-1, (2, 2, -1)).transpose(-1, -3).flatten(-3)


def _write_columns(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 2, 2)).transpose(-1, -3).flatten(-3)


_ORDERS = {"row": (_read_rows, _write_rows), "column": (_read_columns, _write_columns)}


def _merging(theirs: str, order: str | None) -> tuple[Rule, ...]:
    """Norm and reduction after stage {s}, with children in the given order (None: ours)."""
    names = {"merge.norm.{p}": "norm.{p}", "merge.reduction.weight": "reduction.weight"}
    stem = "stages.{s}."
    if order is None:
        return tuple(same(stem + a, theirs + b) for a, b in names.items())
    read, write = _ORDERS[order]
    return tuple(
        Rule(stem + a, (theirs + b,), read, write, reordered=True) for a, b in names.items()
    )


def _embeddings(prefix: str, projection: str, norm: str) -> tuple[Rule, ...]:
    return renamed("", prefix, {"patch_embed": projection, "patch_norm": norm})


def _original_encoder(prefix: str, merging: str, order: str) -> tuple[Rule, ...]:
    """Names of the original Swin, which timm kept but for the place of mergings."""
    stem = f"{prefix}layers.{{s}}.blocks.{{i}}."
    return (
        *_embeddings(prefix, "patch_embed.proj", "patch_embed.norm"),
        *renamed(_STAGE, stem, TIMM_BLOCK),
        same(f"{_STAGE}attn.rel_table", f"{stem}attn.relative_position_bias_table"),
        *_merging(f"{prefix}{merging}.", order),
    )


def window_index(table: Tensor, fields: Fields, architecture: Architecture) -> Tensor:
    """Which entry of a table ((2w - 1)^2, heads) two tokens of a window use, (w * w, w * w)."""
    side = window_of(table)
    row, col = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    row, col = row.flatten(), col.flatten()
    rows_apart = row[:, None] - row + side - 1
    return rows_apart * (2 * side - 1) + col[:, None] - col + side - 1


def _index(theirs: str) -> Fixed:
    return Fixed(f"{theirs}relative_position_index", f"{_STAGE}attn.rel_table", window_index)


def _name_norms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tell the norms of the stages' outputs apart: the last is final, wide ones follow merging."""
    state, last = dict(state), count("stages.{s}.*", "s", state) - 1
    for stage in range(count("stage_norms.{s}.*", "s", state)):
        for p in _PAIRS:
            norm = state.pop(f"stage_norms.{stage}.{p}", None)
            if norm is None:
                continue
            width = len(state.get(f"stages.{stage}.blocks.0.norm1.weight", norm))
            kind = f"tap_norms.{stage}" if len(norm) == 2 * width else f"stage_norms.{stage}"
            state[f"norm.{p}" if stage == last else f"{kind}.{p}"] = norm
    return state


def _number_norms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The final norm is that of the last stage."""
    state, last = dict(state), count("stages.{s}.*", "s", state) - 1
    for p in _PAIRS:
        if f"norm.{p}" in state:
            state[f"stage_norms.{last}.{p}"] = state.pop(f"norm.{p}")
    return state


def _number_all_norms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    state = _number_norms(state)
    taps = [name for name in state if name.startswith("tap_norms.")]
    return state | {f"stage_norms.{n.removeprefix('tap_norms.')}": state.pop(n) for n in taps}


_MM_STAGE = "backbone.stages.{s}.blocks.{i}."
_MM_ENCODER = (
    *_embeddings("backbone.", "patch_embed.projection", "patch_embed.norm"),
    *renamed(_STAGE, _MM_STAGE, _MM_BLOCK),
    same(f"{_STAGE}attn.rel_table", f"{_MM_STAGE}attn.w_msa.relative_position_bias_table"),
    *_merging("backbone.stages.{s}.downsample.", None),
    *renamed("", "backbone.", {"stage_norms.{t}": "norm{t}"}),
)
_MM_INDEX = _index(f"{_MM_STAGE}attn.w_msa.")


def _downstream(dialect: str, bare: bool) -> Table:
    """The backbones of mmseg and mmdet have the same names."""
    return Table(
        dialect,
        "swin",
        "SwinTransformer",
        rules=_MM_ENCODER,
        fixed=(replace(_MM_INDEX, written=False),),
        ignored=OTHER_PARTS,
        left_out=PRETRAINING_ONLY | NO_HEAD,
        left_to_model={"stage_norms.{s}.{p}": "norms of the other outputs start anew"},
        prefix="backbone.",
        bare=bare,
        adapt_read=_name_norms,
        adapt_write=_number_norms,
    )


def _released_size(state_dict: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Image size of a square image, from the positions of the first decoder, at stride 8."""
    positions = state_dict.get("decoder.0.pos_embed")
    return None if positions is None else (math.isqrt(positions.shape[1]) * 8,) * 2


def release_table(order: str) -> Table:
    """LocalMIM's pre-training release, with children of a merging in the given order."""
    strides = (8, 16, 32, 32)
    return Table(
        "localmim-release",
        "swin",
        "LocalMIM Swin pre-training",
        rules=(
            *_original_encoder("encoder.", "layers.{s}.downsample", order),
            *renamed("", "encoder.", {"tap_norms.{t}": "norm.{t}"}),
            *released_decoders(),
            linear_for_conv("decoders.{t}.pred.weight", "decoder.{t}.pred.weight"),
            same("decoders.{t}.pred.bias", "decoder.{t}.pred.bias"),
        ),
        fixed=(
            *released_constants(strides, extra_tokens=0),
            _index("encoder.layers.{s}.blocks.{i}.attn."),
        ),
        left_out=NO_HEAD | OUTPUT_NORMS,
        needs=("norm.weight", "tap_norms.0.weight"),
        container="model",
        stored_size=_released_size,
        adapt_read=join_released,
        adapt_write=split_released,
    )


_FINETUNED = Table(
    "localmim-finetuned",
    "swin",
    "LocalMIM Swin fine-tuning, as the original Swin",
    rules=(
        *_original_encoder("", "layers.{s}.downsample", "column"),
        *renamed("", "", {"norm": "norm", "head": "head"}),
    ),
    ignored={
        "layers.*.attn_mask": "computed from the image size",
        "layers.*.relative_position_index": "computed from the window",
    },
    left_out=PRETRAINING_ONLY | OUTPUT_NORMS,
    needs=("norm.weight",),
    container="model",
)
_LOCALMIM = Table(
    "localmim",
    "swin",
    "this project's Swins",
    rules=(*_MM_ENCODER, *local_decoders()),
    fixed=(_MM_INDEX,),
    left_out=NO_HEAD,
    prefix="backbone.",
    adapt_read=_name_norms,
    adapt_write=_number_all_norms,
)
_MMPRETRAIN = Table(
    "mmpretrain",
    "swin",
    "SwinTransformer",
    rules=(*_MM_ENCODER, *renamed("", "head.", {"head": "fc"})),
    fixed=(_MM_INDEX,),
    ignored=OTHER_PARTS,
    left_out=PRETRAINING_ONLY,
    prefix="backbone.",
    adapt_read=_name_norms,
    adapt_write=_number_norms,
)
_TIMM = Table(
    "timm",
    "swin",
    "swin_*",
    rules=(
        *_original_encoder("", "layers.{s+1}.downsample", "column"),
        *renamed("", "", {"norm": "norm", "head": "head.fc"}),
    ),
    left_out=PRETRAINING_ONLY | OUTPUT_NORMS,
    needs=("norm.weight",),
)
_HF_STAGE = "swin.encoder.layers.{s}.blocks.{i}."
_TRANSFORMERS = Table(
    "transformers",
    "swin",
    "SwinModel",
    rules=(
        *_embeddings("swin.", "embeddings.patch_embeddings.projection", "embeddings.norm"),
        joined(
            f"{_STAGE}attn.qkv.{{p}}",
            *(f"{_HF_STAGE}attention.self.{part}.{{p}}" for part in ("query", "key", "value")),
        ),
        *renamed(
            _STAGE,
            _HF_STAGE,
            {
                "norm1": "layernorm_before",
                "attn.proj": "attention.output.dense",
                "norm2": "layernorm_after",
                "mlp.fc1": "intermediate.dense",
                "mlp.fc2": "output.dense",
            },
        ),
        same(f"{_STAGE}attn.rel_table", f"{_HF_STAGE}attention.self.relative_position_bias_table"),
        *_merging("swin.encoder.layers.{s}.downsample.", "column"),
        *renamed("", "swin.", {"norm": "layernorm"}),
    ),
    fixed=(_index(f"{_HF_STAGE}attention.self."),),
    ignored={
        "swin.embeddings.mask_token": "serves pre-training only",
        "classifier.*": "classifier of SwinForImageClassification",
        "decoder.*": "decoder of SwinForMaskedImageModeling",
    },
    left_out=PRETRAINING_ONLY | NO_HEAD | OUTPUT_NORMS,
    needs=("norm.weight",),
    prefix="swin.",
    bare=True,
)

TABLES = (
    release_table("row"),
    _FINETUNED,
    _LOCALMIM,
    _MMPRETRAIN,
    _downstream("mmseg", bare=True),
    _downstream("mmdet", bare=False),
    _TIMM,
    _TRANSFORMERS,
)
