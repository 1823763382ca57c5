"""Encoders built of other libraries' weights compute what those libraries' models do."""

import pytest
import timm
import torch
from library_models import (
    BEITS,
    BEITS_WITHOUT_POSITIONS,
    CONVNEXTS,
    CONVNEXTS_OF_CONVS,
    CONVNEXTS_V2,
    RESNETS,
    SIZES,
    SWINS,
    VITS,
    build,
    features,
)
from mmengine.config import Config
from mmpretrain.registry import MODELS

from localmim.checkpoints import build_encoder
from localmim.checkpoints.encoder import encoder_config

FAMILIES = {
    "vit": (VITS, ("timm", "VisionTransformer")),
    "vit of transformers": (VITS, ("transformers", "ViTModel")),
    "vit of mmseg": (VITS, ("mmseg", "VisionTransformer")),
    "beit": (BEITS, ("mmseg-mae", "MAE")),
    "beit without positions": (BEITS_WITHOUT_POSITIONS, ("mmseg-beit", "BEiT")),
    "swin": (SWINS, ("timm", "SwinTransformer")),
    "swin of transformers": (SWINS, ("transformers", "SwinModel")),
    "resnet": (RESNETS, ("timm", "ResNet")),
    "convnext": (CONVNEXTS, ("timm", "ConvNeXt")),
    "convnext v2": (CONVNEXTS_V2, ("timm", "ConvNeXt")),
    "convnext of convolutions": (CONVNEXTS_OF_CONVS, ("timm", "ConvNeXt")),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_the_sources(family):
    models, kind = FAMILIES[family]
    source = build(models[kind])
    size = SIZES["vit" if "beit" in family else family.split()[0]]
    hints = dict(image_size=size) | (dict(num_heads=(4,)) if size == SIZES["vit"] else {})
    encoder, found = build_encoder(source.state_dict(), hints=hints)
    assert found.image_size == size
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    ours, theirs = encoder.double()(images)[-1], features(source, images)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


def test_another_image_size_resizes_positions():
    source = timm.create_model("vit_tiny_patch16_224")
    encoder, found = build_encoder(source.state_dict(), image_size=(96, 160))
    assert found.image_size == (96, 160) and found.name == "tiny"
    assert encoder(torch.randn(1, 3, 96, 160))[-1].shape == (1, 192, 6, 10)


def test_sizes_that_nothing_tells():
    swin = timm.create_model("swin_tiny_patch4_window7_224")
    assert build_encoder(swin.state_dict())[1].image_size == (224, 224)
    odd = timm.models.VisionTransformer(32, 16, embed_dim=48, depth=1, num_heads=3)
    with pytest.raises(ValueError, match="nothing tells how many heads .*: give num_heads"):
        build_encoder(odd.state_dict())
    with pytest.raises(ValueError, match="not recognised"):
        build_encoder({"weight": torch.zeros(3, 3)})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_config_builds_the_same_encoder(family):
    """Also after it was written into a config file."""
    models, kind = FAMILIES[family]
    size = SIZES["vit" if "beit" in family else family.split()[0]]
    hints = dict(image_size=size) | (dict(num_heads=(4,)) if size == SIZES["vit"] else {})
    encoder, found = build_encoder(build(models[kind]).state_dict(), hints=hints)
    written = Config(dict(backbone=encoder_config(found, encoder.state_dict()))).pretty_text
    again = MODELS.build(Config.fromstring(written, ".py").backbone).double()
    again.eval()
    assert type(again) is type(encoder)
    again.load_state_dict(encoder.state_dict())
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    assert torch.equal(again(images)[-1], encoder.double()(images)[-1])
