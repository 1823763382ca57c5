"""Numbers that say without labels whether a pre-training is healthy."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from localmim.masking import PatchMask
from localmim.models import MaskedImageModel


class Skill:
    """How much better than the mean target a model predicts what is hidden, scale by scale.

    A loss says little: what it would be for a model that knows nothing depends on the target. The
    skill of a scale is 1 - error / error of the mean: 0 for a model that always predicts the mean
    target (of each channel, over the hidden positions of all that was added), 1 for a perfect one,
    below 0 for worse than the mean. (As the skill score of forecasts, Murphy 1988; the reference
    forecast is the sample's mean.)
    """

    def __init__(self) -> None:
        self._sums: list[list[Tensor]] | None = None

    @torch.no_grad()
    def add(
        self, predictions: Sequence[Tensor], targets: Sequence[Tensor], mask: PatchMask
    ) -> None:
        """Take a batch into account.

        Args:
            predictions: per scale (B, D, h, w).
            targets: the same.
            mask: weights each position by its hidden fraction.
        """
        found = []
        for prediction, target in zip(predictions, targets, strict=True):
            weight = mask.at(target.shape[2:])[:, None].double()
            target, prediction = target.double(), prediction.double()
            error = ((prediction - target).square() * weight).sum((0, 2, 3))
            first, second = ((target**n * weight).sum((0, 2, 3)) for n in (1, 2))
            found.append([error, first, second, weight.sum()])
        if self._sums is None:
            self._sums = found
        else:
            self._sums = [
                [x + y for x, y in zip(a, b, strict=True)]
                for a, b in zip(self._sums, found, strict=True)
            ]

    def of_scales(self) -> list[float]:
        """The skill of each scale, in (-inf, 1]; NaN where all targets are the same."""
        skills = []
        for error, first, second, count in self._sums or ():
            variance = (second / count - (first / count).square()).mean()
            skills.append(
                float(1 - (error / count).mean() / variance) if variance > 0 else math.nan
            )
        return skills


def effective_rank(features: Tensor) -> float:
    """RankMe (Garrido et al. 2023, equation 1): how many directions features really use.

    exp of the entropy of the singular values' shares, between 1 (all features along one direction)
    and min(N, C); NaN where a feature is not finite.

    Args:
        features: (N, C).
    """
    features = features.double()
    if not features.isfinite().all():
        return math.nan
    gram = features.T @ features if len(features) > features.shape[1] else features @ features.T
    return effective_rank_of_gram(gram)


def effective_rank_of_gram(gram: Tensor) -> float:
    """The same, of the sums of products of the features' channels, (C, C), or of the features."""
    singular = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
    shares = singular / singular.sum() + 1e-7
    return float(torch.exp(-(shares * shares.log()).sum()))


def visible_features(
    model: MaskedImageModel, features: Sequence[Tensor], mask: PatchMask
) -> list[Tensor]:
    """Of each tap the features at visible positions, (N, C), images one after the other."""
    found = []
    for tap, x in zip(model.backbone.taps, features, strict=True):
        if tap.dense:
            found.append(x.permute(0, 2, 3, 1)[mask.at(x.shape[2:]) == 0])
        else:
            found.append(x[:, tap.extra_tokens :].flatten(0, 1))
    return found


def gradient_norms(model: nn.Module, loss: Tensor) -> dict[str, float]:
    """L2 norms of the gradients of a loss, by part of the model.

    A part is a block where the model numbers them (``backbone.layers.3``,
    ``neck.decoders.0``), else what its name says in two words. Gradients that are being
    accumulated stay as they are.
    """
    named = [(name, x) for name, x in model.named_parameters() if x.requires_grad]
    gradients = torch.autograd.grad(loss, [x for _, x in named], allow_unused=True)
    squares: dict[str, Tensor] = {}
    for (name, _), gradient in zip(named, gradients, strict=True):
        if gradient is not None:
            part = part_of(name)
            squares[part] = squares.get(part, 0.0) + gradient.double().square().sum()
    return {part: float(square.sqrt()) for part, square in squares.items()}


def part_of(name: str) -> str:
    """The part of a model that a parameter belongs to, by its name."""
    words = name.split(".")[:-1]
    return ".".join(words[:3] if len(words) > 2 and words[2].isdigit() else words[:2])
