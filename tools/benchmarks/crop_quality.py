"""How near the crops of LoadRandomResizedCrop come to Pillow's, in PSNR by the reduced scale used.

Photographs that installed packages bundle, and JPEGs of several sizes made of them, are cropped at
random. Pillow crops the decoded file by the same box, at reduced scales the box as it is rounded
there, and resizes it with its own filter. Beside it what OpenCV makes of the same boxes.

Example:
  python tools/benchmarks/crop_quality.py
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from mmengine.registry import init_default_scope
from pictures import write_pictures
from PIL import Image
from records import machine, write_record
from tqdm import tqdm

from localmim.data import LoadRandomResizedCrop
from localmim.data.cropping import reduced_box
from localmim.data.photographs import bundled_photographs
from localmim.data.reading import read_image


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=int, default=224, help="side of a crop (default: 224)")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[500, 1024, 2048],
        help="longer sides of the JPEGs that are made (default: 500 1024 2048)",
    )
    parser.add_argument("--crops", type=int, default=5, help="crops of each image (default: 5)")
    parser.add_argument("--out", help="JSON file for everything that was measured")
    args = parser.parse_args()
    if min(args.scale, args.crops, *args.sizes) < 1:
        parser.error("--scale, --crops and --sizes start at 1")
    return args


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal to noise ratio in dB; 99 where nothing differs."""
    error = np.square(one.astype(float) - other).mean()
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def compare(content: bytes, transform: LoadRandomResizedCrop, seed: int) -> dict:
    """A random crop of a file beside Pillow's and OpenCV's."""
    image = read_image("image", content=content)
    np.random.seed(seed)
    box = transform.rand_crop_params(image)
    reduction = transform.reduction(box, image.shape[:2]) if content[:2] == b"\xff\xd8" else 1
    np.random.seed(seed)
    ours = transform(dict(img_path="image", img_bytes=content))["img"]
    shape = image.shape[:2]
    top, left, height, width = (x * reduction for x in reduced_box(box, reduction, shape))
    bottom, right = min(top + height, shape[0]), min(left + width, shape[1])
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    size = transform.scale[::-1]
    exact = np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC))
    found = {"reduction": reduction, "ours": psnr(ours, exact)}
    for name, mode in (("opencv, cubic", cv2.INTER_CUBIC), ("opencv, area", cv2.INTER_AREA)):
        found[name] = psnr(cv2.resize(crop, size, interpolation=mode), exact)
    return found


def contents(sizes: list[int], folder: Path) -> dict[str, list[bytes]]:
    """Files by what they are: bundled photographs, as they are and as JPEGs, and made ones."""
    photographs = bundled_photographs()
    jpegs = []
    for path in photographs:
        buffer = BytesIO()
        Image.open(path).convert("RGB").save(buffer, "JPEG", quality=92)
        jpegs.append(buffer.getvalue())
    found = {"photographs": [path.read_bytes() for path in photographs], "their JPEGs": jpegs}
    for size in sizes:
        write_pictures(folder / str(size), size, len(photographs))
        files = sorted((folder / str(size)).iterdir())
        found[f"JPEGs of {size} px"] = [path.read_bytes() for path in files]
    return found


def main() -> None:
    args = parse_args()
    init_default_scope("mmpretrain")
    transform = LoadRandomResizedCrop(args.scale, crop_ratio_range=(0.2, 1.0))
    with tempfile.TemporaryDirectory() as folder:
        files = contents(args.sizes, Path(folder))
    rows = []
    total = sum(map(len, files.values())) * args.crops
    with tqdm(total=total, unit="crop", delay=3) as bar:
        for kind, group in files.items():
            found = defaultdict(list)
            for number, content in enumerate(group):
                for seed in range(number * args.crops, (number + 1) * args.crops):
                    result = compare(content, transform, seed)
                    found[result.pop("reduction")].append(result)
                    bar.update()
            rows += [summary(kind, reduction, found[reduction]) for reduction in sorted(found)]
    print(f"PSNR in dB against Pillow's crops of {args.scale} px: median (lowest)")
    for row in rows:
        texts = [f"{k} {v['median']:.1f} ({v['lowest']:.1f})" for k, v in row["psnr"].items()]
        print(f"{row['images']}, at 1/{row['reduction']}, {row['crops']} crops: {', '.join(texts)}")
    if args.out:
        write_record(args.out, {**machine("cpu"), "settings": vars(args), "rows": rows})


def summary(kind: str, reduction: int, found: list[dict]) -> dict:
    """Of all crops of some files at one reduced scale."""
    values = {name: [result[name] for result in found] for name in found[0]}
    figures = {k: {"median": statistics.median(v), "lowest": min(v)} for k, v in values.items()}
    return {"images": kind, "reduction": reduction, "crops": len(found), "psnr": figures}


if __name__ == "__main__":
    main()
