import pytest
import torch
from mmpretrain.models.backbones import VisionTransformer
from tiny import ARCH

from localmim.masking import PatchMask, visible_positions
from localmim.models import RandomMasking, SparseViT

SIZES = [(64, 64), (128, 224)]


def build(size=(64, 64), channels=3, **kwargs) -> SparseViT:
    """A SparseViT in float64 whose weights are all different from zero."""
    backbone = SparseViT(arch=ARCH, img_size=size, in_channels=channels, **kwargs).double()
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name != "pos_embed":
                parameter.add_(0.1 * torch.randn_like(parameter))
    backbone.eval()  # returns None: mmpretrain's backbones override train()
    return backbone


def everything_visible(batch, size):
    return PatchMask.from_hidden(torch.zeros(batch, size[0] // 16, size[1] // 16, dtype=torch.bool))


def test_weights_are_the_parents_under_the_parents_names():
    ours = build()
    parent = VisionTransformer(
        arch=ARCH, img_size=64, out_indices=[1, 3, -3, -1], out_type="raw"
    ).double()
    parent.load_state_dict(ours.state_dict())
    parent.eval()
    images = torch.randn(2, 3, 64, 64).double()
    for a, b in zip(ours(images), parent(images), strict=True):
        assert a.equal(b)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("cls_token", [True, False])
def test_nothing_hidden_is_the_dense_parent(size, channels, cls_token):
    backbone = build(size, channels, with_cls_token=cls_token)
    images = torch.randn(2, channels, *size).double()
    for a, b in zip(backbone(images, everything_visible(2, size)), backbone(images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_nothing_hidden_is_the_dense_parent_at_another_size():
    backbone = build((64, 64))
    images = torch.randn(2, 3, 96, 128).double()
    sparse = backbone(images, everything_visible(2, (96, 128)))
    for a, b in zip(sparse, backbone(images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_hidden_pixels_do_not_matter_and_visible_ones_do(size):
    backbone = build(size)
    images = torch.randn(2, 3, *size).double()
    mask = RandomMasking(16)(images)
    features = backbone(images, mask)
    hidden = mask.at(size)[:, None].bool()
    changed = backbone(torch.where(hidden, 1e3, images), mask)
    assert all(a.equal(b) for a, b in zip(features, changed, strict=True))
    changed = backbone(torch.where(hidden, images, images + 0.1), mask)
    assert all((a - b).abs().amax(2).min() > 0 for a, b in zip(features, changed, strict=True))


def test_taps_have_class_token_and_visible_patches():
    features = build((64, 64))(
        torch.randn(2, 3, 64, 64).double(), RandomMasking(16)(torch.zeros(2, 3, 64, 64))
    )
    assert [tuple(x.shape) for x in features] == [(2, 5, 32)] * 4


def test_cells_of_several_patches_hide_the_same_as_cells_of_one():
    backbone = build((64, 96))
    images = torch.randn(2, 3, 64, 96).double()
    coarse = RandomMasking(32, 0.5)(images)
    fine = PatchMask.from_hidden(coarse.hidden_at((4, 6)))
    order = visible_positions(coarse, 2).argsort(dim=1).unsqueeze(-1)
    for first, second in zip(backbone(images, coarse), backbone(images, fine), strict=True):
        torch.testing.assert_close(first[:, :1], second[:, :1], rtol=1e-9, atol=1e-9)
        patches = first[:, 1:].gather(1, order.expand_as(first[:, 1:]))
        torch.testing.assert_close(patches, second[:, 1:], rtol=1e-9, atol=1e-9)


def test_isolated_gradients_train_their_own_segment_only():
    backbone = build(isolate_gradients=True)
    images = torch.randn(2, 3, 64, 64).double()
    for tap, last in enumerate((1, 3, 5, 7)):
        backbone.zero_grad()
        backbone(images, RandomMasking(16)(images))[tap].square().sum().backward()
        touched = {n for n in range(8) if backbone.layers[n].ln1.weight.grad is not None}
        assert touched == {last - 1, last}


def test_isolated_features_are_the_same():
    backbone = build()
    images = torch.randn(2, 3, 64, 64).double()
    mask = RandomMasking(16)(images)
    plain = backbone(images, mask)
    backbone.isolate_gradients = True
    assert all(a.equal(b) for a, b in zip(plain, backbone(images, mask), strict=True))


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_default_taps_that_coincide_are_refused(depth):
    with pytest.raises(ValueError, match="distinct.*at least 7 blocks"):
        SparseViT(arch=ARCH | {"num_layers": depth}, img_size=64)


def test_seven_blocks_are_enough():
    assert list(SparseViT(arch=ARCH | {"num_layers": 7}, img_size=64).out_indices) == [1, 3, 4, 6]


@pytest.mark.parametrize("taps", [(1, 1), (3, 1), (1, 8), ()])
def test_other_impossible_taps_are_refused(taps):
    with pytest.raises(ValueError, match="distinct, ascending and below 8"):
        SparseViT(arch=ARCH, img_size=64, out_indices=taps)


def test_one_number_is_one_tap():
    assert list(SparseViT(arch=ARCH, img_size=64, out_indices=-1).out_indices) == [7]
    with pytest.raises(ValueError, match="out_indices 8 of a ViT with 8 blocks"):
        SparseViT(arch=ARCH, img_size=64, out_indices=8)


def test_taps_that_are_no_sequence_are_refused():
    with pytest.raises(AssertionError, match='"out_indices" must by a sequence or int'):
        SparseViT(arch=ARCH, img_size=64, out_indices={1: 1})


def test_overlapping_patches_are_refused():
    with pytest.raises(ValueError, match="do not overlap"):
        SparseViT(arch=ARCH, img_size=64, patch_cfg=dict(stride=8))


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"img_size \(64, 100\).*multiples of patch_size 16"):
        SparseViT(arch=ARCH, img_size=(64, 100))


def test_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="4x4 cells does not fit images of 96x96"):
        build()(torch.zeros(1, 3, 96, 96).double(), RandomMasking(16)(torch.zeros(1, 3, 64, 64)))


def test_initialisation_is_maes():
    torch.manual_seed(0)
    backbone = SparseViT(arch="deit-tiny", img_size=64)
    backbone.init_weights()
    qkv, patch = backbone.layers[0].attn.qkv.weight, backbone.patch_embed.projection.weight
    assert qkv.abs().max() <= (6 / sum(qkv.shape)) ** 0.5
    assert qkv.std().item() == pytest.approx((2 / sum(qkv.shape)) ** 0.5, rel=0.02)
    assert patch.std().item() == pytest.approx((2 / (192 + 768)) ** 0.5, rel=0.02)
    assert backbone.cls_token.std().item() == pytest.approx(0.02, rel=0.2)
    assert all(p.abs().max() == 0 for n, p in backbone.named_parameters() if n.endswith("bias"))
    assert not backbone.pos_embed.requires_grad and backbone.pos_embed[0, 0].abs().max() == 0
