"""Attention as pictures and tables: one encoder, or two side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from .attention import (
    attention_distance,
    attention_entropy,
    attention_maps,
    normalized_mutual_information,
)

MEASURES = ("nmi", "distance", "entropy")
LABELS = {
    "nmi": "NMI of queries and keys",
    "distance": "mean distance, pixels",
    "entropy": "entropy, nats",
}


@dataclass
class AttentionStatistics:
    """Means over images, by layer and head.

    Attributes:
        patch_size: side of a patch in pixels.
        grid: rows and columns of patches.
        images: how many have been seen.
    """

    patch_size: int
    grid: tuple[int, int]
    images: int = 0
    _sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, maps: Sequence[Tensor]) -> None:
        """Take the attention of a batch into account: per layer (B, heads, N, N)."""
        found = {
            "nmi": [normalized_mutual_information(x) for x in maps],
            "distance": [attention_distance(x, self.grid, self.patch_size) for x in maps],
            "entropy": [attention_entropy(x) for x in maps],
        }
        for name, layers in found.items():
            total = torch.stack([x.double().sum(0) for x in layers]).cpu()
            self._sums[name] = self._sums.get(name, 0) + total
        self.images += len(maps[0])

    def of(self, measure: str) -> Tensor:
        """Means of "nmi", "distance" (pixels) or "entropy" (nats): (layers, heads)."""
        return self._sums[measure] / self.images

    def rows(self) -> list[dict[str, float]]:
        """A row for each layer (from 1) and head (from 1)."""
        layers, heads = self.of("nmi").shape
        return [
            {"layer": layer + 1, "head": head + 1}
            | {name: float(self.of(name)[layer, head]) for name in MEASURES}
            for layer in range(layers)
            for head in range(heads)
        ]


def statistics_figure(found: Mapping[str, AttentionStatistics]) -> Figure:
    """Each measure by layer: a line for the mean of the heads, dots for the heads."""
    figure = Figure(figsize=(4.2 * len(MEASURES), 3.4), layout="constrained")
    for axis, measure in zip(figure.subplots(1, len(MEASURES)), MEASURES, strict=True):
        for number, (name, statistics) in enumerate(found.items()):
            values = statistics.of(measure).numpy()
            layers = np.arange(1, len(values) + 1)
            colour = f"C{number}"
            axis.plot(layers, values.mean(1), color=colour, label=name)
            dots = np.repeat(layers, values.shape[1])
            axis.scatter(dots, values.ravel(), color=colour, s=6, alpha=0.4)
        axis.set_xlabel("layer")
        axis.set_title(LABELS[measure], fontsize=10)
        axis.set_ylim(bottom=0)
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(fontsize=8)
    return figure


def attention_figure(
    encoders: Mapping[str, tuple[nn.Module, int]],
    images: Mapping[str, Tensor],
    picture: np.ndarray,
    layers: Sequence[int],
    points: Sequence[tuple[float, float]],
) -> Figure:
    """Where chosen patches of an image attend: a row for each, the mean of the heads.

    Args:
        encoders: by name, with the number of tokens before those of patches.
        images: by name, the image as each encoder sees it, (C, H, W), normalised.
        picture: the same to look at, (H, W, 3) in [0, 1].
        layers: counted from 1.
        points: (x, y) of the queries, as parts of width and height.
    """
    maps = {
        f"{name}, layer {layer}": found[layer - 1][0].mean(0)
        for name, (encoder, extra) in encoders.items()
        for found in [attention_maps(encoder, images[name][None], extra)]
        for layer in layers
    }
    height, width = picture.shape[:2]
    columns = 1 + len(maps)
    shape = (1.6 * columns, 1.6 * len(points) * height / width + 0.4)
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(len(points), columns, squeeze=False)
    for row, (x, y) in zip(axes, points, strict=True):
        for axis, attention in zip(row, [next(iter(maps.values())), *maps.values()], strict=True):
            # Encoders may have patches of different sizes; all are drawn on the first's pixels.
            side = (height * width / len(attention)) ** 0.5
            grid = (round(height / side), round(width / side))
            place = (min(int(y * grid[0]), grid[0] - 1), min(int(x * grid[1]), grid[1] - 1))
            shares = attention[place[0] * grid[1] + place[1]].view(grid).cpu().numpy()
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            if axis is row[0]:
                axis.imshow(picture, extent=extent)
            else:
                axis.imshow(shares, cmap="viridis", vmin=0, vmax=shares.max(), extent=extent)
            corner = (place[1] * side - 0.5, place[0] * side - 0.5)
            box = Rectangle(corner, side, side, fill=False, edgecolor="red", linewidth=1.2)
            axis.add_patch(box)
            axis.set_axis_off()
    for axis, title in zip(axes[0], ["query", *maps], strict=True):
        axis.set_title(title.replace(", ", "\n"), fontsize=7)
    return figure
