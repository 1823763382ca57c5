"""Position embeddings and relative position tables for another image or window size."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .architecture import Architecture
from .rules import match

Size = tuple[int, int]


def resize(
    state: dict[str, Tensor],
    architecture: Architecture,
    image_size: Size | None,
    window: int | None,
) -> tuple[dict[str, Tensor], Architecture, dict[str, str]]:
    """Fit a state dict in the neutral form to another image or window size.

    Args:
        state: tensors by name.
        architecture: theirs.
        image_size: (height, width) in pixels, or None for the one it has.
        window: side of a Swin's windows in tokens, or None for those it has. A stage whose shorter
            side is less takes that side, if the image size is known.

    Returns:
        The state dict, the architecture, and what was resized: name -> both sizes.

    Raises:
        ValueError: the model has nothing that depends on the size, or the size does not fit it.
    """
    if image_size is None and window is None:
        return state, architecture, {}
    if architecture.family == "resnet":
        raise ValueError("a ResNet has no positions: it takes any image size as it is")
    if architecture.family == "convnext":
        raise ValueError("a ConvNeXt has no positions: it takes any image size as it is")
    if architecture.family == "vit":
        return _resize_vit(state, architecture, image_size, window)
    return _resize_swin(state, architecture, image_size, window)


def _check_multiple(image_size: Size, stride: int) -> None:
    if any(side < stride or side % stride for side in image_size):
        raise ValueError(
            f"the image size must be a multiple of {stride} pixels, got "
            f"{image_size[0]}x{image_size[1]}"
        )


def _resize_vit(
    state: dict[str, Tensor], architecture: Architecture, image_size: Size | None, window: None
) -> tuple[dict[str, Tensor], Architecture, dict[str, str]]:
    if window is not None:
        raise ValueError("a window size is a Swin's; for a ViT give the image size")
    _check_multiple(image_size, architecture.patch_size)
    old = architecture.grid(architecture.patch_size)
    new = tuple(side // architecture.patch_size for side in image_size)
    state, changed = dict(state), {}
    for name, tensor in state.items():
        if old == new:
            break
        if name == "pos_embed":
            state[name] = resize_positions(tensor, old, new)
        elif match("blocks.{i}.attn.rel_table", name):
            state[name] = resize_table(tensor, _apart(old), _apart(new))
        else:
            continue
        changed[name] = f"{old[0]}x{old[1]} to {new[0]}x{new[1]} patches"
    return state, replace(architecture, image_size=tuple(image_size)), changed


def _resize_swin(
    state: dict[str, Tensor],
    architecture: Architecture,
    image_size: Size | None,
    window: int | None,
) -> tuple[dict[str, Tensor], Architecture, dict[str, str]]:
    if window is not None and window < 2:
        raise ValueError(f"the window must have at least 2 tokens along a side, got {window}")
    image_size = image_size or architecture.image_size
    windows = [window or max(architecture.windows)] * len(architecture.depths)
    if image_size is not None:
        _check_multiple(image_size, architecture.patch_size * 2 ** (len(windows) - 1))
        strides = [architecture.patch_size * 2**s for s in range(len(windows))]
        windows = [
            min(w, *(n // s for n in image_size)) for w, s in zip(windows, strides, strict=True)
        ]
    state, changed = dict(state), {}
    for name, tensor in state.items():
        stage = match("stages.{s}.blocks.{i}.attn.rel_table", name)
        if stage is None:
            continue
        old, new = (w[int(stage["s"])] for w in (architecture.windows, windows))
        if old != new:
            state[name] = resize_table(tensor, _apart((old, old)), _apart((new, new)))
            changed[name] = f"windows of {old}x{old} to {new}x{new} tokens"
    resized = replace(architecture, image_size=image_size, windows=tuple(windows))
    return state, resized, changed


def _apart(grid: Size) -> Size:
    """How many distances there are between the cells of a grid."""
    return 2 * grid[0] - 1, 2 * grid[1] - 1


def resize_positions(positions: Tensor, old: Size, new: Size) -> Tensor:
    """Bicubic, the class token kept.

    Args:
        positions: (1, 1 + rows * cols, C), the class token's first.
        old, new: rows and columns.
    """
    grid = _bicubic(positions[:, 1:].transpose(1, 2).unflatten(2, old), new)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def resize_table(table: Tensor, old: Size, new: Size) -> Tensor:
    """Bicubic, further entries after those of the distances (a class token's) kept.

    Args:
        table: (rows * cols + extra, heads).
        old, new: numbers of vertical and horizontal distances.
    """
    cells = old[0] * old[1]
    grid = _bicubic(table[:cells].T.unflatten(1, old)[None], new)[0]
    return torch.cat([grid.flatten(1).T, table[cells:]])


def _bicubic(x: Tensor, size: Size) -> Tensor:
    dtype = x.dtype
    x = x if dtype == torch.float64 else x.float()
    return F.interpolate(x, size=size, mode="bicubic", align_corners=False).to(dtype)
