"""Metrics for unbalanced classes, against counting."""

import itertools
import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample

from localmim.evaluation import area_under_curve


def evaluate(kind, scores, labels):
    metric = METRICS.build(dict(type=kind))
    evaluator = Evaluator([metric])
    for part in np.array_split(np.arange(len(labels)), 3):
        samples = [
            DataSample().set_gt_label(int(labels[k])).set_pred_score(torch.tensor(scores[k]))
            for k in part
        ]
        evaluator.process(samples)
    return evaluator.evaluate(len(labels))


def counted_area(scores, positive):
    """How many of all pairs are in the right order; ties count half."""
    pairs = itertools.product(scores[positive], scores[~positive])
    return np.mean([(a > b) + (a == b) / 2 for a, b in pairs])


@pytest.mark.parametrize("classes", [2, 4])
def test_area_is_the_part_of_pairs_in_order(classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 60)
    scores = rng.normal(size=(60, classes)).round(1)
    scores[np.arange(60), labels] += 0.5
    columns = [1] if classes == 2 else range(classes)
    expected = np.mean([counted_area(scores[:, c], labels == c) for c in columns])
    assert area_under_curve(scores, labels) == pytest.approx(expected)
    assert evaluate("AUC", scores, labels)["auc"] == pytest.approx(100 * expected)


def test_an_area_without_both_kinds_is_not_a_number():
    assert math.isnan(area_under_curve(np.zeros((3, 2)), np.ones(3, int)))
    assert math.isnan(area_under_curve(np.zeros((3, 4)), np.array([0, 1, 2])))


def test_balanced_accuracy_counts_classes_not_images():
    labels = np.array([0] * 18 + [1] * 2)
    always = np.tile([1.0, 0.0], (20, 1))
    assert evaluate("BalancedAccuracy", always, labels)["balanced_accuracy"] == 50
    always[-1] = [0.0, 1.0]
    assert evaluate("BalancedAccuracy", always, labels)["balanced_accuracy"] == 75
