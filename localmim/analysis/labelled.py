"""A small labelled folder, and what frozen features are worth on it."""

import random
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from mmpretrain.datasets import CustomDataset
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from localmim.data.unlabelled import EXTENSIONS
from localmim.models.classifiers import nearest_votes

SEED = 0
HELD_OUT = 1 / 4
NEIGHBOURS, TEMPERATURE = 20, 0.07  # as in KNNClassifier
STRENGTH = 0.1  # C of the logistic regression


@dataclass
class LabelledFolder:
    """Image files of some classes, to learn from and to be tested on.

    Attributes:
        classes: their names.
        train, val: the path of each image and the number of its class.
    """

    classes: list[str]
    train: list[tuple[str, int]] = field(default_factory=list)
    val: list[tuple[str, int]] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{len(self.classes)} classes, {len(self.train)} images to learn from, "
            f"{len(self.val)} to be tested on"
        )


def labelled_folder(root: str | Path, limit: int) -> LabelledFolder:
    """Images of a folder with a subfolder for each class, or with ``train`` and ``val`` of such.

    Without ``train`` and ``val`` a quarter of each class is held out. What is held out and what is
    left out is drawn, the same each time.

    Args:
        root: the folder.
        limit: images at most, evenly over the classes, and two of each at least.

    Raises:
        FileNotFoundError: the folder does not exist, or a class has no image.
        ValueError: there are fewer than two classes, or no subfolders, a class has one image only,
            or ``train`` and ``val`` differ in their classes.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: name one with a subfolder for each class")
    split = (root / "train").is_dir() and (root / "val").is_dir()
    train, val = (_by_class(root / part if split else root) for part in ("train", "val"))
    if len(train) < 2:
        raise ValueError(f"{root} has the classes {list(train)}: at least two are needed")
    if differing := sorted(train.keys() ^ val.keys()):
        raise ValueError(f"{root}: train and val do not both have the class {differing[0]}")
    found = LabelledFolder(list(train))
    share = max(2, limit // len(train))
    for label, name in enumerate(train):
        if not split:
            count = max(1, round(HELD_OUT * len(train[name])))
            val[name], train[name] = train[name][:count], train[name][count:]
            if not train[name]:
                raise ValueError(f"{root / name} has one image: a class needs two at least")
        held = round(share * len(val[name]) / (len(val[name]) + len(train[name])))
        held = min(max(held, 1), share - 1)
        found.val += [(path, label) for path in val[name][:held]]
        found.train += [(path, label) for path in train[name][: share - held]]
    return found


def _by_class(root: Path) -> dict[str, list[str]]:
    """Paths of the images of each class in an order that is drawn."""
    try:
        data = CustomDataset(data_root=str(root), extensions=EXTENSIONS)
    except RuntimeError as error:
        raise ValueError(f"{root} holds no images in subfolders, one for each class") from error
    found: dict[str, list[str]] = {name: [] for name in data.CLASSES}
    for number in range(len(data)):
        info = data.get_data_info(number)
        found[data.CLASSES[info["gt_label"]]].append(info["img_path"])
    for paths in found.values():
        random.Random(SEED).shuffle(paths)
    return found


def knn_scores(train: Tensor, labels: Tensor, val: Tensor) -> Tensor:
    """Votes of the 20 nearest of some images by cosine, weighted (as in KNNClassifier).

    Args:
        train: features, (N, C).
        labels: numbers of their classes, (N,), each class at least once.
        val: features of those to be classified, (M, C).

    Returns:
        (M, classes), rows add up to 1.
    """
    bank, queries = (F.normalize(x.float(), dim=1) for x in (train, val))
    return nearest_votes(queries, bank, labels, int(labels.max()) + 1, NEIGHBOURS, TEMPERATURE)


def linear_scores(train: Tensor, labels: Tensor, val: Tensor) -> Tensor:
    """Probabilities by a logistic regression on standardised features.

    Args:
        train: features, (N, C).
        labels: numbers of their classes, (N,), each class at least once.
        val: features of those to be classified, (M, C).

    Returns:
        (M, classes), rows add up to 1.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is near enough by then
        probe.fit(train.double().cpu(), labels.cpu())
    return torch.from_numpy(probe.predict_proba(val.double().cpu()))


def balanced_accuracy(scores: Tensor, labels: Tensor) -> float:
    """The mean over classes of the part of their images that is recognised, from 0 to 1."""
    return float(balanced_accuracy_score(labels.cpu(), scores.argmax(1).cpu()))


def pooled(features: Tensor, extra_tokens: int) -> Tensor:
    """The mean over positions, (B, C), of a map (B, C, h, w) or tokens (B, P + N, C)."""
    if features.dim() == 4:
        return features.mean((2, 3))
    return features[:, extra_tokens:].mean(1)
