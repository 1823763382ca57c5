"""Files of every kind against the arrays they were written from."""

import resource
import shutil
import warnings

import cv2
import numpy as np
import pytest
import tifffile
import zoo
from mmcv.image import imfrombytes
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from localmim.data import Reason, UnusableImage
from localmim.data.reading import MAX_PIXELS, decode, open_image, read_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="module")
def pictures(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zoo.write_usable(folder)


def test_every_kind_gives_what_was_written(folder, pictures):
    assert len(pictures) == 59
    for name, expected in pictures.items():
        found = read_image(str(folder / name))
        assert found.dtype == np.uint8 and found.shape == expected.shape, name
        # Transparency is rounded by Pillow once more, after scaling 16 bits to 8 where it has to.
        tolerance = 0 if expected.dtype == np.uint8 else 1.6
        worst = np.abs(found[..., ::-1].astype(float) - expected).max()
        assert worst <= tolerance, (name, worst)


def test_another_decoder_agrees_on_16_bits(folder, pictures):
    for name in [name for name in pictures if "16_" in name and "alpha" not in name]:
        if name == "16_white_is_0.tif":  # which OpenCV does not turn to black is 0
            continue
        values = cv2.imread(str(folder / name), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
        values = values if values.ndim == 3 else zoo.grey(values)
        assert np.array_equal(read_image(str(folder / name)), zoo.eight_bits(values)), name


def test_ordinary_files_are_read_as_by_mmcv_bit_by_bit(tmp_path, photo_folder, folder, pictures):
    files = [tmp_path / name for name in zoo.write_jpegs(tmp_path)]
    files += [path for path in sorted(photo_folder.iterdir()) if path.name != "horse.png"]
    names = ("rgb.png", "rgb.bmp", "rgb.webp", "rgb.tif", "grey.png", "grey_alpha.png", "bits.png")
    files += [folder / name for name in (*names, "palette.png")]
    files += [folder / f"turn{turn}.{end}" for turn in range(1, 9) for end in ("webp", "tif")]
    for path in files:
        found = read_image(str(path))
        if path.name != "palette.png":
            mmcv = imfrombytes(path.read_bytes(), backend="pillow")
            assert np.array_equal(found, mmcv) and found.strides == mmcv.strides, path


def test_opencv_agrees_on_jpegs(tmp_path):
    for name in zoo.write_jpegs(tmp_path):
        if name == "cmyk.jpg":  # OpenCV converts by another rule
            continue
        found, other = read_image(str(tmp_path / name)), cv2.imread(str(tmp_path / name))
        assert np.abs(found.astype(int) - other).max() <= 3, name


def test_cmyk_is_not_inverted(tmp_path):
    zoo.write_jpegs(tmp_path)
    cmyk, colour = (read_image(str(tmp_path / name)) for name in ("cmyk.jpg", "colour.jpg"))
    assert np.abs(cmyk.astype(int) - colour).max() <= 12


def test_a_range_of_values_becomes_0_to_255(tmp_path):
    for name, values in zoo.write_valued(tmp_path).items():
        path = str(tmp_path / name)
        with pytest.raises(UnusableImage, match=f"{name}: values need a range: .*value_range="):
            read_image(path)
        low, high = np.quantile(values, (0.1, 0.8))
        found = read_image(path, (low, high))
        assert np.array_equal(found, zoo.grey(zoo.eight_bits(values, low, high))), name
        assert found.min() == 0 and found.max() == 255


def test_a_range_stretches_16_bits_and_leaves_8_alone(folder, pictures):
    values = zoo.numbers(zoo.H, zoo.W, 3, dtype=np.uint16)
    for name in ("16_rgb.png", "16_rgb.tif", "16_rgb_deflate.tif"):
        found = read_image(str(folder / name), (1000, 1200))
        assert np.array_equal(found[..., ::-1], zoo.eight_bits(values, 1000, 1200))
    stored = zoo.numbers(zoo.H, zoo.W, dtype=np.uint16) >> 4
    found = read_image(str(folder / "12_grey.pgm"), (0, 100))
    assert np.array_equal(found, zoo.grey(zoo.eight_bits(stored, 0, 100)))
    found = read_image(str(folder / "rgb.png"), (1000, 1200))
    assert np.array_equal(found[..., ::-1], pictures["rgb.png"])


def test_what_gives_no_image_says_why(tmp_path):
    for name, reason in zoo.write_unusable(tmp_path).items():
        with pytest.raises(UnusableImage) as error:
            read_image(str(tmp_path / name))
        assert error.value.reason.text == reason, name
        assert str(error.value).startswith(f"{tmp_path / name}: {reason}")
    with pytest.raises(UnusableImage, match="nan.tif: values without a number"):
        read_image(str(tmp_path / "nan.tif"), (0, 1))
    with pytest.raises(UnusableImage, match="bomb.png: too large"):
        read_image(str(tmp_path / "bomb.png"))
    with pytest.raises(UnusableImage, match=r"huge.png: too large: 20001 x 20000 pixels; max_pix"):
        read_image(str(tmp_path / "huge.png"))
    for name, reason in (("gone.jpg", Reason.GONE), ("", Reason.NO_IMAGE)):
        with pytest.raises(UnusableImage) as error:
            read_image(str(tmp_path / name))
        assert error.value.reason is reason


def test_any_damage_is_told_as_such(folder, pictures):
    """Bytes at random places changed, or the end cut off: an image or a reason, nothing else."""
    rng = np.random.default_rng(0)
    damaged = folder / "damaged"
    outcomes = {True: 0, False: 0}
    for name in pictures:
        data = np.frombuffer((folder / name).read_bytes(), np.uint8)
        for round_ in range(12):
            copy = data.copy()
            places = rng.integers(0, min(len(copy), (200, 400, 10**6)[round_ % 3]), 3)
            copy[places] = rng.integers(0, 256, len(places))
            end = len(copy) if round_ % 2 else rng.integers(1, len(copy) + 1)
            damaged.write_bytes(copy[:end].tobytes())
            try:
                image = read_image(str(damaged), max_pixels=10**6)
                assert image.dtype == np.uint8 and image.ndim == 3
                outcomes[True] += 1
            except UnusableImage:
                outcomes[False] += 1
    assert min(outcomes.values()) > 20


def test_a_chunk_that_announces_gigabytes_takes_no_memory(tmp_path):
    """A 16-bit PNG, which OpenCV decodes."""
    zoo.write_usable(tmp_path)
    data = bytearray((tmp_path / "16_alpha.png").read_bytes())
    place = data.index(b"IDAT") - 4
    data[place : place + 4] = (3 << 30).to_bytes(4, "big")
    (tmp_path / "damaged.png").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnusableImage, match="damaged.png: truncated or damaged: it ends within"):
        read_image(str(tmp_path / "damaged.png"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_a_broken_exif_costs_nothing_but_the_turn(tmp_path):
    rgb = zoo.numbers(zoo.H, zoo.W, 3)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    size = (zoo.W).to_bytes(4, "big") + (zoo.H).to_bytes(4, "big")
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)
    zoo.write_chunks(
        tmp_path / "b.png", size + bytes([8, 2, 0, 0, 0]), (b"eXIf", b"junk"), data=rows
    )
    assert np.array_equal(read_image(str(tmp_path / "b.png"))[..., ::-1], rgb)


def test_20000_by_20000_passes_the_header_and_no_memory_is_taken_for_it(tmp_path):
    header = (20000).to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    zoo.write_chunks(tmp_path / "a.png", header)
    with open_image(str(tmp_path / "a.png")) as image:
        assert image.size == (20000, 20000)
    assert MAX_PIXELS == 20000 * 20000


def test_a_huge_jpeg_is_decoded_at_a_part_of_its_size(tmp_path, monkeypatch):
    ramp = np.tile(np.linspace(0, 255, 800, dtype=np.uint8), (600, 1))
    Image.fromarray(ramp).save(tmp_path / "a.jpg", quality=95)
    for limit, shape in ((600 * 800, (600, 800)), (400_000, (300, 400)), (30_000, (150, 200))):
        monkeypatch.setattr("localmim.data.reading.DRAFT_PIXELS", limit)
        found = read_image(str(tmp_path / "a.jpg"))
        assert found.shape == (*shape, 3)
        expected = cv2.resize(ramp, shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(found[..., 0].astype(int) - expected).max() <= 3


def test_in_strips_or_at_once_is_the_same(tmp_path, monkeypatch):
    rgb = zoo.numbers(100, 70, 3)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    floats = np.random.default_rng(0).normal(0, 1, (100, 70)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", floats)
    monkeypatch.setattr("localmim.data.stored_values._STRIP", 70 * 7)
    assert np.array_equal(read_image(str(tmp_path / "a.png"))[..., ::-1], rgb)
    expected = zoo.grey(zoo.eight_bits(floats, -1, 1))
    assert np.array_equal(read_image(str(tmp_path / "a.tif"), (-1, 1)), expected)


def test_pillows_limit_is_never_lowered(tmp_path, monkeypatch):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for before, after in ((100, 500), (900, 900), (None, None)):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", before)
        read_image(str(tmp_path / "a.png"), max_pixels=500)
        assert after == Image.MAX_IMAGE_PIXELS


def test_a_file_that_shrinks_while_it_is_read_is_truncated_and_no_bus_error(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", zoo.numbers(500, 500, 3), photometric="rgb")
    with open_image(str(tmp_path / "a.tif")) as image:
        with open(tmp_path / "a.tif", "r+b") as file:
            file.truncate(10_000)
        with pytest.raises(UnusableImage, match="a.tif: truncated or damaged"):
            decode(image, str(tmp_path / "a.tif"))


def test_the_transform_adds_what_mmcvs_loader_adds(photo_folder, tmp_path):
    shutil.copy(photo_folder / "china.jpg", tmp_path)
    info = {"img_path": str(tmp_path / "china.jpg"), "sample_idx": 3}
    found = TRANSFORMS.build(dict(type="LoadImage"))(dict(info))
    mmcv = TRANSFORMS.build(dict(type="LoadImageFromFile", imdecode_backend="pillow"))(dict(info))
    assert found.keys() == mmcv.keys()
    for key, value in mmcv.items():
        assert np.array_equal(found[key], value), key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(value_range=(3, 3)), r"value_range must be \(low, high\), finite, low < high, got"),
        (dict(value_range=(0, float("nan"))), "value_range must be"),
        (dict(value_range=(0, 1, 2)), "value_range must be"),
        (dict(max_pixels=0), "max_pixels must be an int, 1 or more, got 0"),
        (dict(max_pixels=4e8), "max_pixels must be an int"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type="LoadImage", **settings))
