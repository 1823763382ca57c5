"""Whether the tensors of a state dict in the neutral form have shapes that go together."""

import math
from collections.abc import Iterator, Mapping

from torch import Tensor

from .neutral import count
from .rules import match

Shape = tuple[int | None, ...]


def check_shapes(family: str, state: Mapping[str, Tensor]) -> None:
    """Refuse a state dict whose shapes contradict each other.

    Args:
        family: "vit", "swin", "resnet" or "convnext".
        state: a complete state dict in the neutral form.

    Raises:
        ValueError: a tensor has another shape than the rest of the model asks for.
    """
    for name, expected in _FAMILIES[family](state):
        found = tuple(state[name].shape) if name in state else None
        if found is None:
            continue
        if len(found) != len(expected) or any(
            e not in (None, n) for n, e in zip(found, expected, strict=True)
        ):
            asked = ", ".join("any" if n is None else str(n) for n in expected)
            raise ValueError(
                f"{name} has the shape {found}, the rest of the model asks for ({asked})"
            )


def _pair(stem: str, *shape: int | None) -> Iterator[tuple[str, Shape]]:
    yield f"{stem}.weight", shape
    yield f"{stem}.bias", shape[:1]


def _block(stem: str, state: Mapping[str, Tensor], width: int) -> Iterator[tuple[str, Shape]]:
    inner = len(state.get(f"{stem}.mlp.fc1.bias", ()))
    yield from _pair(f"{stem}.norm1", width)
    yield from _pair(f"{stem}.attn.qkv", 3 * width, width)
    yield from _pair(f"{stem}.attn.proj", width, width)
    yield from _pair(f"{stem}.norm2", width)
    yield from _pair(f"{stem}.mlp.fc1", inner, width)
    yield from _pair(f"{stem}.mlp.fc2", width, inner)
    yield f"{stem}.ls1", (width,)
    yield f"{stem}.ls2", (width,)


def _vit(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Shape]]:
    width = len(state["patch_embed.bias"])
    yield from _pair("patch_embed", width, None, None, None)
    yield "cls_token", (1, 1, width)
    yield "pos_embed", (1, None, width)
    table = state.get("blocks.0.attn.rel_table")
    for i in range(count("blocks.{i}.*", "i", state)):
        yield from _block(f"blocks.{i}", state, width)
        if table is not None:
            yield f"blocks.{i}.attn.rel_table", tuple(table.shape)
    for name in ("norm", "fc_norm"):
        yield from _pair(name, width)
    yield "head.weight", (None, width)
    for t in range(count("tap_norms.{t}.*", "t", state)):
        yield from _pair(f"tap_norms.{t}", width)
    yield from _decoders(state)


def _swin(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Shape]]:
    width = len(state["patch_embed.bias"])
    yield from _pair("patch_embed", width, None, None, None)
    yield from _pair("patch_norm", width)
    stages = count("stages.{s}.*", "s", state)
    for s in range(stages):
        table = state[f"stages.{s}.blocks.0.attn.rel_table"]
        for i in range(count(f"stages.{s}.blocks.{{i}}.*", "i", state)):
            yield from _block(f"stages.{s}.blocks.{i}", state, width)
            yield f"stages.{s}.blocks.{i}.attn.rel_table", tuple(table.shape)
        if s < stages - 1:
            yield from _pair(f"stage_norms.{s}", width)
            yield from _pair(f"tap_norms.{s}", 2 * width)
            yield from _pair(f"stages.{s}.merge.norm", 4 * width)
            yield f"stages.{s}.merge.reduction.weight", (2 * width, 4 * width)
            width *= 2
    yield from _pair("norm", width)
    yield "head.weight", (None, width)
    yield from _decoders(state)


