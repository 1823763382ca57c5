"""What a state dict says of the architecture that it belongs to."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from .neutral import count

# (width, depths) of the usual sizes -> their name and heads per stage.
_STANDARD = {
    ("vit", 192, (12,)): ("tiny", (3,)),
    ("vit", 384, (12,)): ("small", (6,)),
    ("vit", 768, (12,)): ("base", (12,)),
    ("vit", 1024, (24,)): ("large", (16,)),
    ("vit", 1280, (32,)): ("huge", (16,)),
    ("swin", 96, (2, 2, 6, 2)): ("tiny", None),
    ("swin", 96, (2, 2, 18, 2)): ("small", None),
    ("swin", 128, (2, 2, 18, 2)): ("base", None),
    ("swin", 192, (2, 2, 18, 2)): ("large", None),
    ("resnet", 512, (2, 2, 2, 2)): ("18", None),
    ("resnet", 512, (3, 4, 6, 3)): ("34", None),
    ("resnet", 2048, (3, 4, 6, 3)): ("50", None),
    ("resnet", 2048, (3, 4, 23, 3)): ("101", None),
    ("resnet", 2048, (3, 8, 36, 3)): ("152", None),
    ("convnext", 96, (3, 3, 9, 3)): ("tiny", None),
    ("convnext", 96, (3, 3, 27, 3)): ("small", None),
    ("convnext", 128, (3, 3, 27, 3)): ("base", None),
    ("convnext", 192, (3, 3, 27, 3)): ("large", None),
}


@dataclass(frozen=True)
class Architecture:
    """Sizes of a model, as far as its weights and its file tell them.

    Attributes:
        family: "vit", "swin", "resnet" or "convnext".
        name: of the usual size, such as "base", or None.
        embed_dims: width of a ViT, of the first stage of a Swin or ConvNeXt, of a ResNet's last.
        depths: blocks per stage; one stage in a ViT.
        num_heads: per stage, or None where nothing says it.
        patch_size: side in pixels, or None (ResNet).
        in_channels: of the images.
        image_size: (height, width) in pixels, or None where nothing says it.
        windows: side of a Swin's windows per stage, in tokens, or None.
        targets: what the decoders predict or predicted, such as "HOG, 9 bins", or None.
    """

    family: str
    name: str | None
    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...] | None
    patch_size: int | None
    in_channels: int
    image_size: tuple[int, int] | None = None
    windows: tuple[int, ...] | None = None
    targets: str | None = None

    def grid(self, stride: int) -> tuple[int, int]:
        """Rows and columns of an image's cells."""
        if self.image_size is None:
            raise ValueError(
                "the file does not say for which image size the model was trained, and what is to "
                "be written depends on it: give the image size"
            )
        return self.image_size[0] // stride, self.image_size[1] // stride

    def sized(self, image_size: tuple[int, int]) -> "Architecture":
        """The same for images of another (height, width) in pixels."""
        return replace(self, image_size=image_size)

    def __str__(self) -> str:
        size = f"{self.family}-{self.name}" if self.name else self.family
        parts = [f"width {self.embed_dims}", f"depth {'-'.join(map(str, self.depths))}"]
        if self.patch_size:
            parts.append(f"patches of {self.patch_size} px")
        if self.windows:
            parts.append(f"windows of {'-'.join(map(str, self.windows))} tokens")
        if self.image_size:
            parts.append(f"images of {self.image_size[0]}x{self.image_size[1]}")
        if self.in_channels != 3:
            parts.append(f"{self.in_channels} channels")
        if self.targets:
            parts.append(f"pre-trained on {self.targets}")
        return f"{size}: {', '.join(parts)}"

    def metadata(self) -> dict[str, Any]:
        """What is known, as plain numbers, text and lists."""
        known = {k: v for k, v in asdict(self).items() if v is not None}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in known.items()}


