"""One setting for the size of the images of pre-training: ``image_size`` of a config."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmpretrain.registry import MODELS

CROPS = ("LoadRandomResizedCrop", "RandomResizedCrop")


def settle_image_size(cfg: Config) -> None:
    """Make backbone and crops of a pre-training config take images of one size, in place.

    ``image_size`` of the config, an int or (height, width) in pixels, sets
    ``model.backbone.img_size`` (if the backbone has such an argument) and the ``scale`` of every
    random crop (``CROPS``) of the training pipeline; mmpretrain's counts (height, width), too.
    Without it the two have to agree. Configs of other models are left alone.

    Args:
        cfg: of a training.

    Raises:
        ValueError: the sizes of backbone and crops differ, or ``image_size`` is no size or has
            no crop to set.
    """
    model = cfg.get("model") or {}
    if "mask_generator" not in model:
        return
    backbone = model["backbone"]
    steps = (step for steps in training_pipelines(cfg) for step in steps)
    crops = [step for step in steps if name_of(step["type"]) in CROPS]
    if (size := cfg.get("image_size")) is not None:
        size = _pair("image_size", size)
        given = backbone.get("img_size")
        if given is not None and _pair("model.backbone.img_size", given) != size:
            raise ValueError(
                f"image_size is {_text(size)} (height x width) but model.backbone.img_size "
                f"{_text(_pair('model.backbone.img_size', given))}: leave the latter out, "
                "backbone and crops follow image_size"
            )
        if not crops:
            raise ValueError(
                f"image_size {_text(size)} has no {' or '.join(CROPS)} in the training pipeline to "
                "set: leave it out, and set model.backbone.img_size and the pipeline's own steps"
            )
        if _default_size(backbone) is not None:
            backbone["img_size"] = size
        for crop in crops:
            crop["scale"] = size
    _compare(backbone, crops)


def training_pipelines(cfg: Mapping[str, Any]) -> list[list[dict]]:
    """The pipelines of a config's training images, of all data sets within wrappers."""
    return _pipelines((cfg.get("train_dataloader") or {}).get("dataset") or {})


def training_steps(cfg: Mapping[str, Any]) -> list[dict]:
    """The pipeline of a config's training images, or the first of several."""
    return training_pipelines(cfg)[0]


def _pipelines(dataset: Mapping[str, Any]) -> list[list[dict]]:
    inner = dataset.get("datasets") or [dataset.get("dataset")]
    found = [steps for each in inner if isinstance(each, Mapping) for steps in _pipelines(each)]
    return found or [dataset.get("pipeline") or []]


def name_of(kind: str | type) -> str:
    """Of a type in a config, which may be the class itself."""
    return kind if isinstance(kind, str) else kind.__name__


def _compare(backbone: dict, crops: list[dict]) -> None:
    size = backbone.get("img_size", _default_size(backbone))
    if size is None:
        return
    size = _pair("model.backbone.img_size", size)
    for crop in crops:
        scale = _pair("scale", crop["scale"])
        if scale != size:
            raise ValueError(
                f"model.backbone.img_size is {_text(size)} (height x width) but the training "
                f"pipeline's {name_of(crop['type'])} gives {_text(scale)} (its scale is (height, "
                f"width)): set image_size={list(scale)} instead of both"
            )


def _default_size(backbone: dict) -> Any:
    """The default of the backbone's argument ``img_size``, or None if it has no such argument."""
    kind = backbone["type"]
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    for parent in inspect.getmro(kind) if kind else ():  # what is unknown is refused when built
        parameter = inspect.signature(parent.__init__).parameters.get("img_size")
        if parameter is not None:
            return parameter.default
    return None


def _pair(name: str, size: Any) -> tuple[int, int]:
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise ValueError(f"{name} must be an int or two, positive, in pixels, got {size!r}")
    return pair


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
