import math
import re

import pytest

from localmim import recipes
from localmim.recipes import ENCODERS, METHODS, Choice, encoder_kind
from localmim.recipes.pretraining import BOOSTED, EPOCHS, IMAGES_SEEN

VIT, SWIN = ENCODERS["vit-small"], ENCODERS["swin-tiny"]


@pytest.mark.parametrize("gpus, name", [(0, "vit-tiny"), (1, "vit-small"), (8, "vit-small")])
def test_a_first_encoder_is_one_for_the_machine(gpus, name):
    choice = recipes.encoder("localmim", gpus, None)
    assert choice.value == name and ("no GPU" in choice.why) == (not gpus)


def test_an_encoder_that_is_asked_for_is_taken():
    assert recipes.encoder("localmim", 0, "resnet101") == Choice("resnet101", "as you said")
    with pytest.raises(ValueError, match="did you mean resnet101"):
        recipes.encoder("localmim", 0, "resnet11")


@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_train_its_first_encoder(method, gpus):
    assert encoder_kind(recipes.encoder(method, gpus, None).value).family in METHODS[method]


@pytest.mark.parametrize(
    "kind, side, gpus, size, why",
    [
        (VIT, 500, 1, 224, "usual"),
        (VIT, 224, 1, 224, "usual"),
        (VIT, 223, 1, 208, "images have 223 pixels, a multiple of 16 is needed"),
        (VIT, 48, 1, 48, "images have 48 pixels"),
        (VIT, 47, 1, 48, "the smallest that mae of a vit takes; images have 47 pixels"),
        (VIT, 500, 0, 96, "there is no GPU: small crops"),
        (VIT, 95, 0, 80, "images have 95 pixels"),
        (VIT, 1, 0, 48, "the smallest"),
        (SWIN, 223, 1, 192, "a multiple of 32 is needed"),
        (SWIN, 500, 0, 96, "small crops"),
        (SWIN, 95, 1, 96, "the smallest that mae of a swin takes"),
    ],
)
def test_crops_are_as_large_as_images_and_machine_allow(kind, side, gpus, size, why):
    choice = recipes.image_size("mae", kind, side, gpus, None)
    assert choice.value == size and why in choice.why


@pytest.mark.parametrize("kind, size", [(VIT, 48), (VIT, 400), (SWIN, 96), (SWIN, 512)])
def test_a_size_that_is_asked_for_is_taken_if_it_fits(kind, size):
    assert recipes.image_size("mae", kind, 30, 0, size) == Choice(size, "as you said")


@pytest.mark.parametrize(
    "kind, size, message",
    [
        (VIT, 100, "mae of a vit takes multiples of 16 from 48 on; the nearest: 96 or 112"),
        (VIT, 32, "from 48 on; the nearest: 48"),
        (VIT, 47, "the nearest: 48"),
        (VIT, 49, "the nearest: 48 or 64"),
        (SWIN, 112, "mae of a swin takes multiples of 32 from 96 on; the nearest: 96 or 128"),
        (SWIN, 64, "the nearest: 96"),
    ],
)
def test_the_nearest_sizes_are_named(kind, size, message):
    with pytest.raises(ValueError, match=f"^--image-size {size}: .*{re.escape(message)}$"):
        recipes.image_size("mae", kind, 500, 1, size)


@pytest.mark.parametrize("given, size", [(None, 192), (64, 64), (224, 224)])
def test_sizes_of_which_all_targets_are_parts(given, size):
    """LocalMIM's coarsest has cells of 32 pixels, though a ViT's patches have 16."""
    assert recipes.image_size("localmim", VIT, 223, 1, given).value == size
    with pytest.raises(ValueError, match="multiples of 32 from 64 on; the nearest: 96 or 128"):
        recipes.image_size("localmim", VIT, 223, 1, 112)


@pytest.mark.parametrize(
    "size, side, least",
    [(224, 2000, 0.2), (224, 448, 0.25), (200, 300, 0.44), (224, 224, 0.5), (96, 40, 0.5)],
)
def test_crops_are_not_enlarged_much(size, side, least):
    choice = recipes.crop_range(size, side)
    assert choice.value == (least, 1.0) and (choice.why == "usual") == (least == 0.2)


