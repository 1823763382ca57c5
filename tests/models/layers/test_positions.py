import math

import pytest
import torch

from localmim.models.layers import sincos_positions


def test_against_the_formula_one_entry_at_a_time():
    rows, cols, channels = 2, 3, 8
    positions = sincos_positions((rows, cols), channels)
    for row in range(rows):
        for col in range(cols):
            for k in range(2):
                omega = 1 / 10000 ** (k / 2)
                entry = positions[row * cols + col]
                expected = [math.sin(col * omega), math.cos(col * omega)]
                expected += [math.sin(row * omega), math.cos(row * omega)]
                found = [entry[k + 2 * quarter].item() for quarter in range(4)]
                assert found == pytest.approx(expected, abs=1e-7)


def test_square_grids_agree_with_mmpretrain_up_to_its_order():
    from mmpretrain.models.utils import build_2d_sincos_position_embedding

    # mmpretrain lays out columns first, so its map is the transpose of MAE's.
    theirs = build_2d_sincos_position_embedding(5, 16)[0].view(5, 5, 16).transpose(0, 1)
    torch.testing.assert_close(sincos_positions((5, 5), 16), theirs.reshape(25, 16))


def test_width_must_divide():
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        sincos_positions((2, 2), 6)
