"""Decoders and targets, which checkpoints of pre-training hold beside the encoder."""

import torch
from torch import Tensor

from localmim.models.layers import sincos_positions

from ..architecture import Architecture
from ..neutral import count
from ..rules import Fields, Fixed, Rule, match, renamed, same

# The layers of mmpretrain's transformer blocks, in the order of the neutral names.
MM_BLOCK = {
    "norm1": "ln1",
    "attn.qkv": "attn.qkv",
    "attn.proj": "attn.proj",
    "norm2": "ln2",
    "mlp.fc1": "ffn.layers.0.0",
    "mlp.fc2": "ffn.layers.1",
}
TIMM_BLOCK = {ours: ours for ours in MM_BLOCK}

PRETRAINING_ONLY = {
    "decoders.*": "decoders serve pre-training only",
    "tap_norms.*": "norms of the taps serve pre-training only",
    "mask_token": "serves pre-training only",
    "mask_gamma": "serves pre-training only",
    "pixel_decoder.*": "serves pre-training only",
    "targets.*": "targets serve pre-training only",
}
NO_HEAD = {"head.*": "no place for a classifier"}
OUTPUT_NORMS = {"stage_norms.*": "norms of outputs before the last serve dense tasks only"}
# What kinds with a single decoder of their own have no place for.
PER_TAP = {
    "decoders.*": "no place for a decoder per tap",
    "tap_norms.*": "no place for norms of the taps",
    "targets.*": "no place for targets",
}
# What OpenMMLab's checkpoints hold beside a backbone.
OTHER_PARTS = {
    f"{part}.*": "not part of the backbone"
    for part in (
        "auxiliary_head",
        "bbox_head",
        "data_preprocessor",
        "decode_head",
        "mask_head",
        "neck",
        "roi_head",
        "rpn_head",
        "target_generator",
    )
}


def local_decoders() -> tuple[Rule, ...]:
    """The neck of this project's training checkpoints."""
    stem = "decoders.{t}"
    layers = {part: part for part in ("embed", "norm", "rescale.{k}", "pred")}
    return (
        same(f"{stem}.mask_token", f"neck.{stem}.mask_token"),
        *renamed(f"{stem}.", f"neck.{stem}.", layers),
        *renamed(f"{stem}.blocks.{{j}}.", f"neck.{stem}.blocks.{{j}}.", MM_BLOCK),
        *single_pixel_decoder("pred"),
        same("targets.offsets", "target_generator.offsets"),
    )


def single_pixel_decoder(name: str) -> tuple[Rule, ...]:
    """A mask token inside the encoder and one 1x1 convolution after it (A2MIM, LoMaR)."""
    return (
        same("mask_token", "backbone.mask_token"),
        same("mask_gamma", "backbone.mask_gamma"),
        *renamed("", "neck.", {"pixel_decoder": name}),
    )


def released_decoders() -> tuple[Rule, ...]:
    """Decoders of LocalMIM's releases, without their predictions."""
    return (
        same("decoders.{t}.mask_token", "decoder.{t}.mask_token"),
        *renamed("decoders.{t}.", "decoder.{t}.", {"embed": "embed", "norm": "norm"}),
        *renamed("decoders.{t}.blocks.{j}.", "decoder.{t}.blocks.{j}.", TIMM_BLOCK),
        same("targets.offsets.{t}", "hog_enc.{t}.conv.bias"),
    )


def released_constants(strides: tuple[int, ...], extra_tokens: int) -> tuple[Fixed, ...]:
    """Positions of the decoders and filters of the targets, which LocalMIM's releases store."""

    def positions(token: Tensor, fields: Fields, architecture: Architecture) -> Tensor:
        grid = architecture.grid(strides[int(fields["t"])])
        return decoder_positions(token, grid, extra_tokens)

    return (
        Fixed("decoder.{t}.pos_embed", "decoders.{t}.mask_token", positions, tolerance=1e-5),
        Fixed("hog_enc.{t}.conv.weight", "decoders.{t}.mask_token", _sobel),
    )


def decoder_positions(token: Tensor, grid: tuple[int, int], extra_tokens: int) -> Tensor:
    """Sine-cosine positions as wide as a mask token, zero for tokens before the patches."""
    positions = sincos_positions(grid, token.shape[-1])
    return torch.cat([positions.new_zeros(extra_tokens, token.shape[-1]), positions])[None].to(
        token.dtype
    )


def _sobel(token: Tensor, fields: Fields, architecture: Architecture) -> Tensor | None:
    """Horizontal and vertical filter, (2, 1, 3, 3), where the targets are HOG."""
    if not (architecture.targets or "").startswith("HOG"):
        return None
    horizontal = torch.tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=token.dtype)
    return torch.stack([horizontal, horizontal.T])[:, None]


def split_released(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Norms of all taps but the last, and offsets one by one, as the releases have them."""
    state = dict(state)
    last = count("tap_norms.{t}.*", "t", state)
    for p in ("weight", "bias"):
        if last and f"norm.{p}" in state:
            state[f"tap_norms.{last}.{p}"] = state.pop(f"norm.{p}")
    if "targets.offsets" in state:
        for t, pair in enumerate(state.pop("targets.offsets")):
            state[f"targets.offsets.{t}"] = pair
    return state


def join_released(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The norm of the last tap is the encoder's; the offsets of all scales are one tensor."""
    state = dict(state)
    last = count("tap_norms.{t}.*", "t", state) - 1
    for p in ("weight", "bias"):
        if f"tap_norms.{last}.{p}" in state:
            state[f"norm.{p}"] = state.pop(f"tap_norms.{last}.{p}")
    offsets = sorted(
        (name for name in state if match("targets.offsets.{t}", name)),
        key=lambda name: int(name.rpartition(".")[2]),
    )
    if offsets:
        state["targets.offsets"] = torch.stack([state.pop(name) for name in offsets])
    return state
