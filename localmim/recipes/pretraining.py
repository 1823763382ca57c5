"""Settings of a pre-training, each with its reason."""

import math

from .choices import Choice, asked
from .encoders import METHODS, EncoderKind, encoder_kind, image_step

FEWEST_IMAGES = 16
USUAL_SIZE, CPU_SIZE, LEAST_CELLS = 224, 96, 3  # pixels, pixels, cells a side
# Of LoMaR in patches, and from how many along a side of the image on.
LOMAR_WINDOW, LOMAR_CELLS = 7, 12
CPU_MINUTES = 20.0
IMAGES_SEEN = 4_000_000  # where nobody says how long
FINETUNING_IMAGES = 200_000
EPOCHS = (100, 800)  # fewest and most, of what is chosen
CPU_BATCH, GPU_BATCH = 16, 256
WARM_UP = 0.05  # of a training
# Short trainings want larger steps than a recipe for a million images, those of small batches as
# well (docs/benchmarks/acceleration.md).
LARGEST_BOOST, BOOSTED = 8.0, 10_000


def encoder(method: str, gpus: int, given: str | None) -> Choice:
    """The name of the encoder.

    Args:
        method: its families have to be able to be trained by it.
        gpus: how many there are.
        given: what the user said, or None.
    """
    if given is not None:
        encoder_kind(given)
        return asked(given)
    if "vit" not in METHODS[method]:
        name = {"swin": "swin-tiny", "resnet": "resnet50"}[next(iter(METHODS[method]))]
        return Choice(name, f"the smallest that {method} trains")
    if gpus:
        return Choice("vit-small", "a good first encoder on one GPU")
    return Choice("vit-tiny", "there is no GPU: the smallest")


def image_size(method: str, kind: EncoderKind, side: int, gpus: int, given: int | None) -> Choice:
    """The side of the square crops in pixels.

    Args:
        method: that trains.
        kind: of encoder.
        side: the shorter one of the middle image, in pixels.
        gpus: how many there are.
        given: what the user said, or None.

    Raises:
        ValueError: the user's size is no multiple of what the encoder needs.
    """
    step, what = image_step(method, kind), f"{method} of a {kind.family}"
    least = math.ceil(LEAST_CELLS * kind.step / step) * step
    if given is not None:
        if given % step or given < least:
            near = sorted({max(least, n * step) for n in _neighbours(given / step)})
            raise ValueError(
                f"--image-size {given}: {what} takes multiples of {step} from "
                f"{least} on; the nearest: {' or '.join(map(str, near))}"
            )
        return asked(given)
    most = USUAL_SIZE if gpus else CPU_SIZE
    fits = min(side, most) // step * step
    if fits < least:
        return Choice(least, f"the smallest that {what} takes; images have {side} pixels")
    if side < most:
        return Choice(fits, f"images have {side} pixels, a multiple of {step} is needed")
    return Choice(fits, "usual" if gpus else "there is no GPU: small crops")


def _neighbours(number: float) -> tuple[int, int]:
    return math.floor(number), math.ceil(number)


def window_size(cells: int) -> Choice:
    """The side of LoMaR's windows in patches.

    Args:
        cells: patches along a side of the image.
    """
    if cells >= LOMAR_CELLS:
        return Choice(LOMAR_WINDOW, "patches, as published")
    return Choice(cells // 2 + 1, f"patches; an image has {cells} x {cells}")


def crop_range(size: int, side: int) -> Choice:
    """The least and the largest share of an image's area that a crop shows.

    Args:
        size: of crops in pixels.
        side: the shorter one of the middle image, in pixels.
    """
    least = min(max((size / side) ** 2, 0.2), 0.5)
    why = "usual" if least == 0.2 else "smaller crops would have to be enlarged"
    return Choice((round(least, 2), 1.0), why)


def batch_size(images: int, devices: int, largest: int | None, given: int | None) -> Choice:
    """Images a step on each device.

    Args:
        images: how many there are.
        devices: that train.
        largest: that fits a GPU and was tried; None on a CPU.
        given: what the user said, or None.
    """
    if given is not None:
        return asked(given)
    most = largest or CPU_BATCH
    enough = max(8, 2 ** int(math.log2(max(8, images / (4 * devices)))))
    if enough < most:
        return Choice(enough, f"of {images} images, so that an epoch has some steps")
    return Choice(most, "tried: it fits the GPU" if largest else "usual on a CPU")


def length(
    images: int,
    batch: int,
    gpus: int,
    seconds: float,
    epochs: int | None = None,
    minutes: float | None = None,
) -> Choice:
    """Iterations of the training.

    Args:
        images: how many there are.
        batch: images a step, on all devices.
        gpus: how many there are.
        seconds: a step takes.
        epochs, minutes: what the user said, or None.
    """
    steps = math.ceil(images / batch)
    if epochs is not None:
        return Choice(epochs * steps, f"{epochs} epoch{'s'[: epochs > 1]}, as you said")
    if minutes is not None:
        found = max(1, round(60 * minutes / seconds))
        return Choice(found, f"{minutes:g} minutes at {seconds:.3g} s a step, as you said")
    if not gpus:
        found = max(1, round(60 * CPU_MINUTES / seconds))
        return Choice(found, f"{CPU_MINUTES:g} minutes: there is no GPU (--minutes, --epochs)")
    wanted = min(max(round(IMAGES_SEEN / images), EPOCHS[0]), EPOCHS[1])
    return Choice(wanted * steps, f"{wanted} epochs of {images} images (--minutes, --epochs)")


def warm_up(iterations: int) -> Choice:
    """Iterations in which the learning rate rises, 0 or two at least."""
    found = round(WARM_UP * iterations)
    if found < 2:
        return Choice(0, "the training is too short for one")
    return Choice(found, f"{WARM_UP:.0%} of the training")


def learning_rate(configured: float, base_batch: int, batch: int, iterations: int) -> Choice:
    """The learning rate of the whole batch: linear in it, but in short trainings at least what
    ``LARGEST_BOOST`` is to a batch of 256.

    Args:
        configured: of the method's config.
        base_batch: for which it is meant.
        batch: images a step, on all devices.
        iterations: of the training.
    """
    linear = configured * batch / base_batch
    boost = LARGEST_BOOST * min(1.0, math.sqrt(BOOSTED / iterations))
    boosted = configured * GPU_BATCH / base_batch * boost
    why = f"{configured:g} of batch {base_batch}, for a batch of {batch}"
    if boosted > linear:
        why = f"{why}; x {boosted / linear:.3g} for a short training"
    return Choice(float(f"{max(linear, boosted):.2g}"), why)


def workers(cores: int, devices: int, gpus: int) -> Choice:
    """Processes that read images, for each device."""
    if not gpus:
        return Choice(1, "the cores train")
    found = max(1, min(8, cores // devices))
    return Choice(found, f"{cores} cores for {devices} device{'s'[: devices > 1]}")


def finetuning_epochs(images: int) -> int:
    """Epochs of a fine-tuning on so many labelled images."""
    return min(max(round(FINETUNING_IMAGES / images), 30), 100)
