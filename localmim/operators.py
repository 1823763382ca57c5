"""mmcv's operators by torchvision's, where mmcv was installed without compiled ones.

mmdet and mmseg import all of mmcv's operators and use few: detection with Mask R-CNN needs non-
maximum suppression and RoIAlign, segmentation with UPerNet none. torchvision brings both compiled.
"""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from .stack import check_stack, installed_versions

COMPILE = (
    "pip install ninja psutil wheel 'setuptools<82' && pip uninstall --yes {installed} && "
    "MMCV_WITH_OPS=1 pip install --no-deps --no-build-isolation --no-cache-dir {package}"
)
MMCV = {"onedl": ("onedl-mmcv", "onedl-mmcv==2.3.6"), "openmmlab": ("mmcv-lite", "mmcv==2.1.0")}


def provide_operators() -> None:
    """Put :class:`StandIn` in the place of ``mmcv._ext``, unless mmcv has it.

    To be called before anything imports mmcv.ops, as mmpretrain does, and mmdet, which mmpretrain
    imports where it is installed: OneDL's mmdet replaces what it misses for good.
    """
    if "mmcv._ext" not in sys.modules and find_spec("mmcv._ext") is None:
        sys.modules["mmcv._ext"] = StandIn("mmcv._ext")


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4), corners x1, y1, x2, y2.
        scores: (N,).
        iou_threshold: boxes are dropped that overlap a better one by more, from 0 to 1.
        offset: 0, or 1 where x2 and y2 belong to the box.

    Returns:
        Indices of the boxes that stay, best first, (K,) int64.
    """
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # As mmcv: torch's order among equal scores, and a threshold of single precision.
    order = scores.argsort(descending=True)
    threshold = float(np.float32(iou_threshold))
    return order[torchvision_nms(boxes[order], scores[order], threshold)]


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign by averages, written to ``output``.

    Args:
        input: (B, C, H, W).
        rois: (N, 5), number of the image, then corners x1, y1, x2, y2 in pixels of the image.
        output: (N, C, aligned_height, aligned_width).
        argmax_y: unused, as in mmcv's for averages; ``argmax_x`` too.
        spatial_scale: H over the height of the image.
        sampling_ratio: points per bin and side; 0: as many as the bin has pixels, rounded up.
        pool_mode: 1, the average.
        aligned: whether pixels lie at half coordinates.

    Raises:
        NotImplementedError: the maximum is asked for, ``pool_mode=0``.
    """
    _demand_average(pool_mode)
    output.copy_(
        torch.ops.torchvision.roi_align(
            input, rois, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient by the input to ``grad_input``, (B, C, H, W); see the forward."""
    _demand_average(pool_mode)
    grad_input.add_(
        torch.ops.torchvision._roi_align_backward(
            grad_output,
            rois,
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def _demand_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(_missing("roi_align with pool_mode='max'"))


def _missing(operator: str) -> str:
    installed, package = MMCV[check_stack(installed_versions())]
    return (
        f"mmcv was installed without compiled operators, and torchvision has none for {operator}. "
        "To compile mmcv's (a C++ compiler, for GPUs a CUDA toolkit of torch's version, and about "
        f"10 minutes): {COMPILE.format(installed=installed, package=package)}"
    )


class StandIn(ModuleType):
    """What mmcv sees as its compiled module: any name is there, and most raise when called."""

    nms = staticmethod(nms)
    roi_align_forward = staticmethod(roi_align_forward)
    roi_align_backward = staticmethod(roi_align_backward)

    def __init__(self, name: str):
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, loader=None)  # mmengine asks for it

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):  # what Python asks modules for
            raise AttributeError(name)

        def absent(*args, **kwargs):
            raise NotImplementedError(_missing(name))

        return absent
