"""The attention and the layers of an encoder, over many images in constant memory."""

import warnings
from collections.abc import Sequence

from torch import Tensor
from tqdm import tqdm

from .attention import Attention
from .attention_maps import attention_layers, attention_maps
from .encoders import Encoder
from .layers import LayerStatistics, layer_features

BATCH = 8
MEASURES = ("nmi", "distance", "entropy")


class AttentionStatistics:
    """Means over images of what :meth:`Attention.measures` gives, by layer and head."""

    def __init__(self) -> None:
        self._images = 0
        self._sums: list[dict[str, Tensor]] = []

    def add(self, layers: Sequence[Attention]) -> None:
        """Take the attention of a batch into account."""
        found = [
            {name: x.double().sum(0).cpu() for name, x in layer.measures().items()}
            for layer in layers
        ]
        self._images += len(layers[0].shares)
        self._sums = [
            {name: before[name] + now[name] for name in now} if before else now
            for before, now in zip(self._sums or [{}] * len(found), found, strict=True)
        ]

    def of(self, measure: str) -> list[Tensor]:
        """Of each layer the means of "nmi", "distance" (pixels) or "entropy" (nats): (heads,)."""
        return [layer[measure] / self._images for layer in self._sums]

    def rows(self) -> list[dict[str, float]]:
        """A row for each layer (from 1) and head (from 1)."""
        return [
            {"layer": number, "head": head + 1}
            | {name: float(layer[name][head] / self._images) for name in MEASURES}
            for number, layer in enumerate(self._sums, 1)
            for head in range(len(layer["nmi"]))
        ]


def statistics_of(
    encoder: Encoder, paths: Sequence[str], name: str = "images"
) -> tuple[AttentionStatistics | None, list[LayerStatistics]]:
    """Look at image files through an encoder.

    Args:
        encoder: any.
        paths: of the images.
        name: of the encoder, for the bar that shows how far it is.

    Returns:
        Its attention, None (with a warning) where it has none that is known; and its layers.
    """
    attention: AttentionStatistics | None = AttentionStatistics()
    try:
        attention_layers(encoder.backbone)
    except TypeError as error:
        warnings.warn(f"{error}: attention is left out", stacklevel=2)
        attention = None
    layers: list[LayerStatistics] = []
    batches = [paths[k : k + BATCH] for k in range(0, len(paths), BATCH)]
    for batch in tqdm(batches, desc=name, unit="batch", delay=3):
        images = encoder.read(batch)
        if attention is not None:
            attention.add(attention_maps(encoder.backbone, images))
        features = layer_features(encoder.backbone, images)
        layers = layers or [LayerStatistics() for _ in features]
        for layer, x in zip(layers, features, strict=True):
            layer.add(x)
    return attention, layers
