"""Crops of files of every kind against the pixels that were written, Pillow and the old steps."""

import logging
import warnings
from io import BytesIO

import numpy as np
import pytest
import zoo
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps

from localmim.data import LoadRandomResizedCrop, Reason, UnusableImage, jpegs
from localmim.data.cropping import reduced_box


@pytest.fixture(params=["simplejpeg", "Pillow"])
def decoder(request, monkeypatch):
    if request.param == "Pillow":
        monkeypatch.setattr(jpegs, "simplejpeg", None)


def psnr(one, other) -> float:
    error = np.square(np.asarray(one, float) - np.asarray(other, float)).mean()
    return 10 * np.log10(255**2 / max(error, 1e-9))


def crop(path, seed=0, content=None, **settings):
    settings = dict(scale=64, crop_ratio_range=(0.2, 1.0)) | settings
    np.random.seed(seed)
    info = dict(img_path=str(path)) | ({} if content is None else dict(img_bytes=content))
    return LoadRandomResizedCrop(**settings)(info)


def separate_steps(path, seed=0, **settings):
    settings = dict(scale=64, crop_ratio_range=(0.2, 1.0), interpolation="bicubic") | settings
    np.random.seed(seed)
    steps = [dict(type="LoadImage"), dict(type="RandomResizedCrop", backend="pillow", **settings)]
    return Compose([TRANSFORMS.build(step) for step in steps])(dict(img_path=str(path)))


def jpeg(path, pixels, turn=None, **settings):
    exif = Image.Exif()
    if turn is not None:
        exif[0x0112] = turn
    Image.fromarray(pixels).save(path, "JPEG", exif=exif, **{"quality": 95, **settings})
    return path


def photograph(photo_folder, width, height):
    return np.asarray(
        Image.open(photo_folder / "coffee.png").convert("RGB").resize((width, height))
    )


