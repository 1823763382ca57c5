"""How fast a config's pipeline gives images, and how many workers its training needs.

Everything is measured in one process on one core: images a second of CPU time from files to a
batch, without what it costs to send the batch to another process. The contenders take turns on the
same files, so that the ratio holds when the speed of the machine drifts. AGAINST may also be
"pillow" (the whole file decoded, cropped and resized bicubically by Pillow, packed by mmpretrain),
"opencv" (the same by OpenCV, areas averaged, its antialiasing) or "opencv-cubic" (without
antialiasing).

Without --data-root, JPEGs of several sizes are made of bundled photographs.

Example:
  python tools/benchmarks/loader.py \\
      configs/localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py opencv
"""

import argparse
import math
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import torch
from contender import Contender
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from pictures import write_pictures
from records import machine, write_record
from tqdm import tqdm
from training_step import Settings, build_step, read_config

from localmim.engine import settle_image_size
from localmim.engine.image_size import training_steps

CROP = dict(type="RandomResizedCrop", crop_ratio_range=(0.2, 1.0))
LOADING = {
    "pillow": [dict(type="LoadImage"), dict(CROP, backend="pillow", interpolation="bicubic")],
    "opencv": [
        dict(type="LoadImageFromFile", imdecode_backend="cv2"),
        dict(CROP, backend="cv2", interpolation="area"),
    ],
    "opencv-cubic": [
        dict(type="LoadImageFromFile", imdecode_backend="cv2"),
        dict(CROP, backend="cv2", interpolation="bicubic"),
    ],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config A: a path, or PACKAGE::PATH as in _base_")
    parser.add_argument("against", nargs="?", help=f"config B, or one of {', '.join(LOADING)}")
    images = parser.add_mutually_exclusive_group()
    images.add_argument("--data-root", help="folder of images to read (default: made for this)")
    images.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[500, 1024, 2048],
        help="longer sides of the JPEGs that are made (default: 500 1024 2048)",
    )
    parser.add_argument("--images", type=int, default=32, help="images a turn (default: 32)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--no-step", action="store_true", help="do not time A's training step")
    parser.add_argument(
        "--batch-size", type=int, default=8, help="images of the training step (default: 8)"
    )
    parser.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="of the training step (default: cuda where there is one)",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        help="of the training step (default: bfloat16 on cuda, float32 on the CPU)",
    )
    parser.add_argument("--out", help="JSON file for everything that was measured")
    args = parser.parse_args()
    if min(args.images, args.turns, args.batch_size, *args.sizes) < 1:
        parser.error("--images, --turns, --batch-size and --sizes start at 1")
    if args.data_root and not Path(args.data_root).is_dir():
        parser.error(f"--data-root {args.data_root!r} is no folder")
    args.dtype = args.dtype or ("bfloat16" if args.device == "cuda" else "float32")
    return args


def training_pipeline(cfg: Config) -> list[dict]:
    """The transforms of a config's training images."""
    settle_image_size(cfg)
    return training_steps(cfg)


def contender_pipeline(name: str, like: list[dict]) -> list[dict]:
    """The transforms of a config, or of a built-in contender with crops as large as another's."""
    if name not in LOADING:
        return training_pipeline(read_config(name))
    scale = next((step["scale"] for step in like if "scale" in step), 224)
    load, crop = LOADING[name]
    return [
        load,
        dict(crop, scale=scale),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackInputs"),
    ]


