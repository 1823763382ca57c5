"""Images with any number of bands: TIFFs and NumPy arrays as floats."""

from pathlib import Path

import numpy as np

from .reading import MAX_PIXELS, check_pixels
from .unusable import Reason, UnusableImage, explained


def stored_bands(
    path: str, channels: int, channels_first: bool | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """The values of a .npy, .tif or .tiff file as they are stored, (H, W, channels).

    Type and shape are looked at before memory is taken.

    Args:
        path: of the file.
        channels: number of bands.
        channels_first: whether the file is (channels, H, W); None if its shape tells.
        max_pixels: what has more is refused.

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

    with explained(path):
        with open(path, "rb") as file:
            if not file.read(1):
                raise UnusableImage(Reason.EMPTY)
        values, first = read(path, check)
        return np.moveaxis(values, 0, -1) if first else values.reshape(*values.shape[:2], channels)


def _import_tifffile():
    try:
        import tifffile
    except ImportError as error:
        raise ImportError("LoadBands reads TIFFs by tifffile: pip install tifffile") from error
    return tifffile


def _read_npy(path: str, check) -> tuple[np.ndarray, bool]:
    header = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(header, np.ndarray):
        raise UnusableImage(Reason.NO_IMAGE, "an archive of arrays")
    first = check(header.shape, header.dtype)
    del header  # a file that shrinks while it is mapped is a bus error, so it is read
    return np.load(path, allow_pickle=False), first


def _read_tiff(path: str, check) -> tuple[np.ndarray, bool]:
    tifffile = _import_tifffile()
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
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
) -> np.ndarray:
    """Read the bands of a file as floats; see :func:`stored_bands`.

    Args:
        nodata: value that stands for no data, like NaN and infinity.
        fill: takes the place of no data; None makes a file with any unusable.

    Returns:
        float32, (H, W, channels), finite.
    """
    stored = stored_bands(path, channels, channels_first, max_pixels)
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
