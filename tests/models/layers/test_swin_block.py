import pytest
import torch
from mmcv.cnn.bricks.transformer import PatchMerging

from localmim.masking import PatchMask, gather_cells
from localmim.models.layers import SparseSwinBlock, group_windows, merge_in_cells, token_places


@pytest.mark.parametrize("side", [2, 8])
def test_merging_is_mmcvs_in_its_order_of_weights(side):
    merging = PatchMerging(3, 6).double()
    torch.nn.init.normal_(merging.norm.weight)
    mask = PatchMask.from_scores(torch.rand(2, 2, 3), 2)
    x = torch.randn(2, 3, 2 * side, 3 * side).double()
    merged, grid = merging(x.flatten(2).transpose(1, 2), x.shape[2:])
    dense = gather_cells(merged.transpose(1, 2).unflatten(2, grid), mask)
    sparse = merge_in_cells(merging, gather_cells(x, mask), side)
    torch.testing.assert_close(sparse, dense, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("setting", [dict(drop_path=0.5), dict(attn_cfgs=dict(attn_drop=0.5))])
def test_stochastic_depth_and_dropout_of_attention_act_in_training_only(setting):
    block = SparseSwinBlock(8, 2, window_size=4, **setting)
    places = token_places(torch.zeros(1, 2, 2, dtype=torch.bool), 4)
    groups = group_windows(places, 4, 0, torch.device("cpu"))
    x = torch.randn(16, 64, 8)
    block.eval()
    assert block(x, groups).equal(block(x, groups))
    block.train()
    assert not block(x, groups).equal(block(x, groups))
