"""Time a pre-training step of one config against another, in one run.

A step is whole: preprocessing of uint8 images that lie on the device, forward with targets,
backward and optimiser. A second ratio is of the same steps with the same fused optimiser on both
sides, because the configs of mmpretrain have none. B may also be a classifier of mmpretrain, which
tells the cost of the dense encoder. Each config runs in a process of its own, so that the peak
memory is its own, and the two take turns (A B A B ...), so that the ratio holds when the speed of
the machine drifts.

Where a step goes is said for each part of the model, forward and backward: time, floating-point
operations, bytes that would move if nothing was fused (an upper bound), and the share of the speed
that this machine reaches in big matrix products.

Example, LocalMIM against mmpretrain's MAE:
  python tools/benchmarks/pretrain_step.py \\
      configs/localmim/localmim_vit-base-p16_8xb256-amp-coslr-1600e_in1k.py \\
      mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py --batch-size 8
"""

import argparse
import statistics
from dataclasses import replace

import torch
from contender import Contender
from records import machine, write_record
from tqdm import tqdm
from training_step import OPTIMIZER, Settings, build_step

from localmim.engine.matrix_ceiling import matrix_ceiling


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config A: a path, or PACKAGE::PATH as in _base_")
    parser.add_argument("against", help="config B")
    parser.add_argument("--batch-size", type=int, default=8, help="images a step (default: 8)")
    parser.add_argument("--size", type=int, help="side of A's images (default: its img_size)")
    parser.add_argument("--against-size", type=int, help="side of B's images (default: its own)")
    parser.add_argument("--steps", type=int, default=7, help="timed steps of each (default: 7)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (default: 2)")
    parser.add_argument(
        "--no-optimizer", action="store_true", help="leave the optimiser's part of a step out"
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the blocks of both, one by one"
    )
    parser.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="default: cuda where there is one",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="float32, or autocast to one of the others (default: float32)",
    )
    parser.add_argument("--out", help="JSON file for everything that was measured")
    args = parser.parse_args()
    if min(args.steps, args.batch_size, args.warmup) < 1:
        parser.error("--steps, --batch-size and --warmup start at 1")
    return args


def measure(args: argparse.Namespace) -> list[dict]:
    """Seconds of steps, peak memory (GiB) and parts of both configs."""
    settings = Settings(args.batch_size, args.device, args.dtype, compiled=args.compile)
    contenders, results = [], []
    for config, size in [(args.config, args.size), (args.against, args.against_size)]:
        contenders.append(Contender(config, build_step, config, replace(settings, size=size)))
        results.append({"config": config, "size": contenders[-1].ask("size"), "steps": []})
    # Memory before there is a second optimiser, whose state takes some.
    for _ in tqdm(range(args.warmup), desc="warm-up", unit="step", delay=3):
        for contender in contenders:
            contender.ask("time", False)
    for contender, result in zip(contenders, results, strict=True):
        result["memory"] = contender.ask("peak_memory")
        contender.ask("time")
    for _ in tqdm(range(args.steps), desc="steps of each", unit="step", delay=3):
        for contender, result in zip(contenders, results, strict=True):
            result["steps"].append(contender.ask("time"))
    for contender, result in zip(contenders, results, strict=True):
        result["parts"] = contender.ask("parts")
    return results


def whole(steps: list[dict], optimizer: str | None) -> list[float] | None:
    """Seconds of steps with one of the optimisers, or with none."""
    if optimizer is not None and optimizer not in steps[0]:
        return None
    return [step["gradients"] + (step[optimizer] if optimizer else 0.0) for step in steps]


def ratio(results: list[dict], optimizer: str | None) -> dict[str, float] | None:
    """A's time over B's, pair by pair; None where one has no such optimiser."""
    a, b = (whole(result["steps"], optimizer) for result in results)
    if a is None or b is None:
        return None
    ratios = [x / y for x, y in zip(a, b, strict=True)]
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def summary(results: list[dict], args: argparse.Namespace) -> dict:
    """The figures that are printed and written."""
    optimizer = None if args.no_optimizer else OPTIMIZER
    ratios = {"as configured": ratio(results, optimizer)}
    if not args.no_optimizer:
        ratios["same fused optimiser"] = ratio(results, "fused")
    ceiling = matrix_ceiling(args.device, getattr(torch, args.dtype))
    return {
        **machine(args.device),
        "settings": vars(args),
        "ceiling_flops": ceiling,
        "results": results,
        "time_ratio": ratios,
        "memory_ratio": results[0]["memory"] / results[1]["memory"],
    }


def report(record: dict) -> None:
    """Print medians, memory, the ratios, and where the steps go."""
    settings, batch = record["settings"], record["settings"]["batch_size"]
    what = "forward and backward" if settings["no_optimizer"] else "whole step"
    print(
        f"{record['device']}, {settings['dtype']}{', compiled' if settings['compile'] else ''}, "
        f"batch {batch}, {what}, median of {settings['steps']}"
    )
    for letter, result in zip("AB", record["results"], strict=True):
        size = "x".join(map(str, result["size"]))
        times = []
        for optimizer in (None,) if settings["no_optimizer"] else (OPTIMIZER, "fused"):
            spent = whole(result["steps"], optimizer)
            text = f"{statistics.median(spent) / batch * 1e3:.2f}" if spent else "-"
            times.append(f"{text} ms/image{' fused' if optimizer == 'fused' else ''}")
        print(
            f"{letter}: {', '.join(times)}, peak {result['memory']:.2f} GiB, {size} px, "
            f"{result['config']}"
        )
    for name, figures in record["time_ratio"].items():
        text = "one of them has none"
        if figures:
            text = f"{figures['median']:.3f} ({figures['least']:.3f} to {figures['most']:.3f})"
        print(f"time A / B, {name}: {text}")
    print(f"memory A / B: {record['memory_ratio']:.3f}")
    for letter, result in zip("AB", record["results"], strict=True):
        print_parts(letter, result["parts"], batch, record["ceiling_flops"])


def print_parts(letter: str, rows: list[dict], batch: int, ceiling: float) -> None:
    """A table of the parts of a step."""
    print(f"\n{letter}, parts, an image; 100 % of the ceiling are {ceiling / 1e9:.0f} GFLOP/s")
    print(f"{'part':<18}{'':<10}{'ms':>9}{'GFLOP':>9}{'MB':>9}{'ceiling':>9}")
    total = {key: sum(row[key] for row in rows) for key in ("seconds", "flops", "bytes")}
    for row in [*rows, {"part": "all", "direction": "", **total}]:
        share = row["flops"] / row["seconds"] / ceiling if row["seconds"] else 0.0
        print(
            f"{row['part']:<18}{row['direction']:<10}{row['seconds'] / batch * 1e3:>9.2f}"
            f"{row['flops'] / batch / 1e9:>9.2f}{row['bytes'] / batch / 1e6:>9.1f}{share:>9.1%}"
        )


def main() -> None:
    args = parse_args()
    record = summary(measure(args), args)
    report(record)
    if args.out:
        write_record(args.out, record)


if __name__ == "__main__":
    main()
