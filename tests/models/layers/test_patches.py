import pytest
import torch
from mmcv.cnn.bricks.transformer import PatchEmbed

from localmim.masking import PatchMask, gather_cells
from localmim.models.layers import embed_visible


@pytest.mark.parametrize("norm_cfg", [None, dict(type="LN")])
@pytest.mark.parametrize("side", [1, 4])
def test_visible_patches_are_those_of_the_convolution(norm_cfg, side):
    embed = PatchEmbed(5, 6, kernel_size=4, stride=4, norm_cfg=norm_cfg).double()
    mask = PatchMask.from_scores(torch.rand(2, 2, 3), 2)
    images = torch.randn(2, 5, 8 * side, 12 * side).double()
    tokens, grid = embed(images)
    dense = gather_cells(tokens.transpose(1, 2).unflatten(2, grid), mask)
    torch.testing.assert_close(embed_visible(embed, images, mask), dense, rtol=1e-12, atol=1e-12)
