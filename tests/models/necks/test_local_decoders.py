import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localmim.masking import gather_cells
from localmim.models import LocalDecoders, RandomMasking


def build(**changes) -> LocalDecoders:
    settings = dict(in_channels=32, out_channels=27, embed_dims=16, num_heads=2)
    return LocalDecoders(**settings | changes)


def features(mask, taps=4, extra=1):
    return [torch.randn(2, extra + mask.visible.shape[1], 32) for _ in range(taps)]


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_predictions_lie_on_the_targets_grids(size):
    mask = RandomMasking()(torch.zeros(2, 3, *size))
    shapes = [tuple(x.shape) for x in build()(features(mask), mask)]
    assert shapes == [(2, 27, size[0] // s, size[1] // s) for s in (4, 8, 16, 32)]


def test_every_argument_can_be_set_per_tap():
    neck = build(
        in_channels=(32, 32),
        out_channels=(4, 6),
        scales=(2, 1),
        embed_dims=(16, 32),
        depth=(1, 3),
        num_heads=(2, 4),
        mlp_ratio=(2, 4),
        norm_inputs=(False, True),
        num_extra_tokens=0,
    )
    mask = RandomMasking()(torch.zeros(2, 3, 64, 64))
    shapes = [tuple(x.shape) for x in neck(features(mask, taps=2, extra=0), mask)]
    assert shapes == [(2, 4, 8, 8), (2, 6, 4, 4)]
    assert [len(d.blocks) for d in neck.decoders] == [1, 3]
    assert [isinstance(d.input_norm, nn.LayerNorm) for d in neck.decoders] == [False, True]


def test_enlarging_by_four_is_as_in_the_paper():
    layers = build(embed_dims=256, num_heads=8).decoders[0].rescale
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["ConvTranspose2d", "LayerNorm2d", "GELU", "ConvTranspose2d"]
    assert (layers[0].in_channels, layers[0].out_channels, layers[3].out_channels) == (256, 128, 64)
    assert layers[1].eps == 1e-6


def test_decoder_sees_positions_and_mask_token_only_at_hidden_places():
    """With one block of attention, equal content at different places gives different output."""
    neck = build(scales=(1,), norm_inputs=False)
    mask = RandomMasking()(torch.zeros(1, 3, 64, 64))
    constant = torch.ones(1, 1 + mask.visible.shape[1], 32)
    prediction = neck([constant], mask)[0].flatten(2)[0].T
    hidden = mask.hidden[0].flatten()
    for group in (prediction[hidden], prediction[~hidden]):
        assert torch.cdist(group, group).fill_diagonal_(1).min() > 1e-5


@pytest.mark.parametrize("scale", [3, 0, -1, 0.3])
def test_scales_other_than_powers_of_two_are_refused(scale):
    with pytest.raises(ValueError, match="powers of two"):
        build(scales=(scale,), norm_inputs=False)


@pytest.mark.parametrize(("width", "heads"), [(18, 2), (16, 3)])
def test_widths_that_do_not_divide_are_refused(width, heads):
    with pytest.raises(ValueError, match=f"embed_dims {width} must be .* num_heads {heads}"):
        build(embed_dims=width, num_heads=heads)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="out_channels has 3 values for 4 taps"):
        build(out_channels=(27, 27, 27))
    mask = RandomMasking()(torch.zeros(2, 3, 64, 64))
    with pytest.raises(ValueError, match="backbone has 2 taps but the neck 4 decoders"):
        build()(features(mask, taps=2), mask)


def test_init_weights_reaches_every_decoder():
    neck = build()
    with torch.no_grad():
        for parameter in neck.parameters():
            parameter.fill_(7.0)
    neck.init_weights()
    for decoder in neck.decoders:
        assert decoder.mask_token.std().item() == pytest.approx(0.02, rel=0.6)
        linear = [m for m in decoder.modules() if isinstance(m, nn.Linear)]
        assert len(linear) == 5
        for layer in linear:
            assert layer.bias.abs().max() == 0
            assert layer.weight.abs().max() <= (6 / sum(layer.weight.shape)) ** 0.5


@pytest.mark.parametrize(("scales", "linear"), [((1, 1), True), ((1, 0.5), False)])
def test_predictions_start_as_linear_layers_where_nothing_is_rescaled(scales, linear):
    neck = build(scales=scales, norm_inputs=False, embed_dims=64, out_channels=192)
    neck.init_weights()
    weight = neck.decoders[0].pred.weight
    # Uniform in both cases: Xavier's limit, or torch's 1 / sqrt(fan in).
    limit = (6 / (64 + 192)) ** 0.5 if linear else 64**-0.5
    assert weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert (neck.decoders[0].pred.bias.abs().max() == 0) == linear


def test_merged_tokens_are_squares_inside_cells():
    neck = build(in_channels=3, scales=(2,), merges=2, norm_inputs=False, num_extra_tokens=0)
    mask = RandomMasking(32, 0.5)(torch.zeros(2, 3, 64, 64))
    dense = torch.randn(2, 3, 8, 8)
    tokens = gather_cells(dense, mask)
    (found,) = neck([tokens], mask)
    assert found.shape == (2, 27, 8, 8)
    # A convolution whose 2x2 squares do not overlap, in the place of merging and embedding.
    embed = neck.decoders[0].embed
    weight = embed.weight.unflatten(1, (2, 2, 3)).permute(0, 3, 1, 2)
    merged = gather_cells(F.conv2d(dense, weight, embed.bias, stride=2), mask)
    plain = build(in_channels=16, scales=(2,), norm_inputs=False, num_extra_tokens=0)
    state = neck.state_dict() | {
        "decoders.0.embed.weight": torch.eye(16),
        "decoders.0.embed.bias": torch.zeros(16),
    }
    plain.load_state_dict(state)
    torch.testing.assert_close(found, plain([merged], mask)[0])


def test_merges_that_do_not_fit_are_refused():
    neck = build(in_channels=3, scales=(1,), merges=4, norm_inputs=False, num_extra_tokens=0)
    mask = RandomMasking(32, 0.5)(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="merges of 4 do not divide the 2x2 positions of a cell"):
        neck([torch.zeros(1, 8, 3)], mask)
    with pytest.raises(ValueError, match="merges of 2 are for taps without extra tokens"):
        build(merges=2)
