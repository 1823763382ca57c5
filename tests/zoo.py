"""Image files of every kind, written from arrays, and what has to be read from them.

Nothing here comes from the code under test: the expected values follow from the arrays alone.
"""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

H, W = 40, 56
CANVAS = np.array((124, 117, 104))  # what transparent parts show


def numbers(*shape: int, dtype=np.uint8, seed: int = 0) -> np.ndarray:
    """Random values over the whole range of an integer type."""
    info = np.iinfo(dtype)
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def eight_bits(values: np.ndarray, low: float = 0, high: float = 65535) -> np.ndarray:
    """Scaled to 0 to 255 and rounded."""
    share = (values.astype(np.float64) - low) / (high - low)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def over_canvas(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + CANVAS * (1 - alpha)


def turned(rgb: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF means: by which turn the stored rows and columns become the picture."""
    flips = {1: rgb, 2: rgb[:, ::-1], 3: rgb[::-1, ::-1], 4: rgb[::-1]}
    if orientation in flips:
        return flips[orientation]
    swapped = rgb.transpose(1, 0, 2)
    return {
        5: swapped,
        6: swapped[:, ::-1],
        7: swapped[::-1, ::-1],
        8: swapped[::-1],
    }[orientation]


def write_png(path: Path, values: np.ndarray, colour_type: int, *chunks: tuple[bytes, bytes]):
    """A PNG of 8 or 16 bits, chunk by chunk, so that it can be of kinds that no writer writes."""
    height, width = values.shape[:2]
    bits = 8 * values.dtype.itemsize
    rows = values.astype(values.dtype.newbyteorder(">")).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    write_chunks(path, header, *chunks, data=b"".join(b"\0" + row.tobytes() for row in rows))


def write_chunks(path: Path, header: bytes, *chunks: tuple[bytes, bytes], data: bytes = b""):
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, content in parts:
            crc = zlib.crc32(name + content)
            file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc))


def _pnm(path: Path, magic: bytes, values: np.ndarray, top: int) -> None:
    height, width = values.shape[:2]
    path.write_bytes(
        b"%s %d %d %d\n" % (magic, width, height, top) + values.astype(">u2").tobytes()
    )


def _palette(path: Path, alphas: bytes) -> np.ndarray:
    indices, colours = numbers(H, W) % 16, numbers(16, 3, seed=1)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(path, transparency=alphas)
    full = np.concatenate([colours, np.frombuffer(alphas, np.uint8)[:, None]], axis=1)
    return over_canvas(full[indices])


def _write(write: Callable, expected: np.ndarray) -> np.ndarray:
    write()
    return expected


def write_usable(folder: Path) -> dict[str, np.ndarray]:
    """Files that need no setting.

    Returns:
        For each name the picture, (H, W, 3) RGB, exact up to half a level where it is a float.
    """
    rgb, one = numbers(H, W, 3), numbers(H, W)
    rgba, la = numbers(H, W, 4), numbers(H, W, 2)
    wide, wide_rgb = numbers(H, W, dtype=np.uint16), numbers(H, W, 3, dtype=np.uint16)
    wide_rgba = numbers(H, W, 4, dtype=np.uint16)
    wide_la = numbers(H, W, 2, dtype=np.uint16)

    def pil(name, values, mode=None, **options):
        return lambda: Image.fromarray(values, mode).save(folder / name, **options)

    def tif(name, values, **options):
        return lambda: tifffile.imwrite(folder / name, values, **options)

    def png(name, values, colour_type, *chunks):
        return lambda: write_png(folder / name, values, colour_type, *chunks)

    wide_over = over_canvas(wide_rgba / 257)
    la_over = over_canvas(np.concatenate([grey(la[..., 0]), la[..., 1:]], axis=2))
    wide_la_over = over_canvas(np.concatenate([grey(wide_la[..., 0]), wide_la[..., 1:]], 2) / 257)
    files = {
        "rgb.png": (pil("rgb.png", rgb), rgb),
        "rgb.bmp": (pil("rgb.bmp", rgb), rgb),
        "rgb.webp": (pil("rgb.webp", rgb, lossless=True), rgb),
        "rgb.tif": (tif("rgb.tif", rgb, photometric="rgb"), rgb),
        "grey.png": (pil("grey.png", one), grey(one)),
        "grey.pgm": (pil("grey.pgm", one), grey(one)),
        "white_is_0.tif": (tif("white_is_0.tif", one, photometric="miniswhite"), grey(255 - one)),
        "bits.png": (pil("bits.png", one > 99), grey((one > 99) * np.uint8(255))),
        "pixel.png": (pil("pixel.png", rgb[:1, :1]), rgb[:1, :1]),
        "alpha.png": (pil("alpha.png", rgba), over_canvas(rgba)),
        "alpha.tif": (
            tif("alpha.tif", rgba, photometric="rgb", extrasamples=["unassalpha"]),
            over_canvas(rgba),
        ),
        "grey_alpha.png": (png("grey_alpha.png", la, 4), la_over),
        "named as png.jpg": (pil("named as png.jpg", rgb, format="PNG"), rgb),
        "16_grey.png": (png("16_grey.png", wide, 0), grey(eight_bits(wide))),
        "16_rgb.png": (png("16_rgb.png", wide_rgb, 2), eight_bits(wide_rgb)),
        "16_alpha.png": (png("16_alpha.png", wide_rgba, 6), wide_over),
        "16_grey_alpha.png": (png("16_grey_alpha.png", wide_la, 4), wide_la_over),
        "16_grey.tif": (tif("16_grey.tif", wide), grey(eight_bits(wide))),
        "16_grey_motorola.tif": (
            tif("16_grey_motorola.tif", wide, byteorder=">"),
            grey(eight_bits(wide)),
        ),
        "16_white_is_0.tif": (
            tif("16_white_is_0.tif", wide, photometric="miniswhite"),
            grey(eight_bits(65535 - wide)),
        ),
        "16_rgb.tif": (tif("16_rgb.tif", wide_rgb, photometric="rgb"), eight_bits(wide_rgb)),
        "16_rgb_deflate.tif": (
            tif("16_rgb_deflate.tif", wide_rgb, photometric="rgb", compression="deflate"),
            eight_bits(wide_rgb),
        ),
        "16_grey.pgm": (
            lambda: _pnm(folder / "16_grey.pgm", b"P5", wide, 65535),
            grey(eight_bits(wide)),
        ),
        "12_grey.pgm": (
            lambda: _pnm(folder / "12_grey.pgm", b"P5", wide >> 4, 4095),
            grey(eight_bits(wide >> 4, 0, 4095)),
        ),
        "12_rgb.ppm": (
            lambda: _pnm(folder / "12_rgb.ppm", b"P6", wide_rgb >> 4, 4095),
            eight_bits(wide_rgb >> 4, 0, 4095),
        ),
    }
    pictures = {name: _write(*file) for name, file in files.items()}
    pictures["palette.png"] = _palette(folder / "palette.png", bytes([255] * 16))
    pictures["palette_alpha.png"] = _palette(folder / "palette_alpha.png", bytes(range(0, 256, 16)))
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[274] = turn
        Image.fromarray(rgb).save(folder / f"turn{turn}.webp", lossless=True, exif=exif)
        tag = [(274, "H", 1, turn, True)]
        tifffile.imwrite(folder / f"turn{turn}.tif", rgb, photometric="rgb", extratags=tag)
        tifffile.imwrite(folder / f"turn{turn}_16.tif", wide_rgb, photometric="rgb", extratags=tag)
        write_png(folder / f"turn{turn}_16.png", wide_rgb, 2, (b"eXIf", exif.tobytes()[6:]))
        for name in (f"turn{turn}.webp", f"turn{turn}.tif"):
            pictures[name] = turned(rgb, turn)
        for name in (f"turn{turn}_16.tif", f"turn{turn}_16.png"):
            pictures[name] = turned(eight_bits(wide_rgb), turn)
    return pictures


def write_jpegs(folder: Path) -> list[str]:
    """JPEGs of each colour space, smooth, so that decoders agree; names of the files."""
    ramp = np.linspace(0, 255, W, dtype=np.uint8)
    rgb = np.stack([np.tile(x, (H, 1)) for x in (ramp, ramp[::-1], ramp // 2)], axis=2)
    Image.fromarray(rgb).save(folder / "colour.jpg", quality=95)
    Image.fromarray(rgb).save(folder / "progressive.jpg", quality=95, progressive=True)
    Image.fromarray(rgb[..., 0]).save(folder / "grey.jpg", quality=95)
    Image.fromarray(rgb).convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    return ["colour.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"]


def write_valued(folder: Path) -> dict[str, np.ndarray]:
    """Files whose values have no range of their own; for each the values, (H, W)."""
    pictures = {
        "int16.tif": numbers(H, W, dtype=np.int16),
        "int32.tif": numbers(H, W, dtype=np.int32),
        "uint32.tif": numbers(H, W, dtype=np.uint32),
        "int8.tif": numbers(H, W, dtype=np.int8),
        "float32.tif": np.random.default_rng(0).normal(0, 1e3, (H, W)).astype(np.float32),
    }
    for name, values in pictures.items():
        tifffile.imwrite(folder / name, values)
    return pictures


def write_unusable(folder: Path) -> dict[str, str]:
    """Files that give no image; for each the reason in words."""
    rgb = numbers(H, W, 3)
    whole = cv2.imencode(".jpg", rgb)[1].tobytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut_in_the_header.jpg").write_bytes(whole[:20])
    Image.fromarray(rgb).save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:-2000])
    (folder / "whole.png").unlink()
    tifffile.imwrite(folder / "cut.tif", rgb, photometric="rgb")
    (folder / "cut.tif").write_bytes((folder / "cut.tif").read_bytes()[:-3000])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("<html>404</html>")
    (folder / "postscript.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    write_chunks(folder / "bomb.png", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    write_chunks(folder / "huge.png", struct.pack(">IIBBBBB", 20001, 20000, 1, 0, 0, 0, 0))
    nan = np.zeros((H, W), np.float32)
    nan[3, 4] = np.nan
    tifffile.imwrite(folder / "nan.tif", nan)
    tifffile.imwrite(
        folder / "five.tif", numbers(H, W, 5), photometric="minisblack", planarconfig="contig"
    )
    planes = numbers(3, H, W, dtype=np.uint16)
    tifffile.imwrite(folder / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    return {
        "cut.jpg": "truncated or damaged",
        "cut_in_the_header.jpg": "no image",
        "cut.png": "truncated or damaged",
        "cut.tif": "truncated or damaged",
        "empty.jpg": "empty file",
        "text.jpg": "no image",
        "postscript.jpg": "no image",
        "bomb.png": "too large",
        "huge.png": "too large",
        "nan.tif": "values need a range",
        "five.tif": "kind of image not supported",
        "planes.tif": "kind of image not supported",
    }
