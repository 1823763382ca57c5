"""Pre-train a small model on procedural scenes, take it to classification, segmentation and
detection, and compare with training the same models from scratch, with the same budget and seeds.
What is done already is not done again."""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).parents[1]
TRAIN_SCENES, VAL_SCENES, SIZE = 3000, 600, 128


@dataclass(frozen=True)
class Task:
    """A use of pre-trained weights.

    Attributes:
        config: of the training, by backbone.
        layout: of the scenes, as tools/make_scenes.py has it.
        dialect: kind of checkpoint that the config's backbone reads, by backbone.
        metrics: of the validation, with a name and a factor for the table.
        data_options: settings besides data_root that hold a path of the data.
    """

    config: dict[str, str]
    layout: str
    dialect: dict[str, str]
    metrics: dict[str, tuple[str, float]]
    data_options: tuple[tuple[str, str], ...] = ()


PRETRAINING = {
    "vit": "localmim_vit-mini-p8_1xb64-coslr-2k_scenes",
    "swin": "localmim_swin-mini-w4_1xb64-coslr-2k_scenes",
}
TASKS = {
    "classification": Task(
        {
            "vit": "vit-mini-p8_1xb32-coslr-300_scenes",
            "swin": "swin-mini-w4_1xb32-coslr-300_scenes",
        },
        "folder",
        {"vit": "mmpretrain", "swin": "mmpretrain"},
        {"accuracy/top1": ("top-1 accuracy (%)", 1)},
    ),
    "segmentation": Task(
        {
            "vit": "upernet_vit-mini-p8_1xb16-coslr-300_scenes",
            "swin": "upernet_swin-mini-w4_1xb16-coslr-300_scenes",
        },
        "ade20k",
        {"vit": "mmseg-mae", "swin": "mmseg"},
        {"mIoU": ("mIoU (%)", 1)},
    ),
    "detection": Task(
        {
            "vit": "mask-rcnn_vit-mini-p8_sfp_1xb8-coslr-300_scenes",
            "swin": "mask-rcnn_swin-mini-w4_fpn_1xb8-coslr-300_scenes",
        },
        "coco",
        {"vit": "mmpretrain", "swin": "mmdet"},
        {"coco/bbox_mAP": ("box AP (%)", 100), "coco/segm_mAP": ("mask AP (%)", 100)},
        (
            ("val_evaluator.ann_file", "annotations/instances_val2017.json"),
            ("test_evaluator.ann_file", "annotations/instances_val2017.json"),
        ),
    ),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--backbone", choices=PRETRAINING, default="vit", help="which to pre-train")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="which uses")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 each")
    parser.add_argument(
        "--budget",
        type=float,
        default=1.0,
        metavar="X",
        help="fraction of the scenes and iterations, in (0, 1]; little shows the way, not the gain",
    )
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="trainings at once; they share the cores"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=Path("data/scenes"), help="where the scenes are put"
    )
    parser.add_argument(
        "--work-dir", type=Path, default=Path("work_dirs/transfer_demo"), help="where runs are put"
    )
    args = parser.parse_args()
    for name, good, what in (
        ("seeds", args.seeds >= 1, "1 or more"),
        ("budget", 0 < args.budget <= 1, "more than 0 and at most 1"),
        ("jobs", args.jobs >= 1, "1 or more"),
    ):
        if not good:
            parser.error(f"--{name} must be {what}, got {getattr(args, name)}")
    args.work_dir = args.work_dir.absolute() / args.backbone
    args.data_dir = args.data_dir.absolute()
    if args.budget < 1:
        args.data_dir = args.data_dir.with_name(f"{args.data_dir.name}_{args.budget:g}")
        args.work_dir = args.work_dir.with_name(f"{args.backbone}_{args.budget:g}")
    return args


def config_path(name: str) -> Path:
    return ROOT / "configs" / "demo" / f"{name}.py"


def call(log: Path, *command: object, threads: int | None = None) -> None:
    """Run one of the tools, its output in a log file; stop with the log's end if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SystemExit(f"{tail}\nerror: {' '.join(map(str, command))} failed; its log is {log}")


def length_options(cfg: Config, budget: float) -> list[str]:
    """Settings that shorten a config's schedule."""
    if budget == 1:
        return []
    iterations = max(round(cfg.train_cfg.max_iters * budget), 4)
    warmup = max(round(cfg.param_scheduler[0].end * budget), 1)
    return [
        f"train_cfg.max_iters={iterations}",
        f"train_cfg.val_interval={iterations}",
        f"param_scheduler.0.end={warmup}",
        f"param_scheduler.1.begin={warmup}",
    ]


def train(config: Path, work_dir: Path, options: list[str], budget: float, threads: int) -> Path:
    """Train unless that has been done with the same settings; the path of the last checkpoint."""
    cfg = Config.fromfile(config)
    options = [*options, *length_options(cfg, budget)]
    settings = hashlib.sha256(f"{cfg.pretty_text}{options}".encode()).hexdigest()
    done = work_dir / "done.txt"
    if not (done.exists() and done.read_text() == settings):
        command = ["tools/train.py", config, "--work-dir", work_dir, "--cfg-options", *options]
        call(work_dir / "log.txt", *command, threads=threads)
        done.write_text(settings)
    return Path((work_dir / "last_checkpoint").read_text())


