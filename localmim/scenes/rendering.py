"""Procedural scenes: labelled pictures of textured objects, drawn from a seed.

The ten kinds of object differ by shape alone; colours and textures are drawn independently of
the kind. Every picture comes with its instance map, so that one generator feeds classification,
semantic segmentation and detection.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .shapes import MAX_OBJECTS, Placement, instance_map, place_objects
from .textures import draw_palette, draw_texture, noise

MIN_SIDE = 32  # of a picture, in pixels
SPLITS = ("train", "val")

# Ranges of what is drawn uniformly. Lengths in a background are in shorter sides of the picture.
_BACKGROUND_PERIODS = (0.06, 0.3)
_BORDER_PLACES = (0.3, 0.7)  # of the border between two textures, in heights and widths
_BORDER_WAVES = (0, 0.3)
_PLAIN = 0.5  # the part of all backgrounds that has one texture only

# Lengths on an object are in its scale, the square root of its area.
_OBJECT_PERIODS = (0.12, 0.45)
_RELIEFS = (0.2, 0.9)  # how much the light changes the rim
_RIM = 0.06
_SHADOW_DEPTHS = (-0.2, 0.6)  # the part of the light that a shadow takes; below 0 there is none
_SHADOW_SHIFT = 0.14
_SHADOW_BLUR = 0.06

_SLOPES = (0, 0.3)  # of the light, from one border of the picture to the other
_PATCHES = (0, 0.5)  # strength of patches of light
_PATCH_EXTENT = 0.6  # in longer sides of the picture
_GAINS = (0.8, 1.08)
_WHITE_BALANCES = (0.94, 1.06)
_CONTRASTS = (0.8, 1.15)  # around the middle of the levels
_MIDDLE = 127
_GRAINS = (1, 6)  # standard deviation of the sensor's noise, in levels


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what it shows.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        instances: (H, W) int32; 0 is background, k the k-th object, counted from 1 in the order
            in which they were drawn (so later objects lie in front of earlier ones).
        kinds: one index into ``KINDS`` for each object.
        label: the kind of the object with the largest visible area.
    """

    image: np.ndarray
    instances: np.ndarray
    kinds: tuple[int, ...]
    label: int


@dataclass(frozen=True)
class SceneSet:
    """Which scenes make up a training and a validation set.

    The training set takes the even scene numbers and the validation set the odd ones, so that
    the two never share a scene and either can be made longer without changing the other.

    Attributes:
        train: number of training scenes, at least 0.
        val: number of validation scenes, at least 0.
        size: (height, width) in pixels, each at least ``MIN_SIDE``.
        seed: of the scenes, at least 0.
        max_objects: scenes have from one to this many objects, at most ``MAX_OBJECTS``.

    Raises:
        ValueError: one of them is out of its range.
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
        _check_size(self.size)
        _check_max_objects(self.max_objects)

    def tasks(self) -> list[tuple[str, int]]:
        """The split and the position in it, from 0, of every scene; training scenes first."""
        return [(split, n) for split in SPLITS for n in range(getattr(self, split))]

    def index(self, split: str, position: int) -> int:
        """The number for :func:`render_scene` of the scene at a position, from 0, of a split."""
        return 2 * position + SPLITS.index(split)

    def render(self, split: str, position: int) -> Scene:
        """Draw the scene at a position, from 0, of a split, ``"train"`` or ``"val"``."""
        index = self.index(split, position)
        return render_scene(self.seed, index, self.size, self.max_objects)


def render_scene(
    seed: int, index: int, size: tuple[int, int] = (224, 224), max_objects: int = MAX_OBJECTS
) -> Scene:
    """Draw a scene.

    The same arguments give the same scene in any process and any order of calls. Other processors
    and other versions of numpy and OpenCV round a few levels of the picture differently, by one.

    Args:
        seed: which family of scenes, at least 0.
        index: which scene of the family, at least 0.
        size: (height, width) in pixels, each at least ``MIN_SIDE``.
        max_objects: scenes have from one to this many objects, at most ``MAX_OBJECTS``.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_size(size)
    _check_max_objects(max_objects)
    rng = scene_rng(seed, index)
    placed = place_objects(rng, size, max_objects)
    instances = instance_map(placed, size)
    kinds = tuple(placement.kind for placement in placed)
    largest = int(np.argmax(np.bincount(instances.ravel(), minlength=2)[1:]))
    return Scene(_paint(rng, placed, size), instances, kinds, kinds[largest])


