"""Weights that were saved before the parts fitted themselves together load and give the same.

``reference/weights_before_0.1.pth`` holds small models as they were built then, with every width,
scale and norm of a decoder written in the config, and their losses; see reference/README.md.
"""

from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS

SAVED = torch.load(
    Path(__file__).parents[1] / "reference/weights_before_0.1.pth", weights_only=True
)
VIT = dict(arch=dict(embed_dims=8, num_layers=7, num_heads=2, feedforward_channels=16), img_size=64)
SWIN = dict(embed_dims=4, depths=[2, 2, 2, 2], num_heads=[1, 1, 2, 2])
CONVNEXT = dict(depths=[1, 1, 1, 1], channels=[2, 4, 8, 16])
NECK = dict(type="LocalDecoders", embed_dims=8, num_heads=2)
HOG = dict(type="MultiScaleHOG")
HIDE = dict(type="RandomMasking")
HIDE_FOR_CNNS = dict(type="RandomMasking", ratio=0.6)


def localmim(backbone: dict, mask_generator: dict = HIDE, target: dict = HOG, **choices) -> dict:
    return dict(
        type="LocalMIM",
        backbone=backbone,
        mask_generator=mask_generator,
        neck=NECK | choices,
        target_generator=target,
        head=dict(type="ReconstructionHead"),
    )


def a2mim(backbone: dict, **head) -> dict:
    return dict(
        type="MaskedImageModel",
        backbone=backbone,
        mask_generator=HIDE_FOR_CNNS | dict(cell_size=32),
        neck=dict(type="LinearDecoder"),
        target_generator=dict(type="MultiScalePixels", patch_sizes=(1,), normalize=False),
        head=dict(type="FrequencyHead", **head),
    )


MERGES = dict(merges=(2, 1, 1, 1))
NOW = {
    "localmim_vit": localmim(dict(type="SparseViT", **VIT)),
    "localmim_swin": localmim(
        dict(type="SparseSwin", arch=SWIN, img_size=64, window_size=2),
        HIDE | dict(shared=True),
        HOG | dict(bins=18, cells=(8, 16, 32, 32)),
    ),
    "localmim_resnet": localmim(
        dict(type="PackedResNet", depth=18, stem_channels=2, base_channels=2),
        HIDE_FOR_CNNS,
        **MERGES,
    ),
    "localmim_convnext": localmim(
        dict(type="PackedConvNeXt", arch=CONVNEXT), HIDE_FOR_CNNS, **MERGES
    ),
    "lomar_vit": dict(
        type="LoMaR",
        window_size=3,
        num_windows=2,
        backbone=dict(type="IRPEViT", **VIT),
        mask_generator=HIDE | dict(ratio=0.8, rounding="down"),
        neck=dict(type="LinearDecoder"),
        target_generator=dict(type="MultiScalePixels", patch_sizes=(16,)),
        head=dict(type="ReconstructionHead"),
    ),
    "a2mim_resnet": a2mim(
        dict(type="MaskedResNet", depth=18, stem_channels=1, base_channels=1),
        focal=True,
        frequency_weight=0.5,
        visible_weight=1e-3,
    ),
    "a2mim_vit": a2mim(dict(type="MaskedViT", **VIT)),
}


def test_every_saved_model_is_compared():
    assert NOW.keys() == SAVED.keys()


@pytest.mark.parametrize("name", SAVED)
def test_weights_load_bit_for_bit_and_give_the_losses_of_then(name):
    model, saved = MODELS.build(NOW[name]), SAVED[name]["state_dict"]
    model.load_state_dict(saved, strict=True)  # saved in bfloat16, which float32 holds exactly
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, saved[key].to(tensor.dtype)), key
    images = torch.randn(
        2, 3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    torch.manual_seed(2)
    with torch.no_grad():
        losses = model.double().eval().loss(images)
    assert {key: loss.item() for key, loss in losses.items()} == pytest.approx(
        SAVED[name]["losses"], rel=1e-12
    )
