"""Attention as pictures and tables: one encoder, or two side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .attention_maps import attention_maps
from .encoders import Encoder
from .reconstruction import pictures_of
from .statistics import MEASURES, AttentionStatistics

LABELS = {
    "nmi": "NMI of queries and keys",
    "distance": "mean distance, pixels",
    "entropy": "entropy, nats",
}


def statistics_figure(found: Mapping[str, AttentionStatistics]) -> Figure:
    """Each measure by layer: a line for the mean of the heads, dots for the heads."""
    figure = Figure(figsize=(4.2 * len(MEASURES), 3.4), layout="constrained")
    for axis, measure in zip(figure.subplots(1, len(MEASURES)), MEASURES, strict=True):
        for number, (name, statistics) in enumerate(found.items()):
            layers = statistics.of(measure)
            colour, numbers = f"C{number}", np.arange(1, len(layers) + 1)
            axis.plot(numbers, [float(x.mean()) for x in layers], color=colour, label=name)
            dots = np.repeat(numbers, [len(x) for x in layers])
            axis.scatter(dots, torch.cat(layers).numpy(), color=colour, s=6, alpha=0.4)
        axis.set_xlabel("layer")
        axis.set_title(LABELS[measure], fontsize=10)
        axis.set_ylim(bottom=0)
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(fontsize=8)
    return figure


def attention_figure(
    encoders: Mapping[str, Encoder],
    path: str,
    layers: Sequence[int],
    points: Sequence[tuple[float, float]],
) -> Figure:
    """Where chosen patches of an image attend: a row for each, the mean of the heads.

    Args:
        encoders: by name.
        path: of the image.
        layers: counted from 1.
        points: (x, y) of the queries, as parts of width and height.
    """
    images = {name: encoder.read([path]) for name, encoder in encoders.items()}
    first = next(iter(encoders))
    picture = pictures_of(encoders[first], images[first])[0]
    maps = {
        f"{name}\nlayer {layer}": found[layer - 1]
        for name, encoder in encoders.items()
        for found in [attention_maps(encoder.backbone, images[name])]
        for layer in layers
    }
    height, width = picture.shape[:2]
    columns = 1 + len(maps)
    shape = (1.6 * columns, 1.6 * len(points) * height / width + 0.4)
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(len(points), columns, squeeze=False)
    # All are drawn on the picture's pixels, whatever the size of an encoder's images and patches.
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for row, (x, y) in zip(axes, points, strict=True):
        row[0].imshow(picture, extent=extent)
        for axis, attention in zip(row, [next(iter(maps.values())), *maps.values()], strict=True):
            rows, cols = attention.grid
            place = (min(int(y * rows), rows - 1), min(int(x * cols), cols - 1))
            if axis is not row[0]:
                shares = attention.of_patch(*place)[0].cpu().numpy()
                axis.imshow(shares, cmap="viridis", vmin=0, vmax=shares.max(), extent=extent)
            sides = (width / cols, height / rows)
            corner = (place[1] * sides[0] - 0.5, place[0] * sides[1] - 0.5)
            axis.add_patch(Rectangle(corner, *sides, fill=False, edgecolor="red", linewidth=1.2))
            axis.set_axis_off()
    for axis, title in zip(axes[0], ["query", *maps], strict=True):
        axis.set_title(title, fontsize=7)
    return figure
