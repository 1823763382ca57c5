import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS
from tool_main import DEMO, ROOT

from localmim.analysis import load_whole_images
from localmim.engine import settle_image_size

A2MIM = ROOT / "configs/demo/a2mim_r50-mini_1xb32-coslr-1k_scenes.py"  # has no img_size


@pytest.mark.parametrize("config", [DEMO, A2MIM], ids=["img_size", "crops only"])
def test_images_have_the_height_and_width_of_the_config(config, photo_folder):
    cfg = Config.fromfile(config)
    cfg.image_size = (64, 96)
    settle_image_size(cfg)
    cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    paths = sorted(photo_folder.glob("*.png"))[:2]
    assert load_whole_images(paths, cfg, MODELS.build(cfg.model)).shape == (2, 3, 64, 96)