def metrics_of(work_dir: Path, task: Task) -> dict[str, float]:
    """Metrics of the last validation, from the records that mmengine's logger keeps."""
    latest = max(work_dir.glob("*/vis_data/scalars.json"), key=lambda path: path.parts[-3])
    records = [json.loads(line) for line in latest.read_text().splitlines()]
    last = next(r for r in reversed(records) if all(name in r for name in task.metrics))
    return {title: last[name] * factor for name, (title, factor) in task.metrics.items()}


def data_options(task: Task, folder: Path) -> list[str]:
    """Settings that point a config to its scenes."""
    roots = {"train": folder, "val": folder, "test": folder}
    if task.layout == "folder":
        roots = {"train": folder / "train", "val": folder / "val", "test": folder / "val"}
    options = [f"{split}_dataloader.dataset.data_root={root}" for split, root in roots.items()]
    return options + [f"{setting}={folder / path}" for setting, path in task.data_options]


def make_scenes(args: argparse.Namespace) -> None:
    """Draw what is not there: scenes of up to four objects, of which pre-training takes the images
    alone, and scenes of one object for the tasks, as most of ImageNet's are."""
    counts = [max(round(n * args.budget), 20) for n in (TRAIN_SCENES, VAL_SCENES)]
    sets = {TASKS[name].layout: (TASKS[name].layout, 1) for name in args.tasks}
    for folder, (layout, objects) in {"unlabelled": ("ade20k", 4), **sets}.items():
        destination = args.data_dir / folder
        if destination.exists():
            continue
        print(f"Drawing {sum(counts)} scenes into {destination} ...", flush=True)
        call(
            args.work_dir / f"scenes_{folder}.txt",
            *("tools/make_scenes.py", layout, destination, "--max-objects", objects),
            *("--train", counts[0], "--val", counts[1], "--size", SIZE, SIZE),
            *("--workers", 2 if sum(counts) > 100 else 1),
        )


def convert(checkpoint: Path, dialect: str, work_dir: Path) -> Path:
    """The checkpoint as another library reads it."""
    converted = work_dir / f"backbone_{dialect}.pth"
    call(
        work_dir / f"convert_{dialect}.txt",
        "tools/convert.py",
        checkpoint,
        converted,
        "--to",
        dialect,
        "--overwrite",
    )
    return converted


def compare(args: argparse.Namespace, weights: dict[str, Path], threads: int) -> dict:
    """Train every task from both starts with every seed; (task, start) -> metrics by seed."""

    def one(name: str, start: str, seed: int) -> dict[str, float]:
        task = TASKS[name]
        options = [f"randomness.seed={seed}", *data_options(task, args.data_dir / task.layout)]
        if start == "scratch":
            options.append("model.backbone.init_cfg=None")
        else:
            dialect = task.dialect[args.backbone]
            options.append(f"model.backbone.init_cfg.checkpoint={weights[dialect]}")
        work_dir = args.work_dir / f"{name}_{start}_seed{seed}"
        train(config_path(task.config[args.backbone]), work_dir, options, args.budget, threads)
        return metrics_of(work_dir, task)

    results: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    todo = list(product(args.tasks, ("pre-trained", "scratch"), range(args.seeds)))
    began = time.monotonic()
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = {pool.submit(one, *run): run for run in todo}
        try:
            for count, future in enumerate(as_completed(futures), 1):
                name, start, seed = futures[future]
                results.setdefault((name, start), {})[seed] = future.result()
                left = (time.monotonic() - began) / count * (len(todo) - count) / 60
                texts = [f"{title} {value:.1f}" for title, value in future.result().items()]
                print(
                    f"[{count}/{len(todo)}] {name}, {start}, seed {seed}: {', '.join(texts)} "
                    f"(about {left:.0f} min left)",
                    flush=True,
                )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def table(results: dict) -> str:
    """Means, smallest and largest over the seeds, as Markdown."""
    lines = [
        "| | from scratch | pre-trained | gain |",
        "| --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(name for name, _ in results):
        for title in next(iter(results[name, "scratch"].values())):
            starts = {}
            for start in ("scratch", "pre-trained"):
                starts[start] = [metrics[title] for metrics in results[name, start].values()]
            texts = [
                f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
                for values in starts.values()
            ]
            gain = statistics.mean(starts["pre-trained"]) - statistics.mean(starts["scratch"])
            lines.append(f"| {name}, {title} | {texts[0]} | {texts[1]} | {gain:+.1f} |")
    return "\n".join(lines)


def main() -> None:
    args = parse_args()
    began = time.monotonic()
    make_scenes(args)
    print(f"Pre-training; its log is {args.work_dir / 'pretraining' / 'log.txt'} ...", flush=True)
    checkpoint = train(
        config_path(PRETRAINING[args.backbone]),
        args.work_dir / "pretraining",
        [f"train_dataloader.dataset.data_root={args.data_dir / 'unlabelled/images/training'}"],
        args.budget,
        os.cpu_count() or 1,
    )
    dialects = {TASKS[name].dialect[args.backbone] for name in args.tasks}
    weights = {dialect: convert(checkpoint, dialect, args.work_dir) for dialect in dialects}
    results = compare(args, weights, max((os.cpu_count() or 1) // args.jobs, 1))
    text = table(results)
    (args.work_dir / "table.md").write_text(f"{text}\n")
    minutes = (time.monotonic() - began) / 60
    print(
        f"\n{text}\n\nMeans over {args.seeds} seeds (smallest to largest), {minutes:.0f} min; ",
        end="",
    )
    print(f"table in {args.work_dir / 'table.md'}")


if __name__ == "__main__":
    main()
