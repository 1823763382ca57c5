"""JPEGs to read in benchmarks."""

from pathlib import Path

import numpy as np
from PIL import Image

from localmim.data.photographs import bundled_photographs

TILE = 128


def write_pictures(folder: Path, size: int, count: int, quality: int = 92) -> float:
    """Write JPEGs of mosaics of real photographs at half their size.

    They have photographs' statistics at the scale of pixels, where JPEG works: nothing is enlarged.

    Args:
        folder: is made.
        size: of the longer side; the shorter is 3/4 of it, and every second picture is upright.
        count: of pictures, all different.
        quality: of the JPEGs, with the usual subsampling of colours.

    Returns:
        Bytes a pixel, in the mean.
    """
    folder.mkdir(parents=True)
    photographs = [
        np.asarray(Image.open(path).convert("RGB").reduce(2)) for path in bundled_photographs()
    ]
    for number in range(count):
        rng = np.random.default_rng((size, number))
        height, width = (size * 3 // 4, size) if number % 2 else (size, size * 3 // 4)
        picture = _mosaic(photographs, height, width, rng)
        Image.fromarray(picture).save(folder / f"{number:05}.jpg", quality=quality)
    files = list(folder.iterdir())
    return sum(file.stat().st_size for file in files) / count / (size * (size * 3 // 4))


def _mosaic(
    photographs: list[np.ndarray], height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Pieces of photographs side by side, (height, width, 3) uint8."""
    picture = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            target = picture[top : top + TILE, left : left + TILE]
            h, w = target.shape[:2]
            source = photographs[rng.integers(len(photographs))]
            y, x = (rng.integers(max(1, a - b)) for a, b in zip(source.shape, (h, w), strict=False))
            piece = source[y : y + h, x : x + w]
            missing = ((0, h - piece.shape[0]), (0, w - piece.shape[1]), (0, 0))
            target[:] = np.pad(piece, missing, mode="reflect")
    return picture
