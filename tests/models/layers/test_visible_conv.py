import pytest
import torch
from torch import nn

from localmim.masking import PatchMask, gather_cells
from localmim.models import RandomMasking
from localmim.models.layers import VisibleCells, hide_pixels, run_visible, tokens_of


def mask_of(batch=2, size=(64, 96)) -> PatchMask:
    torch.manual_seed(1)
    return RandomMasking(32, 0.6)(torch.zeros(batch, 3, *size))


@pytest.mark.parametrize("side", [1, 2, 8])
def test_packing_takes_visible_cells_and_unpacking_puts_them_back(side):
    mask = mask_of()
    cells, dense = VisibleCells(mask), torch.randn(2, 5, 2 * side, 3 * side)
    packed = cells.pack(dense)
    assert tokens_of(packed).equal(gather_cells(dense, mask))
    hidden = mask.hidden_at((2 * side, 3 * side))[:, None]
    assert cells.unpack(packed).equal(torch.where(hidden, 0.0, dense))
    assert packed.is_contiguous(memory_format=torch.channels_last)


def test_gradients_of_packing_and_unpacking():
    cells = VisibleCells(mask_of())
    dense = torch.randn(2, 2, 4, 6).double().requires_grad_()
    assert torch.autograd.gradcheck(cells.pack, dense)
    packed = cells.pack(dense).detach().requires_grad_()
    assert torch.autograd.gradcheck(cells.unpack, packed)


LAYERS = {
    "1x1": nn.Conv2d(4, 6, 1),
    "3x3": nn.Conv2d(4, 6, 3, padding=1),
    "stride 2": nn.Conv2d(4, 6, 3, 2, padding=1),
    "1x1, stride 2": nn.Conv2d(4, 6, 1, 2),
    "depthwise": nn.Conv2d(4, 4, 7, padding=3, groups=4),
    "pooling": nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
    "norm and 2x2": nn.Sequential(nn.BatchNorm2d(4).eval(), nn.Conv2d(4, 6, 2, 2)),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_layers_see_zeros_where_cells_are_hidden(layer):
    mask = mask_of()
    dense = torch.randn(2, 4, 16, 24)
    cells = VisibleCells(mask)
    found = run_visible(layer, cells.pack(dense), cells)
    parts = layer if isinstance(layer, nn.Sequential) else [layer]
    expected = dense
    for part in parts:
        hidden = mask.hidden_at(tuple(expected.shape[2:]))[:, None]
        expected = part(torch.where(hidden, 0.0, expected))
    torch.testing.assert_close(tokens_of(found), gather_cells(expected, mask))


def test_batch_norms_have_the_statistics_of_what_is_visible():
    mask, norm = mask_of(), nn.BatchNorm2d(4, momentum=1.0)
    dense = torch.randn(2, 4, 16, 24) * 3 + 1
    cells = VisibleCells(mask)
    run_visible(norm, cells.pack(dense), cells)
    visible = gather_cells(dense, mask).flatten(0, 1)
    torch.testing.assert_close(norm.running_mean, visible.mean(0))
    torch.testing.assert_close(norm.running_var, visible.var(0))


def test_hidden_pixels_are_zero_whatever_they_were():
    mask = mask_of()
    hidden = mask.hidden_at((64, 96))[:, None]
    images = torch.where(hidden, torch.nan, torch.ones(2, 3, 64, 96))
    assert hide_pixels(images, mask).equal((~hidden).float().expand(-1, 3, -1, -1))
