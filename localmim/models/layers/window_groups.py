"""Which visible tokens attend to each other in (shifted) windows, from the mask alone.

Two tokens attend to each other where they lie in the same window of the dense grid. Hidden tokens
leave windows unevenly filled, so the visible tokens of several windows are packed into groups of
equal size, within which pairs from different windows are masked out (group window attention, Huang
et al., Green Hierarchical Vision Transformer for Masked Image Modeling, NeurIPS 2022, section 3.2).

A plan depends on the places of visible tokens, the window and the shift and on nothing else: it is
made on the CPU and sent to the device without waiting for it, once for all blocks of a stage that
share a shift.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from localmim.masking import send


@dataclass(frozen=True)
class TokenPlaces:
    """Where the T visible tokens of a batch lie, on the CPU.

    Attributes:
        image: (T,) long, the image of each token.
        row: (T,) long, its row in the dense grid of tokens of that image.
        col: (T,) long, its column there.
    """

    image: Tensor
    row: Tensor
    col: Tensor


@dataclass(frozen=True)
class WindowGroups:
    """Groups of tokens that contain whole windows.

    Attributes:
        tokens: (G, S) long, the token in each slot of each group; empty slots repeat token 0.
        slots: (T,) long, the slot of each token, counted through all groups.
        offsets: (G, S, S) long. For query and key of one window their relative position as a row
            of the (2 * window - 1)^2 long table of relative position biases; for a pair that must
            not attend, the row behind the last. Empty slots attend to each other, so that no query
            is without a key; their results are not read.
    """

    tokens: Tensor
    slots: Tensor
    offsets: Tensor

    @property
    def efficiency(self) -> float:
        """The part of the slots that holds a token."""
        return self.slots.numel() / self.tokens.numel()


def token_places(hidden: Tensor, side: int) -> TokenPlaces:
    """The places of the visible tokens of a stage.

    Args:
        hidden: (M, Gh, Gw) bool on the CPU, True where a cell is hidden.
        side: tokens along a side of a cell.

    Returns:
        The places of T = M * K * side * side tokens, image by image and cell-major.
    """
    image, cell_row, cell_col = (~hidden).nonzero()[:, :, None, None].unbind(1)
    inner = torch.arange(side)
    places = torch.broadcast_tensors(
        image, cell_row * side + inner[:, None], cell_col * side + inner
    )
    return TokenPlaces(*(place.flatten() for place in places))


def group_windows(
    places: TokenPlaces, window: int, shift: int, device: torch.device
) -> WindowGroups:
    """Plan the attention of visible tokens in windows.

    Args:
        places: of the T tokens; those of all images are packed together.
        window: tokens along a side of a window. Windows at the right and the lower border are cut.
        shift: tokens by which windows are shifted to the right and down, in [0, window). Windows
            that a shift cuts at the border stay apart, they do not wrap around.
        device: where the plan is needed.

    Returns:
        The plan of the tokens, in the order of their places. Groups have the smallest size that is
        a multiple of 8 (fused attention wants its mask so) and holds the fullest window.
    """
    number, place = _windows(places, window, shift)
    _, number, counts = number.unique(return_inverse=True, return_counts=True)
    size = -(-int(counts.max()) // 8) * 8
    starts, num_groups = _pack(counts.tolist(), size)
    # The rank of a token among those of its window, by a stable sort.
    order = number.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order)) - (counts.cumsum(0) - counts)[number[order]]
    slots = torch.tensor(starts)[number] + rank

    def by_slot(values: Tensor, empty: int) -> Tensor:
        filled = values.new_full((num_groups * size,), empty)
        filled[slots] = values
        return send(filled.view(num_groups, size), device)

    tokens = by_slot(torch.arange(len(slots)), empty=0)
    number, place = by_slot(number, empty=-1), by_slot(place, empty=0)
    offsets = place[:, :, None] - place[:, None, :] + 2 * window * (window - 1)
    together = number[:, :, None] == number[:, None, :]
    offsets = offsets.masked_fill(~together, (2 * window - 1) ** 2)
    return WindowGroups(tokens, send(slots, device), offsets)


def _windows(places: TokenPlaces, window: int, shift: int) -> tuple[Tensor, Tensor]:
    """The number of every visible token's window, and its place there.

    Places are numbered so that the difference of two in a window tells their relative position.
    """
    row, col = places.row, places.col
    if shift:
        # The first window of a shifted axis holds its first `shift` tokens.
        row, col = row + window - shift, col + window - shift
    above, left = row // window, col // window
    number = (places.image * (above.max() + 1) + above) * (left.max() + 1) + left
    return number, row % window * (2 * window - 1) + col % window


def _pack(counts: list[int], size: int) -> tuple[list[int], int]:
    """Pack windows into groups.

    Each group takes the fullest window left and then those that fill it best (a knapsack); windows
    of the same fill are interchangeable, so one such choice serves as many groups as it can.

    Args:
        counts: tokens of each window, at most ``size``.
        size: slots of a group.

    Returns:
        The first slot of each window, counted through all groups, and the number of groups.
    """
    windows = defaultdict(list)
    for window, count in enumerate(counts):
        windows[count].append(window)
    starts, num_groups = [0] * len(counts), 0
    while windows:
        choice = _fill(Counter({count: len(same) for count, same in windows.items()}), size)
        for _ in range(min(len(windows[count]) // n for count, n in choice.items())):
            start = num_groups * size
            for count in choice.elements():
                starts[windows[count].pop()] = start
                start += count
            num_groups += 1
        for count in choice:
            if not windows[count]:
                del windows[count]
    return starts, num_groups


def _fill(available: Counter, size: int) -> Counter:
    """Choose counts for one group: the largest, and the subset of the others that fills it best."""
    largest = max(available)
    available[largest] -= 1
    room = size - largest
    items = [
        count
        for count in sorted(available, reverse=True)
        for _ in range(min(available[count], room // count))
    ]
    # Bit b of reachable[i] tells whether some of the first i items add up to b.
    reachable, within = [1], (1 << (room + 1)) - 1
    for count in items:
        reachable.append((reachable[-1] | reachable[-1] << count) & within)
    total = reachable[-1].bit_length() - 1
    choice = Counter([largest])
    for count, before in zip(reversed(items), reversed(reachable[:-1]), strict=True):
        if not before >> total & 1:
            choice[count] += 1
            total -= count
    return choice
