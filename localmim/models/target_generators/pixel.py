"""Pixels as targets, one patch size per tap."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.wiring import TargetMap

from .base import float_images
from .drawing import Show, draw_pixels


@MODELS.register_module()
class MultiScalePixels(BaseModule):
    """Patches of pixels, each normalised by its own mean and variance.

    As in MAE (He et al. 2022, section 4, "reconstruction target") and LocalMIM's pixel variant
    (Wang et al. 2023, section 3.2).

    Args:
        patch_sizes: side of a patch in pixels, one per tap.
        normalize: subtract the mean of each patch and divide by sqrt(unbiased variance + 1e-6),
            over pixels and channels together.
    """

    def __init__(
        self, patch_sizes: Sequence[int] = (8, 16, 32, 32), normalize: bool = True
    ) -> None:
        super().__init__()
        if any(size < 1 for size in patch_sizes):
            raise ValueError(f"patch_sizes must be positive, got {tuple(patch_sizes)}")
        self.patch_sizes = tuple(patch_sizes)
        self.normalize = normalize

    def maps(self, channels: int) -> tuple[TargetMap, ...]:
        """What is made of images with so many channels, one map per tap."""
        return tuple(TargetMap(channels * size**2, size) for size in self.patch_sizes)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Cut images (B, C, H, W) into patches.

        Returns:
            Per tap (B, p * p * C, H / p, W / p); the channels are a patch flattened as (row,
            column, channel).
        """
        images = float_images(images, self.patch_sizes)
        maps = {size: self._patches(images, size) for size in set(self.patch_sizes)}
        return tuple(maps[size] for size in self.patch_sizes)

    def draw(self, maps: Tensor, tap: int, images: Tensor, show: Show) -> list[np.ndarray]:
        """Pictures of maps: the image again, with the contrast of each of its patches."""
        size = self.patch_sizes[tap]
        like = _cut(images, size) if self.normalize else None
        return show(draw_pixels(maps, size, like))

    def _patches(self, images: Tensor, size: int) -> Tensor:
        patches = _cut(images, size)
        if self.normalize:
            var, mean = torch.var_mean(patches, dim=1, keepdim=True)
            patches = (patches - mean) / (var + 1e-6).sqrt()
        return patches


def _cut(images: Tensor, size: int) -> Tensor:
    """Patches (B, p * p * C, H / p, W / p), flattened as (row, column, channel)."""
    patches = images.unflatten(3, (-1, size)).unflatten(2, (-1, size))
    return patches.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)
