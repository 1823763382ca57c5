from io import BytesIO
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from localmim.checkpoints.origin import origin_of
from localmim.engine import settle_image_size

CONFIGS = Path(__file__).parents[2] / "configs"
VIT = "localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py"
RESNET = "localmim/localmim_resnet50_1xb128-amp-coslr-200e_folder.py"
REPEATED = "demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"


def settled(name, **options) -> Config:
    cfg = Config.fromfile(CONFIGS / name)
    cfg.merge_from_dict(options)
    settle_image_size(cfg)
    return cfg


def test_backbone_and_crops_follow_one_setting():
    cfg = settled(VIT, image_size=[128, 224])
    assert cfg.model.backbone.img_size == (128, 224)
    init_default_scope("mmpretrain")
    crop = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[0])
    image = BytesIO()
    Image.new("RGB", (300, 300)).save(image, "PNG")
    cropped = crop(dict(img_path="", img_bytes=image.getvalue()))
    assert cropped["img"].shape == (128, 224, 3)


def test_the_runner_settles_it_and_its_checkpoints_say_it(tmp_path):
    cfg = Config.fromfile(CONFIGS / VIT)
    cfg.merge_from_dict({"image_size": 64, "work_dir": str(tmp_path)})
    cfg.model.backbone.arch = "deit-tiny"
    runner = RUNNERS.build(cfg)
    assert tuple(runner.model.backbone.img_size) == (64, 64)
    hints = origin_of({"meta": {"cfg": runner.cfg.pretty_text, "epoch": 1}})
    assert hints["image_size"] == [64, 64]
    assert "img_size" not in cfg.model.backbone  # what was given is left as it was


def test_a_backbone_of_any_size_has_crops_only():
    cfg = settled(RESNET, image_size=160)
    assert "img_size" not in cfg.model.backbone
    assert cfg.train_dataloader.dataset.pipeline[0].scale == (160, 160)


def test_data_sets_inside_others_are_reached():
    cfg = settled(REPEATED, image_size=64)
    assert cfg.train_dataloader.dataset.dataset.pipeline[0].scale == (64, 64)


def test_what_is_settled_stays_so():
    cfg = settled(VIT, image_size=96)
    before = cfg.pretty_text
    settle_image_size(cfg)
    assert cfg.pretty_text == before


def test_configs_of_other_models_are_left_alone():
    name = "finetune/vit-small-p16_1xb64-amp-coslr-100e_folder.py"
    assert settled(name).pretty_text == Config.fromfile(CONFIGS / name).pretty_text


def test_sizes_that_differ_are_refused_by_the_names_of_both():
    scale = {"train_dataloader.dataset.pipeline.0.scale": (128, 224)}
    with pytest.raises(ValueError, match=r"img_size is 224x224.*gives 128x224.*=\[128, 224\]"):
        settled(VIT, **scale)
    with pytest.raises(ValueError, match="img_size is 96x96.*LoadRandomResizedCrop gives 224x224"):
        settled(VIT, **{"model.backbone.img_size": 96})
    with pytest.raises(ValueError, match="image_size is 64x64.*model.backbone.img_size 96x96"):
        settled(VIT, image_size=64, **{"model.backbone.img_size": 96})
    settled(VIT, **scale, **{"model.backbone.img_size": (128, 224)})


@pytest.mark.parametrize("size", [0, (64,), "64", (64, 96, 3), 64.0])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="image_size must be an int or two, positive"):
        settled(VIT, image_size=size)


def test_a_size_without_a_crop_to_set_is_refused():
    cfg = Config.fromfile(CONFIGS / VIT)
    cfg.image_size, cfg.train_dataloader.dataset.pipeline = 64, [dict(type="PackInputs")]
    with pytest.raises(ValueError, match="has no LoadRandomResizedCrop or RandomRes.* in the tr"):
        settle_image_size(cfg)
