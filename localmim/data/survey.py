"""What is in a folder of images, from a look at some of them."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cropping import LoadRandomResizedCrop
from .listing import list_files
from .unlabelled import EXTENSIONS
from .unusable import UnusableImage

LOOKED_AT, SIZE = 64, 224


@dataclass(frozen=True)
class Survey:
    """A folder of images.

    Attributes:
        images: files that have the ending of an image.
        side: the shorter one of the middle image, in pixels, of those that were looked at.
        grey: whether all of these are without colour.
        mean, std: of their values, 0 to 255, of R, G and B.
        unusable: why files among those that were looked at give no image.
        looked_at: how many.
    """

    images: int
    side: int
    grey: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unusable: tuple[str, ...]
    looked_at: int

    def __str__(self) -> str:
        colour = "grey" if self.grey else "in colour"
        text = f"{self.images} images, {colour}, the shorter side {self.side} pixels"
        if self.unusable:
            text += f"; {len(self.unusable)} of {self.looked_at} give no image"
        return text


def survey(root: str | Path) -> Survey:
    """Count the images of a folder, and look at some, the same ones each time.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no image.
        ValueError: none of those that were looked at gives an image.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        what = "is a file, not a folder" if root.is_file() else "does not exist"
        raise FileNotFoundError(f"{root} {what}: name a folder of images")
    files = list_files(str(root), lambda name: name.lower().endswith(EXTENSIONS))
    if not files:
        raise FileNotFoundError(
            f"{root} holds no image with one of the endings {' '.join(EXTENSIONS)}"
        )
    sample = random.Random(0).sample(files, min(LOOKED_AT, len(files)))
    whole = LoadRandomResizedCrop(SIZE, crop_ratio_range=(1.0, 1.0))
    found, unusable = [], []
    for name in sample:
        try:
            found.append(whole({"img_path": str(root / name)}))
        except UnusableImage as error:
            unusable.append(str(error))
    if not found:
        raise ValueError(f"none of {len(sample)} files in {root} gives an image: {unusable[0]}")
    images = np.stack([x["img"][..., ::-1] for x in found])
    return Survey(
        len(files),
        int(np.median([min(x["ori_shape"]) for x in found])),
        bool((np.ptp(images, axis=-1) == 0).all()),
        tuple(images.mean((0, 1, 2)).tolist()),
        tuple(images.std((0, 1, 2), dtype=np.float64).tolist()),
        tuple(unusable),
        len(sample),
    )
