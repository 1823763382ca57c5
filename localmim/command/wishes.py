"""What somebody wants of a pre-training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localmim import recipes


@dataclass(frozen=True)
class Wishes:
    """What the user says of a pre-training; None is to be chosen.

    Attributes:
        data: folder of images.
        method: of :data:`localmim.recipes.METHODS`.
        arch: of :data:`localmim.recipes.ENCODERS`.
        image_size: side of crops in pixels.
        channels: 1 or 3.
        epochs, minutes: length, one of both.
        batch: images a step on each device.
        devices: processes that train.
        weights: file to start from, or "timm:NAME".
        patch_size: of the weights' ViT in pixels; nobody else says it.
        val: labelled folder.
        seed: of everything random.
        settings: of the config, which override what was chosen.
    """

    data: str
    method: str = "localmim"
    arch: str | None = None
    image_size: int | None = None
    channels: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch: int | None = None
    devices: int | None = None
    weights: str | None = None
    val: str | None = None
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    patch_size: int | None = None

    def check(self) -> None:
        """Refuse what can be refused without a look at the data.

        Raises:
            ValueError: a value cannot be.
        """
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("--epochs and --minutes both say how long: leave one out")
        for name in ("image_size", "epochs", "minutes", "batch", "devices"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"--{name.replace('_', '-')} {value}: must be above 0")
        if self.channels not in (None, 1, 3):
            raise ValueError(f"--channels {self.channels}: 1 (grey) or 3 (colour)")
        if self.arch is not None:
            recipes.config_of(self.method, recipes.encoder_kind(self.arch).family)
        elif self.method not in recipes.METHODS:
            recipes.config_of(self.method, "")
