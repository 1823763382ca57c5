"""Every config says what its file name says and has its entry in a metafile; every config of
pre-training builds. (Those of transfer: test_transfer_configs.py.)"""

import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import DATASETS, MODELS
from repeated_numbers import repeated_numbers

from localmim.engine import settle_image_size
from localmim.models import FrequencyHead, MaskedImageModel

pytestmark = pytest.mark.usefixtures("freed")

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts)
NAMES = [path.stem for path in CONFIGS]
TRANSFER = ("finetune", "segmentation", "detection")
PRETRAINING = [
    path
    for path in CONFIGS
    if path.parent.name not in TRANSFER
    and path.stem.startswith(("localmim", "mae", "maskfeat", "greenmim", "lomar", "a2mim"))
]
LENGTHS = {
    "e": lambda cfg: cfg.train_cfg.max_epochs,
    "x": lambda cfg: cfg.train_cfg.max_epochs / 12,
    "k": lambda cfg: cfg.train_cfg.max_iters / 1000,
    "": lambda cfg: cfg.train_cfg.max_iters,
}


def test_there_are_configs():
    assert len(PRETRAINING) >= 39 and len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("path", PRETRAINING, ids=[path.stem for path in PRETRAINING])
def test_model_optimiser_and_pipeline_build_and_targets_fit(path):
    cfg = Config.fromfile(path)
    settle_image_size(cfg)
    with repeated_numbers():
        model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    assert isinstance(model, MaskedImageModel)
    build_optim_wrapper(model, cfg.optim_wrapper)
    dataset = cfg.train_dataloader.dataset
    dataset = dataset.get("dataset", dataset)
    crop = next(step for step in dataset.pipeline if step["type"] == "LoadRandomResizedCrop")
    width, height = crop.scale if isinstance(crop.scale, tuple) else (crop.scale, crop.scale)
    assert (height, width) == tuple(getattr(model.backbone, "img_size", (height, width)))
    assert (
        dataset.type in ("ImageNet", "UnlabelledImages", "ShardedImages")
        and dataset.type in DATASETS
    )
    images = torch.randn(1, 3, height, width)
    with torch.no_grad():
        losses = model.eval().loss(images)
    if isinstance(model.head, FrequencyHead):
        assert len(losses) == 1 + (model.head.frequency_weight > 0)
    else:
        assert len(losses) == len(model.backbone.out_indices)
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("path", CONFIGS, ids=NAMES)
def test_file_name_tells_batch_schedule_and_length(path):
    cfg = Config.fromfile(path)
    if path.stem.startswith("knn"):
        assert cfg.get("train_dataloader") is None
        return
    name = re.fullmatch(
        r".*_(\d+)xb(\d+)(-amp)?(?:-linear|-rsb-a[23])?(-coslr|-steplr|-ms-crop|-lsj)?-(\d+)"
        r"([ekx]?)_(in1k|in1k-384px|folder|shards|photos|scenes|ade20k-512x512|coco)",
        path.stem,
    )
    gpus, batch, amp, schedule, length, unit, data = name.groups()
    assert cfg.train_dataloader.batch_size == int(batch)
    assert LENGTHS[unit](cfg) == int(length)
    assert (cfg.optim_wrapper.type == "MixedPrecisionOptimWrapper") == bool(amp)
    warmup, decay = cfg.param_scheduler
    assert warmup.type == "LinearLR"
    if schedule == "-coslr":
        assert decay.type == "CosineAnnealingLR" and warmup.end == decay.begin
        assert warmup.end < (cfg.train_cfg.get("max_epochs") or cfg.train_cfg.max_iters)
    # Full-size recipes name the setting for which their learning rate is meant.
    if data in ("in1k", "in1k-384px", "ade20k-512x512", "coco"):
        total = int(gpus) * int(batch) * cfg.optim_wrapper.get("accumulative_counts", 1)
        assert cfg.auto_scale_lr.base_batch_size == total
    if data != "scenes":
        assert cfg.auto_scale_lr.enable


