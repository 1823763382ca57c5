"""Whole images as a model sees them, to look at what it makes of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from localmim.data.cropping import whole_image_loader
from localmim.engine.image_size import CROPS, name_of, training_steps
from localmim.models import MaskedImageModel


def model_image_size(model: MaskedImageModel, steps: list[dict]) -> tuple[int, int]:
    """(height, width) in pixels: the backbone's, or of the training's crops where it has none.

    Args:
        model: any.
        steps: of the pipeline that it is trained with.

    Raises:
        ValueError: neither names a size.
    """
    if hasattr(model.backbone, "img_size"):
        return model.backbone.img_size
    scale = next((step["scale"] for step in steps if name_of(step["type"]) in CROPS), None)
    if scale is None:
        raise ValueError(
            f"{type(model.backbone).__name__} takes any image size, and the training pipeline has "
            f"no {' or '.join(CROPS)} that names one"
        )
    return (scale, scale) if isinstance(scale, int) else tuple(scale)


def whole_image_pipeline(loader: Mapping[str, Any], size: tuple[int, int]) -> Compose:
    """What reads images as in training, scaled and cropped.

    Args:
        loader: the first step of the training's pipeline.
        size: (height, width) in pixels.
    """
    height, width = size
    loader = whole_image_loader(loader)
    if loader["type"] == "LoadImageFromFile":
        loader["ignore_empty"] = False
        loader.setdefault("imdecode_backend", "pillow")  # which says what is wrong with a file
    return Compose(
        [
            TRANSFORMS.build(step)
            for step in (
                loader,
                dict(type="ResizeEdge", scale=max(height, width), edge="short"),
                dict(type="CenterCrop", crop_size=(width, height)),
                dict(type="PackInputs"),
            )
        ]
    )


@torch.no_grad()
def preprocessed(samples: Sequence[Mapping[str, Any]], model: Any) -> Tensor:
    """What the pipeline gave, as the model sees it: (B, C, H, W), normalised, on its device.

    Args:
        samples: B of them.
        model: with a ``data_preprocessor``.
    """
    return model.data_preprocessor(default_collate(samples))["inputs"]


def load_whole_images(paths: Iterable[str], cfg: Config, model: MaskedImageModel) -> Tensor:
    """Image files read as in training, scaled and cropped to the model's size.

    Args:
        paths: of files.
        cfg: that the model is trained with, its image size settled.
        model: whose preprocessor normalises the images.

    Returns:
        (B, C, H, W), normalised.
    """
    steps = training_steps(cfg)
    pipeline = whole_image_pipeline(steps[0], model_image_size(model, steps))
    return preprocessed([pipeline({"img_path": str(path)}) for path in paths], model)
