import pytest
import torch

from localmim.masking import PatchMask, gather_cells
from localmim.models import RandomMasking
from localmim.models.layers import WindowGroups, group_windows, token_places

CPU = torch.device("cpu")
# Grid of cells, tokens along a side of a cell in each stage, window.
SETTINGS = {
    "224 w7": ((7, 7), (8, 4, 2, 1), 7),
    "224 w14": ((7, 7), (8, 4, 2), 14),
    "192 w7": ((6, 6), (8, 4, 2), 7),
    "192 w12": ((6, 6), (8, 4, 2), 12),
    "256 w8": ((8, 8), (8, 4, 2, 1), 8),
    "224x448 w7": ((7, 14), (8, 4, 2, 1), 7),
}
STAGES = [
    pytest.param(grid, side, window, shift, id=f"{name} side {side} shift {shift}")
    for name, (grid, sides, window) in SETTINGS.items()
    for side in sides
    for shift in (0, window // 2)
]


def draw(grid, images, ratio=0.75):
    generator = RandomMasking(32, ratio)
    return generator(torch.zeros(images, 1, grid[0] * 32, grid[1] * 32))


def plan(hidden, side, window, shift) -> WindowGroups:
    return group_windows(token_places(hidden, side), window, shift, CPU)


def offsets_of_pairs(groups):
    """(T, T): the plan's offset of query (row) and key (column); -1 if they are in two groups."""
    total = len(groups.slots)
    table = torch.full((total, total), -1)
    token = torch.full((groups.tokens.numel(),), -1)
    token[groups.slots] = torch.arange(total)
    for members, offsets in zip(token.view_as(groups.tokens), groups.offsets, strict=True):
        real = members >= 0
        table[members[real][:, None], members[real]] = offsets[real][:, real]
    return table


def brute_force(mask, side, window, shift):
    """The same from the definition, on maps of the dense grid."""
    (rows, cols), images = mask.grid, len(mask.hidden)
    y, x = torch.meshgrid(torch.arange(rows * side), torch.arange(cols * side), indexing="ij")
    image = torch.arange(images)[:, None, None].expand(-1, *y.shape)
    y, x = y.expand_as(image), x.expand_as(image)
    # Shifted windows begin at `shift`; before it there is the first, cut one.
    wy, wx = (v.sub(shift).div(window, rounding_mode="floor") for v in (y, x))
    maps = torch.stack([image, wy, wx, y, x], dim=1).double()
    image, wy, wx, y, x = gather_cells(maps, mask).flatten(0, 1).long().T

    def same(v):
        return v[:, None] == v

    together = same(image) & same(wy) & same(wx)
    offset = (y[:, None] - y + window - 1) * (2 * window - 1) + x[:, None] - x + window - 1
    return torch.where(together, offset, (2 * window - 1) ** 2)


def test_places_are_those_of_the_tokens_of_visible_cells_in_the_dense_grid():
    mask, side = draw((3, 5), images=2), 4
    image, row, col = torch.meshgrid(*map(torch.arange, (2, 3 * side, 5 * side)), indexing="ij")
    expected = gather_cells(torch.stack([image, row, col], dim=1), mask).flatten(0, 1)
    places = token_places(mask.on_cpu(), side)
    assert torch.stack([places.image, places.row, places.col], dim=1).equal(expected)


@pytest.mark.parametrize(("grid", "side", "window", "shift"), STAGES)
def test_pairs_of_one_window_attend_and_no_others(grid, side, window, shift):
    for seed in range(3):
        torch.manual_seed(seed)
        mask = draw(grid, images=1 + seed // 2)
        groups = plan(mask.on_cpu(), side, window, shift)
        found = offsets_of_pairs(groups)
        expected = brute_force(mask, side, window, shift)
        # Pairs in different groups never meet; those in one group meet as they should.
        met = found >= 0
        assert found[met].equal(expected[met])
        assert (expected[~met] == (2 * window - 1) ** 2).all()


@pytest.mark.parametrize(("grid", "side", "window", "shift"), STAGES)
def test_groups_are_equal_full_and_hold_every_token_once(grid, side, window, shift):
    torch.manual_seed(0)
    for images in (1, 5):
        mask = draw(grid, images)
        groups = plan(mask.on_cpu(), side, window, shift)
        total = images * mask.visible.shape[1] * side * side
        assert len(groups.slots) == total == len(groups.slots.unique())
        assert groups.tokens.flatten()[groups.slots].equal(torch.arange(total))
        num_groups, size = groups.tokens.shape
        assert size % 8 == 0 and size < window * window + 8
        # No two groups could be one: at most one is half empty or emptier.
        filled = torch.zeros(num_groups * size).index_fill(0, groups.slots, 1)
        fill = filled.view(num_groups, size).sum(1)
        assert (fill <= size / 2).sum() <= 1
        assert groups.efficiency == pytest.approx(total / (num_groups * size))


def test_packing_is_efficient():
    """Tokens / slots over 50 masks of a Swin at 224 px, window 7: the first stages matter."""
    torch.manual_seed(0)
    for side, shift, least in ((8, 0, 0.95), (8, 3, 0.95), (4, 0, 0.85), (4, 3, 0.85)):
        plans = [plan(draw((7, 7), 1).on_cpu(), side, 7, shift) for _ in range(50)]
        assert sum(p.efficiency for p in plans) / len(plans) > least
    # A mask for each image gives the knapsack more to choose from.
    assert plan(draw((7, 7), 16).on_cpu(), 4, 7, 3).efficiency > 0.97


def test_knapsack_fills_groups():
    # Windows of one row of cells with 1 x 1 tokens: fills 5, 3, 3, 2, 2, 1 of groups of 8.
    row = torch.ones(48, dtype=torch.bool)
    for window, fill in enumerate((5, 3, 3, 2, 2, 1)):
        row[8 * window : 8 * window + fill] = False
    groups = plan(row.view(1, 1, 48), 1, 8, 0)
    assert groups.tokens.shape == (2, 8) and groups.efficiency == 1


def test_depends_on_the_mask_alone():
    hidden = draw((7, 7), 2).on_cpu()
    first = plan(hidden, 8, 7, 3)
    torch.rand(10)
    again = plan(hidden.clone(), 8, 7, 3)
    assert all(getattr(first, k).equal(getattr(again, k)) for k in ("tokens", "slots", "offsets"))


def test_one_visible_cell():
    hidden = torch.ones(1, 3, 3, dtype=torch.bool)
    hidden[0, 1, 1] = False
    groups = plan(hidden, 2, 7, 3)
    assert len(groups.slots) == 4 and groups.tokens.shape[1] == 8


def test_empty_slots_see_only_each_other():
    mask = PatchMask.from_scores(torch.rand(1, 7, 7), 12)
    groups = plan(mask.hidden, 1, 7, 0)  # 12 tokens, 16 slots
    together = groups.offsets[0] < 169
    assert together[:12, :12].all() and together[12:, 12:].all()
    assert not together[:12, 12:].any() and not together[12:, :12].any()
