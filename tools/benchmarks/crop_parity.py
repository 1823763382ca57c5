"""Whether LoadRandomResizedCrop pre-trains as well as Pillow's crops of the decoded file.

A small LocalMIM ViT is pre-trained on JPEGs, pieces of real photographs four times as large as its
crops, so that nearly all are decoded at reduced scale: once with LoadRandomResizedCrop, and once
with LoadImage and RandomResizedCrop by Pillow, with the same seeds. Then k nearest neighbours of
its features tell from which photograph a piece is, of parts that the pre-training has not seen.

Example, half an hour on one core:
  python tools/benchmarks/crop_parity.py work_dirs/crop_parity
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image
from records import machine, write_record
from tqdm import tqdm

from localmim.data.photographs import bundled_photographs

UNTRAINED = "untrained"
ROOT = Path(__file__).parents[2]
PRETRAIN = ROOT / "configs/demo/localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"
NEIGHBOURS = ROOT / "configs/demo/knn_vit-mini-p8_scenes.py"
PILLOW = [
    dict(type="LoadImage"),
    dict(
        type="RandomResizedCrop",
        scale=64,
        crop_ratio_range=(0.5, 1.0),
        backend="pillow",
        interpolation="bicubic",
    ),
    dict(type="PackImage"),
]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work_dir", type=Path, help="folder for images, trainings and results")
    parser.add_argument("--iters", type=int, default=600, help="of a pre-training (default: 600)")
    parser.add_argument("--seeds", type=int, default=3, help="pre-trainings of each (default: 3)")
    parser.add_argument("--out", help="JSON file for everything that was measured")
    args = parser.parse_args()
    if min(args.iters, args.seeds) < 1:
        parser.error("--iters and --seeds start at 1")
    return args


def write_pieces(folder: Path) -> int:
    """Pieces of the left of each photograph to train with, of left and right for the neighbours.

    Returns:
        Number of photographs, which are the classes.
    """
    photographs = bundled_photographs()
    for label, path in enumerate(photographs):
        image, rng = Image.open(path).convert("RGB"), np.random.default_rng(label)
        middle = image.width * 3 // 5
        for group, count, side, left, right in (
            ("unlabelled", 100, 256, 0, middle),
            ("labelled/train", 60, 96, 0, middle),
            ("labelled/val", 40, 96, middle, image.width),
        ):
            place = folder / group if side == 256 else folder / group / path.stem
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                x = int(rng.integers(left, max(right - side, left) + 1))
                y = int(rng.integers(max(image.height - side, 0) + 1))
                piece = image.crop((x, y, x + side, y + side))
                name = f"{path.stem}_{number}.{'jpg' if side == 256 else 'png'}"
                piece.save(place / name, **({"quality": 92} if side == 256 else {}))
    return len(photographs)


def call(log: Path, *command: object) -> None:
    """Run a tool, its output in a file, unless that has been done."""
    done = log.with_suffix(".done")
    if done.exists():
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        run = [sys.executable, *map(str, command)]
        status = subprocess.call(run, cwd=ROOT, env=environment, stdout=file, stderr=file)
    if status:
        raise SystemExit(f"error: {' '.join(run)} failed; its log is {log}")
    done.touch()


def accuracy(args: argparse.Namespace, loader: str, seed: int, classes: int) -> float:
    """Of the neighbours of a pre-training's features, in per cent."""
    folder = args.work_dir / f"{loader}_seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    iters = 1 if loader == UNTRAINED else args.iters
    cfg = Config.fromfile(PRETRAIN)
    cfg.train_dataloader.batch_size = 64
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = str(args.work_dir / "unlabelled")
    if loader == "pillow":
        dataset.pipeline = PILLOW
    cfg.train_cfg.max_iters, cfg.train_cfg.val_interval = iters, iters + 1
    warmup = max(iters // 20, 1)
    cfg.param_scheduler[0].end = cfg.param_scheduler[1].begin = warmup
    if warmup == iters:
        del cfg.param_scheduler[1]
    cfg.randomness = dict(seed=seed)
    cfg.dump(folder / "config.py")
    call(folder / "train.log", "tools/train.py", folder / "config.py", "--work-dir", folder)
    labelled, result = args.work_dir / "labelled", folder / "metrics.json"
    call(
        folder / "test.log",
        *("tools/test.py", NEIGHBOURS, (folder / "last_checkpoint").read_text()),
        *("--work-dir", folder / "test", "--out", result, "--cfg-options"),
        f"test_dataloader.dataset.data_root={labelled / 'val'}",
        f"model.bank_dataloader.dataset.data_root={labelled / 'train'}",
        *(f"{part}.num_classes={classes}" for part in ("model", "data_preprocessor")),
    )
    return json.loads(result.read_text())["accuracy/top1"]


def main() -> None:
    args = parse_args()
    args.work_dir = args.work_dir.absolute()
    classes = write_pieces(args.work_dir)
    found: dict[str, list[float]] = {"ours": [], "pillow": [], UNTRAINED: []}
    with tqdm(total=len(found) * args.seeds, unit="pre-training") as bar:
        for seed in range(args.seeds):
            for loader, values in found.items():
                values.append(accuracy(args, loader, seed, classes))
                bar.update()
                bar.write(f"seed {seed}, {loader}: {values[-1]:.1f} %")
    means = {loader: statistics.mean(values) for loader, values in found.items()}
    for loader, values in found.items():
        print(f"{loader}: {means[loader]:.1f} % ({min(values):.1f} to {max(values):.1f})")
    print(f"ours / Pillow's: {means['ours'] / means['pillow']:.3f}")
    if args.out:
        settings = {k: str(v) for k, v in vars(args).items()}
        write_record(args.out, {**machine("cpu"), "settings": settings, "accuracy": found})


if __name__ == "__main__":
    main()
