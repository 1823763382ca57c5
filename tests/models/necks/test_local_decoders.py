import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localmim.masking import gather_cells
from localmim.models import LocalDecoders, RandomMasking
from localmim.wiring import Tap, TargetMap

VIT = Tap(32, 16, extra_tokens=1)
LAST = Tap(32, 16, extra_tokens=1, normalized=True)
HOG = tuple(TargetMap(27, stride) for stride in (4, 8, 16, 32))


def build(taps=(VIT, VIT, VIT, LAST), maps=HOG, **changes) -> LocalDecoders:
    return LocalDecoders(taps, maps, **dict(embed_dims=16, num_heads=2) | changes)


def features(mask, taps=4, extra=1):
    return [torch.randn(2, extra + mask.visible.shape[1], 32) for _ in range(taps)]


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_predictions_lie_on_the_targets_grids(size):
    mask = RandomMasking(16)(torch.zeros(2, 3, *size))
    shapes = [tuple(x.shape) for x in build()(features(mask), mask)]
    assert shapes == [(2, 27, size[0] // s, size[1] // s) for s in (4, 8, 16, 32)]


def test_every_choice_can_be_made_per_tap_and_the_rest_follows_from_taps_and_maps():
    neck = build(
        (Tap(32, 16, normalized=True), Tap(32, 16)),
        (TargetMap(4, 8), TargetMap(6, 16)),
        embed_dims=(16, 32),
        depth=(1, 3),
        num_heads=(2, 4),
        mlp_ratio=(2, 4),
    )
    mask = RandomMasking(16)(torch.zeros(2, 3, 64, 64))
    shapes = [tuple(x.shape) for x in neck(features(mask, taps=2, extra=0), mask)]
    assert shapes == [(2, 4, 8, 8), (2, 6, 4, 4)]
    assert [len(d.blocks) for d in neck.decoders] == [1, 3]
    assert [isinstance(d.input_norm, nn.LayerNorm) for d in neck.decoders] == [False, True]


def test_enlarging_by_four_is_as_in_the_paper():
    layers = build(embed_dims=256, num_heads=8).decoders[0].rescale
    kinds = (nn.ConvTranspose2d, nn.LayerNorm, nn.GELU, nn.ConvTranspose2d)
    assert all(map(isinstance, layers, kinds)) and len(layers) == len(kinds)
    assert (layers[0].in_channels, layers[0].out_channels, layers[3].out_channels) == (256, 128, 64)
    assert layers[1].eps == 1e-6


def test_decoder_sees_positions_and_mask_token_only_at_hidden_places():
    """With one block of attention, equal content at different places gives different output."""
    neck = build([LAST], HOG[2:3])
    mask = RandomMasking(16)(torch.zeros(1, 3, 64, 64))
    constant = torch.ones(1, 1 + mask.visible.shape[1], 32)
    prediction = neck([constant], mask)[0].flatten(2)[0].T
    hidden = mask.hidden[0].flatten()
    for group in (prediction[hidden], prediction[~hidden]):
        assert torch.cdist(group, group).fill_diagonal_(1).min() > 1e-5


@pytest.mark.parametrize(
    ("tap", "cell", "changes"),
    [
        (VIT, 16, {}),
        (VIT, 32, dict(depth=2)),
        (Tap(32, 8), 32, {}),
        (Tap(32, 8), 32, dict(merges=2)),
    ],
)
def test_hidden_places_alone_are_the_same_as_among_all(tap, cell, changes):
    neck = build((tap, tap, tap, tap), **changes)
    mask = RandomMasking(cell, 0.5)(torch.zeros(2, 3, 64, 96))
    count = tap.extra_tokens + mask.visible.shape[1] * (cell // tap.stride) ** 2
    tokens = [torch.randn(2, count, 32) for _ in range(4)]
    alone, among_all = neck(tokens, mask, hidden_only=True), neck(tokens, mask)
    for decoder, found, everywhere in zip(neck.decoders, alone, among_all, strict=True):
        weight = mask.at(found.shape[2:])[:, None]
        torch.testing.assert_close(found * weight, everywhere * weight)
        assert decoder.average > 1 or found.masked_select(weight == 0).abs().max() == 0


@pytest.mark.parametrize("stride", [3, 12, 48])
def test_targets_that_powers_of_two_do_not_lead_to_are_refused(stride):
    with pytest.raises(ValueError, match=f"tap of stride 16.*power of two, not {stride}"):
        build([VIT], [TargetMap(27, stride)])


def test_whole_maps_are_refused():
    with pytest.raises(ValueError, match="visible tokens.*whole maps.*LinearDecoder"):
        build([Tap(32, 16, dense=True)], HOG[2:3])


@pytest.mark.parametrize(("width", "heads"), [(18, 2), (16, 3)])
def test_widths_that_do_not_divide_are_refused(width, heads):
    with pytest.raises(ValueError, match=f"embed_dims {width} must be .* num_heads {heads}"):
        build(embed_dims=width, num_heads=heads)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="depth has 3 values for 4 taps"):
        build(depth=(1, 2, 1))


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


@pytest.mark.parametrize(("strides", "linear"), [((16, 16), True), ((16, 32), False)])
def test_predictions_start_as_linear_layers_where_nothing_is_rescaled(strides, linear):
    maps = [TargetMap(192, stride) for stride in strides]
    neck = build((LAST, LAST), maps, embed_dims=64)
    neck.init_weights()
    weight = neck.decoders[0].pred.weight
    # Uniform in both cases: Xavier's limit, or torch's 1 / sqrt(fan in).
    limit = (6 / (64 + 192)) ** 0.5 if linear else 64**-0.5
    assert weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert (neck.decoders[0].pred.bias.abs().max() == 0) == linear


def test_merged_tokens_are_squares_inside_cells():
    neck = build([Tap(3, 8, normalized=True)], HOG[1:2], merges=2)
    mask = RandomMasking(32, 0.5)(torch.zeros(2, 3, 64, 64))
    dense = torch.randn(2, 3, 8, 8)
    tokens = gather_cells(dense, mask)
    (found,) = neck([tokens], mask)
    assert found.shape == (2, 27, 8, 8)
    # A convolution whose 2x2 squares do not overlap, in the place of merging and embedding.
    embed = neck.decoders[0].embed
    weight = embed.weight.unflatten(1, (2, 2, 3)).permute(0, 3, 1, 2)
    merged = gather_cells(F.conv2d(dense, weight, embed.bias, stride=2), mask)
    plain = build([Tap(16, 16, normalized=True)], HOG[1:2])
    state = neck.state_dict() | {
        "decoders.0.embed.weight": torch.eye(16),
        "decoders.0.embed.bias": torch.zeros(16),
    }
    plain.load_state_dict(state)
    torch.testing.assert_close(found, plain([merged], mask)[0])


def test_merges_that_do_not_fit_are_refused():
    neck = build([Tap(3, 16, normalized=True)], HOG[2:3], merges=4)
    mask = RandomMasking(32, 0.5)(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="merges of 4 do not divide the 2x2 positions of a cell"):
        neck([torch.zeros(1, 8, 3)], mask)
    with pytest.raises(ValueError, match="merges of 2 are for taps without extra tokens"):
        build(merges=2)
