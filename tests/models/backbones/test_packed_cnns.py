"""Convolutional encoders that see visible cells only."""

import pytest
import torch
from mmpretrain.models.backbones import ConvNeXt, ResNet, SparseConvNeXt, SparseResNet
from mmpretrain.models.utils.sparse_modules import SparseHelper
from tiny import CONVNEXT_ARCH

from localmim.masking import PatchMask, gather_cells
from localmim.models import PackedConvNeXt, PackedResNet, RandomMasking

NARROW = dict(stem_channels=8, base_channels=8)
V2 = dict(arch=CONVNEXT_ARCH, use_grn=True, layer_scale_init_value=0.0)
KINDS = {
    "resnet50": (PackedResNet, ResNet, dict(depth=50, **NARROW)),
    "resnet18": (PackedResNet, ResNet, dict(depth=18, **NARROW)),
    "resnet50-d": (PackedResNet, ResNet, dict(depth=50, avg_down=True, **NARROW)),
    "convnext": (PackedConvNeXt, ConvNeXt, dict(arch=CONVNEXT_ARCH)),
    "convnext, convolutions": (
        PackedConvNeXt,
        ConvNeXt,
        dict(arch=CONVNEXT_ARCH, linear_pw_conv=False),
    ),
    "convnext-v2": (PackedConvNeXt, ConvNeXt, V2),
}


def build(kind, which=0, **changes):
    """A model in float64 and training mode whose weights are all different from zero."""
    torch.manual_seed(0)
    settings = {**KINDS[kind][2], **changes}
    if "convnext" in kind:
        settings["gap_before_final_norm"] = False
    model = KINDS[kind][which](out_indices=[0, 1, 2, 3], **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.train()
    return model


def mask_of(images):
    return RandomMasking(32, 0.6)(images)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_weights_are_the_parents_under_the_parents_names(kind):
    ours, parent = build(kind), build(kind, 1)
    parent.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 64, 64).double()
    for a, b in zip(ours(images), parent(images), strict=True):
        assert a.equal(b)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("size", "channels"), [((64, 96), 3), ((128, 64), 5)])
def test_nothing_hidden_is_the_dense_parent(kind, training, size, channels):
    model = build(kind, in_channels=channels)
    images = torch.randn(2, channels, *size).double()
    model(images)  # running statistics of their own
    model.train(training)
    everything = PatchMask.from_hidden(torch.zeros(2, *(n // 32 for n in size), dtype=torch.bool))
    for a, b in zip(model(images, everything), model(images), strict=True):
        dense = gather_cells(b, everything)
        torch.testing.assert_close(a, dense, rtol=1e-9, atol=1e-9 * dense.abs().max().item())


def test_hidden_pixels_do_not_matter_and_visible_ones_do(kind):
    images = torch.randn(2, 3, 96, 64).double()
    mask = mask_of(images)
    hidden = mask.hidden_at((96, 64))[:, None]

    def run(pixels):
        model = build(kind)  # training: statistics of the batch, too, must not change
        return model(pixels, mask), model.state_dict()

    features, state = run(images)
    changed, changed_state = run(torch.where(hidden, 1e3, images))
    assert all(a.equal(b) for a, b in zip(features, changed, strict=True))
    assert all(x.equal(changed_state[name]) for name, x in state.items())
    changed, _ = run(torch.where(hidden, images, images + 0.1 * torch.randn_like(images)))
    assert all((a - b).abs().amax(2).min() > 0 for a, b in zip(features, changed, strict=True))


# mmpretrain's models of SparK compute the same, with a mask that all modules of a process share.
SPARK = {
    "resnet50": (SparseResNet, dict(norm_cfg=dict(type="BN"))),
    "resnet18": (SparseResNet, dict(norm_cfg=dict(type="BN"))),
    "convnext": (
        SparseConvNeXt,
        dict(norm_cfg=dict(type="SparseLN2d", eps=1e-6), gap_before_output=False),
    ),
}


@pytest.mark.parametrize("kind", SPARK)
def test_features_are_those_of_sparks_sparse_models(kind, monkeypatch):
    ours, (reference, settings) = build(kind), SPARK[kind]
    reference = reference(out_indices=[0, 1, 2, 3], **KINDS[kind][2], **settings).double()
    own = reference.state_dict().keys()  # mmpretrain's ConvNeXt has no norms after the stages
    reference.load_state_dict({n: x for n, x in ours.state_dict().items() if n in own})
    for name in ("norm0", "norm1", "norm2", "norm3") if kind == "convnext" else ():
        setattr(ours, name, torch.nn.Identity())
    reference.train()
    images = torch.randn(2, 3, 96, 96).double()  # mmpretrain's takes squares only
    mask = mask_of(images)
    monkeypatch.setattr(SparseHelper, "_cur_active", ~mask.hidden[:, None])
    expected = reference(images * (~mask.hidden_at((96, 96)))[:, None])
    for a, b in zip(ours(images, mask), expected, strict=True):
        dense = gather_cells(b, mask)
        torch.testing.assert_close(a, dense, rtol=1e-9, atol=1e-9 * dense.abs().max().item())


def test_gradients_reach_every_parameter_from_the_taps(kind):
    model = build(kind)
    images = torch.randn(2, 3, 64, 64).double()
    taps = model(images, mask_of(images))
    assert [x.shape[1] for x in taps] == [64, 16, 4, 1]
    sum(x.square().sum() for x in taps).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_unfit_masks_and_settings_are_refused(kind):
    model = build(kind)
    images = torch.randn(1, 3, 64, 64).double()
    with pytest.raises(ValueError, match="square cells of a multiple of 32 pixels"):
        model(images, RandomMasking(16)(images))
    with pytest.raises(ValueError, match="images of whole cells, such as 64x96"):
        model(torch.randn(1, 3, 64, 100).double(), PatchMask.from_hidden(torch.eye(2)[None] > 0))
    with pytest.raises(ValueError, match="no masked form of with_cp"):
        build(kind, with_cp=True)


@pytest.mark.parametrize("last", [-1, [-1], (3,)])
def test_taps_of_a_convnext_may_be_one_number(last):
    given = list(last) if isinstance(last, list) else last
    model = PackedConvNeXt(CONVNEXT_ARCH, out_indices=last)
    assert list(model.out_indices) == [3] and hasattr(model, "norm3")
    assert last == given  # the caller's list stays as it is


def test_taps_of_a_convnext_that_are_no_sequence_are_refused():
    with pytest.raises(AssertionError, match='"out_indices" must by a sequence or int'):
        PackedConvNeXt(CONVNEXT_ARCH, out_indices={1: 1})
