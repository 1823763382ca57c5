"""The attention of an encoder, computed again from its queries and keys.

Hooks take them while the encoder runs by its own fused path.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import BEiTAttention, ShiftWindowMSA, WindowMSA
from torch import Tensor, nn

from localmim.models.layers import IRPE, relative_buckets

from .attention import Attention

Keep = Callable[[Attention], None]


def attention_layers(encoder: nn.Module) -> list[nn.Module]:
    """The attention modules of an encoder, first to last.

    Args:
        encoder: of mmpretrain or this project: VisionTransformer, BEiTViT, SwinTransformer, LoMaR's
            IRPEViT; or a plain ViT of timm.

    Raises:
        TypeError: there are none, or they attend by what is not known here.
    """
    found = [
        module
        for module in encoder.modules()
        if isinstance(module, ShiftWindowMSA)
        or isinstance(getattr(module, "qkv", None), nn.Linear)
        and hasattr(module, "num_heads")
        and not isinstance(module, WindowMSA)  # is inside the former
    ]
    for module in found:
        if unknown := _unknown(module):
            raise TypeError(
                f"{type(encoder).__name__} attends by more than is known here "
                f"({type(module).__name__} has {unknown})"
            )
    if not found:
        raise TypeError(f"{type(encoder).__name__} has no attention that is known here")
    return found


def _unknown(module: nn.Module) -> str | None:
    """What an attention module has that may change its scores in an unknown way."""
    known = ("qkv.", "proj.", "gamma1.", "norm.")  # the last two come after attention
    if isinstance(module, ShiftWindowMSA):
        if type(module.w_msa) is not WindowMSA:
            return type(module.w_msa).__name__
        known = ("w_msa.",)
    elif isinstance(module, BEiTAttention):
        known += ("relative_position_bias_table", "q_bias", "v_bias")
    elif isinstance(getattr(module, "irpe", None), IRPE):
        known += ("irpe.",)
    names = [name for name, _ in module.named_parameters() if not name.startswith(known)]
    if not isinstance(module, (ShiftWindowMSA, BEiTAttention)):
        names += [
            name
            for name in ("window_size", "q_norm", "k_norm")
            if not isinstance(getattr(module, name, None), (type(None), nn.Identity))
        ]
    return names[0] if names else None


@torch.no_grad()
def attention_maps(encoder: nn.Module, images: Tensor) -> list[Attention]:
    """Attention among the patches of images, layer by layer.

    Args:
        encoder: see :func:`attention_layers`; in evaluation mode.
        images: (B, C, H, W), normalised.

    Raises:
        TypeError: see :func:`attention_layers`.
        ValueError: windows do not divide a Swin's map: the encoder pads it.
    """
    found: list[Attention] = []
    layers = attention_layers(encoder)
    with ExitStack() as stack:
        for layer in layers:
            for handle in _watch(layer, encoder, images, found.append):
                stack.callback(handle.remove)
        encoder(images)
    return found


def _watch(layer: nn.Module, encoder: nn.Module, images: Tensor, keep: Keep) -> list:
    """Let one attention module be kept when it runs."""
    if isinstance(layer, ShiftWindowMSA):
        sides: list[tuple[int, int]] = []

        def of_windows(_qkv: nn.Module, _inputs: tuple, projected: Tensor) -> None:
            keep(_within_windows(layer, projected, sides.pop(), images.shape[2]))

        return [
            layer.register_forward_pre_hook(lambda _layer, inputs: sides.append(inputs[1])),
            layer.w_msa.qkv.register_forward_hook(of_windows),
        ]
    side = _patch_side(encoder)
    grid = images.shape[2] // side, images.shape[3] // side
    whole = partial(_over_whole_images, layer, grid=grid, stride=side)
    if isinstance(layer, BEiTAttention):  # which takes the weights of its projection only

        def of_input(_layer: nn.Module, inputs: tuple) -> None:
            bias = layer.qkv.bias
            if layer.bias == "qv_bias":
                bias = torch.cat([layer.q_bias, torch.zeros_like(layer.q_bias), layer.v_bias])
            keep(whole(F.linear(inputs[0], layer.qkv.weight, bias)))

        return [layer.register_forward_pre_hook(of_input)]
    return [layer.qkv.register_forward_hook(lambda _qkv, _inputs, out: keep(whole(out)))]


def _patch_side(encoder: nn.Module) -> int:
    embedding = encoder.patch_embed
    projection = getattr(embedding, "projection", None) or embedding.proj
    return projection.kernel_size[0]


def _queries_and_keys(projected: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """(B, tokens, 3 * C) to twice (B, heads, tokens, C / heads)."""
    parts = projected.float().unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return parts[0], parts[1]


def _table_bias(module: nn.Module) -> Tensor:
    """A table of relative positions for each pair of tokens, (heads, n, n)."""
    return module.relative_position_bias_table[module.relative_position_index].permute(2, 0, 1)


def _over_whole_images(
    layer: nn.Module, projected: Tensor, grid: tuple[int, int], stride: int
) -> Attention:
    """Every patch attends to all."""
    query, key = _queries_and_keys(projected, layer.num_heads)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if getattr(layer, "relative_position_bias_table", None) is not None:
        scores = scores + _table_bias(layer)
    elif hasattr(layer, "irpe"):
        scores = scores + layer.irpe(query, relative_buckets(grid, query.device))
    count = grid[0] * grid[1]
    shares = scores[:, :, -count:, -count:].softmax(-1)  # what is before them are extra tokens
    places = torch.arange(count, device=shares.device)[None]
    return Attention(shares[:, None], places, grid, stride)


def _within_windows(
    layer: ShiftWindowMSA, projected: Tensor, grid: tuple[int, int], height: int
) -> Attention:
    """Patches attend within windows, shifted in every second block; as in the layer itself."""
    rows, cols = grid
    window, shift = layer.window_size, layer.shift_size
    if rows % window or cols % window:
        raise ValueError(
            f"windows of {window} do not divide a map of {rows}x{cols}: choose an image size at "
            "which they do"
        )
    if min(grid) == window and not layer.pad_small_map:
        shift = 0
    places = torch.arange(rows * cols, device=projected.device).view(1, rows, cols, 1)
    places = layer.window_partition(places.roll((-shift, -shift), (1, 2)), window).flatten(1)
    query, key = _queries_and_keys(projected, layer.w_msa.num_heads)
    scores = query @ key.transpose(-1, -2) * layer.w_msa.scale + _table_bias(layer.w_msa)
    scores = scores.unflatten(0, (-1, len(places)))
    apart = layer.get_attn_mask(grid, window, shift, device=scores.device)
    if apart is not None:
        scores = scores + apart[:, None]
    return Attention(scores.softmax(-1), places, (rows, cols), height // rows)
