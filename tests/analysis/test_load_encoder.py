"""An encoder sees images in one way: in a training's checkpoint, and in what is made of it."""

import numpy as np
import pytest
import timm
import tiny
import torch
from mmpretrain.registry import MODELS
from runs import config
from safetensors.torch import save_file

from localmim.analysis import load_encoder
from localmim.analysis.encoders import MEAN, STD, seen_by
from localmim.checkpoints import convert_file, read_checkpoint
from localmim.engine import settle_image_size

# Of R, G and B, far apart, so that a wrong order changes much.
OWN = [40.0, 120.5, 200.0], [20.0, 60.0, 90.25]
SEEN = {
    "RGB": dict(mean=OWN[0], std=OWN[1], to_rgb=True),
    "BGR": dict(mean=OWN[0][::-1], std=OWN[1][::-1], to_rgb=False),
}
GREY = dict(grey=True, mean=[90.5], std=[30.25])


@pytest.fixture
def files(photo_folder):
    """In colour, with alpha and grey."""
    return [str(photo_folder / name) for name in ("china.jpg", "astronaut.png", "camera.png")]


def checkpoint_of_training(folder, kind="vit", channels=3, **preprocessor):
    """Random weights in the place of trained ones, with norms that take part."""
    cfg = config(folder, folder, image_size=64)
    cfg.model = (tiny.MODELS | tiny.OTHERS)[kind](channels=channels)
    if kind == "resnet":  # other libraries have those of usual width only
        cfg.model.backbone.update(stem_channels=64, base_channels=64)
    cfg.data_preprocessor = dict(type="MIMDataPreprocessor", **preprocessor)
    meta = {"cfg": cfg.pretty_text, "epoch": 1}
    settle_image_size(cfg)
    state = MODELS.build(cfg.model).state_dict()
    for tensor in state.values():
        if tensor.dim() == 1 and tensor.is_floating_point():
            tensor += 0.2 * torch.rand_like(tensor)
    torch.save({"state_dict": state, "meta": meta}, folder / "epoch_1.pth")
    return folder / "epoch_1.pth"


def vectors(path, files):
    encoder = load_encoder(str(path))
    return encoder.vectors(encoder.read(files))


def assert_equal(found, expected):
    assert float(expected.std(0).max()) > 1e-3  # images differ
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "kind, order, dialect",
    [
        ("vit", "RGB", "timm"),
        ("vit", "BGR", "timm"),
        ("vit", "BGR", "mmpretrain"),
        ("swin", "BGR", "timm"),
        ("resnet", "BGR", "timm"),
        ("convnext", "RGB", "timm"),
        ("convnext", "BGR", "timm"),
        ("a2mim vit", "BGR", "mmpretrain"),
        ("lomar", "BGR", "localmim"),
    ],
)
def test_exports_see_what_the_training_did(tmp_path, files, kind, order, dialect):
    file, out = checkpoint_of_training(tmp_path, kind, **SEEN[order]), tmp_path / "a.safetensors"
    _, meta = convert_file(file, out, dialect)
    for name, value in zip(("mean", "std"), OWN, strict=True):
        np.testing.assert_allclose(meta[name], np.array(value) / 255)  # of R, G and B
    assert meta.get("colour_order", "RGB") == order
    assert_equal(vectors(out, files), vectors(file, files))


@pytest.mark.parametrize("kind", ["vit", "swin", "convnext"])
def test_exports_of_grey_encoders(tmp_path, files, kind):
    file, out = checkpoint_of_training(tmp_path, kind, channels=1, **GREY), tmp_path / "a.pth"
    convert_file(file, out, "timm")
    for path in (file, out):
        encoder = load_encoder(str(path))
        images = encoder.read(files)
        assert encoder.channels == 1 and images.shape == (3, 1, 64, 64)
        loaded = torch.stack([encoder.pipeline({"img_path": name})["inputs"] for name in files])
        expected = (loaded.double().mean(1, keepdim=True) - 90.5) / 30.25
        torch.testing.assert_close(images.double(), expected, rtol=1e-5, atol=1e-6)
    assert_equal(vectors(out, files), vectors(file, files))


def test_weights_that_say_nothing_see_images_as_on_imagenet(tmp_path, files):
    model = timm.create_model("vit_tiny_patch16_224", img_size=64)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    encoder = load_encoder(str(tmp_path / "a.safetensors"))
    loaded = torch.stack([encoder.pipeline({"img_path": name})["inputs"] for name in files])
    mean, std = (torch.tensor(x).double().view(3, 1, 1) for x in (MEAN, STD))
    expected = (loaded.flip(1).double() - mean) / std  # files are loaded as B, G, R
    torch.testing.assert_close(encoder.read(files).double(), expected, rtol=1e-5, atol=1e-6)


def test_weights_of_one_channel_that_say_nothing_are_refused(tmp_path):
    file = checkpoint_of_training(tmp_path, "convnext", channels=1, **GREY)
    torch.save(read_checkpoint(file).state_dict, tmp_path / "bare.pth")
    with pytest.raises(ValueError, match=r"bare.pth takes 1 channels, and nothing says how"):
        load_encoder(str(tmp_path / "bare.pth"))


@pytest.mark.parametrize("name", SEEN)
def test_settings_come_back_from_what_a_file_says(name):
    values = {
        key: [x / 255 for x in value] for key, value in zip(("mean", "std"), OWN, strict=True)
    }
    found = seen_by(values | ({"colour_order": "BGR"} if name == "BGR" else {}))
    for key in ("mean", "std"):
        assert found.pop(key) == pytest.approx(SEEN[name][key])
    assert found == {"to_rgb": name == "RGB"}


def test_settings_of_grey_and_of_nothing():
    found = seen_by({"mean": [0.4], "std": [0.2]})
    assert found == dict(
        mean=[pytest.approx(102)], std=[pytest.approx(51)], grey=True, to_rgb=False
    )
    for hints in ({}, {"mean": [0.4]}, {"std": [0.2]}):
        assert seen_by(hints) == dict(mean=MEAN, std=STD, to_rgb=True)
