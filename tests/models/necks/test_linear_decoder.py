import pytest
import torch

from localmim.models import LinearDecoder
from localmim.wiring import Tap, TargetMap

TAP = Tap(5, 16, dense=True)


@pytest.mark.parametrize("upscale", [1, 2])
def test_every_position_is_a_linear_map_of_its_feature(upscale):
    neck = LinearDecoder([TAP], [TargetMap(3, 16 // upscale)])
    neck.init_weights()
    torch.nn.init.normal_(neck.pred.bias)
    feature = torch.randn(2, 5, 4, 6)
    (prediction,) = neck([feature], None)
    assert prediction.shape == (2, 3, 4 * upscale, 6 * upscale)
    weight = neck.pred.weight.flatten(1)
    for row, col in ((0, 0), (3, 5), (2, 1)):
        values = feature[:, :, row, col] @ weight.T + neck.pred.bias
        patch = prediction[:, :, row * upscale :, col * upscale :][..., :upscale, :upscale]
        torch.testing.assert_close(patch.flatten(1), values)


def test_taps_and_targets_that_do_not_fit_are_refused():
    targets = [TargetMap(3, 16)]
    with pytest.raises(ValueError, match="takes one tap that is a whole map"):
        LinearDecoder([TAP, TAP], targets * 2)
    with pytest.raises(ValueError, match="visible tokens need LocalDecoders"):
        LinearDecoder([Tap(5, 16)], targets)
    with pytest.raises(ValueError, match="stride of 16 pixels is no multiple of the target's, 32"):
        LinearDecoder([TAP], [TargetMap(3, 32)])


def test_init_cfg_alone_initialises_where_it_is_given():
    torch.manual_seed(0)
    init_cfg = dict(type="TruncNormal", layer="Conv2d", std=0.02, bias=0.5)
    neck = LinearDecoder([Tap(64, 16, dense=True)], [TargetMap(3, 1)], init_cfg)
    neck.init_weights()
    # Xavier's deviation would be sqrt(2 / (64 + 768)) = 0.049.
    assert neck.pred.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert neck.pred.bias.eq(0.5).all()
