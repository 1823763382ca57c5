"""Why a file gives no image."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from PIL import UnidentifiedImageError


class Reason(IntEnum):
    """Kinds of fault. As numbers they fit in a byte, and 0 and 1 are left for files without one.

    Attributes:
        text: the kind in words.
    """

    def __new__(cls, code: int, text: str) -> "Reason":
        reason = int.__new__(cls, code)
        reason._value_, reason.text = code, text
        return reason

    UNKNOWN = 2, "the pipeline gave nothing"
    GONE = 3, "gone"
    NO_PERMISSION = 4, "no permission"
    NOT_READ = 5, "cannot be read from the disk"
    EMPTY = 6, "empty file"
    NO_IMAGE = 7, "no image"
    DAMAGED = 8, "truncated or damaged"
    TOO_LARGE = 9, "too large"
    UNSUPPORTED = 10, "kind of image not supported"
    NEEDS_RANGE = 11, "values need a range"
    NOT_FINITE = 12, "values without a number"
    WRONG_CHANNELS = 13, "wrong number of channels"


class UnusableImage(ValueError):
    """A file that gives no image; the message names the file, the reason and what would help."""

    def __init__(self, reason: Reason, detail: str = "", path: str = "") -> None:
        parts = (printable(path), reason.text, detail)
        super().__init__(": ".join(part for part in parts if part))
        self.reason, self.detail = reason, detail


def printable(path: str | os.PathLike) -> str:
    """A path as one line of text, also where its bytes are no UTF-8."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _reason(error: Exception) -> Reason:
    """What an exception of the operating system or of a decoder means."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return Reason.GONE
    if isinstance(error, PermissionError):
        return Reason.NO_PERMISSION
    if isinstance(error, MemoryError):
        return Reason.TOO_LARGE
    if isinstance(error, (IsADirectoryError, UnidentifiedImageError)):
        return Reason.NO_IMAGE
    if isinstance(error, OSError) and error.errno is not None:
        return Reason.NOT_READ
    return Reason.DAMAGED


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Whatever fails within is an :class:`UnusableImage` that names the file.

    Decoders raise exceptions of any kind on damaged files, so nothing but reading and decoding
    belongs within.
    """
    try:
        yield
    except UnusableImage as error:
        raise UnusableImage(error.reason, error.detail, path) from error
    except Exception as error:
        reason = _reason(error)
        told = reason in (Reason.GONE, Reason.NO_PERMISSION, Reason.NO_IMAGE)
        detail = "" if told else f"{type(error).__name__}: {error}"
        raise UnusableImage(reason, detail, path) from error
