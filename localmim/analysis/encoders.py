"""An encoder out of a file of any kind, with its way of seeing images."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dataset import Compose
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.checkpoints import build_encoder, load_from_file, read_checkpoint, training_config
from localmim.data.unlabelled import EXTENSIONS
from localmim.data.unusable import UnusableImage
from localmim.engine.image_size import training_steps
from localmim.models import MaskedImageModel

from .labelled import pooled
from .trained import extensions_of, load_trained
from .whole_images import model_image_size, preprocessed, whole_image_pipeline

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, RGB
LOADER = dict(type="LoadImage")


@dataclass(frozen=True)
class Encoder:
    """An encoder in evaluation mode, and how it sees image files.

    Attributes:
        backbone: of mmpretrain or this project; takes (B, C, H, W), normalised.
        data_preprocessor: that normalises.
        pipeline: from a file to what is normalised.
        image_size: (height, width) in pixels.
        channels: of the images.
        extensions: of the files that it reads.
    """

    backbone: nn.Module
    data_preprocessor: nn.Module
    pipeline: Compose
    image_size: tuple[int, int]
    channels: int
    extensions: tuple[str, ...]

    def __str__(self) -> str:
        height, width = self.image_size
        return f"{type(self.backbone).__name__}, images of {height}x{width} pixels"

    def read(self, paths: Sequence[str]) -> Tensor:
        """Whole images, scaled and cropped to the encoder's size, normalised: (B, C, H, W)."""
        return self.normalized([self.pipeline({"img_path": str(path)}) for path in paths])

    def normalized(self, samples: Sequence[Mapping[str, Any]]) -> Tensor:
        """What :attr:`pipeline` gave of B files, as the encoder takes it: (B, C, H, W)."""
        return preprocessed(samples, self)

    @torch.no_grad()
    def vectors(self, images: Tensor) -> Tensor:
        """The mean over positions of the encoder's last output: (B, C, H, W) to (B, channels)."""
        out = self.backbone(images)[-1]
        extra = getattr(self.backbone, "num_extra_tokens", 0)
        return out if out.dim() == 2 else pooled(out, extra)

    @torch.no_grad()
    def maps(self, images: Tensor) -> Tensor:
        """The encoder's last output by position: (B, C, H, W) to (B, channels, h, w).

        Raises:
            ValueError: the encoder has pooled it.
        """
        return as_map(self.backbone(images)[-1], self.backbone, images)

    def to(self, device: str | torch.device) -> "Encoder":
        """Move it, its preprocessor included; itself."""
        self.backbone.to(device)
        self.data_preprocessor.to(device)
        return self

    def readable(self, paths: Sequence[str]) -> list[str]:
        """Those of some files that give an image; a warning names each of the others.

        Raises:
            ValueError: none of them does.
        """
        found = []
        for path in paths:
            try:
                self.pipeline({"img_path": str(path)})
            except UnusableImage as error:
                warnings.warn(f"left out: {error}", stacklevel=2)
            else:
                found.append(path)
        if not found:
            raise ValueError(f"none of {len(paths)} files gives an image, the first is {paths[0]}")
        return found


def as_map(features: Tensor, backbone: nn.Module, images: Tensor) -> Tensor:
    """What an encoder gave of images, a map (B, C, h, w) or tokens of its last tap, as a map.

    Raises:
        ValueError: it is a vector of each image.
    """
    if features.dim() == 3 and hasattr(backbone, "taps"):
        tap = backbone.taps[-1]
        height, width = (side // tap.stride for side in images.shape[-2:])
        tokens = features[:, tap.extra_tokens :].transpose(1, 2)
        return tokens.unflatten(2, (height, width))
    if features.dim() != 4:
        raise ValueError(f"this {type(backbone).__name__} gives a vector of each image")
    return features


def load_encoder(
    checkpoint: str,
    config: str | None = None,
    options: Mapping[str, Any] | None = None,
    image_size: tuple[int, int] | None = None,
) -> Encoder:
    """The encoder of a checkpoint.

    Args:
        checkpoint: of a pre-training here, whose config says how it sees images; or any weights
            that ``tools/convert.py`` reads (mmpretrain's, timm's, transformers', a release's),
            which see images as their file says, else as on ImageNet: RGB, with the usual mean and
            deviation.
        config: of a pre-training, where the checkpoint does not hold it.
        options: settings of that config to override.
        image_size: (height, width) in pixels, for weights without a config (those with one have
            their own); None for what they are laid out for.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: see :func:`load_trained` and :func:`~localmim.checkpoints.build_encoder`.
    """
    if config or _is_of_pretraining(checkpoint):
        model, cfg = load_trained(checkpoint, config, options)
        steps = training_steps(cfg)
        size = model_image_size(model, steps)
        pipeline = whole_image_pipeline(steps[0], size)
        backbone = model.backbone
        seen = (pipeline, size, backbone.image_channels, extensions_of(cfg))
        return Encoder(backbone, model.data_preprocessor, *seen)
    found = read_checkpoint(checkpoint)
    try:
        backbone, architecture = build_encoder(
            found.state_dict, image_size=image_size, hints=found.hints
        )
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    seen = seen_by(found.hints)
    if architecture.in_channels != len(seen["mean"]):
        raise ValueError(
            f"{checkpoint} takes {architecture.in_channels} channels, and nothing says how to read "
            "them: only checkpoints of pre-trainings here do, which hold their config"
        )
    preprocessor = MODELS.build(dict(type="MIMDataPreprocessor", **seen))
    pipeline = whole_image_pipeline(LOADER, architecture.image_size)
    about = (architecture.image_size, architecture.in_channels, EXTENSIONS)
    return Encoder(backbone, preprocessor, pipeline, *about)


def seen_by(hints: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the preprocessor of weights, by what their file says; of ImageNet where not.

    Args:
        hints: see :func:`~localmim.checkpoints.origin.origin_of`.
    """
    if "mean" not in hints or "std" not in hints:
        return dict(mean=MEAN, std=STD, to_rgb=True)
    rgb = hints.get("colour_order") != "BGR"
    values = {name: [255 * x for x in hints[name]][:: 1 if rgb else -1] for name in ("mean", "std")}
    grey = len(values["mean"]) == 1
    return dict(**values, to_rgb=rgb and not grey, **({"grey": True} if grey else {}))


def _is_of_pretraining(checkpoint: str) -> bool:
    """Whether a file holds the config of a masked image model."""
    content = load_from_file(checkpoint, mmap=True)
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping) or "cfg" not in meta:
        return False
    kind = MODELS.get(training_config(content, checkpoint).model.get("type", ""))
    return isinstance(kind, type) and issubclass(kind, MaskedImageModel)
