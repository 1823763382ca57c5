"""Everything that a GPU should be measured for, in one command.

The tests that need a GPU; the speed it reaches in big matrix products; images a second, peak memory
and utilisation of pre-training steps, LocalMIM's and beside them mmpretrain's MAE, MaskFeat and
SimMIM, eager and compiled; and epochs of training from JPEGs, with the share of time that it
waited for data. Every measurement has a process of its own: one that fails is a row that says so.
OUT.json and OUT.md are written anew after each.

Utilisation (MFU) is the operations of a step, counted, a second, over the speed in big matrix
products in the same format.

Example:
  python tools/benchmarks/gpu.py docs/benchmarks/h100

Without a GPU, or with --small, the same is done at tiny sizes on the CPU.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from contender import Contender
from pictures import write_pictures
from records import machine, write_record
from tqdm import tqdm
from training_step import Settings, build_step

from localmim.durable import written_aside
from localmim.engine.matrix_ceiling import matrix_ceiling

ROOT = Path(__file__).parents[2]
OURS = "configs/localmim/localmim_"
FOLDER_CONFIG = f"{OURS}vit-small-p16_1xb128-amp-coslr-200e_folder.py"
SIMMIM = "mmpretrain::simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py"
CONFIGS = (
    f"{OURS}vit-small-p16_8xb256-amp-coslr-400e_in1k.py",
    f"{OURS}vit-base-p16_8xb256-amp-coslr-1600e_in1k.py",
    f"{OURS}vit-large-p16_8xb512-amp-coslr-800e_in1k.py",
    f"{OURS}swin-base-w7_8xb256-amp-coslr-400e_in1k.py",
    f"{OURS}resnet50_8xb256-amp-coslr-100e_in1k.py",
    "mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py",
    "mmpretrain::mae/mae_vit-large-p16_8xb512-amp-coslr-400e_in1k.py",
    "mmpretrain::maskfeat/maskfeat_vit-base-p16_8xb256-amp-coslr-300e_in1k.py",
    SIMMIM,
)
TINY = "configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    device: str
    dtype: str
    configs: tuple[str, ...]
    epoch_config: str
    batch_size: int
    warmup: int
    steps: int
    tests: str
    pictures: int
    workers: int


LARGE = Plan("cuda", "bfloat16", CONFIGS, FOLDER_CONFIG, 128, 5, 20, "tests", 8192, os.cpu_count())
SMALL = Plan("cpu", "float32", (TINY, SIMMIM), TINY, 1, 1, 1, "tests/engine", 24, 1)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="path of the two files, without their suffix")
    parser.add_argument("--batch-size", type=int, help="images of a step (default: 128)")
    parser.add_argument(
        "--small", action="store_true", help="tiny sizes on the CPU (default: without a GPU)"
    )
    args = parser.parse_args()
    if not args.out.parent.is_dir():
        parser.error(f"folder {str(args.out.parent)!r} does not exist")
    return args


def run_tests(plan: Plan) -> dict:
    """What pytest says of the tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, plan.tests], cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or ["nothing"]
    if done.returncode:
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        raise RuntimeError("; ".join([lines[-1], *failed]))
    return {"result": lines[-1].strip("= ")}


class Ceiling:
    """Matrix products in a process of its own."""

    def measure(self, device: str, dtype: str) -> float:
        """Operations a second."""
        return matrix_ceiling(device, getattr(torch, dtype))


def ceiling(plan: Plan, dtype: str) -> dict:
    """Operations a second of big matrix products."""
    contender = Contender("matrix products", Ceiling)
    try:
        return {"flops_a_second": contender.ask("measure", plan.device, dtype)}
    finally:
        contender.end()


def step(plan: Plan, config: str, compiled: bool) -> dict:
    """Images a second, peak memory and operations of a config's training step."""
    settings = Settings(plan.batch_size, plan.device, plan.dtype, compiled=compiled)
    path = config if "::" in config else str(ROOT / config)
    contender = Contender(config, build_step, path, settings)
    try:
        contender.ask("time_of", plan.warmup)
        spent = contender.ask("time_of", plan.steps) / plan.steps
        memory = contender.ask("peak_memory")
        return {
            "images_a_second": plan.batch_size / spent,
            "memory_gib": memory,
            "flops_an_image": (flops := contender.ask("flops")) / plan.batch_size,
            "flops_a_second": flops / spent,
        }
    finally:
        contender.end()


