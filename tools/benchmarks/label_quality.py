"""What features are worth with few labels and with many: probes that are not pre-training's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from localmim.analysis import layer_features
from localmim.analysis.encoders import LOADER
from localmim.analysis.labelled import (
    LabelledFolder,
    balanced_accuracy,
    knn_scores,
    linear_scores,
)
from localmim.analysis.whole_images import whole_image_pipeline
from localmim.evaluation import area_under_curve

BATCH = 100


@dataclass
class LabelledImages:
    """All images of a labelled folder in memory.

    Attributes:
        classes: their number.
        train, val: (N, 3, size, size) uint8, BGR.
        train_labels, val_labels: (N,) long.
    """

    classes: int
    train: Tensor
    train_labels: Tensor
    val: Tensor
    val_labels: Tensor


def load_images(folder: LabelledFolder, size: int) -> LabelledImages:
    """Read whole images, scaled and cropped to squares of a size in pixels."""
    init_default_scope("mmpretrain")
    read = whole_image_pipeline(LOADER, (size, size))
    parts = []
    for files in (folder.train, folder.val):
        parts.append(torch.stack([read({"img_path": path})["inputs"] for path, _ in files]))
        parts.append(torch.tensor([label for _, label in files]))
    return LabelledImages(len(folder.classes), *parts)


def score(scores: Tensor, labels: Tensor) -> float:
    """AUC of two classes, balanced accuracy of more; in percent."""
    if scores.shape[1] == 2:
        return 100 * area_under_curve(scores.cpu().numpy(), labels.cpu().numpy())
    return 100 * balanced_accuracy(scores, labels)


def few_labels(labels: Tensor, share: float, seed: int) -> Tensor:
    """Numbers of a part of the images, of each class the same part, at least two."""
    found = []
    for label in labels.unique().tolist():
        of_class = (labels == label).nonzero()[:, 0].numpy()
        count = max(2, round(share * len(of_class)))
        found.append(np.random.default_rng([seed, label]).permutation(of_class)[:count])
    return torch.from_numpy(np.sort(np.concatenate(found)))


def block_features(encoder: nn.Module, preprocessor: nn.Module, images: Tensor) -> list[Tensor]:
    """Of every second block the mean over positions of whole images: (N, C), from below."""
    encoder.eval()
    found = [
        [
            x.mean(1)
            for x in layer_features(encoder, preprocessor({"inputs": batch})["inputs"])[1::2]
        ]
        for batch in images.split(BATCH)
    ]
    return [torch.cat(x) for x in zip(*found, strict=True)]


def raw_features(images: Tensor) -> dict[str, Tensor]:
    """What needs no training: grey levels of 16x16, and HOG of cells of 8x8 at its best size.

    Args:
        images: (N, 3, size, size) uint8.
    """
    grey = images.float().mean(1, keepdim=True)
    pixels = torch.nn.functional.adaptive_avg_pool2d(grey, 16).flatten(1)
    generator = MODELS.build(dict(type="MultiScaleHOG", bins=9, cells=(8,)))
    generator.maps(1)
    hog = torch.cat([generator(batch / 255.0)[0].flatten(1) for batch in grey.split(BATCH)])
    return {"pixels": pixels, "HOG": hog}


def probes(
    train: Sequence[Tensor],
    val: Sequence[Tensor],
    data: LabelledImages,
    shares: Sequence[float],
    draws: int,
) -> Iterator[dict]:
    """Rows of what probes find.

    Args:
        train, val: features of some blocks, (N, C) and (M, C).
        data: with the labels.
        shares: of the labels that the linear probe sees.
        draws: of labels, where not all are seen.

    Yields:
        kind ("linear" or "knn"), block, share, draw, score.
    """
    for block, (a, b) in enumerate(zip(train, val, strict=True)):
        yield {
            "kind": "knn",
            "block": block,
            "share": 1.0,
            "draw": 0,
            "score": score(knn_scores(a, data.train_labels, b), data.val_labels),
        }
        for share in shares:
            for draw in range(draws if share < 1 else 1):
                seen = few_labels(data.train_labels, share, draw)
                found = linear_scores(a[seen], data.train_labels[seen], b)
                yield {
                    "kind": "linear",
                    "block": block,
                    "share": share,
                    "draw": draw,
                    "score": score(found, data.val_labels),
                }
