"""Labelled folders, and probes of features, against slow formulas and known cases."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from localmim.analysis.labelled import (
    balanced_accuracy,
    knn_scores,
    labelled_folder,
    linear_scores,
    pooled,
)


def write(root, counts):
    """Tiny images, so many in each folder."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (8, 8), number).save(root / name / f"{number:03}.png")


def test_a_quarter_of_each_class_is_held_out_always_the_same(tmp_path):
    write(tmp_path, {"b": 8, "a": 40})
    folder = labelled_folder(tmp_path, 1000)
    assert folder.classes == ["a", "b"]
    for files, counts in ((folder.train, [30, 6]), (folder.val, [10, 2])):
        assert [sum(label == n for _, label in files) for n in (0, 1)] == counts
        assert all(f"/{folder.classes[label]}/" in path for path, label in files)
    assert not {path for path, _ in folder.train} & {path for path, _ in folder.val}
    assert labelled_folder(tmp_path, 1000) == folder
    few = labelled_folder(tmp_path, 20)  # ten of a class where it has so many
    assert [len(few.train), len(few.val)] == [8 + 6, 2 + 2]
    assert set(few.val) <= set(folder.val)


def test_folders_of_train_and_val_are_taken_as_they_are(tmp_path):
    write(tmp_path / "train", {"a": 3, "b": 4})
    write(tmp_path / "val", {"a": 2, "b": 1})
    folder = labelled_folder(tmp_path, 1000)
    assert len(folder.train) == 7 and all("/train/" in path for path, _ in folder.train)
    assert len(folder.val) == 3 and all("/val/" in path for path, _ in folder.val)
    write(tmp_path / "val", {"c": 1})
    with pytest.raises(ValueError, match="do not both have the class c"):
        labelled_folder(tmp_path, 1000)


def test_few_images_leave_some_of_each_class_on_both_sides(tmp_path):
    write(tmp_path / "train", {"a": 1, "b": 40})
    write(tmp_path / "val", {"a": 40, "b": 1})
    folder = labelled_folder(tmp_path, 4)
    for files in (folder.train, folder.val):
        assert sorted(label for _, label in files) == [0, 1]


def test_folders_that_do_not_serve_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none is no folder: name one with a subfolder"):
        labelled_folder(tmp_path / "none", 10)
    write(tmp_path / "one", {"a": 3})
    with pytest.raises(ValueError, match=r"has the classes \['a'\]: at least two are needed"):
        labelled_folder(tmp_path / "one", 10)
    write(tmp_path / "single", {"a": 3, "b": 1})
    with pytest.raises(ValueError, match="b has one image: a class needs two"):
        labelled_folder(tmp_path / "single", 10)


def test_neighbours_vote_as_by_the_formula():
    """A slow loop over images, with as many neighbours as there are."""
    rng = np.random.default_rng(0)
    train, val = rng.normal(size=(15, 6)), rng.normal(size=(9, 6))
    train_labels, val_labels = rng.integers(0, 3, 15), np.arange(9) % 3
    right = {0: [], 1: [], 2: []}
    for query, label in zip(val, val_labels, strict=True):
        votes = [0.0] * 3
        for key, voter in zip(train, train_labels, strict=True):
            cosine = query @ key / np.linalg.norm(query) / np.linalg.norm(key)
            votes[voter] += math.exp(cosine / 0.07)
        right[label].append(int(np.argmax(votes)) == label)
    expected = np.mean([np.mean(of_class) for of_class in right.values()])
    scores = knn_scores(*map(torch.tensor, (train, train_labels, val)))
    assert balanced_accuracy(scores, torch.tensor(val_labels)) == pytest.approx(expected)


def test_a_linear_probe_finds_what_is_linear_and_nothing_in_noise():
    torch.manual_seed(0)
    features = torch.randn(600, 20) * torch.logspace(-3, 3, 20)  # scales do not matter
    labels = (features[:, 0] > 0).long()
    scores = linear_scores(features[:400], labels[:400], features[400:])
    assert scores.shape == (200, 2) and balanced_accuracy(scores, labels[400:]) > 0.95
    unbalanced = torch.zeros(400, dtype=torch.long)
    unbalanced[:20] = 1
    scores = linear_scores(torch.randn(400, 5), unbalanced, torch.randn(400, 5))
    # And not 0.95, the part of images that are of the frequent class.
    assert balanced_accuracy(scores, unbalanced) == pytest.approx(0.5, abs=0.1)


def test_means_over_positions():
    maps = torch.randn(2, 3, 4, 5)
    tokens = maps.flatten(2).transpose(1, 2)
    with_class = torch.cat([torch.full((2, 1, 3), 99.0), tokens], 1)
    expected = maps.mean((2, 3))
    torch.testing.assert_close(pooled(maps, 0), expected)
    torch.testing.assert_close(pooled(with_class, 1), expected)
