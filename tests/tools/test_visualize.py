import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image
from runs import config, run

from localmim.engine import settle_image_size

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"
LOMAR_CONFIG = ROOT / "configs/demo/lomar_vit-mini-p8_1xb16-coslr-2k_scenes.py"
A2MIM_CONFIG = ROOT / "configs/demo/a2mim_r50-mini_1xb32-coslr-1k_scenes.py"  # has no img_size
SWIN_CONFIG = ROOT / "configs/demo/localmim_swin-mini-w4_1xb16-coslr-8e_photos.py"

TOOL = "visualize"


def save_model(config, folder):
    cfg = Config.fromfile(config)
    settle_image_size(cfg)
    model = MODELS.build(cfg.model)
    torch.save({"state_dict": model.state_dict()}, folder / "model.pth")
    return folder / "model.pth"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_model(CONFIG, tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("path", "scales"),
    [(CONFIG, 4), (SWIN_CONFIG, 4), (LOMAR_CONFIG, 1), (A2MIM_CONFIG, 1)],
    ids=["vit", "swin", "lomar", "a2mim"],
)
def test_draws_a_picture_per_scale_and_names_them(tmp_path, path, scales, photo_folder, call):
    checkpoint, out = save_model(path, tmp_path), ("--out-dir", tmp_path / "out")
    text = call(checkpoint, photo_folder, "--config", path, "--max-images", 2, *out)
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == scales
    assert all(re.search(rf"^  {path}  -?\d+%$", text, re.M) for path in written)
    assert all(min(Image.open(path).size) > 300 for path in written)


def test_images_are_read_as_in_training_whatever_their_channels(tmp_path, call):
    (tmp_path / "five.py").write_text(
        f"""
_base_ = "{CONFIG}"
data_preprocessor = dict(mean=[120.0] * 5, std=[60.0] * 5, to_rgb=False)
model = dict(backbone=dict(in_channels=5))
train_pipeline = [
    dict(type="LoadBands", channels=5),
    dict(type="RandomResizedCrop", scale=96, backend="cv2"),
    dict(type="PackImage"),
]
train_dataloader = dict(
    dataset=dict(dataset=dict(pipeline=train_pipeline, extensions=(".npy", ".tif")))
)
"""
    )
    save_model(tmp_path / "five.py", tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (150, 120, 5), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images/a.tif", pixels)
    np.save(tmp_path / "images/b.npy", pixels)
    five, model, images = (tmp_path / name for name in ("five.py", "model.pth", "images"))
    call(model, images, "--config", five, "--out-dir", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_errors_are_one_line(tmp_path, checkpoint, photo_folder, call):
    (tmp_path / "empty").mkdir()
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "other.pth")
    for arguments, message in (
        ((checkpoint, tmp_path / "none.jpg"), "none.jpg does not exist"),
        ((checkpoint, tmp_path / "empty"), "holds no images"),
        ((tmp_path / "other.pth", photo_folder), "other.pth does not fit the model"),
        ((tmp_path / "none.pth", photo_folder), "none.pth can not be found"),
    ):
        error = call(*arguments, "--config", CONFIG, "--out-dir", tmp_path / "out")
        assert error.startswith("error: ") and message in error and "\n" not in error


def test_the_config_is_the_checkpoints_own_with_its_options(tmp_path, photo_folder, call):
    changes = {"model.target_generator.bins": 6, "train_cfg.max_epochs": 2}
    run(config(tmp_path / "run", photo_folder, **changes))
    out = ("--out-dir", tmp_path / "out", "--max-images", 2)
    call(tmp_path / "run/epoch_2.pth", photo_folder, *out)
    assert len(list((tmp_path / "out").iterdir())) == 4
    error = call(save_model(CONFIG, tmp_path), photo_folder, *out)
    assert "does not hold the config of a training: name the config" in error
