"""What is chosen for a training that nobody configured: pure functions of data, machine and length.

Nothing here imports torch.
"""

from .choices import Choice
from .encoders import (
    ENCODERS,
    FINETUNING,
    METHODS,
    EncoderKind,
    config_of,
    encoder_kind,
    image_step,
    model_options,
)
from .pretraining import (
    batch_size,
    crop_range,
    encoder,
    finetuning_epochs,
    image_size,
    learning_rate,
    length,
    warm_up,
    window_size,
    workers,
)

__all__ = [
    "Choice",
    "ENCODERS",
    "EncoderKind",
    "FINETUNING",
    "METHODS",
    "batch_size",
    "config_of",
    "crop_range",
    "encoder",
    "encoder_kind",
    "finetuning_epochs",
    "image_size",
    "image_step",
    "learning_rate",
    "length",
    "model_options",
    "warm_up",
    "window_size",
    "workers",
]
