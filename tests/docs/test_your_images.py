"""The configs that the guide shows are complete: they build, read images and give losses."""

import re
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose, default_collate
from mmengine.registry import HOOKS
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from PIL import Image

from localmim.engine import settle_image_size

pytestmark = pytest.mark.usefixtures("freed")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs/localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py"
GUIDE = (ROOT / "docs/guides/your_images.md").read_text()
ENCODER, TAPS, SIZE, CHANNELS, READING, BUILDING = re.findall(
    r"```python\n(.*?)```", GUIDE, re.DOTALL
)


def load(text: str, path: Path) -> Config:
    path.write_text(text.replace('"configs/', f'"{ROOT}/configs/'))
    return Config.fromfile(path)


def losses(cfg: Config, file: Path) -> dict:
    """Of two crops of a file, read as in training."""
    settle_image_size(cfg)
    model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    steps = [TRANSFORMS.build(step) for step in cfg.train_dataloader.dataset.pipeline]
    batch = default_collate([Compose(steps)({"img_path": str(file)}) for _ in range(2)])
    with torch.no_grad():
        return model(**model.data_preprocessor(batch, training=True), mode="loss")


@pytest.fixture
def photo(tmp_path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (250, 300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    "text", [ENCODER, TAPS, SIZE, CHANNELS], ids=["encoder", "taps", "size", "channels"]
)
def test_a_change_takes_three_lines_at_most(text):
    assert len(text.splitlines()) <= 3


def test_another_encoder(tmp_path, photo):
    assert all(x.isfinite() for x in losses(load(ENCODER, tmp_path / "mine.py"), photo).values())


def test_other_taps(tmp_path, photo):
    cfg = load(TAPS, tmp_path / "mine.py")
    found = losses(cfg, photo)
    assert list(found) == ["loss_0", "loss_1", "loss_2"]
    assert all(loss.isfinite() for loss in found.values())


def test_another_size(tmp_path, photo):
    cfg = load(SIZE, tmp_path / "mine.py")
    assert all(loss.isfinite() for loss in losses(cfg, photo).values())
    assert cfg.model.backbone.img_size == (128, 224)


def test_five_channels(tmp_path):
    cfg = load(CHANNELS + READING, tmp_path / "mine.py")
    pixels = np.random.default_rng(0).integers(0, 255, (250, 300, 5), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    tifffile.imwrite(tmp_path / "b.tiff", pixels.transpose(2, 0, 1), photometric="minisblack")
    np.save(tmp_path / "c.npy", pixels.astype(np.float32))
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert [Path(dataset.path(n)).name for n in range(3)] == ["a.tif", "b.tiff", "c.npy"]
    images = [dataset.pipeline.transforms[0]({"img_path": dataset.path(n)}) for n in range(3)]
    assert all(np.array_equal(image["img"], pixels) for image in images)
    assert all(loss.isfinite() for loss in losses(cfg, tmp_path / "a.tif").values())


def test_settings_of_loader_and_check_are_where_the_guide_says(tmp_path):
    cfg = Config.fromfile(FOLDER)
    options = re.findall(r"`(?:train_dataloader\.dataset\.|custom_hooks\.)\S+=\S+`", GUIDE)
    options = [option.strip("`") for option in options]
    assert [option.split("=")[0].rsplit(".", 1)[1] for option in options] == [
        "crop_ratio_range",
        "value_range",
        "extensions",
        "max_share",
    ]
    namespace = ArgumentParser()
    namespace.add_argument("--o", nargs="+", action=DictAction)
    cfg.merge_from_dict(namespace.parse_args(["--o", *options]).o)
    assert HOOKS.build(cfg.custom_hooks[1]).max_share == 0.5
    (tmp_path / "a.jp2").touch()
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 1
    assert dataset.pipeline.transforms[0].value_range == (0, 4095)


def test_a_model_in_python(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(BUILDING, names)
    assert names["model"].backbone.embed_dims == 384


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ("vit-small-p16", {"model.backbone.arch": "deit-tiny", "image_size": (64, 96)}),
        ("vit-small-p16", {"model.target_generator.bins": 18, "image_size": 64}),
        ("swin-tiny-w7", {"model.backbone.arch": "small", "image_size": 128}),
        ("resnet50", {"model.backbone.depth": 101, "image_size": 128}),
    ],
)
@pytest.mark.filterwarnings("ignore:window_size")
def test_settings_from_the_command_line_are_one_each(config, options, photo):
    name = f"localmim_{config}_1xb128-amp-coslr-200e_folder.py"
    cfg = Config.fromfile(ROOT / "configs/localmim" / name)
    cfg.merge_from_dict(options)
    cfg.model.backbone.pop("norm_cfg", None)  # SyncBN, which a runner makes BN
    assert all(loss.isfinite() for loss in losses(cfg, photo).values())
