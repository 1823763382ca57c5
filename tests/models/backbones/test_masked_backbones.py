"""A2MIM's encoders: what is filled in, and where the mask token is added."""

import numpy as np
import pytest
import torch
from mmpretrain.models.backbones import BEiTViT, ConvNeXt, ResNet
from tiny import ARCH, CONVNEXT_ARCH

from localmim.masking import PatchMask
from localmim.models import MaskedConvNeXt, MaskedResNet, MaskedViT, RandomMasking

NARROW = dict(depth=50, stem_channels=8, base_channels=8)
CONVNEXT = dict(arch=CONVNEXT_ARCH, gap_before_final_norm=False)
VIT = dict(arch=ARCH, img_size=64, out_type="featmap", final_norm=True)
# The parent, its settings, the layer that sees the filled image, and the one that follows the
# token.
KINDS = {
    "resnet": (MaskedResNet, ResNet, NARROW, "conv1", "layer4"),
    "convnext": (MaskedConvNeXt, ConvNeXt, CONVNEXT, "downsample_layers.0", "stages.3"),
    "vit": (MaskedViT, BEiTViT, VIT, "patch_embed.projection", "layers.0"),
}
CNNS = ("resnet", "convnext")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def build(kind, which=0, **changes):
    """A model in float64 and evaluation mode whose weights are all different from zero."""
    settings = {**KINDS[kind][2], **changes}
    if kind == "vit" and which:
        settings["use_abs_pos_emb"] = True
    model = KINDS[kind][which](**settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval()
    return model


def watch(model, *layers):
    """Inputs of some layers in the next forward, by name."""
    seen = {}
    for name in layers:
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: seen.__setitem__(name, inputs[0].detach())
        )
    return seen


def test_without_a_mask_it_is_the_parent(kind):
    ours, parent = build(kind), build(kind, 1)
    result = parent.load_state_dict(ours.state_dict(), strict=False)
    added = {"mask_token", "mask_gamma"} if kind in CNNS else {"mask_token"}
    assert set(result.unexpected_keys) == added and not result.missing_keys
    images = torch.randn(2, 3, 64, 64).double()
    for a, b in zip(ours(images), parent(images), strict=True):
        assert a.equal(b)


def test_hidden_pixels_are_their_images_mean(kind):
    model = build(kind)
    images = torch.randn(2, 3, 64, 64).double()
    mask = RandomMasking(32, 0.6)(images)
    seen = watch(model, KINDS[kind][3])
    model(images, mask)
    expected = images.numpy().copy()
    for b, row, col in np.ndindex(2, 64, 64):
        if mask.hidden[b, row // 32, col // 32]:
            expected[b, :, row, col] = images[b].mean((1, 2)).numpy()
    np.testing.assert_allclose(seen[KINDS[kind][3]].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CNNS)
def test_token_and_gamma_enter_at_the_last_stage(kind):
    model = build(kind)
    images = torch.randn(2, 3, 64, 96).double()
    mask = RandomMasking(32, 0.6)(images)
    seen = watch(model, KINDS[kind][4])
    model(images, mask)
    masked = seen[KINDS[kind][4]]
    with torch.no_grad():
        token, gamma = model.mask_token.clone(), model.mask_gamma.clone()
        model.mask_token.zero_()
        model.mask_gamma.fill_(1.0)
        model(images, mask)
    x = seen[KINDS[kind][4]]
    stride = {"resnet": 16, "convnext": 32}[kind]
    assert x.shape[2:] == (64 // stride, 96 // stride)
    m = mask.at(tuple(x.shape[2:]))[:, None].double()
    expected = x * (1 - m) + gamma * x * m + token * m
    torch.testing.assert_close(masked, expected, rtol=1e-12, atol=1e-12)
    assert (m.sum(), (1 - m).sum()) > (0, 0)


def test_a_vits_token_is_added_to_hidden_embeddings():
    model = build("vit")
    images = torch.randn(2, 3, 64, 64).double()
    mask = RandomMasking(32, 0.6)(images)
    seen = watch(model, "layers.0")
    model(images, mask)
    masked = seen["layers.0"][:, 1:]
    filled = torch.where(mask.hidden_at((64, 64))[:, None], images.mean((2, 3), True), images)
    plain = model.patch_embed(filled)[0] + model.pos_embed[:, 1:]
    m = mask.at((4, 4)).flatten(1)[..., None].double()
    torch.testing.assert_close(masked, plain + model.mask_token * m, rtol=1e-12, atol=1e-12)


def test_one_hidden_pixel_matters_by_the_mean_alone(kind):
    """The place of the mask: a change that leaves the mean of the image does not pass."""
    model = build(kind)
    images = torch.randn(1, 3, 64, 64).double()
    mask = PatchMask.from_hidden(torch.tensor([[[True, False], [False, False]]]))
    features = model(images, mask)[0]
    balanced, alone, visible = images.clone(), images.clone(), images.clone()
    balanced[0, 0, 5, 5] += 1.0
    balanced[0, 0, 9, 7] -= 1.0
    alone[0, 0, 5, 5] += 1.0
    visible[0, 0, 5, 40] += 1.0
    assert torch.allclose(model(balanced, mask)[0], features, rtol=0, atol=1e-12)
    change = (model(alone, mask)[0] - features).abs().max()
    assert 1e-9 < change < (model(visible, mask)[0] - features).abs().max()


def test_a_start_is_that_of_the_release():
    resnet = MaskedResNet(50)
    resnet.init_weights()
    assert resnet.mask_token.shape == resnet.mask_gamma.shape == (1, 1024, 1, 1)
    assert (resnet.mask_gamma == 1e-6).all() and 0.015 < resnet.mask_token.std() < 0.025
    assert MaskedConvNeXt("tiny").mask_token.shape == (1, 768, 1, 1)
    vit = MaskedViT("deit-small")
    vit.init_weights()
    assert vit.mask_token.shape == (1, 1, 384) and vit.layers[0].gamma_1.unique() == 0.1
    for name, parameter in vit.named_parameters():
        leaf = name.rpartition(".")[2]
        if leaf == "relative_position_bias_table" or leaf.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.ndim > 1:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name


def test_stochastic_depth_drops_a_branch_once():
    model = build("vit", drop_path_rate=0.1)
    drops = [m for m in model.layers[-1].modules() if type(m).__name__ == "DropPath"]
    assert [m.drop_prob for m in drops] == [0.1]


def test_unfit_masks_and_sizes_are_refused(kind):
    model, images = build(kind), torch.randn(1, 3, 64, 64).double()
    fine = {"vit": 8}.get(kind, 16)
    with pytest.raises(ValueError, match="square cells of a multiple of 32|does not divide into"):
        model(images, RandomMasking(fine)(images))
    if kind == "vit":
        with pytest.raises(ValueError, match="64x96 pixels do not fit img_size 64x64"):
            model(torch.randn(1, 3, 64, 96).double())
    if kind == "resnet":
        with pytest.raises(ValueError, match="no masked form of deep_stem"):
            MaskedResNet(50, deep_stem=True)


@pytest.mark.parametrize("kind", ["convnext", "vit"])
def test_taps_are_one_number_or_a_sequence_as_in_the_parent(kind):
    last = [-1]
    assert build(kind, out_indices=-1).out_indices == build(kind, out_indices=last).out_indices
    assert last == [-1]
    with pytest.raises(AssertionError, match='"out_indices" must by a sequence or int'):
        build(kind, out_indices={1: 1})