@pytest.mark.parametrize(
    "images, devices, largest, size",
    [
        (10**6, 1, 256, 256),
        (1024, 1, 256, 256),
        (1023, 1, 256, 128),
        (1024, 2, 256, 128),
        (1024, 1, 32, 32),
        (20, 1, 256, 8),
        (20, 8, 256, 8),
        (64, 1, None, 16),
        (63, 1, None, 8),
    ],
)
def test_batches_are_what_fits_and_leave_steps_to_an_epoch(images, devices, largest, size):
    choice = recipes.batch_size(images, devices, largest, None)
    assert choice.value == size
    why = "tried: it fits the GPU" if largest else "usual on a CPU"
    few = f"of {images} images, so that an epoch has some steps"
    assert choice.why == (why if size == (largest or 16) else few)
    assert recipes.batch_size(images, devices, largest, 3) == Choice(3, "as you said")


def test_length_in_epochs_and_minutes():
    assert recipes.length(65, 64, 1, 0.5, epochs=1) == Choice(2, "1 epoch, as you said")
    assert recipes.length(64, 64, 1, 0.5, epochs=7).value == 7
    found = recipes.length(65, 64, 1, 0.25, minutes=1.5)
    assert found == Choice(360, "1.5 minutes at 0.25 s a step, as you said")
    assert recipes.length(65, 64, 1, 100.0, minutes=0.1).value == 1
    assert recipes.length(65, 64, 0, 0.5, epochs=3).value == 6  # on a CPU, too


def test_length_where_nothing_is_said():
    on_cpu = recipes.length(10**6, 64, 0, 2.0)
    assert on_cpu.value == 600 and on_cpu.why.startswith("20 minutes: there is no GPU")
    assert recipes.length(10, 8, 0, 5000.0).value == 1
    for images, epochs in ((20_000, 200), (1000, EPOCHS[1]), (10**6, EPOCHS[0])):
        found = recipes.length(images, 256, 1, 0.1)
        assert found.value == epochs * math.ceil(images / 256)
        assert found.why.startswith(f"{epochs} epochs of {images} images")
    assert round(IMAGES_SEEN / 20_000) == 200


@pytest.mark.parametrize("iterations, rising", [(1, 0), (20, 0), (40, 2), (1000, 50)])
def test_the_rate_rises_in_a_twentieth(iterations, rising):
    why = "5% of the training" if rising else "the training is too short for one"
    assert recipes.warm_up(iterations) == Choice(rising, why)


def test_rates_of_long_trainings_are_linear_in_the_batch():
    rates = [recipes.learning_rate(1e-3, 256, 256 * n, 10**7).value for n in (1, 2, 4, 10)]
    assert [rate / rates[0] for rate in rates] == pytest.approx([1, 2, 4, 10], rel=0.05)


@pytest.mark.parametrize("batch", [8, 64, 256])
def test_short_trainings_take_larger_steps_whatever_their_batch(batch):
    """8 times those of 256 up to ten thousand iterations, then falling with their root."""
    found = [recipes.learning_rate(1e-3, 256, batch, n) for n in (1, BOOSTED, 40_000, 160_000)]
    assert [choice.value for choice in found] == [8e-3, 8e-3, 4e-3, 2e-3]
    boost = 4 * 256 // batch
    assert found[2].why == (
        f"0.001 of batch 256, for a batch of {batch}; x {boost} for a short training"
    )


def test_the_larger_steps_end_where_the_linear_ones_are_larger():
    assert recipes.learning_rate(1e-3, 256, 4096, 100) == Choice(
        0.016, "0.001 of batch 256, for a batch of 4096"
    )
    for iterations in (640_000, 640_001, 10**9):
        whole = recipes.learning_rate(1e-3, 256, 256, iterations)
        assert whole == Choice(1e-3, "0.001 of batch 256, for a batch of 256")


@pytest.mark.parametrize(
    "cores, devices, gpus, count", [(64, 1, 0, 1), (64, 1, 1, 8), (12, 4, 4, 3), (2, 4, 4, 1)]
)
def test_workers_share_the_cores(cores, devices, gpus, count):
    assert recipes.workers(cores, devices, gpus).value == count


def test_workers_say_why():
    assert recipes.workers(64, 1, 0).why == "the cores train"
    assert recipes.workers(9, 1, 1).why == "9 cores for 1 device"
    assert recipes.workers(12, 4, 4).why == "12 cores for 4 devices"


@pytest.mark.parametrize("images, epochs", [(1, 100), (2000, 100), (4000, 50), (10**6, 30)])
def test_finetunings_of_few_images_are_longer(images, epochs):
    assert recipes.finetuning_epochs(images) == epochs
