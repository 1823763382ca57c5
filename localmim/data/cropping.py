"""The transform of pre-training that reads, crops and resizes at once."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch
from mmpretrain.datasets import RandomResizedCrop
from mmpretrain.registry import TRANSFORMS
from PIL.ImageFile import ImageFile
from torch import Tensor
from torch.nn import functional as F

from .jpegs import Jpeg, read_jpeg, tell_decoder
from .loading import check_reading
from .reading import MAX_PIXELS, decode, identify, least_reduction, open_file, turn_of
from .unusable import explained

Box = tuple[int, int, int, int]  # top, left, height, width in pixels
# (transposed, then flipped along x, then along y) makes an image upright, by EXIF's number.
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(RandomResizedCrop):
    """Read an image file of any kind, crop it at random and resize the crop.

    The images of ``LoadImage``, the boxes of ``RandomResizedCrop`` (the same random numbers give
    the same box), and resizing with antialiasing as Pillow does it. But a JPEG's box is drawn from
    its header, and only then it is decoded: at a half, a quarter or an eighth of its sides where
    the crop still has the pixels that ``scale`` asks for. There the box is rounded to whole pixels
    of the smaller image.

    JPEGs are decoded by simplejpeg where it is installed, else, or where it finds a file damaged,
    by Pillow.

    Required keys: img_path; img_bytes, the content of the file, if it has been read already.
    Added: img (uint8, (H, W, 3), BGR), img_shape (H, W) and ori_shape, before the crop.

    Args:
        scale: side or (height, width) of the result in pixels.
        crop_ratio_range: range of the crop's share of the image's area.
        aspect_ratio_range: range of the crop's width over its height.
        max_attempts: boxes that are drawn until one lies within the image; else the middle is
            taken.
        interpolation: "bicubic" or "bilinear".
        value_range: (low, high), which become 0 and 255, of images with more than 8 bits a channel;
            see ``LoadImage``.
        max_pixels: images with more are refused before memory is taken for them.

    Raises:
        UnusableImage: a file gives no image.
    """

    def __init__(
        self,
        scale: Sequence[int] | int,
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
        max_attempts: int = 10,
        interpolation: str = "bicubic",
        value_range: Sequence[float] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if interpolation not in ("bicubic", "bilinear"):
            raise ValueError(
                f"interpolation must be 'bicubic' or 'bilinear', got {interpolation!r}"
            )
        super().__init__(
            scale, crop_ratio_range, aspect_ratio_range, max_attempts, interpolation, "pillow"
        )
        self.value_range, self.max_pixels = check_reading(value_range, max_pixels)
        tell_decoder()

    def transform(self, results: dict) -> dict:
        path = results["img_path"]
        with open_file(path, results.get("img_bytes")) as file, explained(path):
            jpeg = read_jpeg(file, self.max_pixels)
            if jpeg is None:
                shape, pixels = self._by_pillow(file, path)
            else:
                shape, pixels = jpeg.shape, self._by_turbo(jpeg, path)
        image = pixels.permute(1, 2, 0).numpy()
        return results | dict(img=image, img_shape=image.shape[:2], ori_shape=shape)

    def _by_turbo(self, jpeg: Jpeg, path: str) -> Tensor:
        box = self._draw(jpeg.shape)
        reduction = self.reduction(box, jpeg.shape)
        box = reduced_box(box, reduction, jpeg.shape, jpeg.turn)
        try:
            stored = jpeg.decode(reduction)
        except ValueError:  # Pillow reads some of these, and says what is wrong with the others
            image = identify(BytesIO(jpeg.content), self.max_pixels)
            return self._cut(decode(image, path, reduction=reduction), box)
        transposed, *flips = _TURNS[jpeg.turn]
        (top, left, height, width), target = box, self.scale
        upright = stored.shape[1::-1] if transposed else stored.shape[:2]
        if flips[0]:
            left = upright[1] - left - width
        if flips[1]:
            top = upright[0] - top - height
        if transposed:
            top, left, height, width, target = left, top, width, height, target[::-1]
        crop = stored[top : top + height, left : left + width]
        pixels = self._resize(torch.from_numpy(crop).permute(2, 0, 1), target)
        if transposed:
            pixels = pixels.transpose(1, 2)
        axes = [axis for axis, flip in zip((2, 1), flips, strict=True) if flip]
        return pixels.flip(axes) if axes else pixels

    def _by_pillow(self, file: BinaryIO, path: str) -> tuple[tuple[int, int], Tensor]:
        image = identify(file, self.max_pixels)
        if image.format in ("JPEG", "MPO"):
            turn = turn_of(image)
            width, height = image.size[::-1] if turn >= 5 else image.size
            box = self._draw((height, width))
            reduction = self.reduction(box, (height, width))
            box = reduced_box(box, reduction, (height, width), turn)
            return (height, width), self._cut(decode(image, path, reduction=reduction), box)
        upright = decode(image, path, self.value_range)
        shape = upright.size[::-1]
        return shape, self._cut(upright, self._draw(shape))

    def _cut(self, upright: ImageFile, box: Box) -> Tensor:
        top, left, height, width = box
        crop = np.array(upright.crop((left, top, left + width, top + height)))
        return self._resize(torch.from_numpy(crop).permute(2, 0, 1), self.scale).flip(0)

    def _draw(self, shape: tuple[int, int]) -> Box:
        return self.rand_crop_params(SimpleNamespace(shape=shape))

    def reduction(self, box: Box, shape: tuple[int, int]) -> int:
        """The largest that leaves the crop as many pixels as the result has."""
        fits = min(side // wanted for side, wanted in zip(box[2:], self.scale, strict=True))
        wanted = next((n for n in (8, 4, 2) if fits >= n), 1)
        return max(wanted, least_reduction(*shape))

    def _resize(self, crop: Tensor, target: Sequence[int]) -> Tensor:
        """(3, H, W) of any strides to (3, *target), contiguous."""
        return F.interpolate(crop[None], tuple(target), mode=self.interpolation, antialias=True)[0]


def whole_image_loader(step: Mapping[str, Any]) -> dict[str, Any]:
    """The first step of a config's pipeline, or what reads the same images whole.

    Args:
        step: in a config, its type by name or as a class.
    """
    if step["type"] not in ("LoadRandomResizedCrop", LoadRandomResizedCrop):
        return dict(step)
    settings = {key: step[key] for key in ("value_range", "max_pixels") if key in step}
    return dict(type="LoadImage", **settings)


def reduced_box(box: Box, reduction: int, shape: tuple[int, int], turn: int = 1) -> Box:
    """A box in an image of which every pixel is the mean of several, to the nearest whole ones.

    Args:
        box: in the upright image.
        reduction: 1, 2, 4 or 8, by which both sides as they are stored are divided, rounded up.
        shape: (H, W) of the upright image.
        turn: by which the stored image becomes upright, as EXIF counts them. Stored images begin
            with whole means, so those that are flipped end with them.
    """
    sides = []
    flips = _TURNS[turn][:0:-1]
    for start, length, side, flip in zip(box[:2], box[2:], shape, flips, strict=True):
        reduced = -(-side // reduction)
        lead = reduced * reduction - side if flip else 0
        first = min(round((start + lead) / reduction), reduced - 1)
        last = min(round((start + lead + length) / reduction), reduced)
        sides.append((first, max(last - first, 1)))
    (top, height), (left, width) = sides
    return top, left, height, width
