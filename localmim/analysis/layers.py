"""What the blocks of an encoder compute, and how the layers of encoders resemble each other."""

import math
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localmim.engine.blocks import blocks_of

from .signals import effective_rank_of_gram


@torch.no_grad()
def layer_features(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    """The output of every block at every position, (B, N, C), without extra tokens.

    Args:
        encoder: of mmpretrain or this project, in evaluation mode.
        images: (B, C, H, W), normalised.

    Raises:
        TypeError: no blocks are known of this encoder.
    """
    blocks = blocks_of(encoder)
    if not blocks:
        raise TypeError(f"no blocks are known of {type(encoder).__name__}")
    extra, found = getattr(encoder, "num_extra_tokens", 0), []

    def keep(_block: nn.Module, _inputs: tuple, out: Tensor) -> None:
        tokens = out.flatten(2).transpose(1, 2) if out.dim() == 4 else out[:, extra:]
        found.append(tokens.float())

    with ExitStack() as stack:
        for block in blocks.values():
            stack.callback(block.register_forward_hook(keep).remove)
        encoder(images)
    return found


class LayerStatistics:
    """Of one layer over many images, in constant memory but for a vector of each image.

    Attributes:
        vectors: per batch (B, C), the mean over positions of each image.
    """

    def __init__(self) -> None:
        self.vectors: list[Tensor] = []
        self._count = 0
        self._sum: Tensor | float = 0.0
        self._gram: Tensor | float = 0.0

    def add(self, features: Tensor) -> None:
        """Take a batch into account, (B, N, C)."""
        self.vectors.append(features.mean(1).cpu())
        flat = features.flatten(0, 1).double()
        self._count += len(flat)
        self._sum = self._sum + flat.sum(0)
        self._gram = self._gram + flat.T @ flat

    def pooled(self) -> Tensor:
        """The mean over positions of every image, (images, C)."""
        return torch.cat(self.vectors)

    def effective_rank(self) -> float:
        """Of the features at all positions (see :func:`~localmim.analysis.effective_rank`)."""
        return effective_rank_of_gram(self._gram)

    def spectrum(self) -> Tensor:
        """Shares of the variance along the principal axes, the largest first: (C,), sum 1."""
        mean = self._sum / self._count
        covariance = self._gram / self._count - mean[:, None] * mean
        found = torch.linalg.eigvalsh(covariance).clamp_min(0).flip(0)
        return found / found.sum().clamp_min(1e-300)

    def axes_for(self, share: float) -> int:
        """How many principal axes have a share of the variance."""
        return int((self.spectrum().cumsum(0) < share).sum()) + 1


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Centred kernel alignment of two representations of the same images.

    1 where one is the other turned and scaled, about 0 where they have nothing in common (Kornblith
    et al. 2019, equation 5). HSIC is estimated without bias (Song et al. 2012, equation 5; Nguyen
    et al. 2021, equation 3), so that few images and many channels do not look alike; the estimate
    may be below 0.

    Args:
        first, second: (images, C) and (images, D), at least four images.

    Raises:
        ValueError: there are fewer than four images.
    """
    if len(first) < 4:
        raise ValueError(f"alignment needs four images at least, there are {len(first)}")
    a, b = (x.double() @ x.double().T for x in (first - first.mean(0), second - second.mean(0)))
    own = max(_hsic(a, a), 0.0) * max(_hsic(b, b), 0.0)
    return _hsic(a, b) / own**0.5 if own > 0 else math.nan


def _hsic(a: Tensor, b: Tensor) -> float:
    """Unbiased, of two (n, n) kernels."""
    n = len(a)
    a, b = (x - x.diag().diag() for x in (a, b))
    total = (a * b).sum() + a.sum() * b.sum() / (n - 1) / (n - 2)
    total = total - 2 / (n - 2) * (a.sum(0) @ b.sum(0))
    return float(total) / (n * (n - 3))


def nearest_images(features: Tensor, queries: list[int], count: int) -> Tensor:
    """The images whose features point the same way as those of others, the nearest first.

    By the cosine after the mean of all images is taken away, which all of them share.

    Args:
        features: (images, C).
        queries: numbers of images.
        count: how many for each; where there are fewer, all others.

    Returns:
        (queries, count) numbers of images, never the query itself.
    """
    unit = F.normalize((features - features.mean(0)).double(), dim=1)
    cosines = unit[queries] @ unit.T
    cosines[torch.arange(len(queries)), queries] = -torch.inf
    return cosines.topk(min(count, len(features) - 1)).indices
