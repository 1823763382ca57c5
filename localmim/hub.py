"""Our configs among mmpretrain's: its list_models, get_model and FeatureExtractor find them."""

from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.apis.model import ModelHub
from modelindex.load_model_index import load
from modelindex.models import Model

from localmim.command.places import brought
from localmim.engine import settle_image_size

FOLDERS = ("localmim", "lomar", "a2mim", "baselines", "finetune")
MMPRETRAINS = ("mae_vit-base-p16_8xb512-amp-coslr-1600e_in1k",)  # a name of one of its own
USUAL = 224  # pixels


class HubModel:
    """What mmpretrain's hub keeps of a model, whose config is read when it is asked for.

    Attributes:
        name, results, weights, metadata: as in its metafile.
        filepath: of the config.
    """

    def __init__(self, info: Model, path: Path) -> None:
        self.name, self.results, self.metadata = info.name, info.results, info.metadata
        self.weights, self.filepath = info.weights, str(path)

    @cached_property
    def config(self) -> Config:
        """With one image size, and a pipeline for images of any."""
        cfg = Config.fromfile(self.filepath)
        if "image_size" in cfg:
            settle_image_size(cfg)
        if cfg.get("test_dataloader") is None:
            cfg.test_dataloader = dict(dataset=_whole_images(cfg.get("image_size", USUAL)))
        return cfg


def _whole_images(size: int | tuple[int, int]) -> dict[str, Any]:
    height, width = (size, size) if isinstance(size, int) else size
    pipeline = [
        dict(type="ResizeEdge", scale=max(height, width), edge="short"),
        dict(type="CenterCrop", crop_size=(width, height)),
        dict(type="PackInputs"),
    ]
    return dict(type="UnlabelledImages", pipeline=pipeline)


def register_models() -> None:
    """Let mmpretrain's hub know the pre-training and fine-tuning configs of this package."""
    for folder in FOLDERS:
        index = load(str(brought(f"configs/{folder}/metafile.yml")))
        index.build_models_with_collections()
        for info in index.models:
            if info.name in MMPRETRAINS:
                continue
            ModelHub._models_dict[info.name.lower()] = HubModel(info, brought(info.config))
