"""What happens to a batch of images on the device before the model sees it."""

from collections.abc import Sequence

import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class MIMDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's preprocessor, which also mirrors the images that PackImage marks.

    Images reach the device as they are stored, from pinned memory without waiting for them, and are
    mirrored, turned to RGB and normalised there.

    Args:
        grey: the model takes one channel, the mean of an image's; ``mean`` and ``std`` have one
            value each.
        **kwargs: of ``ClsDataPreprocessor``: mean, std, to_rgb, ...
    """

    def __init__(self, grey: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self._non_blocking = True
        self.grey = grey

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: inputs, (B, channels, H, W) or a list of images; mirrored, a bool for each, if
                there are any to mirror; data_samples as ``ClsDataPreprocessor`` takes them.
            training: whether ``batch_augments`` apply.

        Returns:
            inputs, float32 (B, channels, H, W), and data_samples.
        """
        if self.grey:
            data = {**data, "inputs": to_grey(self.cast_data(data["inputs"]))}
        if "mirrored" in data:
            images, mirrored = self.cast_data((data["inputs"], data["mirrored"]))
            data = {**data, "inputs": mirror(images, mirrored)}
        return super().forward(data, training)


def mirror(
    images: Tensor | Sequence[Tensor], mirrored: Tensor | Sequence[bool]
) -> Tensor | list[Tensor]:
    """Images of which some are mirrored left to right.

    Args:
        images: (B, channels, H, W), or a list of (channels, H, W).
        mirrored: for each whether it is mirrored.
    """
    if isinstance(images, Tensor):
        return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    return [x.flip(-1) if m else x for x, m in zip(images, mirrored, strict=True)]


def to_grey(images: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    """The mean over channels, as float32: (B, 1, H, W), or a list of (1, H, W)."""
    if isinstance(images, Tensor):
        return images.float().mean(-3, keepdim=True)
    return [x.float().mean(-3, keepdim=True) for x in images]
