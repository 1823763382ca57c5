"""Mean, deviation and range of the values in many image files."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

import numpy as np
from mmcv.transforms import BaseTransform

from .bands import stored_bands
from .loading import LoadBands, LoadImage
from .reading import open_image
from .stored_values import stored_values, strips, top_value
from .unusable import Reason, UnusableImage

_CHUNK = 8  # files that a process is given at once


@dataclass(eq=False)
class FileStatistics:
    """What one file holds.

    Attributes:
        dtype: NumPy's name of the type of the stored values; "" if not even these could be read.
        least, most: of the stored values, of those that are finite.
        mean, variance: (C,) float64 of the loaded image, or None if it gives none.
        reason: why it gives none.
        message: the same in full.
    """

    dtype: str = ""
    least: float = 0.0
    most: float = 0.0
    mean: np.ndarray | None = None
    variance: np.ndarray | None = None
    reason: Reason | None = None
    message: str = ""


@dataclass(eq=False)
class FolderStatistics:
    """What many files hold. Every image counts the same, whatever its size, as in training.

    Attributes:
        images: number of those that gave statistics.
        mean, std: (C,) float64; of no images, empty.
        ranges: for each type of stored values: number of files, least and most.
        unusable: for each reason the messages, one a file.
    """

    images: int
    mean: np.ndarray
    std: np.ndarray
    ranges: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    unusable: dict[Reason, list[str]] = field(default_factory=dict)


def file_statistics(path: str, loader: BaseTransform) -> FileStatistics:
    """Statistics of one file, which need not be usable.

    Args:
        path: of the file.
        loader: the transform that loads it: ``LoadImage``, ``LoadBands`` or any other.
    """
    found = FileStatistics()
    try:
        stored = _stored(path, loader)
        if stored is not None:
            _note_range(found, stored)
            del stored
        loaded = loader({"img_path": path})
        if loaded is None:
            raise UnusableImage(Reason.UNKNOWN, "", path)
        image = loaded["img"]
        if not found.dtype:
            _note_range(found, image)
        found.mean = sum(_sums(image)) / image[..., 0].size
        found.variance = sum(_sums(image, found.mean)) / image[..., 0].size
    except UnusableImage as error:
        found.reason, found.message = error.reason, str(error)
    return found


def _stored(path: str, loader: BaseTransform) -> np.ndarray | None:
    """Values before the loader scales or fills them, None if it does not."""
    if isinstance(loader, LoadBands):
        names = ("channels", "channels_first", "max_pixels")
        return stored_bands(path, **{name: loader.settings[name] for name in names})
    if isinstance(loader, LoadImage):
        with open_image(path, loader.max_pixels) as image:
            return None if top_value(image) == 255 else stored_values(image, path)
    return None


def _note_range(found: FileStatistics, values: np.ndarray) -> None:
    least, most = np.inf, -np.inf
    for rows in strips(values.shape):
        part = values[rows]
        if part.dtype.kind == "f":
            part = part[np.isfinite(part)]
        if part.size:
            least, most = min(least, float(part.min())), max(most, float(part.max()))
    found.dtype, found.least, found.most = str(values.dtype), least, most


def _sums(image: np.ndarray, mean: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Sums over parts of an image, (C,): of the values, or of their squared distances to a mean."""
    for rows in strips(image.shape):
        part = image[rows].reshape(-1, image.shape[-1]).astype(np.float64)
        yield part.sum(0) if mean is None else ((part - mean) ** 2).sum(0)


def files_statistics(
    paths: Sequence[str], loader: BaseTransform, workers: int = 1
) -> Iterator[FileStatistics]:
    """Statistics of each file, in order.

    Args:
        paths: of the files.
        loader: the transform that loads them.
        workers: number of processes; the result does not depend on it.
    """
    measure = partial(file_statistics, loader=loader)
    if workers == 1:
        yield from map(measure, paths)
        return
    # Spawned, not forked: the threads of OpenCV and torch do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(measure, paths, chunksize=_CHUNK)


def folder_statistics(files: Sequence[FileStatistics]) -> FolderStatistics:
    """Statistics of all files together."""
    good = [file for file in files if file.mean is not None]
    means = np.array([file.mean for file in good])
    variances = np.array([file.variance for file in good])
    whole = FolderStatistics(len(good), np.empty(0), np.empty(0))
    if good:
        whole.mean = means.mean(0)
        whole.std = np.sqrt(variances.mean(0) + means.var(0))
    for file in files:
        if file.dtype and file.least <= file.most:
            count, least, most = whole.ranges.get(file.dtype, (0, np.inf, -np.inf))
            whole.ranges[file.dtype] = count + 1, min(least, file.least), max(most, file.most)
        if file.reason is not None:
            whole.unusable.setdefault(file.reason, []).append(file.message)
    return whole
