"""Inputs and weights defined by a formula, for comparison with tests/reference/*.json.

The figures were produced by running the authors' released implementations in float64 on these
inputs and weights; see tests/reference/README.md.
"""

import json
import math
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

FIGURES = Path(__file__).parent / "reference"


def figures(name: str) -> dict:
    return json.loads((FIGURES / f"{name}.json").read_text())


def uniform(n: int, seed: int) -> np.ndarray:
    r = np.sin((np.arange(n) + 1) * 12.9898 + seed) * 43758.5453
    return 2 * (r - np.floor(r)) - 1


def released_parameter(name: str, shape: tuple[int, ...]) -> Tensor:
    """The value of a parameter under its name in the released checkpoint."""
    n = math.prod(shape)
    v = uniform(n, crc32(name.encode()) % 10007)
    last = name.rsplit(".", 1)[-1]
    if last == "weight" and len(shape) == 1:
        v = 1 + 0.1 * v
    elif last == "weight":
        v = v * math.sqrt(3 / (n / shape[0]))
    elif last != "relative_position_bias_table":
        v = 0.1 * v
    return torch.from_numpy(v).reshape(shape)


def image(height: int, width: int, channels: int = 3, batch: int = 2) -> Tensor:
    b, c, y, x = np.meshgrid(*map(np.arange, (batch, channels, height, width)), indexing="ij")
    value = (
        np.sin(0.11 * x + 0.07 * y + b)
        + 0.6 * np.sin(0.031 * x * (c + 1) - 0.17 * y + 0.5 * b)
        + 0.3 * np.sin(0.9 * x + 1.3 * y * (b + 1) + c)
    )
    return torch.from_numpy(value)


def noise(n: int, length: int) -> Tensor:
    return torch.from_numpy(uniform(n * length, 7) / 2 + 0.5).reshape(n, length)


def summary(x: Tensor) -> dict:
    """What the figures hold of a tensor."""
    flat = x.detach().flatten()
    return {
        "shape": list(x.shape),
        "mean": flat.mean().item(),
        "std": flat.std().item(),
        "first": flat[:3].tolist(),
        "last": flat[-3:].tolist(),
    }
