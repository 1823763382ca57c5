"""Encoders as ONNX: onnxruntime gives the encoder's features of files, for any batch."""

import numpy as np
import onnxruntime
import pytest
import timm
import tiny
import torch
from mmpretrain.registry import MODELS
from PIL import Image
from runs import config

from localmim.analysis import load_encoder
from localmim.analysis.onnx import export_onnx
from localmim.engine import settle_image_size

# Two batches of the one file, neither of them the size that was traced.
BATCHES = (1, 3)


def encoder_of(tmp_path, name, image_size=None, **settings):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, **settings)
    for tensor in model.state_dict().values():
        if tensor.dim() == 1 and tensor.is_floating_point():
            tensor.data += 0.2 * torch.rand_like(tensor)  # norms and biases take part
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    return load_encoder(str(tmp_path / "weights.pth"), image_size=image_size)


def features_of(file, images):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["features", "map"], {"images": images.numpy()})


def assert_equal_features(encoder, file, size):
    for count in BATCHES:
        images = torch.rand(count, encoder.channels, *size) * 255
        seen = encoder.data_preprocessor
        normalized = ((images.double() - seen.mean) / seen.std).float()
        expected = encoder.vectors(normalized).numpy(), encoder.maps(normalized).numpy()
        for found, wanted in zip(features_of(file, images), expected, strict=True):
            assert found.shape == wanted.shape
            assert np.abs(found - wanted).max() / np.abs(wanted).max() < 1e-5


@pytest.mark.parametrize(
    "name, size, settings",
    [
        ("vit_tiny_patch16_224", (96, 64), {}),
        # Windows that shift, and a stage no larger than a window.
        (
            "swin_tiny_patch4_window7_224",
            (56, 56),
            {"depths": (2, 2), "num_heads": (3, 6)},
        ),
    ],
)
def test_transformers_of_one_size(tmp_path, name, size, settings):
    encoder = encoder_of(tmp_path, name, size, **settings)
    before = {key: value.clone() for key, value in encoder.backbone.state_dict().items()}
    export_onnx(encoder, tmp_path / "a.onnx")
    assert_equal_features(encoder, tmp_path / "a.onnx", size)
    for key, value in encoder.backbone.state_dict().items():
        assert torch.equal(value, before[key])
    with pytest.raises(ValueError, match="laid out for one image size"):
        export_onnx(encoder, tmp_path / "b.onnx", any_size=True)
    assert not (tmp_path / "b.onnx").exists()


def test_a_checkpoint_of_a_training(tmp_path):
    """Whose encoder gives tokens, of which the map is made, and sees B, G and R."""
    torch.manual_seed(0)
    cfg = config(tmp_path, tmp_path, image_size=64)
    cfg.model = tiny.MODELS["vit"]()
    cfg.data_preprocessor.update(mean=[10.0, 20.0, 30.0], std=[50.0, 60.0, 70.0], to_rgb=False)
    content = {"meta": {"cfg": cfg.pretty_text, "epoch": 1}}
    settle_image_size(cfg)
    content["state_dict"] = MODELS.build(cfg.model).state_dict()
    torch.save(content, tmp_path / "epoch_1.pth")
    encoder = load_encoder(str(tmp_path / "epoch_1.pth"))
    export_onnx(encoder, tmp_path / "a.onnx")
    pixels = torch.rand(3, 3, 64, 64) * 255
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in ([10.0, 20, 30], [50.0, 60, 70]))
    with torch.no_grad():
        tokens = encoder.backbone((pixels.flip(1) - mean) / std)[-1][:, 1:]
    vectors, maps = map(torch.from_numpy, features_of(tmp_path / "a.onnx", pixels))
    torch.testing.assert_close(vectors, tokens.mean(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps.flatten(2).mT, tokens, rtol=1e-4, atol=1e-5)


def test_convolutional_networks_of_any_size(tmp_path, photo_folder):
    """Of pixels as well that Pillow decoded, neither turned round nor normalised."""
    encoder = encoder_of(tmp_path, "convnext_atto", (64, 64), depths=(1, 1, 1, 1))
    metadata = export_onnx(encoder, tmp_path / "a.onnx", any_size=True)
    for size in ((224, 224), (64, 96)):
        assert_equal_features(encoder, tmp_path / "a.onnx", size)
    assert metadata["localmim.input"] == "RGB, 0 to 255; normalised inside"
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    assert session.get_modelmeta().custom_metadata_map == metadata
    path = tmp_path / "small.png"
    source = sorted(photo_folder.glob("*"))[0]
    Image.open(source).convert("RGB").resize((64, 64)).save(path)
    image = np.asarray(Image.open(path), np.float32).transpose(2, 0, 1)[None]
    found = features_of(tmp_path / "a.onnx", torch.from_numpy(image.copy()))[0]
    wanted = encoder.vectors(encoder.read([str(path)])).numpy()
    assert np.abs(found - wanted).max() / np.abs(wanted).max() < 1e-5


def test_what_has_no_map_is_refused(tmp_path):
    encoder = encoder_of(tmp_path, "resnet18")
    with pytest.raises(ValueError, match="a.pth must end in .onnx"):
        export_onnx(encoder, tmp_path / "a.pth")
