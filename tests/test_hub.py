"""mmpretrain's own functions find our models and run them."""

import numpy as np
import torch
from mmpretrain import FeatureExtractor, get_model, list_models
from PIL import Image

import localmim.parts  # noqa: F401

TINY = dict(backbone=dict(arch="deit-tiny"))


def test_they_are_listed_beside_the_librarys():
    names = list_models("localmim_")
    assert "localmim_vit-base-p16_8xb256-amp-coslr-100e_in1k" in names
    assert all(name in list_models() for name in ("resnet50_8xb32_in1k", *names))
    assert "vit-base-p16_localmim-100e-pre_8xb128-amp-coslr-100e_in1k" in list_models("vit-base")


def test_a_model_gives_features():
    model = get_model("localmim_vit-small-p16_1xb128-amp-coslr-200e_folder", **TINY)
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        features = model.extract_feat(images)
        expected = model.backbone(images)
    assert features[-1].shape == (2, 197, 192)
    assert all(torch.equal(a, b) for a, b in zip(features, expected, strict=True))


def test_files_become_features(tmp_path):
    """Read, scaled and normalised as mmpretrain does, equal to that by hand."""
    path = tmp_path / "a.png"
    values = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    Image.fromarray(values).save(path)
    extract = FeatureExtractor("localmim_vit-small-p16_1xb128-amp-coslr-200e_folder", **TINY)
    found = extract(str(path))[0][-1]
    seen = extract.model.data_preprocessor
    images = (torch.from_numpy(values).permute(2, 0, 1)[None].double() - seen.mean) / seen.std
    with torch.no_grad():
        expected = extract.model.backbone(images.float())[-1][0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_sizes_of_images_are_settled():
    model = get_model("lomar_vit-base-p16_8xb512-amp-coslr-1600e_in1k-384px")
    assert model.backbone.img_size == (384, 384)
