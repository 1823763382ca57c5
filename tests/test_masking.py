import pytest
import torch

from localmim.masking import (
    PatchMask,
    gather_cells,
    nearest_multiples,
    scatter_cells,
    visible_positions,
)

# Cells 1 and 2 of the first image are visible, cells 0 and 5 of the second; True is hidden.
HIDDEN = torch.tensor([[[1, 0, 0], [1, 1, 1]], [[0, 1, 1], [1, 1, 0]]], dtype=torch.bool)


@pytest.fixture
def mask():
    return PatchMask.from_hidden(HIDDEN)


def test_from_hidden_numbers_visible_cells_row_by_row(mask):
    assert mask.visible.tolist() == [[1, 2], [0, 5]]
    assert mask.grid == (2, 3)


def test_from_scores_keeps_the_smallest():
    scores = torch.tensor([[[0.9, 0.1, 0.2], [0.8, 0.7, 0.6]], [[0.0, 0.5, 0.4], [0.3, 0.9, 0.1]]])
    mask = PatchMask.from_scores(scores, 2)
    assert mask.hidden.equal(HIDDEN)
    assert mask.visible.tolist() == [[1, 2], [0, 5]]


@pytest.mark.parametrize("num_visible", [0, 6, 7])
def test_from_scores_refuses_masks_that_hide_all_or_nothing(num_visible):
    with pytest.raises(ValueError, match="num_visible must lie in"):
        PatchMask.from_scores(torch.rand(1, 2, 3), num_visible)


def test_from_hidden_refuses_uneven_images():
    with pytest.raises(ValueError, match=r"visible cells per image: \[1, 2\]"):
        PatchMask.from_hidden(torch.tensor([[[1, 0, 1]], [[0, 0, 1]]], dtype=torch.bool))


def test_the_complement_shows_what_the_mask_hides(mask):
    other = mask.complement()
    assert other.hidden.equal(~HIDDEN)
    assert other.visible.tolist() == [[0, 3, 4, 5], [1, 2, 3, 4]]
    assert other.drawn is None and other.complement().visible.equal(mask.visible)
    drawn = PatchMask.from_hidden(HIDDEN[:1]).spread(2, torch.device("cpu")).complement()
    assert drawn.drawn.equal(~HIDDEN[:1])


def test_visible_positions_are_those_that_are_gathered(mask):
    numbers = torch.arange(6 * 9).view(1, 1, 6, 9).expand(2, -1, -1, -1)
    assert visible_positions(mask, 3).equal(gather_cells(numbers, mask).squeeze(-1))


def test_at_repeats_on_finer_grids(mask):
    expected = [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1] * 6, [1] * 6]
    assert mask.at((4, 6))[0].tolist() == expected


def test_at_averages_on_coarser_grids():
    hidden = torch.tensor([[[1, 0, 1, 1], [0, 0, 1, 1]]], dtype=torch.bool)
    assert PatchMask.from_hidden(hidden).at((1, 2)).tolist() == [[[0.25, 1.0]]]


@pytest.mark.parametrize("size", [(3, 3), (4, 3), (5, 7)])
def test_at_refuses_other_grids(mask, size):
    with pytest.raises(ValueError, match="multiple or a divisor"):
        mask.at(size)


def test_gather_is_cell_major(mask):
    # Two positions along a side of a cell: each position holds its own row and column.
    rows, cols = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
    x = torch.stack([rows, cols]).expand(2, 2, 4, 6)
    cell_1 = [[0, 2], [0, 3], [1, 2], [1, 3]]
    cell_2 = [[0, 4], [0, 5], [1, 4], [1, 5]]
    assert gather_cells(x, mask)[0].tolist() == cell_1 + cell_2


@pytest.mark.parametrize("side", [1, 2, 4])
def test_scatter_undoes_gather_and_fills_the_rest(mask, side):
    x = torch.randn(2, 5, 2 * side, 3 * side)
    fill = torch.randn(5)
    dense = scatter_cells(gather_cells(x, mask), mask, fill)
    hidden = mask.at(x.shape[2:])[:, None].bool()
    assert dense.equal(torch.where(hidden, fill.view(1, 5, 1, 1), x))


def test_scatter_passes_gradients_to_tokens_and_fill(mask):
    tokens = torch.randn(2, 2, 5, requires_grad=True)
    fill = torch.randn(5, requires_grad=True)
    scatter_cells(tokens, mask, fill).sum().backward()
    assert tokens.grad.equal(torch.ones_like(tokens))
    assert fill.grad.equal(torch.full((5,), 8.0))  # 4 hidden cells in each of 2 images


def test_maps_that_do_not_divide_are_refused(mask):
    with pytest.raises(ValueError, match="5x6 positions does not divide into 2x3"):
        gather_cells(torch.zeros(2, 1, 5, 6), mask)
    with pytest.raises(ValueError, match="6 tokens are not a square number"):
        scatter_cells(torch.zeros(2, 6, 1), mask, torch.zeros(1))


def test_masks_of_another_batch_are_refused(mask):
    with pytest.raises(ValueError, match="mask of 2 images does not fit a batch of 3"):
        gather_cells(torch.zeros(3, 1, 2, 3), mask)


def test_spread_gives_one_mask_to_all_images_and_remembers_it():
    one = PatchMask.from_hidden(HIDDEN[:1])
    spread = one.spread(3, torch.device("cpu"))
    assert spread.hidden.equal(HIDDEN[:1].expand(3, -1, -1))
    assert spread.visible.tolist() == [[1, 2]] * 3
    assert spread.on_cpu().equal(HIDDEN[:1])


def test_on_cpu_is_the_mask_itself_where_nothing_else_was_drawn(mask):
    assert mask.on_cpu().equal(HIDDEN)
    assert mask.spread(2, torch.device("cpu")).on_cpu().equal(HIDDEN)


@pytest.mark.parametrize(
    ("size", "unit", "nearest"),
    [((100, 224), 32, (96, 224)), ((112, 10), 32, (128, 32)), ((7, 7), 7, (7, 7))],
)
def test_nearest_multiples(size, unit, nearest):
    assert nearest_multiples(size, unit) == nearest
