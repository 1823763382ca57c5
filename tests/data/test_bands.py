import re

import numpy as np
import pytest
import tifffile
import zoo
from mmpretrain.registry import TRANSFORMS

from localmim.data import UnusableImage
from localmim.data.bands import read_bands


def write(path, values):
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        channels_last = values.shape[-1] < values.shape[0]
        planar = "contig" if channels_last else "separate"
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig=planar)
    return str(path)


@pytest.mark.parametrize("channels", [2, 5, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("ending", [".npy", ".tif", ".TIFF"])
def test_values_and_order_are_kept(tmp_path, channels, dtype, ending):
    values = zoo.numbers(40, 50, channels, dtype=np.int16)
    if np.dtype(dtype).kind == "u":
        values = values.astype(np.int32) + 2**15
    values = (values / 7 if np.dtype(dtype).kind == "f" else values).astype(dtype)
    for name, stored in (("last", values), ("first", values.transpose(2, 0, 1))):
        found = read_bands(write(tmp_path / f"{name}{ending}", stored), channels)
        assert found.dtype == np.float32 and found.flags.c_contiguous
        assert np.array_equal(found, values.astype(np.float32))


def test_other_layouts_of_files(tmp_path):
    values = zoo.numbers(40, 50, 5, dtype=np.uint16)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(values))
    np.save(tmp_path / "motorola.npy", values.astype(">u2"))
    tifffile.imwrite(tmp_path / "pages.tif", values.transpose(2, 0, 1), photometric="minisblack")
    options = dict(photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(tmp_path / "big.tif", values, bigtiff=True, byteorder=">", **options)
    tifffile.imwrite(tmp_path / "deflate.tif", values, compression="deflate", **options)
    tifffile.imwrite(tmp_path / "tiles.tif", values, tile=(16, 16), **options)
    for name in ("fortran.npy", "motorola.npy", "pages.tif", "big.tif", "deflate.tif", "tiles.tif"):
        assert np.array_equal(read_bands(str(tmp_path / name), 5), values), name
    one = write(tmp_path / "one.npy", values[..., 0])
    assert np.array_equal(read_bands(one, 1)[..., 0], values[..., 0])


def test_where_both_layouts_fit_it_has_to_be_said(tmp_path):
    values = zoo.numbers(5, 40, 5)
    path = write(tmp_path / "a.npy", values)
    with pytest.raises(UnusableImage, match=r"\(5, 40, 5\) has 5 channels first or last; set chan"):
        read_bands(path, 5)
    assert np.array_equal(read_bands(path, 5, channels_first=False), values)
    assert np.array_equal(read_bands(path, 5, channels_first=True), values.transpose(1, 2, 0))
    last = write(tmp_path / "b.npy", zoo.numbers(30, 40, 5))
    with pytest.raises(UnusableImage, match=r"shape \(30, 40, 5\), channels is 5"):
        read_bands(last, 5, channels_first=True)


def test_values_without_data(tmp_path):
    values = np.random.default_rng(0).normal(0, 1, (30, 40, 5)).astype(np.float32)
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2] = np.nan, np.inf, -9999
    path = write(tmp_path / "a.npy", values)
    with pytest.raises(UnusableImage, match="0.0% have no data; set fill=VALUE of LoadBands"):
        read_bands(path, 5)
    filled = values.copy()
    filled[0, 0, 0] = filled[1, 1, 1] = 7
    assert np.array_equal(read_bands(path, 5, fill=7), filled)
    filled[2, 2, 2] = 7
    assert np.array_equal(read_bands(path, 5, fill=7, nodata=-9999), filled)
    assert np.array_equal(np.load(path), values, equal_nan=True)
    too_large = write(tmp_path / "b.npy", np.full((30, 40, 5), 1e300))
    with pytest.raises(UnusableImage, match="100.0% have no data"):
        read_bands(too_large, 5)
    integers = write(tmp_path / "c.npy", np.zeros((30, 40, 5), np.uint16))
    with pytest.raises(UnusableImage, match="no data"):
        read_bands(integers, 5, nodata=0)


def test_what_gives_no_image_says_why(tmp_path):
    values = zoo.numbers(40, 50, 5)
    files = {
        "six.npy": (zoo.numbers(40, 50, 6), r"wrong number of channels: shape \(40, 50, 6\), chan"),
        "flat.npy": (values[..., 0], r"wrong number of channels: shape \(40, 50\)"),
        "none.npy": (values[:0], "wrong number of channels"),
        "text.npy": (values.astype(str), "kind of image not supported: values of type <U3"),
        "complex.npy": (values * 1j, "kind of image not supported: values of type complex128"),
    }
    for name, (content, _) in files.items():
        np.save(tmp_path / name, content)
    np.save(tmp_path / "code.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with open(tmp_path / "archive.npy", "wb") as file:
        np.savez(file, values)
    write(tmp_path / "whole.npy", values)
    write(tmp_path / "whole.tif", values)
    for name in ("cut.npy", "cut.tif"):
        whole = (tmp_path / name.replace("cut", "whole")).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    header = (tmp_path / "whole.npy").read_bytes()[:128]
    (tmp_path / "liar.npy").write_bytes(header.replace(b"(40, 50, 5)", b"(9999999, 50, 5)"))
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.tif").write_text("<html>404</html>")
    (tmp_path / "a.png").touch()
    expected = {name: message for name, (_, message) in files.items()} | {
        "code.npy": "kind of image not supported: values of type object",
        "archive.npy": "no image",
        "cut.npy": "truncated or damaged",
        "cut.tif": "truncated or damaged",
        "liar.npy": "too large: |truncated",
        "empty.npy": "empty file",
        "text.tif": "no image",
        "a.png": "kind of image not supported: LoadBands reads files named .npy, .tif or .tiff",
        "gone.npy": "gone",
        "gone.tif": "gone",
    }
    for name, message in expected.items():
        with pytest.raises(UnusableImage, match=f"{re.escape(str(tmp_path / name))}: ({message})"):
            read_bands(str(tmp_path / name), 5)
    with pytest.raises(UnusableImage, match="too large: 50 x 40 pixels; max_pixels is 1999"):
        read_bands(str(tmp_path / "whole.npy"), 5, max_pixels=1999)


def test_without_tifffile_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    (tmp_path / "a.tif").touch()
    with pytest.raises(ImportError, match="pip install tifffile"):
        read_bands(str(tmp_path / "a.tif"), 5)


def test_the_transform_passes_its_settings_on(tmp_path):
    values = np.full((5, 40, 5), -1.0)
    path = write(tmp_path / "a.npy", values)
    settings = dict(channels=5, channels_first=True, nodata=-1, fill=3, max_pixels=200)
    loader = TRANSFORMS.build(dict(type="LoadBands", **settings))
    found = loader({"img_path": path, "sample_idx": 0})
    assert found["img"].shape == (40, 5, 5) and (found["img"] == 3).all()
    assert found["img_shape"] == found["ori_shape"] == (40, 5)
    assert found["img_path"] == path and found["sample_idx"] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(channels=0), "channels must be an int, 1 or more, got 0"),
        (dict(channels=3, fill=float("nan")), "fill must be finite, got nan"),
        (dict(channels=3, max_pixels=-1), "max_pixels must be an int, 1 or more, got -1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type="LoadBands", **settings))