def _resnet(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Shape]]:
    """Batch norms are as wide as the convolutions before them."""
    for name, tensor in state.items():
        stem, _, last = name.rpartition(".")
        conv = stem.replace("bn", "conv").replace("downsample.1", "downsample.0")
        if conv != stem and f"{conv}.weight" in state and tensor.dim():
            yield name, (len(state[f"{conv}.weight"]),)
        elif match("*conv{n}.weight", name) is not None or name.endswith("downsample.0.weight"):
            yield name, (None,) * 4
    yield from _tap_norms(state)
    yield from _decoders(state)
    yield from _pixel_decoder(state)


def _tap_norms(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Shape]]:
    """A decoder embeds squares of positions, each as wide as the norm of its tap."""
    for t in range(count("tap_norms.{t}.*", "t", state)):
        width = len(state.get(f"tap_norms.{t}.weight", ()))
        if width:
            embedded = state[f"decoders.{t}.embed.weight"].shape[-1]
            merge = max(1, math.isqrt(embedded // width))
            yield from _pair(f"tap_norms.{t}", width)
            yield f"decoders.{t}.embed.weight", (None, width * merge**2)


def _convnext(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Shape]]:
    width = len(state["stem.0.bias"])
    yield from _pair("stem.0", width, None, None, None)
    yield from _pair("stem.1", width)
    # Linear layers in all blocks, or 1x1 convolutions.
    kernel = (1, 1) if state["stages.0.blocks.0.mlp.fc1.weight"].dim() == 4 else ()
    for s in range(count("stages.{s}.*", "s", state)):
        if s > 0:
            yield from _pair(f"stages.{s}.downsample.0", width)
            below, width = width, len(state[f"stages.{s}.downsample.1.bias"])
            yield from _pair(f"stages.{s}.downsample.1", width, below, 2, 2)
        for i in range(count(f"stages.{s}.blocks.{{i}}.*", "i", state)):
            yield from _convnext_block(f"stages.{s}.blocks.{i}", state, width, kernel)
        for kind in ("stage_norms", "tap_norms"):
            yield from _pair(f"{kind}.{s}", width)
    yield from _pair("norm", width)
    yield "head.weight", (None, width)
    yield from _decoders(state)
    yield from _pixel_decoder(state)


def _convnext_block(
    stem: str, state: Mapping[str, Tensor], width: int, kernel: Shape
) -> Iterator[tuple[str, Shape]]:
    inner = len(state.get(f"{stem}.mlp.fc1.bias", ()))
    yield from _pair(f"{stem}.conv_dw", width, 1, None, None)
    yield from _pair(f"{stem}.norm", width)
    yield from _pair(f"{stem}.mlp.fc1", inner, width, *kernel)
    yield from _pair(f"{stem}.mlp.fc2", width, inner, *kernel)
    yield f"{stem}.mlp.grn.weight", (inner,)
    yield f"{stem}.mlp.grn.bias", (inner,)
    yield f"{stem}.gamma", (width,)


def _pixel_decoder(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Shape]]:
    """What takes the place of hidden features in a map, and the prediction after the encoder."""
    width = state["mask_token"].numel() if "mask_token" in state else None
    yield "mask_token", (1, width, 1, 1)
    yield "mask_gamma", (1, width, 1, 1)
    yield from _pair("pixel_decoder", len(state.get("pixel_decoder.bias", ())), None, 1, 1)


def _decoders(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Shape]]:
    for t in range(count("decoders.{t}.*", "t", state)):
        stem = f"decoders.{t}"
        width = len(state[f"{stem}.embed.bias"])
        yield from _pair(f"{stem}.embed", width, None)
        yield f"{stem}.mask_token", (1, 1, width)
        for j in range(count(f"{stem}.blocks.{{j}}.*", "j", state)):
            yield from _block(f"{stem}.blocks.{j}", state, width)
        yield from _pair(f"{stem}.norm", width)
        yield from _pair(f"{stem}.pred", None, None, 1, 1)


_FAMILIES = {"vit": _vit, "swin": _swin, "resnet": _resnet, "convnext": _convnext}
