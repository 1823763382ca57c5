import warnings

import pytest
import torch
from mmpretrain.models.backbones import SwinTransformer
from slow_swin import slow_forward

from localmim.masking import PatchMask, gather_cells
from localmim.models import RandomMasking, SparseSwin
from localmim.models.layers import group_windows

ARCH = dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 4])
# Sizes and windows that divide every stage, or cover it.
FITTING = [
    ((224, 224), 7),
    ((224, 448), 7),
    ((224, 224), 14),
    ((448, 224), 14),
    ((256, 256), 8),
    ((192, 192), 12),
    ((64, 128), 2),
]


def build(size=(64, 64), window=2, arch=ARCH, **kwargs) -> SparseSwin:
    """A SparseSwin in float64 whose weights are all different from zero."""
    backbone = SparseSwin(arch=arch, img_size=size, window_size=window, **kwargs).double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    backbone.eval()
    return backbone


def nothing_hidden(batch, size, cell=32):
    hidden = torch.zeros(batch, size[0] // cell, size[1] // cell, dtype=torch.bool)
    return PatchMask.from_hidden(hidden)


def draw(images, shared=False, cell=32):
    return RandomMasking(cell, 0.75, shared)(images)


def assert_equal_to_dense(sparse, dense, mask):
    for a, b in zip(sparse, dense, strict=True):
        torch.testing.assert_close(a, gather_cells(b, mask), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("size", "window"), [((224, 224), 7), ((224, 448), 14)])
@pytest.mark.parametrize("after", [True, False])
def test_nothing_hidden_is_mmpretrains_swin_with_our_weights(size, window, after):
    ours = build(size, window, out_after_downsample=after)
    smallest = min(size) // 32
    parent = SwinTransformer(
        arch=ARCH,
        img_size=size,
        window_size=window,
        out_indices=(0, 1, 2, 3),
        out_after_downsample=after,
        stage_cfgs=[{}, {}, {}, dict(window_size=min(window, smallest))],
    ).double()
    parent.load_state_dict(ours.state_dict())
    parent.eval()
    images = torch.randn(1, 3, *size).double()
    dense = parent(images)
    assert all(a.equal(b) for a, b in zip(ours(images), dense, strict=True))
    mask = nothing_hidden(1, size)
    assert_equal_to_dense(ours(images, mask), dense, mask)


@pytest.mark.parametrize(("size", "window"), FITTING)
def test_nothing_hidden_is_the_dense_parent(size, window):
    backbone = build(size, window, in_channels=4)
    images = torch.randn(2, 4, *size).double()
    mask = nothing_hidden(2, size)
    assert_equal_to_dense(backbone(images, mask), backbone(images), mask)


def test_nothing_hidden_is_the_dense_parent_at_another_size_and_cell():
    backbone = build((64, 64), 2)
    images = torch.randn(2, 3, 128, 192).double()
    for cell in (32, 64):
        mask = nothing_hidden(2, (128, 192), cell)
        assert_equal_to_dense(backbone(images, mask), backbone(images), mask)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("size", "window"), [((96, 96), 3), ((128, 192), 4), ((96, 96), 7), ((160, 96), 5)]
)
def test_masked_features_are_those_of_a_slow_dense_formula(size, window, shared):
    """Also where windows do not divide the stages: they are cut at the border."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backbone = build(size, window)
    images = torch.randn(3, 3, *size).double()
    mask = draw(images, shared)
    for a, b in zip(backbone(images, mask), slow_forward(backbone, images, mask), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_gradients_are_those_of_the_slow_formula():
    backbone = build((96, 96), 3)
    images = torch.randn(2, 3, 96, 96).double()
    mask = draw(images)
    gradients = []
    for forward in (backbone, lambda *args: slow_forward(backbone, *args)):
        backbone.zero_grad()
        sum(tap.square().mean() for tap in forward(images, mask)).backward()
        gradients.append({n: p.grad.clone() for n, p in backbone.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-8, atol=1e-10)


def test_a_shared_mask_gives_what_the_same_mask_for_each_image_gives():
    backbone = build((96, 96), 3)
    images = torch.randn(3, 3, 96, 96).double()
    mask = draw(images, shared=True)
    each = PatchMask(mask.hidden, mask.visible)
    for a, b in zip(backbone(images, mask), backbone(images, each), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shared", [True, False])
def test_hidden_pixels_do_not_matter_and_visible_ones_do(shared):
    backbone = build((64, 128), 2)
    images = torch.randn(2, 3, 64, 128).double()
    mask = draw(images, shared)
    features = backbone(images, mask)
    hidden = mask.at((64, 128))[:, None].bool()
    changed = backbone(torch.where(hidden, float("nan"), images), mask)
    assert all(a.equal(b) for a, b in zip(features, changed, strict=True))
    changed = backbone(torch.where(hidden, images, images + torch.rand_like(images)), mask)
    assert all((a - b).abs().amax(2).min() > 0 for a, b in zip(features, changed, strict=True))


def test_taps_have_the_tokens_of_visible_cells():
    images = torch.randn(2, 3, 128, 128).double()
    backbone, mask = build((128, 128), 4), draw(images)
    shapes = [tuple(x.shape) for x in backbone(images, mask)]
    assert shapes == [(2, 64, 16), (2, 16, 32), (2, 4, 64), (2, 4, 64)]
    backbone = build((128, 128), 4, out_indices=(1, 3), out_after_downsample=False)
    assert [tuple(x.shape) for x in backbone(images, mask)] == [(2, 64, 16), (2, 4, 64)]


def test_a_stage_plans_once_for_each_shift(monkeypatch):
    calls = []

    def counted(places, window, shift, device):
        calls.append((len(places.image), window, shift))
        return group_windows(places, window, shift, device)

    monkeypatch.setattr("localmim.models.backbones.sparse_swin.group_windows", counted)
    images = torch.randn(1, 3, 128, 128).double()
    backbone = build((128, 128), 4, arch=ARCH | {"depths": [2, 2, 6, 2]})
    backbone(images, draw(images))
    # Tokens of 4 visible cells, window, shift: none in the last stage, which the window covers.
    assert calls == [
        *[(256, 4, 0), (256, 4, 2)],
        *[(64, 4, 0), (64, 4, 2)],
        *[(16, 4, 0), (16, 4, 2)],
        *[(4, 4, 0)],
    ]


def test_isolated_gradients_train_their_own_stage_only():
    backbone = build(isolate_gradients=True)
    images = torch.randn(2, 3, 64, 64).double()
    mask = PatchMask.from_scores(torch.rand(2, 2, 2), 2)
    for tap in range(4):
        backbone.zero_grad()
        backbone(images, mask)[tap].square().sum().backward()
        touched = {
            n for n in range(4) if backbone.stages[n].blocks[0].norm1.weight.grad is not None
        }
        assert touched == {tap}
    plain = build()
    plain.load_state_dict(backbone.state_dict())
    assert all(a.equal(b) for a, b in zip(plain(images, mask), backbone(images, mask), strict=True))


def test_stages_smaller_than_the_window_use_their_side():
    backbone = build((224, 448), 14)
    windows = [stage.blocks[0].attn.window_size for stage in backbone.stages]
    assert windows == [14, 14, 14, 7]
    table = backbone.stages[3].blocks[0].attn.w_msa.relative_position_bias_table
    assert table.shape == (13 * 13, 4)


def test_norms_and_initialisation():
    torch.manual_seed(0)
    backbone = SparseSwin(arch="tiny", norm_eps=1e-6)
    backbone.init_weights()
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert len(norms) == 1 + 2 * 12 + 3 + 4 and {m.eps for m in norms} == {1e-6}
    qkv = backbone.stages[2].blocks[0].attn.w_msa.qkv.weight
    assert qkv.std().item() == pytest.approx((2 / sum(qkv.shape)) ** 0.5, rel=0.02)
    patch = backbone.patch_embed.projection.weight
    assert patch.std().item() == pytest.approx((2 / (96 + 48)) ** 0.5, rel=0.05)
    table = backbone.stages[0].blocks[0].attn.w_msa.relative_position_bias_table
    assert table.std().item() == pytest.approx(0.02, rel=0.1)


def test_windows_that_do_not_divide_warn_with_those_that_do():
    with pytest.warns(UserWarning, match=r"48x48.*cut at the border.*\[2, 3, 6, 12\]"):
        SparseSwin(arch=ARCH, img_size=192, window_size=7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(img_size=100), "img_size 100x100 must be a multiple of 32.*nearest is 96x96"),
        (dict(img_size=(64, 80)), "img_size 64x80.*nearest is 64x64"),
        (dict(img_size=0), "img_size 0x0.*nearest is 32x32"),
        (dict(window_size=0), "window_size must be an integer of at least 2, got 0"),
        (dict(window_size=(7, 7)), r"window_size must be an integer.*\(7, 7\)"),
        (dict(out_indices=(3, 1)), r"out_indices \(3, 1\) must be distinct, ascending.*0 to 3"),
        (dict(out_indices=(-1,)), "out_indices"),
        (dict(out_indices=()), "out_indices"),
        (dict(arch="huge"), "arch must be one of b, base.*huge"),
        (dict(arch=dict(embed_dims=8, depths=[2, 2])), "arch must be one of"),
        (dict(arch=ARCH | {"num_heads": [1, 2, 4]}), "one value per stage"),
        (dict(arch=ARCH | {"num_heads": [3, 2, 4, 4]}), "multiple of its heads"),
        (dict(pad_small_map=True), "pad_small_map"),
        (dict(use_abs_pos_embed=True), "use_abs_pos_embed"),
        (dict(patch_cfg=dict(stride=2)), "patch_cfg"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SparseSwin(**(dict(arch=ARCH, img_size=224) | settings))


def test_masks_that_do_not_fit_are_refused():
    backbone = build((64, 64), 2)
    images = torch.zeros(2, 3, 96, 96).double()
    with pytest.raises(ValueError, match="6x6 cells.*96x96.*multiple of 32 pixels.*cell_size"):
        backbone(images, draw(images, cell=16))
    with pytest.raises(ValueError, match="does not fit images of 64x96"):
        backbone(images[:, :, :64], draw(images))
    with pytest.raises(ValueError, match="mask of 2 images does not fit a batch of 1"):
        backbone(images[:1], draw(images))


def test_images_smaller_than_a_window_are_refused():
    backbone = build((224, 224), 7)
    images = torch.zeros(1, 3, 96, 224).double()
    with pytest.raises(ValueError, match=r"stage 2, 7 tokens of 16 pixels.*img_size=\(96, 224\)"):
        backbone(images, draw(images))
