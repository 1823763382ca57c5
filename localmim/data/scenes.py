"""Procedural scenes: labelled pictures of textured objects, drawn from a seed.

The ten kinds of object differ by shape alone; colours and textures are drawn independently of
the kind. Every picture comes with its instance map, so that one generator feeds classification,
semantic segmentation and detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .scene_shapes import KINDS, MAX_OBJECTS, Placement, instance_map, place_objects
from .scene_textures import draw_palette, draw_texture, noise

__all__ = [
    "KINDS",
    "MAX_OBJECTS",
    "MIN_SIDE",
    "SPLITS",
    "Scene",
    "SceneSet",
    "check_max_objects",
    "check_size",
    "render_scene",
    "scene_rng",
]

MIN_SIDE = 32
SPLITS = ("train", "val")


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what it shows.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        instances: (H, W) int32; 0 is background, k the k-th object, counted from 1 in the order
            in which they were drawn (so later objects lie in front of earlier ones).
        kinds: One index into `KINDS` for each object.
        label: The kind of the object with the largest visible area.
    """

    image: np.ndarray
    instances: np.ndarray
    kinds: tuple[int, ...]
    label: int


def scene_rng(seed: int, index: int) -> np.random.Generator:
    """The generator from which scene `index` of `seed` is drawn; both are at least 0."""
    for name, value in (("seed", seed), ("index", index)):
        if value < 0:
            raise ValueError(f"{name} must be 0 or more, got {value}")
    # A spawn key, unlike a longer seed, keeps (seed, index) pairs distinct whatever their size.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def check_size(size: tuple[int, int]) -> None:
    """Raise ValueError unless `size` is a height and a width of at least `MIN_SIDE` pixels."""
    if len(size) != 2 or min(size) < MIN_SIDE:
        raise ValueError(
            f"size must be (height, width), each at least {MIN_SIDE} pixels, got {tuple(size)}"
        )


def check_max_objects(max_objects: int) -> None:
    """Raise ValueError unless there are from one to `MAX_OBJECTS` objects."""
    if not 1 <= max_objects <= MAX_OBJECTS:
        raise ValueError(f"max_objects must be 1 to {MAX_OBJECTS}, got {max_objects}")


