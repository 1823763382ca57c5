"""Parts say what they are, and models fit them together."""

import pytest
import tiny
import torch
from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS
from torch import nn

from localmim.wiring import Tap, TargetMap, check_parts, check_strides

ALL = tiny.MODELS | tiny.OTHERS


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("channels", [1, 5])
def test_taps_and_maps_are_what_comes_out(kind, channels):
    """Of one hidden cell's worth of an image: shapes against what each part says of itself."""
    model = MODELS.build(ALL[kind]((64, 96), channels)).eval()
    images = model.views(torch.randn(2, channels, 64, 96))
    size = images.shape[2:]
    mask = model.mask_generator(images)
    features, targets = model.backbone(images, mask), model.target_generator(images)
    maps = model.target_generator.maps(channels)
    assert [tuple(x.shape[1:]) for x in targets] == [
        (part.channels, size[0] // part.stride, size[1] // part.stride) for part in maps
    ]
    for tap, feature in zip(model.backbone.taps, features, strict=True):
        if tap.dense:
            expected = (tap.channels, size[0] // tap.stride, size[1] // tap.stride)
        else:
            tokens = mask.visible.shape[1] * (model.mask_generator.cell_size // tap.stride) ** 2
            expected = (tap.extra_tokens + tokens, tap.channels)
        assert tuple(feature.shape[1:]) == expected
    assert [tuple(x.shape) for x in model.neck(features, mask)] == [tuple(x.shape) for x in targets]


@pytest.mark.parametrize("kind", ["vit", "swin", "resnet", "convnext"])
def test_taps_are_said_to_be_normalised_where_they_are(kind):
    """A norm that starts as the identity leaves zero mean and unit variance over the channels."""
    torch.manual_seed(0)
    model = MODELS.build(ALL[kind]()).double().eval()
    images = torch.randn(2, 3, 64, 64).double()
    features = model.backbone(images, model.mask_generator(images))
    for tap, feature in zip(model.backbone.taps, features, strict=True):
        deviation, mean = torch.std_mean(feature, dim=-1, unbiased=False)
        normal = mean.abs().max() < 1e-6 and (deviation - 1).abs().max() < 1e-2
        assert normal == tap.normalized


def test_cells_are_the_backbones_unless_the_config_has_some():
    config = tiny.localmim_swin(size=128)
    assert MODELS.build(config).mask_generator.cell_size == 32
    config["mask_generator"]["cell_size"] = 64
    assert MODELS.build(config).mask_generator.cell_size == 64


def test_cells_that_the_encoder_cannot_hide_are_refused():
    config = tiny.localmim_swin(size=128)
    for cell in (48, 0, -32):
        config["mask_generator"]["cell_size"] = cell
        with pytest.raises(
            ValueError, match=f"cell_size .* {cell} pixels, must be a .*multiple.* 32"
        ):
            MODELS.build(config)


def test_a_vits_cells_may_be_larger_than_its_patches():
    config = tiny.localmim()
    config["mask_generator"] = dict(type="RandomMasking", cell_size=32, ratio=0.5)
    model = MODELS.build(config)
    losses = model.loss(torch.randn(2, 3, 64, 96))
    sum(losses.values()).backward()
    assert len(losses) == 4 and all(loss.isfinite() for loss in losses.values())


def test_a_part_that_does_not_describe_itself_is_refused():
    config = tiny.localmim_resnet()
    with pytest.raises(TypeError, match="no image_channels and no cell_size and no taps"):
        MODELS.build(config | dict(backbone=dict(type="ResNet", depth=18, in_channels=3)))
    model = MODELS.build(config)
    with pytest.raises(TypeError, match="Identity cannot be the target_generator.* no maps"):
        check_parts(model.backbone, nn.Identity())
    with pytest.raises(TypeError, match="ResNet cannot be the backbone.*no taps"):
        check_parts(ResNet(18), model.target_generator)


def test_numbers_of_taps_and_targets_that_differ_are_refused():
    config = tiny.localmim(out_indices=(1, 3, -1))
    with pytest.raises(ValueError, match=r"3 taps \(out_indices.*4 maps \(cells or patch_sizes"):
        MODELS.build(config)


def test_targets_that_do_not_divide_into_the_masks_cells_are_refused():
    check_strides([Tap(8, 16)] * 2, [TargetMap(1, 8), TargetMap(1, 64)], 32, 16)
    with pytest.raises(ValueError, match="target 1 has cells of 12 pixels and the mask"):
        check_strides([Tap(8, 16)] * 2, [TargetMap(1, 8), TargetMap(1, 12)], 32, 16)


def test_a_mean_for_another_number_of_channels_is_refused():
    preprocessor = dict(type="ClsDataPreprocessor", mean=[0.0] * 3, std=[1.0] * 3)
    config = tiny.localmim(channels=5) | dict(data_preprocessor=preprocessor)
    with pytest.raises(ValueError, match="mean of 3 channels but the backbone in_channels 5"):
        MODELS.build(config)