# Published recipe: batch, lr, epochs, warm-up, bins (Wang et al. 2023).
RECIPES = {
    "localmim_vit-base-p16_8xb256-amp-coslr-1600e_in1k": (2048, 1.6e-3, 1600, 40, 9),
    "localmim_vit-base-p16_8xb256-amp-coslr-100e_in1k": (2048, 1.6e-3, 100, 10, 9),
    "localmim_vit-large-p16_8xb512-amp-coslr-800e_in1k": (4096, 2.4e-3, 800, 40, 18),
    "localmim_swin-base-w7_8xb256-amp-coslr-400e_in1k": (2048, 8e-4, 400, 40, 18),
    "localmim_swin-base-w7_8xb256-amp-coslr-100e_in1k": (2048, 8e-4, 100, 10, 18),
    "localmim_swin-base-w7_pixel_8xb256-amp-coslr-400e_in1k": (2048, 8e-4, 400, 40, None),
    "localmim_swin-base-w7_pixel_8xb256-amp-coslr-100e_in1k": (2048, 8e-4, 100, 10, None),
    "localmim_swin-large-w14_8xb512-amp-coslr-800e_in1k": (4096, 1.6e-3, 800, 40, 18),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_papers_recipes(name):
    cfg = Config.fromfile(ROOT / "configs/localmim" / f"{name}.py")
    optimizer = cfg.optim_wrapper.optimizer
    found = (
        cfg.auto_scale_lr.base_batch_size,
        optimizer.lr,
        cfg.train_cfg.max_epochs,
        cfg.param_scheduler[0].end,
        cfg.model.target_generator.get("bins"),
    )
    assert found == RECIPES[name]
    assert (optimizer.betas, optimizer.weight_decay) == ((0.9, 0.95), 0.05)
    assert cfg.param_scheduler[1].eta_min == (0.0 if "swin" in name else 1e-6)
    assert "clip_grad" not in cfg.optim_wrapper


# Published recipes: batch, lr, least lr, epochs, warm-up, betas, least crop (Chen et al. 2022;
# Li et al. 2023 and their release).
OTHER_RECIPES = {
    "lomar/lomar_vit-base-p16_8xb512-amp-coslr-1600e_in1k": (
        (4096, 2.4e-3, 0.0, 1600, 20, (0.9, 0.95), 0.2)
    ),
    "a2mim/a2mim_resnet50_8xb256-amp-coslr-300e_in1k": (
        (2048, 1.2e-3, 1e-5, 300, 10, (0.9, 0.999), 0.8)
    ),
    "a2mim/a2mim_resnet50_8xb256-amp-coslr-100e_in1k": (
        (2048, 1.2e-3, 1e-5, 100, 10, (0.9, 0.999), 0.8)
    ),
    "a2mim/a2mim_resnet101_8xb256-amp-coslr-300e_in1k": (
        (2048, 1.2e-3, 1e-5, 300, 10, (0.9, 0.999), 0.8)
    ),
    "a2mim/a2mim_convnext-tiny_8xb256-amp-coslr-300e_in1k": (
        (2048, 1.2e-3, 1e-5, 300, 10, (0.9, 0.999), 0.8)
    ),
    "a2mim/a2mim_vit-base-p16_8xb256-amp-steplr-800e_in1k": (
        (2048, 4e-4, None, 800, 10, (0.9, 0.999), 0.67)
    ),
    "a2mim/a2mim_vit-small-p16_8xb256-amp-steplr-800e_in1k": (
        (2048, 4e-4, None, 800, 10, (0.9, 0.999), 0.67)
    ),
}


@pytest.mark.parametrize("name", OTHER_RECIPES)
def test_the_recipes_of_lomar_and_a2mim(name):
    cfg = Config.fromfile(ROOT / f"configs/{name}.py")
    optimizer, (warmup, decay) = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    found = (
        cfg.auto_scale_lr.base_batch_size,
        optimizer.lr,
        decay.get("eta_min"),
        cfg.train_cfg.max_epochs,
        warmup.end,
        optimizer.betas,
        cfg.train_dataloader.dataset.pipeline[0].crop_ratio_range[0],
    )
    assert found == OTHER_RECIPES[name] and optimizer.weight_decay == 0.05
    if "vit" in name and "a2mim" in name:
        assert (decay.milestones, decay.gamma) == ([700], 0.1)
        assert cfg.optim_wrapper.clip_grad.max_norm == 5.0


def test_metafiles_have_the_iterations_of_their_configs():
    content = yaml.safe_load((ROOT / "configs/demo/metafile.yml").read_text())
    said = {m["Config"]: m["Metadata"].get("Iterations") for m in content["Models"]}
    said = {path: iterations for path, iterations in said.items() if iterations}
    assert len(said) > 20
    assert said == {p: Config.fromfile(ROOT / p).train_cfg.max_iters for p in said}


def test_metafiles_name_every_config_and_the_index_every_metafile():
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
    listed = []
    for metafile in index:
        content = yaml.safe_load((ROOT / metafile).read_text())
        collections = {entry["Name"] for entry in content["Collections"]}
        for collection in content["Collections"]:
            assert (ROOT / collection["README"]).is_file()
        for model in content["Models"]:
            assert (ROOT / model["Config"]).stem == model["Name"]
            assert (ROOT / model["Config"]).is_file() and model["In Collection"] in collections
            listed.append(model["Name"])
    assert sorted(listed) == sorted(NAMES)
    assert {str(p.relative_to(ROOT)) for p in (ROOT / "configs").rglob("metafile.yml")} == set(
        index
    )
