"""What a data loader hands on of an image: its bytes, and whether to mirror them."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackImage(BaseTransform):
    """Pack an image for pre-training, drawing whether it shall be mirrored.

    Mirroring itself is left to :class:`~localmim.models.MIMDataPreprocessor`, which does it on the
    device for the whole batch, like normalising.

    Required keys: img, (H, W, channels) or (H, W). Given: inputs, a tensor (channels, H, W) of the
    same type; mirrored, a bool; img_path, if there is one.

    Args:
        flip_prob: share of the images that are mirrored, left to right.
    """

    def __init__(self, flip_prob: float = 0.5) -> None:
        if not 0 <= flip_prob <= 1:
            raise ValueError(f"flip_prob must be in 0 to 1, got {flip_prob}")
        self.flip_prob = flip_prob

    def transform(self, results: dict) -> dict:
        image = np.atleast_3d(results["img"]).transpose(2, 0, 1)
        packed = dict(
            inputs=torch.from_numpy(np.ascontiguousarray(image)),
            mirrored=bool(np.random.random() < self.flip_prob),
        )
        if "img_path" in results:
            packed["img_path"] = results["img_path"]
        return packed

    def __repr__(self) -> str:
        return f"PackImage(flip_prob={self.flip_prob})"