def test_every_kind_of_file_gives_the_pixels_that_were_written(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pictures = zoo.write_usable(tmp_path)
    for name, expected in pictures.items():
        height, width = expected.shape[:2]
        whole = dict(crop_ratio_range=(1, 1), aspect_ratio_range=(width / height,) * 2)
        found = crop(tmp_path / name, scale=(height, width), **whole)
        assert found["img"].dtype == np.uint8 and found["ori_shape"] == (height, width), name
        tolerance = 0 if expected.dtype == np.uint8 else 1.6
        worst = np.abs(found["img"][..., ::-1].astype(float) - expected).max()
        assert worst <= tolerance, (name, worst)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_crops_are_pillows(photo_folder, interpolation):
    """The boxes of the same random numbers, without a reduced scale: 200 pixels of 500 at most."""
    for path in sorted(photo_folder.iterdir()):
        shape = Image.open(path).size[::-1]
        settings = dict(scale=(shape[0] // 2 + 1, shape[1] // 2 + 1), interpolation=interpolation)
        for seed in range(3):
            found = crop(path, seed, **settings)
            expected = separate_steps(path, seed, **settings)
            assert found["img"].shape == expected["img"].shape
            assert found["img_shape"] == expected["img_shape"][:2]
            assert found["ori_shape"] == expected["ori_shape"]
            assert psnr(found["img"], expected["img"]) > 55, path.name


@pytest.mark.parametrize("turn", [None, *range(1, 9)])
@pytest.mark.parametrize("reduction", [1, 2, 8])
def test_turns_and_reduced_scales(decoder, photo_folder, tmp_path, turn, reduction):
    """Against Pillow on the upright image, the box rounded; sides that 8 does not divide."""
    pixels = photograph(photo_folder, 1021, 643)
    path = jpeg(tmp_path / "turned.jpg", pixels, turn)
    side = 360 // reduction
    settings = dict(scale=(side, side - 3), crop_ratio_range=(0.5, 0.6), aspect_ratio_range=(1, 1))
    found = crop(path, **settings)
    upright = ImageOps.exif_transpose(Image.open(path))
    assert found["ori_shape"] == upright.size[::-1]
    transform = LoadRandomResizedCrop(**settings)
    np.random.seed(0)
    box = transform.rand_crop_params(np.empty(upright.size[::-1]))
    y, x, h, w = reduced_box(box, reduction, upright.size[::-1], turn or 1)
    # Means of a stored image begin at its first row and column.
    last_row, last_column = turn in (3, 4, 7, 8), turn in (2, 3, 6, 7)
    dy, dx = (
        -upright_side % reduction * from_the_end
        for upright_side, from_the_end in ((upright.height, last_row), (upright.width, last_column))
    )
    box = (
        max(x * reduction - dx, 0),
        max(y * reduction - dy, 0),
        min((x + w) * reduction - dx, upright.width),
        min((y + h) * reduction - dy, upright.height),
    )
    size = settings["scale"][::-1]
    expected = np.asarray(upright.resize(size, Image.Resampling.BICUBIC, box))[..., ::-1]
    assert psnr(found["img"], expected) > {1: 45, 2: 34, 8: 34}[reduction]
    assert psnr(found["img"][:, ::-1], expected) < 25


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_covers_the_crop(
    monkeypatch, photo_folder, tmp_path, reduction
):
    path = jpeg(tmp_path / "large.jpg", photograph(photo_folder, 1000, 1000))
    asked = []
    decode = jpegs.Jpeg.decode
    monkeypatch.setattr(
        jpegs.Jpeg, "decode", lambda self, n: asked.append(decode(self, n).shape) or decode(self, n)
    )
    whole = dict(crop_ratio_range=(1, 1), aspect_ratio_range=(1, 1))
    crop(path, scale=1000 // reduction, **whole)
    crop(path, scale=1000 // reduction + 1, **whole)
    least = -(-1000 // reduction)
    assert asked[0] == (least, least, 3)
    larger = -(-1000 // max(reduction // 2, 1))
    assert asked[1] == (larger, larger, 3)


def test_reduced_boxes_lie_within_the_image():
    assert reduced_box((3, 5, 7, 9), 1, (10, 14)) == (3, 5, 7, 9)
    assert reduced_box((0, 0, 17, 33), 8, (17, 33)) == (0, 0, 2, 4)
    assert reduced_box((0, 0, 17, 33), 8, (17, 33), turn=3) == (1, 1, 2, 4)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        shape, n = rng.integers(1, 90, 2), int(rng.choice([1, 2, 4, 8]))
        height, width = (int(rng.integers(1, side + 1)) for side in shape)
        top = int(rng.integers(shape[0] - height + 1))
        left = int(rng.integers(shape[1] - width + 1))
        turn = int(rng.integers(1, 9))
        y, x, h, w = reduced_box((top, left, height, width), n, shape, turn)
        rows, columns = (-(-side // n) for side in shape)
        assert h >= 1 and w >= 1 and 0 <= y <= rows - h and 0 <= x <= columns - w
        assert abs(h * n - height) <= n and abs(w * n - width) <= n


@pytest.mark.parametrize("kind", ["cmyk", "grey", "ycc_444", "progressive"])
def test_colours_of_jpegs(decoder, photo_folder, tmp_path, kind):
    pixels = photograph(photo_folder, 400, 300)
    image = Image.fromarray(pixels).convert({"cmyk": "CMYK", "grey": "L"}.get(kind, "RGB"))
    path = tmp_path / "image.jpg"
    image.save(path, quality=95, progressive=kind == "progressive", subsampling=0)
    for scale in (64, 240):
        found, expected = crop(path, scale=scale)["img"], separate_steps(path, scale=scale)["img"]
        assert psnr(found, expected) > (45 if scale == 240 else 27)


def test_a_turn_told_by_xmp_or_behind_other_segments(tmp_path, photo_folder):
    pixels = photograph(photo_folder, 300, 200)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    path = jpeg(tmp_path / "xmp.jpg", pixels, xmp=xmp)
    assert crop(path)["ori_shape"] == separate_steps(path)["ori_shape"] == (300, 200)
    path = jpeg(tmp_path / "exif.jpg", pixels, 8, icc_profile=bytes(200_000), comment=b"\xff\xda")
    assert crop(path)["ori_shape"] == separate_steps(path)["ori_shape"] == (300, 200)
    content = bytearray(path.read_bytes())
    place = content.find(b"MM\0*") + 4
    content[place : place + 4] = b"\xff" * 4  # where the entries of the EXIF are
    path.write_bytes(content)
    assert crop(path)["ori_shape"] == separate_steps(path)["ori_shape"]


def test_damaged_jpegs_are_judged_by_pillow(decoder, tmp_path, photo_folder):
    content = jpeg(tmp_path / "a.jpg", photograph(photo_folder, 300, 200)).read_bytes()
    extraneous = content[:-2] + b"junk" + content[-2:]
    (tmp_path / "b.jpg").write_bytes(extraneous)
    with pytest.raises(ValueError, match="extraneous"):
        pytest.importorskip("simplejpeg").decode_jpeg(extraneous)
    expected = separate_steps(tmp_path / "b.jpg", scale=128)["img"]
    assert psnr(crop(tmp_path / "b.jpg", scale=128)["img"], expected) > 45
    for length in (2, 3, 4, 100, 700, len(content) // 2):
        (tmp_path / "c.jpg").write_bytes(content[:length])
        with pytest.raises(UnusableImage) as raised:
            crop(tmp_path / "c.jpg")
        with pytest.raises(UnusableImage) as expected:
            separate_steps(tmp_path / "c.jpg")
        assert raised.value.reason is expected.value.reason and "c.jpg" in str(raised.value)


def test_files_that_give_no_image_say_why(decoder, tmp_path):
    for name, reason in zoo.write_unusable(tmp_path).items():
        with pytest.raises(UnusableImage) as raised:
            crop(tmp_path / name)
        assert raised.value.reason.text == reason and name.split("/")[-1] in str(raised.value)


def test_the_header_is_enough_to_refuse_what_is_too_large(decoder, tmp_path, monkeypatch):
    path = jpeg(tmp_path / "large.jpg", np.zeros((300, 200, 3), np.uint8))
    monkeypatch.setattr(jpegs.Jpeg, "decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(UnusableImage, match="200 x 300 pixels; max_pixels is 59999") as raised:
        crop(path, max_pixels=59_999)
    assert raised.value.reason is Reason.TOO_LARGE


def test_content_that_is_in_memory_and_value_ranges(tmp_path, photo_folder):
    path = jpeg(tmp_path / "a.jpg", photograph(photo_folder, 300, 200))
    found = crop("shards.tar/a.jpg", content=path.read_bytes())
    assert np.array_equal(found["img"], crop(path)["img"])
    assert found["img_path"] == "shards.tar/a.jpg"
    values = np.linspace(-1, 3, 64 * 64, dtype=np.float32).reshape(64, 64)
    buffer = BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    whole = dict(crop_ratio_range=(1, 1), aspect_ratio_range=(1, 1))
    found = crop("x.tif", content=buffer.getvalue(), value_range=(0, 2), **whole)["img"]
    expected = np.rint(255 * (values.astype(float) / 2).clip(0, 1))
    assert np.array_equal(found, np.repeat(expected[..., None], 3, 2))


def test_without_simplejpeg_the_log_says_so_once(monkeypatch, caplog):
    with caplog.at_level(logging.INFO):
        jpegs.tell_decoder.cache_clear()
        LoadRandomResizedCrop(scale=8)
        assert not caplog.messages
        monkeypatch.setattr(jpegs, "simplejpeg", None)
        monkeypatch.setattr(jpegs, "print_log", lambda text, **_: logging.info(text))
        jpegs.tell_decoder.cache_clear()
        LoadRandomResizedCrop(scale=8), LoadRandomResizedCrop(scale=8)
    assert len(caplog.messages) == 1 and "pip install simplejpeg" in caplog.messages[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(interpolation="lanczos"), "interpolation must be 'bicubic' or 'bilinear', got 'lan"),
        (dict(value_range=(3, 3)), "value_range must be"),
        (dict(max_pixels=0), "max_pixels must be"),
        (dict(crop_ratio_range=(1, 0.2)), "range should be of kind"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        LoadRandomResizedCrop(**(dict(scale=8) | settings))
