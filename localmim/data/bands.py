"""Images with any number of bands: TIFFs and NumPy arrays as floats."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .reading import MAX_PIXELS, check_pixels, open_file
from .unusable import Reason, UnusableImage, explained

Check = Callable[[tuple[int, ...], np.dtype], bool]  # of shape and type; whether channels are first


def stored_bands(
    path: str,
    channels: int,
    channels_first: bool | None = None,
    max_pixels: int = MAX_PIXELS,
    content: bytes | None = None,
) -> np.ndarray:
    """The values of a .npy, .tif or .tiff file as they are stored, (H, W, channels).

    Type and shape are looked at before memory is taken.

    Args:
        path: of the file.
        channels: number of bands.
        channels_first: whether the file is (channels, H, W); None if its shape tells.
        max_pixels: what has more is refused.
        content: of the file, where it is already in memory; then ``path`` is but its name.

    Raises:
        UnusableImage: the file is missing, damaged, too large or of another shape or type.
        ImportError: the file is a TIFF and tifffile is not installed.
    """
    read = {".npy": _read_npy, ".tif": _read_tiff, ".tiff": _read_tiff}.get(
        Path(path).suffix.lower()
    )
    if read is None:
        raise UnusableImage(
            Reason.UNSUPPORTED, "LoadBands reads files named .npy, .tif or .tiff", path
        )
    if read is _read_tiff:
        _import_tifffile()

    def check(shape: tuple[int, ...], dtype: np.dtype) -> bool:
        if dtype.kind not in "biuf":
            raise UnusableImage(Reason.UNSUPPORTED, f"values of type {dtype}")
        first = _channels_first(shape, channels, channels_first)
        height, width = shape[1:] if first else shape[:2]
        check_pixels(width, height, max_pixels)
        return first

    with open_file(path, content) as file, explained(path):
        if not file.read(1):
            raise UnusableImage(Reason.EMPTY)
        file.seek(0)
        values, first = read(file, check)
        return np.moveaxis(values, 0, -1) if first else values.reshape(*values.shape[:2], channels)


def _import_tifffile():
    try:
        import tifffile
    except ImportError as error:
        raise ImportError("LoadBands reads TIFFs by tifffile: pip install tifffile") from error
    return tifffile


def _read_npy(file: BinaryIO, check: Check) -> tuple[np.ndarray, bool]:
    if file.read(4) == b"PK\3\4":
        raise UnusableImage(Reason.NO_IMAGE, "an archive of arrays")
    file.seek(0)
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        version, np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(file)
    first = check(shape, dtype)
    file.seek(0)
    return np.load(file, allow_pickle=False), first


def _read_tiff(file: BinaryIO, check: Check) -> tuple[np.ndarray, bool]:
    tifffile = _import_tifffile()
    try:
        with tifffile.TiffFile(file) as tiff:
            series = tiff.series[0]
            first = check(series.shape, series.dtype)
            return series.asarray(), first
    except tifffile.TiffFileError as error:
        raise UnusableImage(Reason.NO_IMAGE, str(error)) from error


def _channels_first(shape: tuple[int, ...], channels: int, said: bool | None) -> bool:
    """Whether the bands are the first axis of a file of this shape."""
    if len(shape) == 2 and channels == 1:
        return False
    if len(shape) != 3 or 0 in shape:
        raise UnusableImage(Reason.WRONG_CHANNELS, f"shape {shape}, channels is {channels}")
    fits = {first: shape[0 if first else -1] == channels for first in (False, True)}
    if said is not None:
        fits[not said] = False
    if not any(fits.values()):
        raise UnusableImage(Reason.WRONG_CHANNELS, f"shape {shape}, channels is {channels}")
    if all(fits.values()):
        raise UnusableImage(
            Reason.WRONG_CHANNELS,
            f"shape {shape} has {channels} channels first or last; set channels_first",
        )
    return fits[True]


def read_bands(
    path: str,
    channels: int,
    channels_first: bool | None = None,
    nodata: float | None = None,
    fill: float | None = None,
    max_pixels: int = MAX_PIXELS,
    content: bytes | None = None,
) -> np.ndarray:
    """Read the bands of a file as floats; see :func:`stored_bands`.

    Args:
        nodata: value that stands for no data, like NaN and infinity.
        fill: takes the place of no data; None makes a file with any unusable.

    Returns:
        float32, (H, W, channels), finite.
    """
    stored = stored_bands(path, channels, channels_first, max_pixels, content)
    with np.errstate(over="ignore"):  # what is no float32 counts as infinity
        values = np.ascontiguousarray(stored, dtype=np.float32)
    missing = ~np.isfinite(values)
    if nodata is not None:
        missing |= stored == nodata
    if missing.any():
        if fill is None:
            share = missing.mean()
            raise UnusableImage(
                Reason.NOT_FINITE,
                f"{share:.1%} have no data; set fill=VALUE of LoadBands, which takes their place",
                path,
            )
        # A new array: an array of float32 in a file may be the one that was read.
        values = np.where(missing, np.float32(fill), values)
    return values
