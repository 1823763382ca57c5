"""Transforms that load images: any file as 8-bit colour, or the bands of TIFFs and arrays."""

import math
from collections.abc import Sequence

from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .bands import read_bands
from .reading import MAX_PIXELS, read_image


def check_reading(
    value_range: Sequence[float] | None, max_pixels: int
) -> tuple[tuple[float, float] | None, int]:
    """The settings that all transforms have which read images of any kind.

    Raises:
        ValueError: one of them is none.
    """
    if value_range is not None:
        value_range = tuple(value_range)
        finite = all(isinstance(x, (int, float)) and math.isfinite(x) for x in value_range)
        if len(value_range) != 2 or not finite or value_range[0] >= value_range[1]:
            raise ValueError(
                f"value_range must be (low, high), finite, low < high, got {value_range}"
            )
    _check_pixels(max_pixels)
    return value_range, max_pixels


def _check_pixels(max_pixels: int) -> None:
    if not isinstance(max_pixels, int) or max_pixels < 1:
        raise ValueError(f"max_pixels must be an int, 1 or more, got {max_pixels!r}")


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image file of any kind as 8-bit colour.

    Ordinary files give what ``LoadImageFromFile(imdecode_backend="pillow")`` does. Beyond that,
    16 bits a channel are scaled by the format's range, transparent parts show a neutral colour,
    JPEGs of more than 64 million pixels are decoded at a part of their size, and what gives no
    image says why. EXIF turns are followed.

    Required keys: img_path; img_bytes, the content of the file, if it has been read already.
    Added: img (uint8, (H, W, 3), BGR), img_shape and ori_shape (H, W).

    Args:
        value_range: (low, high), which become 0 and 255, of images with more than 8 bits a channel.
            By default 0 and the greatest value that such a file can hold, 65535 for 16 bits.
            Floats, signed and 32-bit integers need it; ``tools/dataset_stats.py`` tells which
            values there are.
        max_pixels: images with more are refused before memory is taken for them. Decoding
            takes 7 bytes a pixel, twice that if a colour has 16 bits.

    Raises:
        UnusableImage: a file gives no image.
    """

    def __init__(
        self, value_range: Sequence[float] | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.value_range, self.max_pixels = check_reading(value_range, max_pixels)

    def transform(self, results: dict) -> dict:
        path, content = results["img_path"], results.get("img_bytes")
        image = read_image(path, self.value_range, self.max_pixels, content)
        return results | dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])

    def __repr__(self) -> str:
        return f"LoadImage(value_range={self.value_range}, max_pixels={self.max_pixels})"


@TRANSFORMS.register_module()
class LoadBands(BaseTransform):
    """Load the bands of a TIFF or of a NumPy array (.npy) as floats, unscaled.

    The following RandomResizedCrop needs ``backend="cv2"`` and any interpolation but "area".

    Required keys: img_path; img_bytes, the content of the file, if it has been read already.
    Added: img (float32, (H, W, channels), in the order of the file), img_shape and ori_shape
    (H, W).

    Args:
        channels: number of bands; files with another number are unusable.
        channels_first: whether files are (channels, H, W) instead of (H, W, channels). By default
            the shape tells, and a file where both fit is unusable.
        nodata: value that marks pixels without data, like NaN and infinity, which always do.
        fill: what takes the place of values without data. By default a file with any is unusable.
        max_pixels: images with more are refused before memory is taken for them.

    Raises:
        UnusableImage: a file gives no such image.
    """

    def __init__(
        self,
        channels: int,
        channels_first: bool | None = None,
        nodata: float | None = None,
        fill: float | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be an int, 1 or more, got {channels!r}")
        if fill is not None and not math.isfinite(fill):
            raise ValueError(f"fill must be finite, got {fill}")
        _check_pixels(max_pixels)
        self.settings = dict(
            channels=channels,
            channels_first=channels_first,
            nodata=nodata,
            fill=fill,
            max_pixels=max_pixels,
        )

    def transform(self, results: dict) -> dict:
        content = results.get("img_bytes")
        image = read_bands(results["img_path"], **self.settings, content=content)
        return results | dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])

    def __repr__(self) -> str:
        return f"LoadBands({', '.join(f'{k}={v}' for k, v in self.settings.items())})"
