"""What is said of a folder of images, against what was written into it."""

import random

import numpy as np
import pytest
from PIL import Image

from localmim.data.survey import LOOKED_AT, SIZE, Survey, survey


def noise(seed, shape, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def write(path, pixels, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **settings)


def test_mean_and_deviation_are_those_of_all_pixels(tmp_path):
    """Of images that need no resizing, with means that differ."""
    ranges = ((0, 60), (100, 256), (0, 256))
    images = [noise(n, (SIZE, SIZE, 3), *bounds) for n, bounds in enumerate(ranges)]
    images[0][..., 0] //= 4  # colours that differ, too
    for number, pixels in enumerate(images):
        write(tmp_path / f"{number}.png", pixels)
    found = survey(tmp_path)
    values = np.stack(images).astype(np.float64).reshape(-1, 3)
    np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, values.std(0), rtol=1e-9)
    assert (found.images, found.looked_at, found.side) == (3, 3, SIZE)
    assert not found.grey and found.unusable == ()
    assert str(found) == f"3 images, in colour, the shorter side {SIZE} pixels"


def test_grey_images_of_several_sizes(tmp_path):
    for number, shape in enumerate(((40, 90), (300, 70), (64, 50))):
        write(tmp_path / f"{number}.png", np.full(shape, 30 * (number + 1), np.uint8))
    found = survey(str(tmp_path))
    assert found.grey and found.side == 50
    np.testing.assert_allclose(found.mean, [60] * 3)
    np.testing.assert_allclose(found.std, [np.std([30, 60, 90])] * 3)
    assert str(found) == "3 images, grey, the shorter side 50 pixels"


def test_one_image_in_colour_is_enough(tmp_path):
    grey = noise(0, (40, 60))
    for number in range(4):
        write(tmp_path / f"{number}.png", grey)
    write(tmp_path / "three equal channels.png", np.stack([grey] * 3, -1))
    assert survey(tmp_path).grey
    write(tmp_path / "colour.jpg", np.full((40, 60, 3), (200, 40, 40), np.uint8), quality=95)
    assert not survey(tmp_path).grey


def test_colours_are_in_the_order_of_rgb(tmp_path):
    write(tmp_path / "a.jpg", np.full((64, 64, 3), (200, 120, 40), np.uint8), quality=100)
    found = survey(tmp_path)
    np.testing.assert_allclose(found.mean, (200, 120, 40), atol=2)
    np.testing.assert_allclose(found.std, 0, atol=1)


def test_broken_files_are_named_and_left_out(tmp_path):
    write(tmp_path / "fine.png", np.full((64, 64), 10, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"none")
    (tmp_path / "notes.txt").write_text("no image, nor called one")
    found = survey(tmp_path)
    assert (found.images, found.looked_at, found.side) == (2, 2, 64) and found.grey
    assert found.mean == (10, 10, 10)
    (why,) = found.unusable
    assert str(tmp_path / "broken.jpg") in why and "no image" in why
    assert str(found).endswith("64 pixels; 1 of 2 give no image")


def test_nested_folders(tmp_path):
    for name in ("a.png", "one/b.JPG", "one/two/c.webp", "one/.d.png"):
        write(tmp_path / name, noise(0, (50, 60, 3)))
    (tmp_path / "none").mkdir()
    assert survey(tmp_path).images == 3  # hidden files are not meant


def test_of_many_images_it_looks_at_some_always_the_same(tmp_path):
    for number in range(LOOKED_AT + 16):
        write(tmp_path / f"{number:02}.png", np.full((8, 8), number, np.uint8))
    random.seed(1)
    found = survey(tmp_path)
    random.seed(2)
    np.random.seed(2)
    assert survey(tmp_path) == found
    assert (found.images, found.looked_at) == (LOOKED_AT + 16, LOOKED_AT)
    # Not the first ones: they are drawn among all.
    assert found.mean[0] != pytest.approx(np.mean(range(LOOKED_AT)))
    assert found.mean[0] == pytest.approx(np.mean(range(LOOKED_AT + 16)), abs=8)


def test_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "mine/a.png", noise(0, (50, 60)))
    found = survey("~/mine")
    assert isinstance(found, Survey) and found.images == 1


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty holds no image with one of the endings"):
        survey(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="missing does not exist: name a folder of images"):
        survey(tmp_path / "missing")
    write(tmp_path / "a.png", noise(0, (8, 8)))
    with pytest.raises(FileNotFoundError, match="a.png is a file, not a folder: name a folder"):
        survey(tmp_path / "a.png")
    for name in "ab":
        (tmp_path / f"empty/{name}.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"none of 2 files in .*empty gives an image: .*no image"):
        survey(tmp_path / "empty")
