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
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from threading import Lock

from tqdm import tqdm

from localmim.scenes import SceneSet, provide_scenes, scene_record

ROOT = Path(__file__).parents[1]
Run = tuple[str, str, int]  # task, start, seed
TRAIN_SCENES, VAL_SCENES, SIZE = 3000, 600, 128


@dataclass(frozen=True)
class Task:
    """A use of pre-trained weights.

    Attributes:
        layout: of the scenes, as tools/make_scenes.py has it.
        metrics: of the validation, with a name and a factor for the table.
        data_options: settings besides data_root that hold a path of the data.
    """

    layout: str
    metrics: dict[str, tuple[str, float]]
    data_options: tuple[tuple[str, str], ...] = ()


TASKS = {
    "classification": Task("folder", {"accuracy/top1": ("top-1 accuracy (%)", 1)}),
    "segmentation": Task("ade20k", {"mIoU": ("mIoU (%)", 1)}),
    "detection": Task(
        "coco",
        {"coco/bbox_mAP": ("box AP (%)", 100), "coco/segm_mAP": ("mask AP (%)", 100)},
        (
            ("val_evaluator.ann_file", "annotations/instances_val2017.json"),
            ("test_evaluator.ann_file", "annotations/instances_val2017.json"),
        ),
    ),
}
VIT = {
    "classification": ("vit-mini-p8_1xb32-coslr-300_scenes", None),
    "segmentation": ("upernet_vit-mini-p8_1xb8-coslr-900_scenes", "mmseg-mae"),
    "detection": ("mask-rcnn_vit-mini-p8_sfp_1xb4-coslr-450_scenes", None),
}
SWIN = {
    "classification": ("swin-mini-w4_1xb32-coslr-300_scenes", None),
    "segmentation": ("upernet_swin-mini-w4_1xb8-coslr-900_scenes", "mmseg"),
    "detection": ("mask-rcnn_swin-mini-w4_fpn_1xb4-coslr-450_scenes", "mmdet"),
}
RESNET = {
    "classification": ("r50-mini_1xb32-coslr-300_scenes", None),
    "segmentation": ("upernet_r50-mini_1xb8-coslr-900_scenes", "mmpretrain"),
    "detection": ("mask-rcnn_r50-mini_fpn_1xb4-coslr-450_scenes", "mmdet"),
}
CONVNEXT = {"classification": ("convnext-mini_1xb32-coslr-300_scenes", None)}
# Only LoMaR's own ViT has its relative positions.
IRPE_VIT = {"classification": ("vit-irpe-mini-p8_1xb32-coslr-300_scenes", None)}
BEIT = {"classification": ("vit-beit-mini-p8_1xb32-coslr-300_scenes", None)}
# What can be pre-trained: the config, and for each task a config and the kind of checkpoint that
# its backbone reads, or None where it reads that of the pre-training as it is.
MODELS = {
    "localmim-vit": ("localmim_vit-mini-p8_coarse_1xb16-coslr-2k_scenes", VIT),
    "localmim-swin": ("localmim_swin-mini-w4_1xb64-coslr-2k_scenes", SWIN),
    "localmim-r50": ("localmim_r50-mini_1xb32-coslr-1k_scenes", RESNET),
    "localmim-convnext": ("localmim_convnext-mini_1xb32-coslr-1k_scenes", CONVNEXT),
    "lomar-vit": ("lomar_vit-mini-p8_1xb16-coslr-2k_scenes", IRPE_VIT),
    "a2mim-r50": ("a2mim_r50-mini_1xb32-coslr-1k_scenes", RESNET),
    "a2mim-vit": ("a2mim_vit-mini-p8_1xb16-coslr-2k_scenes", BEIT),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="localmim-vit", help="what to pre-train")
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=TASKS,
        default=argparse.SUPPRESS,
        help="which uses (default: all that there are small configs for)",
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1 each")
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
    args.configs = MODELS[args.model][1]
    args.tasks = getattr(args, "tasks", list(args.configs))
    for task in args.tasks:
        if task not in args.configs:
            parser.error(f"--tasks: {args.model} has {', '.join(args.configs)}, not {task}")
    args.work_dir, args.data_dir = args.work_dir.absolute(), args.data_dir.absolute()
    if args.budget < 1:
        args.data_dir = args.data_dir.with_name(f"{args.data_dir.name}_{args.budget:g}")
        args.work_dir = args.work_dir.with_name(f"{args.work_dir.name}_{args.budget:g}")
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