class Loading:
    """A loader on one core.

    Args:
        pipeline: transforms of a config.
        images: of a batch.
    """

    def __init__(self, pipeline: list[dict], images: int) -> None:
        torch.set_num_threads(1)
        cv2.setNumThreads(0)
        init_default_scope("mmpretrain")
        self._pipeline, self._images = pipeline, images

    def open(self, folder: str) -> None:
        """Read another folder from now on, and once to the end: then its files are in memory."""
        dataset = dict(type="UnlabelledImages", data_root=folder, pipeline=self._pipeline)
        sampler = dict(type="InfiniteSampler", shuffle=True, seed=0)
        self._batches = iter(
            Runner.build_dataloader(
                dict(
                    dataset=dataset,
                    sampler=sampler,
                    batch_size=self._images,
                    num_workers=0,
                    collate_fn=dict(type="default_collate"),
                )
            )
        )
        next(self._batches)

    def time(self) -> float:
        """CPU seconds of an image."""
        start = time.process_time()
        next(self._batches)
        return (time.process_time() - start) / self._images

    def memory(self) -> float:
        """Peak resident memory of this process in MiB, libraries included."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measure(folder: str, contenders: list[Contender], turns: int) -> list[dict]:
    """CPU seconds of an image, turn by turn, and memory of each."""
    for contender in contenders:
        contender.ask("open", folder)
    results = [{"config": contender.name, "seconds": []} for contender in contenders]
    for _ in tqdm(range(turns), desc="turns of each", unit="turn", delay=3):
        for contender, result in zip(contenders, results, strict=True):
            result["seconds"].append(contender.ask("time"))
    for contender, result in zip(contenders, results, strict=True):
        result["memory"] = contender.ask("memory")
    return results


def step_rate(args: argparse.Namespace) -> float:
    """Images a second of the training step of A's model."""
    settings = Settings(args.batch_size, args.device, args.dtype)
    step = Contender(args.config, build_step, args.config, settings)
    spent = [step.ask("time", False) for _ in range(2 + args.turns)][2:]
    return args.batch_size / statistics.median(sum(part.values()) for part in spent)


def report(row: dict, rate: float | None, workers: int) -> None:
    """Print the figures of a folder of images."""
    size = f", {row['bytes_a_pixel']:.2f} bytes a pixel" if "bytes_a_pixel" in row else ""
    print(f"\n{row['images']}{size}")
    for letter, result in zip("AB", row["results"], strict=False):
        speed = 1 / statistics.median(result["seconds"])
        print(
            f"{letter}: {speed:.1f} images/s and core, peak {result['memory']:.0f} MiB, "
            f"{result['config']}"
        )
    if "speed_ratio" in row:
        figures = row["speed_ratio"]
        print(
            f"speed A / B: {figures['median']:.2f} "
            f"({figures['least']:.2f} to {figures['most']:.2f})"
        )
    if rate is not None:
        print(verdict(rate, 1 / statistics.median(row["results"][0]["seconds"]), workers))


def verdict(rate: float, speed: float, workers: int) -> str:
    """Whether training waits for data, and how many workers end that.

    Args:
        rate: images a second that the training step takes.
        speed: images a second that a worker on a core of its own gives.
        workers: of the config.
    """
    needed, cores = math.ceil(rate / speed), os.cpu_count()
    text = f"The step of A takes {rate:.1f} images/s: {needed} workers keep up with it"
    if needed > cores:
        return f"{text}, but this machine has {cores} CPUs, so training will wait for data"
    if needed > workers:
        return f"{text}, A has {workers}: set train_dataloader.num_workers={needed}"
    return f"{text}, A has {workers}: training will not wait for data"


def ratio(results: list[dict]) -> dict[str, float]:
    """A's speed over B's, pair by pair."""
    a, b = (result["seconds"] for result in results)
    ratios = [y / x for x, y in zip(a, b, strict=True)]
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    own = training_pipeline(cfg)
    names = [args.config, *([args.against] if args.against else [])]
    contenders = [
        Contender(name, Loading, contender_pipeline(name, own), args.images) for name in names
    ]
    rate = None if args.no_step else step_rate(args)
    print(machine("cpu")["device"])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in [None] if args.data_root else args.sizes:
            row: dict = {"images": args.data_root or f"JPEGs of {size} px"}
            path = Path(args.data_root or f"{folder}/{size}")
            if size is not None:
                row["bytes_a_pixel"] = write_pictures(path, size, args.images)
            row["results"] = measure(str(path), contenders, args.turns)
            if args.against:
                row["speed_ratio"] = ratio(row["results"])
            rows.append(row)
            report(row, rate, cfg.train_dataloader.num_workers)
    if args.out:
        settings = {**machine("cpu"), "settings": vars(args), "step_images_per_second": rate}
        write_record(args.out, {**settings, "rows": rows})


if __name__ == "__main__":
    main()
