"""Layers of one encoder or two as pictures: their spectra, their likeness, nearest images."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .encoders import Encoder
from .layers import LayerStatistics, linear_cka, nearest_images
from .reconstruction import pictures_of

Layers = Sequence[LayerStatistics]


def spectrum_figure(found: Mapping[str, Layers]) -> Figure:
    """Effective rank by layer, and of each encoder the shares of variance by principal axis."""
    figure = Figure(figsize=(4.2 * (1 + len(found)), 3.4), layout="constrained")
    ranks, *spectra = figure.subplots(1, 1 + len(found))
    for name, layers in found.items():
        numbers = np.arange(1, len(layers) + 1)
        ranks.plot(numbers, [layer.effective_rank() for layer in layers], label=name, marker=".")
    ranks.set_title("effective rank (RankMe)", fontsize=10)
    ranks.set_xlabel("layer")
    ranks.set_ylim(bottom=0)
    ranks.xaxis.get_major_locator().set_params(integer=True)
    ranks.legend(fontsize=8)
    for axis, (name, layers) in zip(spectra, found.items(), strict=True):
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(layers)))
        for number, (layer, colour) in enumerate(zip(layers, colours, strict=True), 1):
            shares = layer.spectrum().cpu().numpy()
            ends = number in (1, len(layers))
            label = f"layer {number}" if ends else None
            axis.loglog(np.arange(1, len(shares) + 1), shares, color=colour, lw=1, label=label)
        axis.set_ylim(bottom=1e-7)
        axis.set_title(f"{name}: share of variance", fontsize=10)
        axis.set_xlabel("principal axis")
        axis.legend(fontsize=8)
    return figure


def cka_of(first: Layers, second: Layers) -> np.ndarray:
    """The likeness of each layer of one encoder to each of another, on the same images."""
    vectors = [[layer.pooled() for layer in layers] for layers in (first, second)]
    return np.array([[linear_cka(x, y) for y in vectors[1]] for x in vectors[0]])


def cka_figure(found: Mapping[tuple[str, str], np.ndarray]) -> Figure:
    """Matrices of :func:`cka_of`, by the names of the encoders."""
    figure = Figure(figsize=(3.8 * len(found), 3.4), layout="constrained")
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    for axis, ((first, second), values) in zip(axes, found.items(), strict=True):
        rows, cols = values.shape
        extent = (0.5, cols + 0.5, 0.5, rows + 0.5)
        image = axis.imshow(values, vmin=0, vmax=1, cmap="magma", origin="lower", extent=extent)
        axis.set_xlabel(f"layer of {second}")
        axis.set_ylabel(f"layer of {first}")
    figure.colorbar(image, ax=axes, label="CKA")
    return figure


def neighbours_figure(
    encoder: Encoder, layer: LayerStatistics, paths: Sequence[str], queries: int, count: int
) -> Figure:
    """A row for each of some images: itself, and those whose features are nearest.

    Args:
        encoder: that reads the images.
        layer: with a vector of each of them.
        paths: of all images.
        queries: rows, spread evenly over the images.
        count: neighbours in a row.
    """
    asked = [k * len(paths) // queries for k in range(queries)]
    found = nearest_images(layer.pooled(), asked, count).tolist()
    figure = Figure(figsize=(1.4 * (1 + len(found[0])), 1.4 * queries + 0.3), layout="constrained")
    axes = figure.subplots(queries, 1 + len(found[0]), squeeze=False)
    for row, query, nearest in zip(axes, asked, found, strict=True):
        for axis, number in zip(row, [query, *nearest], strict=True):
            axis.imshow(pictures_of(encoder, encoder.read([paths[number]]))[0])
            axis.set_axis_off()
    axes[0, 0].set_title("query", fontsize=8)
    axes[0, 1].set_title("nearest", fontsize=8)
    return figure
