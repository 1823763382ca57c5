"""Procedural textures and colours for the scenes: what a surface looks like, not its shape."""

from collections.abc import Callable

import cv2
import numpy as np

Size = tuple[int, int]  # height and width in pixels

# Distances between colours are weighted as luma is, because a difference in blue alone is hard
# to see. In these units black and white are about 255 apart.
_LUMA_ROOT = np.sqrt(np.array([0.299, 0.587, 0.114]))
_VISIBLE_DISTANCE = 60.0

# How the two colours of a palette are drawn, in levels: the first as a grey and an offset for each
# channel, the second at a distance from it, in a direction that is mostly a change of lightness.
_PALETTE_CANDIDATES = 48
_GREYS = (35, 215)
_OFFSET_DEVIATION = 34
_DISTANCES = (20, 65)
_LIGHTNESS_DEVIATION = 1.5  # that of each channel being 1
_LEVELS = (15, 235)

_MIN_PERIOD = 4.0  # in pixels

# Ranges of what is drawn uniformly for a texture.
_WARPS = (0, 0.6)  # in periods
_STRIPE_CUTS = (-0.4, 0.4)  # the height, of a wave in [-1, 1], at which it turns into stripes
_DOT_CUTS = (0.2, 0.5)
_UNEVENNESS = (0.05, 0.25)  # as part of the light


def draw_palette(rng: np.random.Generator, avoid: np.ndarray) -> np.ndarray:
    """Draw two related colours that can be told from given ones.

    Args:
        rng: source of randomness.
        avoid: (n, 3) RGB colours in [0, 255] to keep clear of; n may be 0.

    Returns:
        (2, 3) float RGB colours in [0, 255]: the first of some candidates that is far enough
        from every colour to avoid, or else the farthest one.
    """
    count = _PALETTE_CANDIDATES
    base = rng.uniform(*_GREYS, (count, 1, 1)) + rng.normal(0, _OFFSET_DEVIATION, (count, 1, 3))
    step = rng.normal(0, 1, (count, 1, 3)) + rng.normal(0, _LIGHTNESS_DEVIATION, (count, 1, 1))
    step *= rng.uniform(*_DISTANCES, (count, 1, 1)) / np.linalg.norm(step, axis=2, keepdims=True)
    palettes = np.clip(np.concatenate([base, base + step], axis=1), *_LEVELS)
    if not len(avoid):
        return palettes[0]
    gaps = (palettes[:, :, None] - avoid) * _LUMA_ROOT
    nearest = np.linalg.norm(gaps, axis=3).min(axis=(1, 2))
    return palettes[np.argmax(np.minimum(nearest, _VISIBLE_DISTANCE))]


def noise(rng: np.random.Generator, size: Size, extent: float, octaves: int = 3) -> np.ndarray:
    """Smooth multi-octave noise.

    Args:
        rng: source of randomness.
        size: (height, width) in pixels.
        extent: in pixels, of the coarsest features.
        octaves: number of layers, each with half the extent and half the strength of the last.

    Returns:
        (H, W) float32 in [0, 1], with a mean of about one half.
    """
    height, width = size
    total = np.zeros(size, dtype=np.float32)
    for octave in range(octaves):
        spacing = max(extent / 2**octave, 1.0)
        knots = (int(np.ceil(height / spacing)) + 2, int(np.ceil(width / spacing)) + 2)
        layer = rng.random(knots, dtype=np.float32) - 0.5
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return np.clip(total + 0.5, 0, 1)


def draw_texture(
    rng: np.random.Generator, size: Size, period: float, palette: np.ndarray
) -> np.ndarray:
    """Draw a texture of a random family in two colours.

    Args:
        rng: source of randomness.
        size: (height, width) in pixels.
        period: extent in pixels of the pattern's features; under 4 is taken as 4.
        palette: (2, 3) RGB colours in [0, 255].

    Returns:
        (H, W, 3) float32 RGB, in [0, 255] but for a little unevenness.
    """
    period = max(period, _MIN_PERIOD)
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](rng, size, period)[..., None]
    dark, light = palette.astype(np.float32)
    uneven = noise(rng, size, period / 2, octaves=2)[..., None] - 0.5
    strength = np.float32(rng.uniform(*_UNEVENNESS))
    return (dark + pattern * (light - dark)) * (1 + strength * uneven)


def _surface(rng: np.random.Generator, size: Size, period: float) -> tuple[np.ndarray, np.ndarray]:
    """Turned and slightly warped coordinates over a picture, in periods; two of (H, W)."""
    angle, warp = rng.uniform(0, 2 * np.pi), rng.uniform(*_WARPS)
    y, x = (np.arange(n, dtype=np.float32) / np.float32(period) for n in size)
    bend = noise(rng, size, 4 * period, octaves=1) * np.float32(warp)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos + y[:, None] * sin + bend, y[:, None] * cos - x * sin + bend


def _edge(wave: np.ndarray, period: float) -> np.ndarray:
    """Cut a wave in [-1, 1] at zero into two levels, with an edge about a pixel wide."""
    return np.clip(wave * np.float32(period / 6) + 0.5, 0, 1)


def _wave(phase: np.ndarray) -> np.ndarray:
    """A sine in [-1, 1] of a phase in periods."""
    return np.sin(phase * np.float32(2 * np.pi))


# The patterns: (H, W) float32 in [0, 1] with features of about ``period`` pixels.


def _clouds(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    return noise(rng, size, 3 * period, octaves=4)


def _gradient(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    u, _ = _surface(rng, size, period)
    ramp = (u - u.min()) / max(float(np.ptp(u)), 1e-6)
    return 0.75 * ramp + 0.25 * noise(rng, size, period)


def _stripes(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    u, _ = _surface(rng, size, period)
    return _edge(_wave(u) - np.float32(rng.uniform(*_STRIPE_CUTS)), period)


def _checks(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    u, v = _surface(rng, size, 2 * period)
    return _edge(_wave(u) * _wave(v), period)


def _dots(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    u, v = _surface(rng, size, period)
    return _edge((_wave(u) + _wave(v)) / 2 - np.float32(rng.uniform(*_DOT_CUTS)), period)


def _camouflage(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    return _edge(4 * noise(rng, size, 2 * period) - 2, period)


def _cells(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    """Cobbles: rounded cells around scattered points, each with its own tint."""
    count = int(size[0] * size[1] / period**2) + 2
    apart = np.full(size, 255, dtype=np.uint8)
    apart[rng.integers(size[0], size=count), rng.integers(size[1], size=count)] = 0
    distance, cell = cv2.distanceTransformWithLabels(
        apart, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    tint = rng.random(count + 1, dtype=np.float32)[cell]
    dome = np.clip(1.1 - distance / np.float32(period), 0, 1)
    return cv2.blur(0.5 * tint + 0.5 * dome, (3, 3))


def _wood(rng: np.random.Generator, size: Size, period: float) -> np.ndarray:
    u, v = _surface(rng, size, 3 * period)
    knot = noise(rng, size, 8 * period, octaves=2)
    return _wave(np.hypot(u, v / 6) + knot * 2) / 2 + 0.5


_PATTERNS: tuple[Callable[[np.random.Generator, Size, float], np.ndarray], ...] = (
    _clouds,
    _gradient,
    _stripes,
    _checks,
    _dots,
    _camouflage,
    _cells,
    _wood,
)