def scene_rng(seed: int, index: int) -> np.random.Generator:
    """The generator from which a scene is drawn; both numbers are at least 0."""
    for name, value in (("seed", seed), ("index", index)):
        if value < 0:
            raise ValueError(f"{name} must be 0 or more, got {value}")
    # A spawn key, unlike a longer seed, keeps (seed, index) pairs distinct whatever their size.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < MIN_SIDE:
        raise ValueError(
            f"size must be (height, width), each at least {MIN_SIDE} pixels, got {tuple(size)}"
        )


def _check_max_objects(max_objects: int) -> None:
    if not 1 <= max_objects <= MAX_OBJECTS:
        raise ValueError(f"max_objects must be 1 to {MAX_OBJECTS}, got {max_objects}")


def _paint(rng: np.random.Generator, placed: list[Placement], size: tuple[int, int]) -> np.ndarray:
    """The (H, W, 3) uint8 picture of placed objects."""
    light = _direction(rng)
    depth = max(rng.uniform(*_SHADOW_DEPTHS), 0)
    image, colours = _draw_background(rng, size)
    for placement in placed:
        palette = draw_palette(rng, colours)
        image = _cast_shadow(image, placement, light, depth)
        image = _draw_object(rng, image, placement, palette, light)
        colours = np.concatenate([colours, palette])
    return _expose(rng, image, light)


def _direction(rng: np.random.Generator) -> np.ndarray:
    """A random unit vector (x, y), float32."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)


def _draw_background(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """One texture or two side by side; the (H, W, 3) picture and the (n, 3) colours in it."""
    image, palette = _draw_surface(rng, size)
    if rng.random() < _PLAIN:
        return image, palette
    beyond, other = _draw_surface(rng, size)
    side = _divide(rng, size)[..., None]
    return image + side * (beyond - image), np.concatenate([palette, other])


def _draw_surface(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A texture over the whole picture, (H, W, 3), and its (2, 3) colours."""
    palette = draw_palette(rng, np.empty((0, 3)))
    period = min(size) * rng.uniform(*_BACKGROUND_PERIODS)
    return draw_texture(rng, size, period, palette), palette


def _divide(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Which side of a wavy line each pixel lies on: (H, W) float32 in [0, 1]."""
    direction = _direction(rng)
    y, x = (
        np.arange(n, dtype=np.float32) - n * np.float32(rng.uniform(*_BORDER_PLACES)) for n in size
    )
    line = x * direction[0] + y[:, None] * direction[1]
    waves = noise(rng, size, min(size) / 2) - 0.5
    line += waves * np.float32(min(size) * rng.uniform(*_BORDER_WAVES))
    return np.clip(line + 0.5, 0, 1)


def _cast_shadow(
    image: np.ndarray, placement: Placement, light: np.ndarray, depth: float
) -> np.ndarray:
    """Darken what lies behind an object, on the side turned away from the light."""
    height, width = placement.cover.shape
    shift = -_SHADOW_SHIFT * placement.scale * light
    move = np.array([(1, 0, shift[0]), (0, 1, shift[1])], dtype=np.float32)
    moved = cv2.warpAffine(placement.cover, move, (width, height))
    shadow = cv2.GaussianBlur(moved, (0, 0), max(_SHADOW_BLUR * placement.scale, 1))
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
    texture = draw_texture(rng, cover.shape, scale * rng.uniform(*_OBJECT_PERIODS), palette)
    sigma = max(_RIM * scale, 1)
    dy, dx = np.gradient(cv2.GaussianBlur(cover, (0, 0), sigma))
    relief = 1 - np.float32(rng.uniform(*_RELIEFS) * sigma) * (dx * light[0] + dy * light[1])
    return image + cover[..., None] * (texture * relief[..., None] - image)


def _expose(rng: np.random.Generator, image: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Uneven light, brightness, contrast, white balance and sensor noise; to uint8."""
    size = image.shape[:2]
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in size)
    shading = 1 + np.float32(rng.uniform(*_SLOPES)) * (x * light[0] + y[:, None] * light[1])
    strength = np.float32(rng.uniform(*_PATCHES))
    shading += strength * (noise(rng, size, _PATCH_EXTENT * max(size), octaves=1) - 0.5)
    gain = rng.uniform(*_GAINS) * rng.uniform(*_WHITE_BALANCES, 3)
    image = image * (shading[..., None] * gain.astype(np.float32))
    image = (image - _MIDDLE) * np.float32(rng.uniform(*_CONTRASTS)) + _MIDDLE
    grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(*_GRAINS))
    return np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
