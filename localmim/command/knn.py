"""``localmim knn``: what an encoder is worth on labelled images as it is."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from localmim.analysis import load_encoder
from localmim.analysis.labelled import (
    balanced_accuracy,
    knn_scores,
    labelled_folder,
    linear_scores,
)
from localmim.evaluation import area_under_curve

BATCH = 64


def knn(data: str | Path, weights: str | Path, say: Callable[[str], None] = print) -> dict:
    """Classify held-out images by frozen features; ``localmim knn`` does this.

    Features are the mean over positions of the encoder's last output.

    Args:
        data: a folder with a subfolder for each class, of which a quarter is held out, or with
            ``train`` and ``val`` of such folders.
        weights: of a pre-training here, or any that ``localmim convert`` reads.
        say: is told what a person would like to know.

    Returns:
        ``knn`` and ``linear``: balanced accuracy of the 20 nearest neighbours and of a logistic
        regression, from 0 to 1; of two classes ``knn_auc`` and ``linear_auc`` beside them.

    Raises:
        OSError, ValueError: see :func:`~localmim.analysis.load_encoder` and
            :func:`~localmim.analysis.labelled.labelled_folder`.
    """
    folder = labelled_folder(data, sys.maxsize)
    encoder = load_encoder(str(weights)).to("cuda" if torch.cuda.is_available() else "cpu")
    say(f"{encoder}; {folder}")
    parts = []
    for files in (folder.train, folder.val):
        batches = [files[n : n + BATCH] for n in range(0, len(files), BATCH)]
        vectors = [
            encoder.vectors(encoder.read([path for path, _ in batch])).float().cpu()
            for batch in tqdm(batches, desc="features", unit="batch")
        ]
        parts.append((torch.cat(vectors), torch.tensor([label for _, label in files])))
    (train, labels), (val, truth) = parts
    found = {}
    for name, scores in (("knn", knn_scores), ("linear", linear_scores)):
        votes = scores(train, labels, val)
        found[name] = balanced_accuracy(votes, truth)
        if len(folder.classes) == 2:
            found[f"{name}_auc"] = area_under_curve(votes.numpy(), truth.numpy())
    say(f"By chance: {1 / len(folder.classes):.1%}. Balanced accuracy:")
    for name, words in (("knn", "nearest neighbours"), ("linear", "linear probe")):
        area = found.get(f"{name}_auc")
        beside = "" if area is None else f", area under the ROC curve {area:.3f}"
        say(f"  {words:<19}{found[name]:.1%}{beside}")
    return found
