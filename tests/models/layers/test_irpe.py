import pytest
import slow_lomar
import torch

from localmim.models.layers import IRPE, relative_buckets
from localmim.models.layers.irpe import distance_index


def test_index_of_a_distance_is_the_piecewise_function():
    distances = range(-60, 61)
    expected = [slow_lomar.piecewise(d) for d in distances]
    assert distance_index(torch.tensor(distances)).tolist() == expected
    assert expected[60 - 16 : 60 + 17] == [-3] * 13 + [-2, -2, -1, 0, 1, 2, 2] + [3] * 13


@pytest.mark.parametrize("side", [1, 2, 7, 14])
def test_buckets_of_a_square(side):
    assert relative_buckets((side, side)).equal(slow_lomar.buckets(side))


def test_buckets_of_any_grid():
    rows, cols = 3, 5
    buckets = relative_buckets((rows, cols))
    assert (buckets[0] == 49).all() and (buckets[:, 0] == 49).all()
    for query in range(rows * cols):
        for key in range(rows * cols):
            row = slow_lomar.piecewise(query // cols - key // cols)
            col = slow_lomar.piecewise(query % cols - key % cols)
            assert buckets[1 + query, 1 + key] == (row + 3) * 7 + col + 3


def test_each_query_is_compared_with_the_entry_of_each_pair():
    irpe = IRPE(4).double()
    torch.nn.init.normal_(irpe.table)
    query = torch.randn(2, 3, 7, 4).double()
    buckets = relative_buckets((2, 3))
    bias = irpe(query, buckets)
    assert bias.shape == (2, 3, 7, 7)
    for i in range(7):
        for j in range(7):
            expected = query[:, :, i] @ irpe.table[0, :, buckets[i, j]]
            torch.testing.assert_close(bias[:, :, i, j], expected, rtol=1e-12, atol=1e-12)
