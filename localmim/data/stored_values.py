"""Image files with more than 8 bits a channel: their values as stored, and scaled to 8 bits."""

from collections.abc import Iterator

import cv2
import numpy as np
from PIL.ImageFile import ImageFile

from .unusable import Reason, UnusableImage, explained

_STRIP = 1 << 24  # pixels that are converted at once
_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339  # tags of a TIFF
_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def top_value(image: ImageFile) -> int | None:
    """The greatest value that an opened file can hold; 255 if Pillow gives all of it in 8 bits.

    None where there is no such value by convention: floats, signed and 32-bit integers.
    """
    if image.mode not in ("L", "RGB", "RGBA", *_GREY):
        return 255
    if image.format == "TIFF":
        bits, kinds = image.tag_v2.get(_BITS, (1,)), image.tag_v2.get(_SAMPLE_FORMAT, (1,))
        unsigned = set(kinds) <= {1, 4} and max(bits) <= 16  # 4 is "undefined"
        return max(2 ** max(bits) - 1, 255) if unsigned else None
    coding = image.tile[0][3] if image.tile else ""  # raw mode, and in a PPM its greatest value
    if image.format == "PPM" and isinstance(coding, tuple) and len(coding) == 2:
        return max(coding[1], 255)
    if image.mode.startswith("I;16") or (image.format in ("PNG", "PPM") and "16" in coding):
        return 65535
    return None if image.mode in ("I", "F") else 255


def stored_values(image: ImageFile, path: str) -> np.ndarray:
    """The values of an opened file with more than 8 bits a channel, as they are stored.

    Returns:
        (H, W), or (H, W, 3 or 4) with the colours in the order RGB; not turned as EXIF says,
        except TIFFs, which every decoder turns.

    Raises:
        UnusableImage: the file is damaged or stored in a way that no decoder here reads.
    """
    with explained(path):
        if image.format == "PPM" and image.mode != "F" or image.mode in ("RGB", "RGBA"):
            return _values_by_opencv(image)
        image.load()
        values = np.asarray(image)
        if image.format != "TIFF":
            return values.astype(values.dtype.newbyteorder("="), copy=False)
        kind = image.tag_v2.get(_SAMPLE_FORMAT, (1,))[0]
        if values.dtype == np.int32 and kind == 1:
            return values.view(np.uint32)
        if values.dtype == np.uint8:  # Pillow takes signed bytes for unsigned ones
            return values.view(np.int8)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        inverted = values.dtype == np.uint16 and image.tag_v2.get(_PHOTOMETRIC) == 0
        return np.uint16(top_value(image)) - values if inverted else values


def _values_by_opencv(image: ImageFile) -> np.ndarray:
    """Colours of more than 8 bits, which Pillow cuts to 8, and PGMs, which it stretches."""
    if image.format == "TIFF" and image.tag_v2.get(_PLANAR, 1) != 1:
        raise UnusableImage(Reason.UNSUPPORTED, "16-bit planes apart; LoadBands reads such TIFFs")
    image.fp.seek(0)
    content = image.fp.read()
    if image.format == "PNG":
        _check_chunks(content)
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise UnusableImage(Reason.DAMAGED, "OpenCV cannot decode it")
    if values.ndim == 3:
        values[..., :3] = values[..., 2::-1].copy()  # BGR to RGB
    return values


def _check_chunks(png: bytes) -> None:
    """Refuse a PNG that is shorter than its chunks: OpenCV takes memory for what they announce."""
    place = 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        kind = png[place + 4 : place + 8]
        place += 12 + length
        if place > len(png):
            raise UnusableImage(Reason.DAMAGED, "it ends within a chunk")
        if kind == b"IEND":
            return


def to_8_bits(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values scaled linearly so that low becomes 0 and high 255, clipped and rounded.

    Args:
        values: (H, W, ...) of any real type.

    Returns:
        uint8 of the same shape.
    """
    if values.dtype == np.uint16:
        return _scaled(np.arange(65536), low, high)[values]
    scaled = np.empty(values.shape, np.uint8)
    for rows in strips(values.shape):
        scaled[rows] = _scaled(values[rows], low, high)
    return scaled


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    shares = (values.astype(np.float64) - low) / (high - low)
    return np.rint(255 * shares.clip(0, 1)).astype(np.uint8)


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of an image in parts, so that converting a huge one takes little more memory."""
    rows = max(1, _STRIP // max(shape[1], 1))
    return (slice(top, top + rows) for top in range(0, shape[0], rows))
