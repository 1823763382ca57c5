"""Encoders and methods by the names that people call them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True)
class EncoderKind:
    """An encoder of a usual size.

    Attributes:
        family: "vit", "swin", "resnet" or "convnext".
        size: its name in the family, as :class:`~localmim.checkpoints.Architecture` has it.
        step: its outputs are of so many pixels, of which image sides are multiples.
        millions: of parameters.
        options: settings of a pre-training config of its family that make it this size.
    """

    family: str
    size: str
    step: int
    millions: float
    options: Mapping[str, Any] = field(default_factory=dict)


_ARCH, _DEPTH = "model.backbone.arch", "model.backbone.depth"
ENCODERS = {
    # mmpretrain's "small" is 768 wide; "deit-small" is the usual ViT-S.
    "vit-tiny": EncoderKind("vit", "tiny", 16, 5.5, {_ARCH: "deit-tiny"}),
    "vit-small": EncoderKind("vit", "small", 16, 21.7, {_ARCH: "deit-small"}),
    "vit-base": EncoderKind("vit", "base", 16, 85.8, {_ARCH: "base"}),
    "vit-large": EncoderKind("vit", "large", 16, 303.3, {_ARCH: "large"}),
    "swin-tiny": EncoderKind("swin", "tiny", 32, 27.5, {_ARCH: "tiny"}),
    "swin-small": EncoderKind("swin", "small", 32, 48.8, {_ARCH: "small"}),
    "swin-base": EncoderKind("swin", "base", 32, 86.7, {_ARCH: "base"}),
    "resnet50": EncoderKind("resnet", "50", 32, 23.5, {_DEPTH: 50}),
    "resnet101": EncoderKind("resnet", "101", 32, 42.5, {_DEPTH: 101}),
    "convnext-tiny": EncoderKind("convnext", "tiny", 32, 27.8, {_ARCH: "tiny"}),
    "convnext-small": EncoderKind("convnext", "small", 32, 49.5, {_ARCH: "small"}),
}

# The config of each method for each family of encoders.
METHODS = {
    "localmim": {
        "vit": "localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py",
        "swin": "localmim/localmim_swin-tiny-w7_1xb128-amp-coslr-200e_folder.py",
        "resnet": "localmim/localmim_resnet50_1xb128-amp-coslr-200e_folder.py",
        "convnext": "localmim/localmim_convnext-tiny_8xb256-amp-coslr-100e_in1k.py",
    },
    "lomar": {"vit": "lomar/lomar_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py"},
    "a2mim": {
        "vit": "a2mim/a2mim_vit-small-p16_8xb256-amp-steplr-800e_in1k.py",
        "resnet": "a2mim/a2mim_resnet50_8xb256-amp-coslr-300e_in1k.py",
        "convnext": "a2mim/a2mim_convnext-tiny_8xb256-amp-coslr-300e_in1k.py",
    },
    "mae": {"vit": "baselines/mae_vit-base-p16_8xb512-amp-coslr-1600e_in1k.py"},
    "maskfeat": {"vit": "baselines/maskfeat-sparse_vit-base-p16_8xb256-amp-coslr-300e_in1k.py"},
    "greenmim": {"swin": "baselines/greenmim_swin-base-w7_8xb256-amp-coslr-800e_in1k.py"},
}

# The largest cell of its targets, which image sides are multiples of as well, in pixels.
_CELLS = {"localmim": 32}

# Decoders of a width that suits the encoder, where the config's are of a larger one.
_DECODERS = {
    ("localmim", "vit-tiny"): {"model.neck.embed_dims": 128, "model.neck.num_heads": 4},
    ("mae", "vit-tiny"): {"model.neck.embed_dims": 192, "model.neck.num_heads": 6},
    ("maskfeat", "vit-tiny"): {"model.neck.embed_dims": 192, "model.neck.num_heads": 6},
}
_FINETUNE = "finetune/{}_1xb64-amp-coslr-100e_folder.py"
FINETUNING = {
    "vit": _FINETUNE.format("vit-small-p16"),
    "swin": _FINETUNE.format("swin-tiny-w7"),
    "resnet": _FINETUNE.format("resnet50"),
    "convnext": _FINETUNE.format("resnet50"),
}


def model_options(method: str, name: str) -> dict[str, Any]:
    """Settings that make the config of a method one of an encoder."""
    return dict(ENCODERS[name].options) | _DECODERS.get((method, name), {})


def image_step(method: str, kind: EncoderKind) -> int:
    """Image sides are multiples of this, in pixels."""
    return math.lcm(kind.step, _CELLS.get(method, 1))


def encoder_kind(name: str) -> EncoderKind:
    """The encoder of a name.

    Raises:
        ValueError: there is none; the message names the nearest, or all.
    """
    if name in ENCODERS:
        return ENCODERS[name]
    close = get_close_matches(name, ENCODERS, n=3)
    instead = f"did you mean {' or '.join(close)}?" if close else f"one of {', '.join(ENCODERS)}"
    raise ValueError(f"--arch {name}: no encoder has that name; {instead}")


def config_of(method: str, family: str) -> str:
    """The config of a method for a family of encoders, below ``configs/``.

    Raises:
        ValueError: there is no such method, or it does not train such encoders.
    """
    if method not in METHODS:
        close = get_close_matches(method, METHODS, n=2)
        instead = " or ".join(close) if close else ", ".join(METHODS)
        raise ValueError(f"--method {method}: no method has that name; try {instead}")
    if family not in METHODS[method]:
        able = [name for name, kind in ENCODERS.items() if kind.family in METHODS[method]]
        others = [name for name, of in METHODS.items() if family in of]
        raise ValueError(
            f"--method {method} trains {', '.join(able)}; for a {family} take --method "
            f"{' or '.join(others)}"
        )
    return METHODS[method][family]
