"""Measures of attention, against their definitions and cases that are known."""

import math

import numpy as np
import pytest
import torch

from localmim.analysis import (
    Attention,
    attention_distance,
    attention_entropy,
    normalized_mutual_information,
)


def test_mutual_information_of_known_cases():
    uniform = torch.full((2, 9, 9), 1 / 9)
    permutation = torch.eye(9)[torch.randperm(9)].expand(2, 9, 9)
    assert normalized_mutual_information(uniform).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert normalized_mutual_information(permutation).tolist() == pytest.approx([1, 1])
    # All attend to one key, which says nothing of them.
    one = torch.zeros(9, 9)
    one[:, 4] = 1
    assert float(normalized_mutual_information(one)) == 0
    # Three groups of queries that attend within themselves: log 3 of information.
    groups = torch.block_diag(*[torch.full((3, 3), 1 / 3)] * 3)
    assert float(normalized_mutual_information(groups)) == pytest.approx(math.log(3) / math.log(9))
    assert attention_entropy(uniform).tolist() == pytest.approx([math.log(9)] * 2)
    assert attention_entropy(permutation).tolist() == [0, 0]


def test_mutual_information_by_its_definition():
    attention = torch.rand(6, 6, dtype=torch.float64).softmax(-1)
    joint = attention.numpy() / 6
    queries, keys = joint.sum(1), joint.sum(0)
    information = (joint * np.log(joint / np.outer(queries, keys))).sum()
    entropies = [-(p * np.log(p)).sum() for p in (queries, keys)]
    expected = information / math.sqrt(entropies[0] * entropies[1])
    assert float(normalized_mutual_information(attention)) == pytest.approx(expected)


def test_distances_are_pixels():
    shift = torch.eye(6).roll(1, 1)  # to the next patch of a grid of 2 x 3
    points = torch.tensor([[16.0 * row, 16.0 * col] for row in range(2) for col in range(3)])
    steps = [1, 1, math.hypot(1, 2), 1, 1, math.hypot(1, 2)]
    assert float(attention_distance(shift, points)) == pytest.approx(16 * np.mean(steps))
    assert float(attention_distance(torch.eye(6), points)) == 0


def test_windows_of_pieces_are_not_measured():
    """A map of 4 x 4, windows of 2 shifted by 1: one lies within the map, alone in one piece."""
    grid = torch.arange(16).view(4, 4).roll((-1, -1), (0, 1))
    places = grid.unfold(0, 2, 2).unfold(1, 2, 2).flatten(2).flatten(0, 1)
    uniform, apart = torch.full((4, 4), 0.25), torch.eye(4)
    shares = torch.stack([uniform, apart, apart, apart])[:, None]
    assert places[0].tolist() == [5, 6, 9, 10]
    found = Attention(shares[None], places, (4, 4), 4).measures()
    assert found["nmi"].tolist() == [[pytest.approx(0, abs=1e-12)]]
    assert found["entropy"].tolist() == [[pytest.approx(math.log(4))]]


def test_windows_lie_where_their_patches_do():
    """Two windows of two patches each on a grid of 2 x 2: the columns."""
    places = torch.tensor([[0, 2], [1, 3]])
    shares = torch.tensor([[[[0.25, 0.75], [1.0, 0.0]]], [[[0.5, 0.5], [0.5, 0.5]]]])
    found = Attention(shares[None], places, (2, 2), 8)
    assert found.of_patch(0, 0).tolist() == [[[0.25, 0.0], [0.75, 0.0]]]
    assert found.of_patch(1, 1).tolist() == [[[0.0, 0.5], [0.0, 0.5]]]
    of_windows = [8 * (0.75 + 1) / 2, 8 * 0.5]
    assert found.measures()["distance"].tolist() == [[pytest.approx(np.mean(of_windows))]]
    entropies = [
        -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / 2,
        math.log(2),
    ]
    assert found.measures()["entropy"].tolist() == [[pytest.approx(np.mean(entropies))]]
    first = float(normalized_mutual_information(shares[0, 0]))
    assert found.measures()["nmi"].tolist() == [[pytest.approx(first / 2)]]
