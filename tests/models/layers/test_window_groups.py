import pytest
import torch

from localmim.masking import PatchMask, gather_cells
from localmim.models import RandomMasking
from localmim.models.layers import group_windows

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


@pytest.mark.parametrize(("grid", "side", "window", "shift"), STAGES)
def test_pairs_of_one_window_attend_and_no_others(grid, side, window, shift):
    for seed in range(3):
        torch.manual_seed(seed)
        mask = draw(grid, images=1 + seed // 2)
        groups = group_windows(mask.on_cpu(), side, window, shift, CPU)
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
        groups = group_windows(mask.on_cpu(), side, window, shift, CPU)
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
        plans = [group_windows(draw((7, 7), 1).on_cpu(), side, 7, shift, CPU) for _ in range(50)]
        assert sum(p.efficiency for p in plans) / len(plans) > least
    # A mask for each image gives the knapsack more to choose from.
    assert group_windows(draw((7, 7), 16).on_cpu(), 4, 7, 3, CPU).efficiency > 0.97


def test_knapsack_fills_groups():
    # Windows of one row of cells with 1 x 1 tokens: fills 5, 3, 3, 2, 2, 1 of groups of 8.
    row = torch.ones(48, dtype=torch.bool)
    for window, fill in enumerate((5, 3, 3, 2, 2, 1)):
        row[8 * window : 8 * window + fill] = False
    groups = group_windows(row.view(1, 1, 48), 1, 8, 0, CPU)
    assert groups.tokens.shape == (2, 8) and groups.efficiency == 1


def test_depends_on_the_mask_alone():
    hidden = draw((7, 7), 2).on_cpu()
    first = group_windows(hidden, 8, 7, 3, CPU)
    torch.rand(10)
    again = group_windows(hidden.clone(), 8, 7, 3, CPU)
    assert all(getattr(first, k).equal(getattr(again, k)) for k in ("tokens", "slots", "offsets"))


def test_misplaced_tokens_lie_where_their_number_reads_row_by_row():
    # 2x2 cells of 2x2 tokens; the second cell's tokens 4 to 7 read as the second row of 4.
    hidden = torch.tensor([[[1, 0], [1, 0]]], dtype=torch.bool)
    groups = group_windows(hidden, 2, 2, 0, CPU, misplaced=True)
    found = offsets_of_pairs(groups)
    # Rows 1 and 3, so windows of 2x2 tokens hold the halves of these rows.
    together = torch.block_diag(*[torch.ones(2, 2)] * 4).bool()
    assert (found[together] < 9).all() and ((found == -1) | (found == 9))[~together].all()
    assert found[0, 1] == 4 - 1 and found[1, 0] == 4 + 1  # one column apart


def test_one_visible_cell():
    hidden = torch.ones(1, 3, 3, dtype=torch.bool)
    hidden[0, 1, 1] = False
    groups = group_windows(hidden, 2, 7, 3, CPU)
    assert len(groups.slots) == 4 and groups.tokens.shape[1] == 8


def test_empty_slots_see_only_each_other():
    mask = PatchMask.from_scores(torch.rand(1, 7, 7), 12)
    groups = group_windows(mask.hidden, 1, 7, 0, CPU)  # 12 tokens, 16 slots
    together = groups.offsets[0] < 169
    assert together[:12, :12].all() and together[12:, 12:].all()
    assert not together[:12, 12:].any() and not together[12:, :12].any()
