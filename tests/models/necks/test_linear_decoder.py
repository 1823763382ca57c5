import pytest
import torch

from localmim.models import LinearDecoder


@pytest.mark.parametrize("upscale", [1, 2])
def test_every_position_is_a_linear_map_of_its_feature(upscale):
    neck = LinearDecoder(5, 3, upscale)
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


def test_several_taps_are_refused():
    with pytest.raises(ValueError, match="takes one tap, the backbone has 2"):
        LinearDecoder(5, 3)([torch.zeros(1, 5, 2, 2)] * 2, None)


def test_init_cfg_alone_initialises_where_it_is_given():
    torch.manual_seed(0)
    neck = LinearDecoder(
        64, 3, 16, init_cfg=dict(type="TruncNormal", layer="Conv2d", std=0.02, bias=0.5)
    )
    neck.init_weights()
    # Xavier's deviation would be sqrt(2 / (64 + 768)) = 0.049.
    assert neck.pred.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert neck.pred.bias.eq(0.5).all()
