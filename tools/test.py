"""Evaluate a trained model on its config's test data, on one device or many: classification,
k nearest neighbours, segmentation or detection, as the config says."""

import argparse
import json
import os
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process

from localmim.engine.launch import (
    add_config_arguments,
    build_runner,
    load_config,
    parse_config_arguments,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python tools/test.py configs/segmentation/"
        "upernet_vit-base-p16_8xb2-amp-160k_ade20k-512x512.py work_dirs/my_run/iter_160000.pth",
    )
    add_config_arguments(parser)
    parser.add_argument("checkpoint", help="path of the checkpoint file")
    parser.add_argument("--out", metavar="FILE.json", help="write the metrics to a JSON file")
    parser.add_argument(
        "--show-dir",
        metavar="DIR",
        help="draw the prediction for every test image into this folder",
    )
    args = parse_config_arguments(parser)
    if not Path(args.checkpoint).is_file():
        parser.error(f"checkpoint {args.checkpoint!r} does not exist")
    if args.out is not None and Path(args.out).suffix != ".json":
        parser.error(f"--out must end in .json, got {args.out!r}")
    return args


def draw_into(cfg: Config, folder: Path) -> None:
    """Let the library of the config's scope draw its predictions."""
    cfg.default_hooks.visualization = {
        "mmpretrain": dict(type="VisualizationHook", enable=True, interval=1, out_dir=str(folder)),
        "mmseg": dict(type="SegVisualizationHook", draw=True, interval=1),
        "mmdet": dict(type="DetVisualizationHook", draw=True, test_out_dir=str(folder)),
    }[cfg.default_scope]
    cfg.visualizer.save_dir = str(folder)  # where mmseg draws


def write_metrics(path: Path, metrics: dict) -> None:
    """Write a file that is there entirely or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps({k: float(v) for k, v in metrics.items()}, indent=2) + "\n")
    os.replace(partial, path)


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show_dir is not None:
        draw_into(cfg, Path(args.show_dir).absolute())
    metrics = build_runner(cfg).test()
    if args.out is not None and is_main_process():
        write_metrics(Path(args.out), metrics)


if __name__ == "__main__":
    main()
