import pytest
import torch
from torch import nn

from localmim.models.layers import EnlargeTokens, PointwiseConv, lay_out_squares


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_tokens_give_what_convolutions_of_maps_give(times):
    widths = [16 // 2**step for step in range(times + 1)]
    enlarge = [EnlargeTokens(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    pred = PointwiseConv(widths[-1], 5)
    maps = torch.randn(2, 16, 3, 4)
    tokens = maps.flatten(2).transpose(1, 2)
    expected = maps
    for layer in enlarge:
        expected = nn.ConvTranspose2d.forward(layer, expected)
    expected = nn.Conv2d.forward(pred, expected)
    tokens = pred(nn.Sequential(*enlarge)(tokens))
    found = lay_out_squares(tokens, (3, 4)).squeeze(1).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected)


def test_squares_of_cells_lie_one_after_the_other():
    tokens = torch.arange(2 * 4).view(1, 2 * 4, 1)
    assert lay_out_squares(tokens, (2, 2)).flatten(2).tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    finer = torch.arange(4).view(1, 1, 4, 1)
    assert lay_out_squares(finer, (1, 1)).squeeze().tolist() == [[0, 1], [2, 3]]
