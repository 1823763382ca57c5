"""Encoders as ONNX files, which take images as they are stored."""

import copy
import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from mmpretrain.models.utils import ShiftWindowMSA
from torch import Tensor, nn

from localmim.durable import written_aside

from .encoders import Encoder, as_map

FIXED = ("VisionTransformer", "BEiTViT", "SwinTransformer")  # laid out for one size
LEAST_SIDE, MOST = 32, 65536  # of images of any size, in pixels; of a batch


def export_onnx(encoder: Encoder, out: Path, any_size: bool = False) -> dict[str, str]:
    """Write an encoder, with its normalisation, as an ONNX file.

    The file takes ``images``, float32 (B, C, H, W) from 0 to 255, any B: R, G and B, one grey
    channel, or the bands of the training. It gives ``features`` (B, channels), the mean over
    positions of the last output, and ``map`` (B, channels, h, w), that output.

    Args:
        encoder: what is exported; it stays as it is.
        out: ends in .onnx.
        any_size: let H and W be any number from 32 on, for convolutional networks; else they are
            the encoder's.

    Returns:
        The metadata of the file.

    Raises:
        ValueError: another ending, or an encoder that is laid out for one size or gives no map.
        ImportError: onnx or onnxscript is not installed.
    """
    if out.suffix != ".onnx":
        raise ValueError(f"{out} must end in .onnx")
    kinds = [kind.__name__ for kind in type(encoder.backbone).__mro__]
    if any_size and any(kind in FIXED for kind in kinds):
        raise ValueError(
            f"the positions of a {kinds[0]} are laid out for one image size: name it, without "
            "asking for any"
        )
    for name in ("onnx", "onnxscript"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(f"{out} needs {name}: pip install onnx onnxscript") from error
    device = next(encoder.backbone.parameters()).device
    images = torch.rand(2, encoder.channels, *encoder.image_size, device=device) * 255
    encoder.maps(images)  # has to give one
    model = _FromPixels(encoder).to(device).eval()
    _make_exportable(model.backbone, images)
    batch = {0: torch.export.Dim("batch", min=1, max=MOST)}
    sides = {n: torch.export.Dim(s, min=LEAST_SIDE) for n, s in ((2, "height"), (3, "width"))}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about torch's own parts
        program = torch.onnx.export(
            model,
            (images,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["features", "map"],
            dynamic_shapes=(batch | (sides if any_size else {}),),
        )
    metadata = _metadata(encoder, any_size)
    program.model.metadata_props.update(metadata)
    with written_aside(out) as aside:
        program.save(str(aside))
    return metadata


class _FromPixels(nn.Module):
    """An encoder that normalises what it takes, 0 to 255, R before G before B."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(encoder.backbone)
        seen = encoder.data_preprocessor
        self.flipped = encoder.channels == 3 and not seen.to_rgb
        self.register_buffer("mean", seen.mean.clone())
        self.register_buffer("std", seen.std.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.flipped:
            images = images.flip(1)
        out = as_map(self.backbone((images - self.mean) / self.std)[-1], self.backbone, images)
        return out.mean((2, 3)), out


def _make_exportable(backbone: nn.Module, images: Tensor) -> None:
    """Let windows of a Swin be put together for any batch, and not be rolled by nothing.

    Its layer counts images by a division that fixes them, and rolls maps as large as a window by
    0, which ONNX runtimes do in another way than torch. Both give the same here.
    """

    def fix(layer: ShiftWindowMSA, inputs: tuple[Any, ...]) -> None:
        layer.window_reverse = _joined
        if min(inputs[1]) == layer.window_size and not layer.pad_small_map:
            layer.shift_size = 0

    layers = [layer for layer in backbone.modules() if isinstance(layer, ShiftWindowMSA)]
    handles = [layer.register_forward_pre_hook(fix) for layer in layers]
    with torch.no_grad():
        backbone(images)
    for handle in handles:
        handle.remove()


def _joined(windows: Tensor, height: int, width: int, side: int) -> Tensor:
    """Windows (B * n, side, side, C) as maps (B, height, width, C)."""
    rows, columns, channels = height // side, width // side, windows.shape[-1]
    parts = windows.view(-1, rows, columns, side, side, channels).permute(0, 1, 3, 2, 4, 5)
    return parts.reshape(parts.shape[0], height, width, channels)


def _metadata(encoder: Encoder, any_size: bool) -> dict[str, str]:
    colours = {1: "grey", 3: "RGB"}.get(encoder.channels, "bands")
    about = {
        "encoder": type(encoder.backbone).__name__,
        "input": f"{colours}, 0 to 255; normalised inside",
        "image_size": "any" if any_size else json.dumps(encoder.image_size),
        "mean": json.dumps(encoder.data_preprocessor.mean.flatten().tolist()),
        "std": json.dumps(encoder.data_preprocessor.std.flatten().tolist()),
        "features": "mean of map over positions",
    }
    return {f"localmim.{name}": value for name, value in about.items()}
