"""Metrics of classification where some classes have many more images than others."""

import math
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from sklearn.metrics import balanced_accuracy_score, roc_auc_score


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve, from 0 to 1: how often an image of a class outranks one of others.

    With more than two classes the mean over classes, each against the rest.

    Args:
        scores: (N, classes), rising with the likelihood of the class.
        labels: (N,) numbers of classes.

    Returns:
        NaN where a class has no image, or all of them.
    """
    columns = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    areas = []
    for column in columns:
        positive = labels == column
        if positive.all() or not positive.any():
            return math.nan
        areas.append(roc_auc_score(positive, scores[:, column]))
    return float(np.mean(areas))


class _ScoreMetric(BaseMetric):
    """What is computed of all images' scores and labels at once."""

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the scores and the label of each image."""
        for sample in data_samples:
            if len(sample["gt_label"]) != 1:
                raise ValueError(f"{type(self).__name__} is for images with one label each")
            self.results.append((sample["pred_score"].cpu().numpy(), int(sample["gt_label"])))

    def _gathered(self, results: list) -> tuple[np.ndarray, np.ndarray]:
        scores, labels = zip(*results, strict=True)
        return np.stack(scores), np.array(labels)


@METRICS.register_module()
class BalancedAccuracy(_ScoreMetric):
    """The mean over classes of the part of their images that is recognised, in percent.

    ``balanced_accuracy``; 100 / classes by chance, however many images each class has.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Of all images."""
        scores, labels = self._gathered(results)
        return {"balanced_accuracy": 100 * float(balanced_accuracy_score(labels, scores.argmax(1)))}


@METRICS.register_module()
class AUC(_ScoreMetric):
    """Area under the ROC curve in percent, 50 by chance (see :func:`area_under_curve`): ``auc``."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Of all images."""
        return {"auc": 100 * area_under_curve(*self._gathered(results))}