def epoch(plan: Plan) -> dict:
    """What a training of two epochs from JPEGs of 500 px logs at its end."""
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder, "images"), 500, plan.pictures)
        dataset = {"type": "UnlabelledImages", "data_root": f"{folder}/images"}
        options = {
            "train_dataloader.batch_size": plan.batch_size,
            "train_dataloader.num_workers": plan.workers,
            "train_cfg.max_epochs": 2,
            "param_scheduler.0.end": 1,
            "param_scheduler.1.begin": 1,
            "default_hooks.logger.interval": 5,
            **_dataset_options(plan.epoch_config, dataset),
        }
        command = [sys.executable, "tools/train.py", plan.epoch_config, "--work-dir", f"{folder}/w"]
        command += ["--cfg-options", *(f"{name}={value}" for name, value in options.items())]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        (scalars,) = Path(folder, "w").glob("*/vis_data/scalars.json")
        row = json.loads(scalars.read_text().splitlines()[-1])
    names = ("images_per_second", "waiting", "mfu", "memory")
    return {name: row[name] for name in names if name in row}


def _dataset_options(config: str, dataset: dict[str, str]) -> dict[str, str]:
    """Where the folder of images is set: under RepeatDataset in the demo's config."""
    if config == TINY:
        prefix = {"train_dataloader.dataset.times": 1}
        return {**prefix, "train_dataloader.dataset.dataset.data_root": dataset["data_root"]}
    return {"train_dataloader.dataset.data_root": dataset["data_root"]}


def measurements(plan: Plan) -> list[tuple[str, dict, Callable[[], dict]]]:
    """Kind, what is measured, and how."""
    planned: list[tuple[str, dict, Callable[[], dict]]] = [
        ("tests", {}, lambda: run_tests(plan)),
    ]
    for dtype in ("float32", "bfloat16"):
        planned.append(("ceiling", {"dtype": dtype}, lambda dtype=dtype: ceiling(plan, dtype)))
    for config in plan.configs:
        for compiled in (False, True):
            what = {"config": config, "compiled": compiled}
            planned.append(("step", what, lambda what=what: step(plan, **what)))
    planned.append(("epoch", {"config": plan.epoch_config}, lambda: epoch(plan)))
    return planned


def tables(record: dict) -> str:
    """The record in Markdown."""
    plan, rows = record["plan"], record["rows"]
    peak = next((row.get("flops_a_second") for row in _kind(rows, "ceiling", plan["dtype"])), None)
    lines = [f"{record['device']}, torch {record['torch']}, {record['date']}", ""]
    lines += [f"`{record['command']}`", ""]
    for row in _kind(rows, "tests"):
        lines += [f"Tests that need a GPU: {row.get('error') or row['result']}", ""]
    for row in _kind(rows, "ceiling"):
        text = row.get("error") or f"{row['flops_a_second'] / 1e12:.2f} TFLOP/s"
        lines += [f"Big matrix products, {row['dtype']}: {text}", ""]
    lines += [f"Pre-training steps, {plan['dtype']}, {plan['batch_size']} images a step:", ""]
    lines += [
        "| config | compiled | images/s | peak GiB | GFLOP/image | MFU |",
        "|:-|:-|-:|-:|-:|-:|",
    ]
    lines += [_step_line(row, peak) for row in _kind(rows, "step")]
    for row in _kind(rows, "epoch"):
        text = row.get("error") or ", ".join(
            f"{name.replace('_', ' ')} {row[name]:.4g}"
            for name in ("images_per_second", "waiting", "mfu", "memory")
            if name in row
        )
        lines += ["", f"Epochs from JPEGs of 500 px, `{row['config']}`: {text}"]
    return "\n".join(lines) + "\n"


def _kind(rows: list[dict], kind: str, dtype: str | None = None) -> list[dict]:
    return [row for row in rows if row["kind"] == kind and dtype in (None, row.get("dtype"))]


def _step_line(row: dict, peak: float | None) -> str:
    name = re.sub(r"^.*/|_\d+xb.*$", "", row["config"])
    start = f"| {name} | {'yes' if row['compiled'] else 'no'} |"
    if "error" in row:
        return f"{start} {row['error'].replace('|', '/')} | | | |"
    mfu = f"{row['flops_a_second'] / peak:.1%}" if peak else ""
    return (
        f"{start} {row['images_a_second']:.1f} | {row['memory_gib']:.2f} | "
        f"{row['flops_an_image'] / 1e9:.2f} | {mfu} |"
    )


def write(out: Path, record: dict) -> None:
    """Both files."""
    write_record(f"{out}.json", record)
    with written_aside(f"{out}.md") as partial:
        partial.write_text(tables(record), encoding="utf-8")


def main() -> None:
    args = parse_args()
    plan = SMALL if args.small or not torch.cuda.is_available() else LARGE
    values = vars(plan) | ({"batch_size": args.batch_size} if args.batch_size else {})
    plan = Plan(**values)
    record = {**machine(plan.device), "plan": values, "rows": []}
    for kind, what, how in tqdm(measurements(plan), desc="measurements", delay=3):
        row = {"kind": kind, **what}
        try:
            row |= how()
        except RuntimeError as error:
            row["error"] = str(error)
        record["rows"].append(row)
        write(args.out, record)
    print(tables(record))


if __name__ == "__main__":
    main()
