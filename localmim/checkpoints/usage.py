"""How a converted file is used in its library, in code that runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .architecture import Architecture

IMPORTS = "from functools import partial\n\nimport timm\nfrom torch.nn import LayerNorm\n"
# timm's eps of norms; what a Swin here was trained with may differ.
TIMM_SWIN_EPS = 1e-5


def timm_call(architecture: Architecture, meta: Mapping[str, Any], path: str | Path) -> str | None:
    """The call of timm that gives the encoder of a file, with how it wants its images.

    Args:
        architecture: of the weights.
        meta: of the file: ``mean`` and ``std`` from 0 to 1 of R, G and B, and ``norm_eps``, where
            they are known.
        path: of the file.

    Returns:
        An expression over :data:`IMPORTS`; None where timm has no model of these sizes, or nothing
        tells the number of heads.
    """
    name = _timm_name(architecture)
    if name is None:
        return None
    size = architecture.image_size or (224, 224)
    arguments = {"num_classes": 0, "checkpoint_path": str(path)}
    if architecture.in_channels != 3:
        arguments["in_chans"] = architecture.in_channels
    if architecture.family in ("vit", "swin") and size != (224, 224):
        arguments["img_size"] = size
    if architecture.family == "swin":
        if len(set(architecture.windows)) > 1:
            return None  # timm shrinks windows by itself, and to other sizes
        if architecture.windows[0] != 7:
            arguments["window_size"] = architecture.windows[0]
    text = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    if architecture.family == "swin" and meta.get("norm_eps", TIMM_SWIN_EPS) != TIMM_SWIN_EPS:
        text += f", norm_layer=partial(LayerNorm, eps={meta['norm_eps']})"
    overlay = {
        key: tuple(round(value, 6) for value in meta[key]) for key in ("mean", "std") if key in meta
    }
    overlay |= {"input_size": (architecture.in_channels, *size), "interpolation": "bicubic"}
    return f"timm.create_model({name!r}, {text}, pretrained_cfg_overlay={overlay})"


def timm_vectors(architecture: Architecture) -> str:
    """Code that gives the vector of each image, of ``model`` and ``images`` (B, C, H, W)."""
    pooled = {"vit": "[:, 1:].mean(1)", "swin": ".mean((1, 2))"}
    return f"model.forward_features(images){pooled.get(architecture.family, '.mean((2, 3))')}"


def transformers_preprocessor(
    architecture: Architecture, meta: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The content of ``preprocessor_config.json``, which transformers reads beside weights.

    Args:
        architecture, meta: as in :func:`timm_call`.

    Returns:
        None where nothing is known of mean and deviation, or the model sees B, G and R, which
        transformers has no setting for.
    """
    if not {"mean", "std"} <= meta.keys() or meta.get("colour_order") == "BGR":
        return None
    height, width = architecture.image_size or (224, 224)
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 3,  # bicubic
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(meta["mean"]),
        "image_std": list(meta["std"]),
    }


def _timm_name(architecture: Architecture) -> str | None:
    """timm's name of a model of the usual sizes."""
    family, name = architecture.family, architecture.name
    if name is None:
        return None
    if family == "vit":
        known = {16: ("tiny", "small", "base", "large"), 14: ("huge",)}
        if name not in known.get(architecture.patch_size, ()):
            return None
        return f"vit_{name}_patch{architecture.patch_size}_224"
    if family == "swin":
        return f"swin_{name}_patch4_window7_224" if architecture.patch_size == 4 else None
    return f"resnet{name}" if family == "resnet" else f"convnext_{name}"
