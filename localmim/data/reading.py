"""Image files of any kind as 8-bit colour: opening, which reads the header, and decoding."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from .stored_values import stored_values, strips, to_8_bits, top_value
from .unusable import Reason, UnusableImage, explained

MAX_PIXELS = 400_000_000  # 20000 x 20000
# JPEGs with more are decoded at 1/2, 1/4 or 1/8 of each side, the largest that has no more.
DRAFT_PIXELS = 64_000_000
CANVAS = (124, 117, 104)  # RGB, what transparent parts show: the mean colour of ImageNet

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM", "GIF", "JPEG2000", "AVIF", "TGA")
_ORIENTATION = 274  # tag of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TO_RGB = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
_ALPHA = ("RGBA", "RGBa", "LA", "PA")


@cache
def _formats() -> tuple[str, ...]:
    """Those that this Pillow has, without the ones that start another program (EPS)."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextmanager
def open_file(path: str, content: bytes | None = None) -> Iterator[BinaryIO]:
    """Open a file for reading, or its content where somebody has read that already.

    Raises:
        UnusableImage: the file cannot be opened.
    """
    with explained(path):
        file = open(path, "rb") if content is None else BytesIO(content)  # noqa: SIM115
    with file:
        yield file


@contextmanager
def open_image(
    path: str, max_pixels: int = MAX_PIXELS, content: bytes | None = None
) -> Iterator[ImageFile]:
    """Open an image file and read its header: format, mode and size (before EXIF turns it).

    The file is read through its handle, never mapped: one that shrinks meanwhile is truncated, and
    no bus error.

    Args:
        path: of the file.
        max_pixels: what has more is refused, before memory is taken for it.
        content: of the file, where it is already in memory; then ``path`` is but its name.

    Raises:
        UnusableImage: the file cannot be opened, or is no image.
    """
    with open_file(path, content) as file:
        with explained(path):
            image = identify(file, max_pixels)
        yield image


def identify(file: BinaryIO, max_pixels: int) -> ImageFile:
    """Read the header of a file that is open; see :func:`open_image`."""
    start = file.read(4)
    if not start:
        raise UnusableImage(Reason.EMPTY)
    # Pillow's own limit, which holds for the whole process, is lower and is never lowered here.
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        image = Image.open(file, formats=_formats())
    except Image.UnidentifiedImageError:
        if start not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise
        raise UnusableImage(
            Reason.UNSUPPORTED, "Pillow does not read this kind of TIFF, LoadBands may"
        ) from None
    except Image.DecompressionBombError:
        raise UnusableImage(Reason.TOO_LARGE, f"max_pixels is {max_pixels}") from None
    check_pixels(*image.size, max_pixels)
    return image


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image by its size in pixels.

    Raises:
        UnusableImage: width x height is more than ``max_pixels``.
    """
    if width * height > max_pixels:
        raise UnusableImage(
            Reason.TOO_LARGE, f"{width} x {height} pixels; max_pixels is {max_pixels}"
        )


def decode(
    image: ImageFile,
    path: str,
    value_range: tuple[float, float] | None = None,
    reduction: int = 1,
) -> Image.Image:
    """An opened image as 8-bit RGB, upright as EXIF says, without transparency.

    Args:
        image: of :func:`open_image`, not yet loaded.
        path: of the file, for messages.
        value_range: (low, high), which become 0 and 255, of images with more than 8 bits a
            channel. By default 0 and the greatest value that such a file can hold; floats, signed
            and 32-bit integers have no default.
        reduction: 1, 2, 4 or 8; JPEGs are decoded at 1/reduction of each side, rounded up.

    Raises:
        UnusableImage: the file is damaged, its values need a range or are no numbers, or its kind
            is not supported.
    """
    with explained(path):
        if top_value(image) == 255:
            _draft(image, reduction)
            image.load()
            pixels = image
        else:
            pixels = _from_wide(image, path, value_range)
        return _flattened(_upright(pixels, image))


def _from_wide(image: ImageFile, path: str, value_range: tuple[float, float] | None) -> Image.Image:
    top = top_value(image)
    if value_range is None and top is None:
        raise UnusableImage(
            Reason.NEEDS_RANGE,
            "floats, signed or 32-bit integers; set value_range=(LOW, HIGH) of the loader, "
            "tools/dataset_stats.py tells which values there are",
        )
    values = stored_values(image, path)
    if values.dtype.kind == "f" and not all(
        np.isfinite(values[rows]).all() for rows in strips(values.shape)
    ):
        raise UnusableImage(Reason.NOT_FINITE, "NaN or infinity among them")
    return Image.fromarray(to_8_bits(values, *(value_range or (0, top))))


def least_reduction(width: int, height: int) -> int:
    """1, 2, 4 or 8: by what both sides of a JPEG are at least divided, so that memory holds it."""
    return next((n for n in (1, 2, 4) if width * height <= DRAFT_PIXELS * n**2), 8)


def _draft(image: ImageFile, reduction: int) -> None:
    """Have a JPEG decoded at a part of its size."""
    width, height = image.size
    reduction = max(reduction, least_reduction(width, height))
    if reduction > 1:
        # Pillow takes the largest reduction that leaves no less than this, and rounds up.
        image.draft(None, (max(width // reduction, 1), max(height // reduction, 1)))


def turn_of(image: ImageFile) -> int:
    """How a file's EXIF says that its image is turned, 1 (not) to 8; a broken one says nothing."""
    if image.format == "TIFF":  # turned by the decoders
        return 1
    try:
        turn = image.getexif().get(_ORIENTATION)
        return turn if turn in _TURNS else 1
    except Exception:  # of any kind, like what may be written there
        return 1


def _upright(image: Image.Image, source: ImageFile) -> Image.Image:
    turn = turn_of(source)
    return image if turn == 1 else image.transpose(_TURNS[turn])


def _flattened(image: Image.Image) -> Image.Image:
    """RGB, transparent parts over the canvas."""
    if image.mode in _ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, CANVAS)
        canvas.paste(image, mask=image.getchannel("A"))
        return canvas
    if image.mode not in _TO_RGB:
        raise UnusableImage(Reason.UNSUPPORTED, f"colours of the kind {image.mode}")
    return image if image.mode == "RGB" else image.convert("RGB")


def to_array(image: Image.Image) -> np.ndarray:
    """An RGB image as uint8, (H, W, 3) in the order BGR, as OpenCV and mmcv have it."""
    width, height = image.size
    parts = list(strips((height, width)))
    if len(parts) == 1:
        return np.asarray(image)[..., ::-1]
    array = np.empty((height, width, 3), np.uint8)  # in strips, or Pillow takes the memory twice
    for rows in parts:
        array[rows] = image.crop((0, rows.start, width, min(rows.stop, height)))
    return array[..., ::-1]


def read_image(
    path: str,
    value_range: tuple[float, float] | None = None,
    max_pixels: int = MAX_PIXELS,
    content: bytes | None = None,
) -> np.ndarray:
    """Read an image file of any kind as 8-bit colour; see :func:`open_image`, :func:`decode`.

    Returns:
        uint8, (H, W, 3) in the order BGR.

    Raises:
        UnusableImage: the reason, and what would help.
    """
    with open_image(path, max_pixels, content) as image, explained(path):
        return to_array(decode(image, path, value_range))