def _draw_background(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """One texture or two side by side; the (H, W, 3) picture and the (n, 3) colours in it."""
    palette = draw_palette(rng, np.empty((0, 3)))
    image = draw_texture(rng, size, min(size) * rng.uniform(0.06, 0.3), palette)
    if rng.random() < 0.5:
        return image, palette
    other = draw_palette(rng, np.empty((0, 3)))
    beyond = draw_texture(rng, size, min(size) * rng.uniform(0.06, 0.3), other)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (np.arange(n, dtype=np.float32) - n * np.float32(rng.uniform(0.3, 0.7)) for n in size)
    line = x * np.float32(np.cos(angle)) + y[:, None] * np.float32(np.sin(angle))
    line += (noise(rng, size, min(size) / 2) - 0.5) * np.float32(min(size) * rng.uniform(0, 0.3))
    side = np.clip(line + 0.5, 0, 1)[..., None]
    return image + side * (beyond - image), np.concatenate([palette, other])


def _cast_shadow(
    image: np.ndarray, placement: Placement, light: np.ndarray, depth: float
) -> np.ndarray:
    """Darken what lies behind an object, on the side turned away from the light."""
    height, width = placement.cover.shape
    shift = -0.14 * placement.scale * light
    move = np.array([(1, 0, shift[0]), (0, 1, shift[1])], dtype=np.float32)
    moved = cv2.warpAffine(placement.cover, move, (width, height))
    shadow = cv2.GaussianBlur(moved, (0, 0), max(0.06 * placement.scale, 1))
    return image * (1 - np.float32(depth) * shadow[..., None])


def _draw_object(
    rng: np.random.Generator,
    image: np.ndarray,
    placement: Placement,
    palette: np.ndarray,
    light: np.ndarray,
) -> np.ndarray:
    """Lay a textured object over the picture, its rim lit from the light's side."""
    cover, scale = placement.cover, placement.scale
    texture = draw_texture(rng, cover.shape, scale * rng.uniform(0.12, 0.45), palette)
    sigma = max(0.06 * scale, 1)
    dy, dx = np.gradient(cv2.GaussianBlur(cover, (0, 0), sigma))
    relief = 1 - np.float32(rng.uniform(0.2, 0.9) * sigma) * (dx * light[0] + dy * light[1])
    return image + cover[..., None] * (texture * relief[..., None] - image)


def _expose(rng: np.random.Generator, image: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Uneven light, brightness, contrast, white balance and sensor noise; to uint8."""
    size = image.shape[:2]
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in size)
    shading = 1 + np.float32(rng.uniform(0, 0.3)) * (x * light[0] + y[:, None] * light[1])
    shading += np.float32(rng.uniform(0, 0.5)) * (noise(rng, size, 0.6 * max(size), 1) - 0.5)
    gain = rng.uniform(0.8, 1.08) * rng.uniform(0.94, 1.06, 3)
    image = image * (shading[..., None] * gain.astype(np.float32))
    image = (image - 127) * np.float32(rng.uniform(0.8, 1.15)) + 127
    grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(1, 6))
    return np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)


def _paint(rng: np.random.Generator, placed: list[Placement], size: tuple[int, int]) -> np.ndarray:
    """The (H, W, 3) uint8 picture of placed objects."""
    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)
    depth = max(rng.uniform(-0.2, 0.6), 0)
    image, colours = _draw_background(rng, size)
    for placement in placed:
        palette = draw_palette(rng, colours)
        image = _cast_shadow(image, placement, light, depth)
        image = _draw_object(rng, image, placement, palette, light)
        colours = np.concatenate([colours, palette])
    return _expose(rng, image, light)


def render_scene(
    seed: int, index: int, size: tuple[int, int] = (224, 224), max_objects: int = MAX_OBJECTS
) -> Scene:
    """Draw a scene.

    The same arguments give the same scene in any process and any order of calls, given the same
    versions of numpy and OpenCV.

    Args:
        seed: Which family of scenes, at least 0.
        index: Which scene of the family, at least 0.
        size: Height and width in pixels, each at least `MIN_SIDE`.
        max_objects: Scenes have from one to this many objects, at most four.

    Returns:
        The scene.

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_size(size)
    check_max_objects(max_objects)
    rng = scene_rng(seed, index)
    placed = place_objects(rng, size, max_objects)
    instances = instance_map(placed, size)
    kinds = tuple(placement.kind for placement in placed)
    largest = int(np.argmax(np.bincount(instances.ravel(), minlength=2)[1:]))
    return Scene(_paint(rng, placed, size), instances, kinds, kinds[largest])


@dataclass(frozen=True)
class SceneSet:
    """Which scenes make up a training and a validation set.

    The training set takes the even scene numbers and the validation set the odd ones, so that
    the two never share a scene and either can be made longer without changing the other.

    Attributes:
        train: Number of training scenes, at least 0.
        val: Number of validation scenes, at least 0.
        size: Height and width in pixels, each at least 32.
        seed: Seed of the scenes, at least 0.
        max_objects: Scenes have from one to this many objects, at most four.

    Raises:
        ValueError: If one of them is out of its range.
    """

    train: int
    val: int
    size: tuple[int, int] = (224, 224)
    seed: int = 0
    max_objects: int = MAX_OBJECTS

    def __post_init__(self) -> None:
        for name in ("train", "val", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        check_size(self.size)
        check_max_objects(self.max_objects)

    def tasks(self) -> list[tuple[str, int]]:
        """The split and the position in it, from 0, of every scene; training scenes first."""
        return [(split, n) for split in SPLITS for n in range(getattr(self, split))]

    def index(self, split: str, position: int) -> int:
        """The scene's number for `render_scene`; `split` is "train" or "val"."""
        return 2 * position + SPLITS.index(split)

    def render(self, split: str, position: int) -> Scene:
        """Draw the scene at `position`, from 0, of a split."""
        index = self.index(split, position)
        return render_scene(self.seed, index, self.size, self.max_objects)
