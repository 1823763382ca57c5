"""The call that is printed gives, from the file alone, what the training's own model computes."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform, resolve_model_data_config
from transformers import AutoImageProcessor, ViTConfig, ViTModel

from localmim.analysis import load_encoder
from localmim.checkpoints import convert_file, timm_call, transformers_preprocessor
from localmim.checkpoints.usage import IMPORTS
from localmim.engine import settle_image_size

CONFIGS = Path(__file__).parents[2] / "configs/localmim"
VIT = "localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py"
MEAN, STD = [110.0, 120.0, 130.0], [50.0, 60.0, 70.0]


def trained(path, name, size):
    """A checkpoint as a run of a config would save it, with random weights of its full size."""
    cfg = Config.fromfile(CONFIGS / name)
    cfg.merge_from_dict({"image_size": size, "data_preprocessor.mean": MEAN})
    cfg.merge_from_dict({"data_preprocessor.std": STD})
    settle_image_size(cfg)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    torch.save({"state_dict": model.state_dict(), "meta": {"cfg": cfg.pretty_text}}, path)
    return path


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (VIT, 96),
        ("localmim_swin-tiny-w7_1xb128-amp-coslr-200e_folder.py", 224),
        ("localmim_resnet50_1xb128-amp-coslr-200e_folder.py", 96),
    ],
)
def test_timm_computes_what_the_training_does(tmp_path, name, size):
    source = trained(tmp_path / "epoch_1.pth", name, size)
    file = tmp_path / "backbone.safetensors"
    conversion, meta = convert_file(source, file, "timm")
    names: dict = {}
    exec(f"{IMPORTS}\nmodel = {timm_call(conversion.architecture, meta, file)}", names)
    model = names["model"].eval()
    settings = resolve_model_data_config(model)
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    transform = create_transform(**settings | dict(crop_pct=1.0))
    with torch.no_grad():
        image = transform(Image.open(tmp_path / "picture.png"))[None]
        encoder = load_encoder(str(source))
        torch.testing.assert_close(image, encoder.read([tmp_path / "picture.png"]))
        theirs = model.forward_features(image)
        ours = encoder.backbone(image)[-1]
    if "vit" in name:
        theirs, ours = theirs[:, 1:], ours[:, 1:] if ours.dim() == 3 else ours
    elif "swin" in name:
        theirs = theirs.permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_transformers_computes_what_the_training_does(tmp_path):
    """By the weights and the settings of its preprocessor, which lie in one folder."""
    source = trained(tmp_path / "epoch_1.pth", VIT, 96)
    file = tmp_path / "model.safetensors"
    conversion, meta = convert_file(source, file, "transformers")
    settings = transformers_preprocessor(conversion.architecture, meta)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    picture = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    prepare = AutoImageProcessor.from_pretrained(tmp_path)
    image = prepare(Image.open(tmp_path / "picture.png"), return_tensors="pt")["pixel_values"]
    by_hand = Image.open(tmp_path / "picture.png").resize((96, 96), Image.Resampling.BICUBIC)
    expected = (np.asarray(by_hand) - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(image[0].permute(1, 2, 0), expected, atol=1e-5)
    sizes = dict(hidden_size=384, num_attention_heads=6, intermediate_size=1536, image_size=96)
    model = ViTModel(ViTConfig(layer_norm_eps=1e-6, **sizes), add_pooling_layer=False).eval()
    model.load_state_dict(load_file(file))
    with torch.no_grad():
        theirs = model(image).last_hidden_state
        ours = load_encoder(str(source)).backbone(image)[-1]
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_what_transformers_has_no_setting_for(tmp_path):
    odd = timm.models.VisionTransformer(64, embed_dim=48, depth=1, num_heads=3, num_classes=0)
    torch.save(odd.state_dict(), tmp_path / "odd.pth")
    conversion, meta = convert_file(tmp_path / "odd.pth", tmp_path / "out.pth", "transformers")
    assert transformers_preprocessor(conversion.architecture, meta) is None
    seen = {"mean": [0.5] * 3, "std": [0.5] * 3, "colour_order": "BGR"}
    assert transformers_preprocessor(conversion.architecture, seen) is None


def test_unusual_sizes_have_no_name_there(tmp_path):
    odd = timm.models.VisionTransformer(64, embed_dim=48, depth=1, num_heads=3, num_classes=0)
    torch.save(odd.state_dict(), tmp_path / "odd.pth")
    conversion, meta = convert_file(tmp_path / "odd.pth", tmp_path / "out.pth", "mmpretrain")
    assert timm_call(conversion.architecture, meta, "out.pth") is None