def length_options(iterations: int, warmup: int, budget: float) -> list[str]:
    """Settings that shorten a config's schedule, of so many iterations."""
    if budget == 1:
        return []
    iterations, warmup = max(round(iterations * budget), 4), max(round(warmup * budget), 1)
    return [
        f"train_cfg.max_iters={iterations}",
        f"train_cfg.val_interval={iterations}",
        f"param_scheduler.0.end={warmup}",
        f"param_scheduler.1.begin={warmup}",
    ]


def train(
    config: Path, work_dir: Path, options: list[str], inputs: object, budget: float, threads: int
) -> Path:
    """Train unless that has been done with the same settings and inputs.

    Args:
        config: of the training.
        work_dir: where it runs.
        options: settings besides.
        inputs: what else the result depends on: how the scenes were drawn, the hash of the
            pre-trained weights.
        budget: fraction of the schedule.
        threads: of torch.

    Returns:
        The last checkpoint.
    """
    from mmengine.config import Config  # brings torch, which processes that draw do without

    cfg = Config.fromfile(config)
    warmup = cfg.param_scheduler[0].end
    options = [*options, *length_options(cfg.train_cfg.max_iters, warmup, budget)]
    settings = hashlib.sha256(f"{cfg.pretty_text}{options}{inputs}".encode()).hexdigest()
    done = work_dir / "done.txt"
    if not (done.exists() and done.read_text() == settings):
        done.unlink(missing_ok=True)
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


def make_scenes(args: argparse.Namespace) -> dict[str, dict]:
    """Draw what is not there: scenes of up to four objects, of which pre-training takes the images
    alone, and scenes of one object for the tasks, as most of ImageNet's are.

    Returns:
        By folder, how they were drawn.
    """
    train, val = (max(round(n * args.budget), 64) for n in (TRAIN_SCENES, VAL_SCENES))
    labelled = SceneSet(train, val, (SIZE, SIZE), max_objects=1)
    unlabelled = SceneSet(train, 0, (SIZE, SIZE), max_objects=4)
    layouts = [TASKS[name].layout for name in args.tasks]
    sets = [
        ("unlabelled", {"ade20k": args.data_dir / "unlabelled"}, unlabelled),
        ("labelled", {layout: args.data_dir / layout for layout in layouts}, labelled),
    ]
    for what, folders, scenes in sets:
        total = scenes.train + scenes.val
        workers = 2 if total > 1000 else 1
        try:
            with tqdm(total=total, desc=f"drawing {what} scenes", delay=0.2) as bar:
                provide_scenes(folders, scenes, workers, bar.update)
        except (OSError, ValueError) as error:
            raise SystemExit(f"error: --data-dir: {error}") from error
    return {"unlabelled": scene_record("ade20k", unlabelled)} | {
        layout: scene_record(layout, labelled) for layout in layouts
    }


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


def pretrain(
    args: argparse.Namespace, scenes: dict, threads: int
) -> tuple[dict[str | None, Path], str]:
    """Pre-train; the encoder by the kind of checkpoint, and the hash of what all were made of.

    Args:
        args: of the command line.
        scenes: how those to pre-train on were drawn.
        threads: of torch.
    """
    from localmim.checkpoints.files import file_hash  # brings torch as well

    folder = args.work_dir / args.model
    checkpoint = train(
        config_path(MODELS[args.model][0]),
        folder / "pretraining",
        [f"train_dataloader.dataset.data_root={args.data_dir / 'unlabelled/images/training'}"],
        scenes,
        args.budget,
        threads,
    )
    dialects = {args.configs[name][1] for name in args.tasks} - {None}
    converted = {d: convert(checkpoint, d, folder) for d in dialects}
    return {None: checkpoint} | converted, file_hash(checkpoint)


