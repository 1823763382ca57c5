"""JPEGs by libjpeg-turbo: the size from the header, and pixels at a part of it."""

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import BinaryIO

import numpy as np
from mmengine.logging import print_log

from .reading import check_pixels, identify, turn_of

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

_START = b"\xff\xd8\xff"
_DECODED = ("Gray", "YCbCr", "RGB")  # kinds of colours; others are left to Pillow
_APP1, _SCAN = 0xE1, 0xDA  # kinds of segments: EXIF or XMP, which may tell a turn; the pixels


@cache
def tell_decoder() -> None:
    """Say once in the log if JPEGs are decoded by Pillow, which takes longer."""
    if simplejpeg is None:
        print_log(
            "JPEGs are decoded by Pillow: with simplejpeg a loader gives up to twice the images a "
            "second (pip install simplejpeg)",
            logger="current",
        )


class Jpeg:
    """A JPEG whose header has been read.

    Args:
        content: of the file.
        stored: (H, W) in the file.
        turn: by which the image becomes upright, as EXIF counts them, 1 to 8.

    Attributes:
        content: of the file.
        turn: as given.
        shape: (H, W) of the upright image.
    """

    def __init__(self, content: bytes, stored: tuple[int, int], turn: int) -> None:
        self.content, self._stored, self.turn = content, stored, turn
        self.shape = stored[::-1] if turn >= 5 else stored

    def decode(self, reduction: int) -> np.ndarray:
        """All pixels as they are stored, before the turn.

        Args:
            reduction: 1, 2, 4 or 8, by which both sides are divided, rounded up.

        Returns:
            uint8, (H, W, 3) in the order BGR.

        Raises:
            ValueError: the file is damaged.
        """
        height, width = (-(-side // reduction) for side in self._stored)
        return simplejpeg.decode_jpeg(self.content, "BGR", min_height=height, min_width=width)


def read_jpeg(file: BinaryIO, max_pixels: int) -> Jpeg | None:
    """Read a JPEG.

    Args:
        file: at its start, where it also is afterwards if the answer is None.
        max_pixels: what has more is refused.

    Returns:
        None where Pillow has to see: no JPEG, colours of a rare kind, a damaged header, or no
        simplejpeg.

    Raises:
        UnusableImage: it has too many pixels.
    """
    if simplejpeg is None:
        return None
    start = file.read(len(_START))
    if start == _START:
        content = start + file.read()
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        except ValueError:
            colours = None
        if colours in _DECODED:
            check_pixels(width, height, max_pixels)
            return Jpeg(content, (height, width), _turn(content, max_pixels))
    file.seek(0)
    return None


def _turn(content: bytes, max_pixels: int) -> int:
    """What Pillow says, which is asked only where a segment may tell of a turn."""
    if _APP1 not in _segments(content):
        return 1
    try:
        return turn_of(identify(BytesIO(content), max_pixels))
    except Exception:  # of any kind; what Pillow makes nothing of is not turned
        return 1


def _segments(content: bytes) -> Iterator[int]:
    """Kinds of the segments before the pixels."""
    place = 2
    while place + 4 <= len(content) and content[place + 1] != _SCAN:
        if content[place] == 0xFF and content[place + 1] not in (0xFF, 0x00):
            yield content[place + 1]
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        else:  # filling
            place += 1