def describe(
    family: str, state: Mapping[str, Tensor], hints: Mapping[str, Any] | None = None
) -> Architecture:
    """The architecture of a complete state dict in the neutral form.

    Args:
        family: "vit", "swin", "resnet" or "convnext".
        state: the tensors by name.
        hints: what the file says besides: ``image_size``, ``num_heads``, ``targets``.

    Raises:
        ValueError: shapes contradict each other or the hints.
    """
    hints = hints or {}
    if family == "resnet":
        return _resnet(state, hints)
    if family == "convnext":
        return _convnext(state, hints)
    width, in_channels, patch_size = _embedding(state["patch_embed.weight"])
    if family == "vit":
        depths: tuple[int, ...] = (count("blocks.{i}.*", "i", state),)
        tables = [state.get("blocks.0.attn.rel_table")]
    else:
        stages = range(count("stages.{s}.*", "s", state))
        stem = "stages.{}.blocks"
        depths = tuple(count(f"{stem.format(s)}.{{i}}.*", "i", state) for s in stages)
        tables = [state[f"{stem.format(s)}.0.attn.rel_table"] for s in stages]
    name, heads = _STANDARD.get((family, width, depths), (None, None))
    if tables[0] is not None:
        heads = tuple(table.shape[1] for table in tables)
    elif hints.get("num_heads"):
        heads = tuple(hints["num_heads"])
    return Architecture(
        family=family,
        name=name,
        embed_dims=width,
        depths=depths,
        num_heads=heads,
        patch_size=patch_size,
        in_channels=in_channels,
        image_size=_image_size(family, state, patch_size, hints.get("image_size")),
        windows=tuple(window_of(table) for table in tables) if family == "swin" else None,
        targets=hints.get("targets") or _targets(state, in_channels, patch_size),
    )


def _embedding(weight: Tensor) -> tuple[int, int, int]:
    """Width, channels of the images and side of the patches, from the weight that embeds them."""
    width, in_channels, patch_size, patch_width = weight.shape
    if patch_size != patch_width:
        raise ValueError(f"patches of {patch_size}x{patch_width} pixels are not square")
    return width, in_channels, patch_size


def window_of(table: Tensor) -> int:
    """Side of the square window of a table of relative position biases, ((2w - 1)^2, heads)."""
    side = math.isqrt(len(table))
    if side**2 != len(table) or side % 2 == 0:
        raise ValueError(
            f"a table of {len(table)} relative positions is not that of a square window"
        )
    return (side + 1) // 2


def _image_size(
    family: str, state: Mapping[str, Tensor], patch_size: int, said: Any
) -> tuple[int, int] | None:
    """(height, width) for which absolute positions are laid out, or what the file says."""
    said = tuple(said) if said else None
    if family == "swin":
        return said
    if "pos_embed" in state:
        cells = state["pos_embed"].shape[1] - 1
    elif "blocks.0.attn.rel_table" in state and said is None:
        cells = window_of(state["blocks.0.attn.rel_table"][:-3]) ** 2
    else:
        return said
    if said is not None:
        if (said[0] // patch_size) * (said[1] // patch_size) != cells:
            raise ValueError(
                f"{cells} positions are not those of images of {said[0]}x{said[1]} pixels with "
                f"patches of {patch_size}"
            )
        return said
    side = math.isqrt(cells)
    return (side * patch_size,) * 2 if side**2 == cells else None


def _targets(state: Mapping[str, Tensor], in_channels: int, patch_size: int) -> str | None:
    """What decoders predict, if their numbers of channels tell.

    Histograms have the same number of channels at every scale, patches of pixels do not.
    """
    channels = [
        len(state[f"decoders.{t}.pred.bias"]) for t in range(count("decoders.{t}.*", "t", state))
    ]
    if len(set(channels)) == 1 and len(channels) > 1 and channels[0] % in_channels == 0:
        return f"HOG, {channels[0] // in_channels} bins"
    if len(set(channels)) > 1 or channels == [in_channels * patch_size**2]:
        return "pixels"
    return None


def _resnet(state: Mapping[str, Tensor], hints: Mapping[str, Any]) -> Architecture:
    depths = tuple(count(f"layer{s}.{{i}}.*", "i", state) for s in range(1, 5))
    last = max(n for n in (2, 3) if f"layer4.0.conv{n}.weight" in state)
    width = len(state[f"layer4.0.conv{last}.weight"])
    name, _ = _STANDARD.get(("resnet", width, depths), (None, None))
    in_channels = state["conv1.weight"].shape[1]
    targets = hints.get("targets") or _targets(state, in_channels, patch_size=32)
    size = hints.get("image_size") and tuple(hints["image_size"])
    return Architecture("resnet", name, width, depths, None, None, in_channels, size, None, targets)


def _convnext(state: Mapping[str, Tensor], hints: Mapping[str, Any]) -> Architecture:
    width, in_channels, patch_size = _embedding(state["stem.0.weight"])
    stages = range(count("stages.{s}.*", "s", state))
    depths = tuple(count(f"stages.{s}.blocks.{{i}}.*", "i", state) for s in stages)
    name, _ = _STANDARD.get(("convnext", width, depths), (None, None))
    stride = patch_size * 2 ** (len(depths) - 1)
    targets = hints.get("targets") or _targets(state, in_channels, stride)
    size = hints.get("image_size") and tuple(hints["image_size"])
    return Architecture(
        "convnext", name, width, depths, None, patch_size, in_channels, size, None, targets
    )
