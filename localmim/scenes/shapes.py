"""The objects of the procedural scenes: their ten kinds of outline, their places and masks.

An outline is a tuple of closed contours, each a float array (points, 2) of (x, y). The first
contour bounds the shape; any further ones are holes in it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# In alphabetical order, so that a kind's index is also the class index that a reader of image
# folders derives by sorting folder names.
KINDS = (
    "arrow",
    "crescent",
    "cross",
    "disc",
    "heart",
    "hexagon",
    "ring",
    "square",
    "star",
    "triangle",
)

MAX_OBJECTS = 4
MIN_VISIBLE = 0.4  # part of an object's area that later objects and the border leave visible
_MIN_INSIDE = 0.8  # part of it that the border alone leaves
_PLACING_TRIES = 20

# The scale of the largest object allowed is _LARGEST shorter sides of the picture if it is alone,
# and falls with the number of objects to the power of _CROWDING.
_LARGEST = 0.5
_CROWDING = 0.35

# Ranges of what is drawn uniformly for an object.
_SCALES = (0.6, 1)  # in scales of the largest
_LOG_ASPECTS = (-0.22, 0.22)
_MAX_SLACK = 0.15  # in extents of the object that may lie outside; falls to 0 with the tries

_ROUND = 72  # points on a full circle: below a pixel of error at any size met in practice
_BITE_RADIUS = 0.82  # of the disc that a crescent lacks; the crescent's own is 1
_BITE_OFFSET = 0.55  # of that disc's centre, to the right
_SUPERSAMPLING = 4
_SUBPIXEL_BITS = 4

Outline = tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Placement:
    """An object's place in a picture.

    Attributes:
        kind: index into ``KINDS``.
        scale: square root of the object's full area, in pixels.
        cover: (H, W) float32 in [0, 1], the share of each pixel that it would cover if nothing
            lay in front of it.
    """

    kind: int
    scale: float
    cover: np.ndarray


def place_objects(
    rng: np.random.Generator, size: tuple[int, int], max_objects: int = MAX_OBJECTS
) -> list[Placement]:
    """Choose the objects of a scene and where they lie.

    Each keeps at least ``MIN_VISIBLE`` of its area in view. An object for which a few random
    places do not allow that is left out, but never the first: the last try keeps to the inside
    of the picture, which is then free.

    Args:
        rng: source of randomness.
        size: (height, width) of the picture in pixels.
        max_objects: the most objects, in [1, ``MAX_OBJECTS``].

    Returns:
        At least one object, from back to front.
    """
    count = int(rng.integers(1, max_objects + 1))
    largest = _LARGEST * min(size) / count**_CROWDING
    placed: list[Placement] = []
    for kind in rng.integers(len(KINDS), size=count):
        for slack in np.linspace(_MAX_SLACK, 0, _PLACING_TRIES):
            scale = largest * rng.uniform(*_SCALES)
            candidate = _draw_placement(rng, int(kind), scale, size, slack)
            if _all_visible([*placed, candidate], size):
                placed.append(candidate)
                break
    return placed


def instance_map(placed: list[Placement], size: tuple[int, int]) -> np.ndarray:
    """(H, W) int32: the number, from 1, of the frontmost object at each pixel, or 0."""
    instances = np.zeros(size, dtype=np.int32)
    for number, placement in enumerate(placed, start=1):
        instances[placement.cover >= 0.5] = number
    return instances


def posed_outline(kind: int, scale: float, aspect: float, angle: float) -> Outline:
    """An object's outline around the origin.

    Args:
        kind: index into ``KINDS``.
        scale: square root of the outline's area, in pixels.
        aspect: factor by which the upright shape is wider than it is high; the area stays.
        angle: rotation in radians, after the stretch.

    Returns:
        The contours, in pixels.
    """
    stretch = np.diag([np.sqrt(aspect), 1 / np.sqrt(aspect)]) * scale
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    return tuple(contour @ stretch @ turn for contour in _UNIT_OUTLINES[KINDS[kind]])


def coverage(outline: Outline, size: tuple[int, int]) -> np.ndarray:
    """The share of every pixel that lies within an outline.

    Args:
        outline: contours in pixels; (0, 0) is the outer corner of the first pixel.
        size: (height, width) of the picture in pixels.

    Returns:
        (H, W) float32 in [0, 1]; fractions occur only at the edge.
    """
    height, width = size
    fine = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING), dtype=np.uint8)
    # OpenCV puts whole numbers at the centres of pixels, hence the half.
    grid = [(contour * _SUPERSAMPLING - 0.5) * 2**_SUBPIXEL_BITS for contour in outline]
    # All contours in one call are filled by the even-odd rule, which leaves the holes open. The
    # fill takes in the outline itself, so masks are about an eighth of a pixel fat all round.
    cv2.fillPoly(fine, [np.rint(c).astype(np.int32) for c in grid], 255, shift=_SUBPIXEL_BITS)
    coarse = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return coarse.astype(np.float32) / 255


def _draw_placement(
    rng: np.random.Generator, kind: int, scale: float, size: tuple[int, int], slack: float
) -> Placement:
    """Pose an object at random, its bounding box at most ``slack`` of its extent outside."""
    aspect = np.exp(rng.uniform(*_LOG_ASPECTS))
    outline = posed_outline(kind, scale, aspect, rng.uniform(0, 2 * np.pi))
    low, high = outline[0].min(axis=0), outline[0].max(axis=0)
    outside = slack * (high - low)
    first, last = -low - outside, np.array(size[::-1]) - high + outside
    shift = first + (last - first) * rng.random(2)
    outline = tuple(contour + shift for contour in outline)
    return Placement(kind, scale, coverage(outline, size))


def _all_visible(placed: list[Placement], size: tuple[int, int]) -> bool:
    """Whether every object shows enough of itself, and the last, unobscured one lies inside."""
    visible = np.bincount(instance_map(placed, size).ravel(), minlength=len(placed) + 1)[1:]
    shares = visible / [placement.scale**2 for placement in placed]
    return bool(shares.min() >= MIN_VISIBLE and shares[-1] >= _MIN_INSIDE)


def _radial(radii: list[float]) -> np.ndarray:
    """The polygon whose corners lie at equal angles and at these distances from the origin."""
    angles = np.arange(len(radii)) * (2 * np.pi / len(radii))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.asarray(radii)[:, None]


def _crescent() -> np.ndarray:
    """The unit disc less another disc."""
    corner_x = (1 - _BITE_RADIUS**2 + _BITE_OFFSET**2) / (2 * _BITE_OFFSET)
    outer = np.arccos(corner_x)
    inner = np.arctan2(np.sin(outer), corner_x - _BITE_OFFSET)
    out = np.linspace(outer, 2 * np.pi - outer, _ROUND)
    back = np.linspace(2 * np.pi - inner, inner, _ROUND)[1:-1]
    rim = np.stack([np.cos(out), np.sin(out)], axis=1)
    bite = np.stack([np.cos(back), np.sin(back)], axis=1) * _BITE_RADIUS + (_BITE_OFFSET, 0)
    return np.concatenate([rim, bite])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], axis=1)


def _cross() -> np.ndarray:
    quarter = np.array([(3, -1), (3, 1), (1, 1)], dtype=float)
    turn = np.array([(0, 1), (-1, 0)], dtype=float)
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, n) for n in range(4)])


def _arrow() -> np.ndarray:
    upper = [(-1.0, -0.3), (0.1, -0.3), (0.1, -0.8), (1.0, 0.0)]
    lower = [(x, -y) for x, y in reversed(upper[:-1])]
    return np.array(upper + lower)


def _area(contour: np.ndarray) -> float:
    x, y = contour.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def _unit(*contours: np.ndarray) -> Outline:
    """Centre an outline's bounding box on the origin and scale its area to one.

    Equal areas matter: a scene is labelled by its largest visible object, so a kind that is
    larger than the others at the same nominal scale would be the label more often.
    """
    centre = (contours[0].min(axis=0) + contours[0].max(axis=0)) / 2
    area = _area(contours[0]) - sum(_area(hole) for hole in contours[1:])
    return tuple((contour - centre) / np.sqrt(area) for contour in contours)


_UNIT_OUTLINES = {
    "arrow": _unit(_arrow()),
    "crescent": _unit(_crescent()),
    "cross": _unit(_cross()),
    "disc": _unit(_radial([1.0] * _ROUND)),
    "heart": _unit(_heart()),
    "hexagon": _unit(_radial([1.0] * 6)),
    "ring": _unit(_radial([1.0] * _ROUND), _radial([0.55] * _ROUND)),
    "square": _unit(_radial([1.0] * 4)),
    "star": _unit(_radial([1.0, 0.42] * 5)),
    "triangle": _unit(_radial([1.0] * 3)),
}