def compare(args: argparse.Namespace, drawn: dict[str, dict]) -> dict:
    """Pre-train, and train every task from both starts with every seed.

    Trainings from scratch do not wait for the pre-training.

    Returns:
        (task, start) -> metrics by seed.
    """
    threads = max((os.cpu_count() or 1) // args.jobs, 1)

    def one(name: str, start: str, seed: int) -> dict[str, float]:
        task, (config, dialect) = TASKS[name], args.configs[name]
        options = [f"randomness.seed={seed}", *data_options(task, args.data_dir / task.layout)]
        inputs = [drawn[task.layout]]
        if start == "scratch":
            options.append("model.backbone.init_cfg=None")
            work_dir = args.work_dir / "scratch" / f"{config}_seed{seed}"
        else:
            weights, weights_hash = pretrained.result()
            options.append(f"model.backbone.init_cfg.checkpoint={weights[dialect]}")
            inputs.append(weights_hash)
            work_dir = args.work_dir / args.model / f"{config}_seed{seed}"
        train(config_path(config), work_dir, options, inputs, args.budget, threads)
        return metrics_of(work_dir, task)

    # The longest first, so that the jobs end together.
    tasks = sorted(args.tasks, key=list(TASKS).index, reverse=True)
    todo = list(product(tasks, ("scratch", "pre-trained"), range(args.seeds)))
    taking = Lock()

    def next_one() -> tuple[Run, dict[str, float]]:
        with taking:  # the first that does not have to wait, if there is one
            ready = (run for run in todo if run[1] == "scratch" or pretrained.done())
            run = next(ready, todo[0])
            todo.remove(run)
        return run, one(*run)

    with ThreadPoolExecutor(args.jobs) as pool:
        # The first, so that nothing waits for it that keeps it from starting.
        pretrained = pool.submit(pretrain, args, drawn["unlabelled"], threads)
        futures = [pool.submit(next_one) for _ in range(len(todo))]
        try:
            return collected(futures, pretrained)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def collected(futures: list[Future], pretrained: Future) -> dict:
    """Results as they come, each told; (task, start) -> metrics by seed."""
    results: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    began, every = time.monotonic(), [pretrained, *futures]
    for count, future in enumerate(as_completed(every), 1):
        left = (time.monotonic() - began) / count * (len(every) - count) / 60
        if future is pretrained:
            future.result()
            text = "pre-training"
        else:
            (name, start, seed), found = future.result()
            results.setdefault((name, start), {})[seed] = found
            texts = [f"{title} {value:.1f}" for title, value in found.items()]
            text = f"{name}, {start}, seed {seed}: {', '.join(texts)}"
        print(f"[{count}/{len(every)}] {text} (about {left:.0f} min left)", flush=True)
    return results


def table(results: dict) -> str:
    """Means over the seeds, and the smallest and largest of several, as Markdown."""
    lines = [
        "| | from scratch | pre-trained | gain |",
        "| --- | --- | --- | --- |",
    ]
    for name in (name for name in TASKS if (name, "scratch") in results):
        for title in next(iter(results[name, "scratch"].values())):
            means, texts = [], []
            for start in ("scratch", "pre-trained"):
                values = [metrics[title] for metrics in results[name, start].values()]
                means.append(statistics.mean(values))
                spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
                texts.append(f"{means[-1]:.1f}{spread}")
            gain = means[1] - means[0]
            lines.append(f"| {name}, {title} | {texts[0]} | {texts[1]} | {gain:+.1f} |")
    return "\n".join(lines)


def main() -> None:
    args = parse_args()
    began = time.monotonic()
    drawn = make_scenes(args)
    folder = args.work_dir / args.model
    print(f"Training; logs are below {args.work_dir} ...", flush=True)
    results = compare(args, drawn)
    text = table(results)
    (folder / "table.md").write_text(f"{text}\n")
    minutes = (time.monotonic() - began) / 60
    seeds = f"Means over {args.seeds} seeds (smallest to largest)" if args.seeds > 1 else "One seed"
    print(f"\n{text}\n\n{seeds}, {minutes:.0f} min; table in {folder / 'table.md'}")


if __name__ == "__main__":
    main()
