"""What pre-training is worth for its time: quality on labelled images by method and by minutes.

Every method pre-trains the same encoder on DATA/train without labels, for each of the budgets anew
with a schedule of that length. The clock is the whole process, loading, targets and start included:
seconds of the CPU (several trainings then share its cores, a thread each), or wall clock on a GPU.
Its features are then measured on DATA/val:

- a linear probe of every second block (mean over positions, standardised) with 1 %, 10 % and all
  labels of DATA/train, and the nearest neighbours of all;
- fine-tuning with a part of the labels; beside it "scratch", which spends the minutes of
  pre-training on fine-tuning for longer;
- of the scenes the mIoU of UperNet.

Beside them stand random weights, grey levels and HOG. Scores are the area under the ROC curve (AUC)
where there are two classes, else balanced accuracy. The learning rate of each method is the best of
--lrs by linear probes on a held-out part of DATA/train, with the smallest budget and a seed of its
own.

What is done is kept in --work-dir: called again with the same arguments it goes on, with more
seeds, budgets or shares of the labels it adds those.

Example, on photographs of solar cells, which are fetched first:
  python tools/benchmarks/acceleration.py --data elpv --minutes 3 6 12 --seeds 3
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path

import torch
from acceleration_report import write_report
from acceleration_runs import (
    FAMILIES,
    ROOT,
    SCRATCH,
    Job,
    calibrate,
    finetune,
    load_encoder,
    pretrain,
    segment,
)
from known_data import provided
from label_quality import (
    LabelledImages,
    block_features,
    load_images,
    probes,
    raw_features,
)
from records import machine, write_record
from tqdm import tqdm

from localmim.analysis.labelled import LabelledFolder, labelled_folder

SHARES, DRAWS = (0.01, 0.1, 1.0), 5
SEARCH_SEED = 1000


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        required=True,
        help="folder with train/CLASS and val/CLASS; elpv, photographs of solar cells, are fetched "
        "into data/elpv, and scenes drawn into data/scenes, where they are not there (folders of "
        "your own with these names: ./elpv, ./scenes)",
    )
    parser.add_argument(
        "--encoder", choices=FAMILIES, default="vit", help="what is pre-trained (default: vit)"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="what is compared; NAME=FILE.py is a config of your own (default: all there are)",
    )
    parser.add_argument(
        "--minutes",
        nargs="+",
        type=float,
        default=[3.0, 6.0, 12.0],
        help="budgets of a pre-training (default: 3 6 12)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="pre-trainings each (default: 3)")
    parser.add_argument(
        "--lrs",
        nargs="+",
        type=float,
        default=[7.5e-4, 1.5e-3, 3e-3],
        help="learning rates that are tried (default: 7.5e-4 1.5e-3 3e-3)",
    )
    parser.add_argument(
        "--finetune",
        nargs="*",
        type=float,
        default=[0.1],
        metavar="SHARE",
        help="shares of the labels for fine-tuning (default: 0.1)",
    )
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once (default: 2)")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for all pre-trainings"
    )
    parser.add_argument(
        "--work-dir", type=Path, help="(default: work_dirs/acceleration/DATA_ENCODER)"
    )
    parser.add_argument("--out", type=Path, help="JSON, beside it .md and .png with the same name")
    args = parser.parse_args()
    args.family = FAMILIES[args.encoder]
    args.methods = getattr(args, "methods", list(args.family.methods))
    own = dict(method.split("=", 1) for method in args.methods if "=" in method)
    args.methods = [method.split("=")[0] for method in args.methods]
    known = args.family.methods | {name: str(Path(path).absolute()) for name, path in own.items()}
    args.family = replace(args.family, methods=known)
    for method in args.methods:
        if method not in known:
            theirs = ", ".join(FAMILIES[args.encoder].methods)
            parser.error(
                f"--methods {method}: of {args.encoder} there are {theirs}; NAME=FILE.py is a "
                "config of your own"
            )
        if method in own and not Path(known[method]).is_file():
            parser.error(f"--methods {method}={own[method]}: there is no such file")
    args.name = Path(args.data).name
    default = ROOT / "work_dirs" / "acceleration" / f"{args.name}_{args.encoder}"
    args.work_dir = args.work_dir or default
    args.work_dir = args.work_dir.absolute()
    if min(args.minutes) <= 0 or args.seeds < 1 or args.jobs < 1:
        parser.error("--minutes are above 0, --seeds and --jobs start at 1")
    try:
        args.data, args.maps = provided(args.data)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        parser.error(f"--data: {error}")
    return args


def run(
    job: Job,
    args: argparse.Namespace,
    folder: LabelledFolder,
    wanted: Sequence[tuple[str, float]],
    kept: Path,
) -> dict:
    """Pre-train, and fine-tune as is wanted, each in a process of its own; what is done is kept."""
    if kept.exists():
        record = json.loads(kept.read_text())
    else:
        record = asdict(job) | {"iterations": 0, "seconds": 60 * job.minutes, "rows": []}
        place = job.folder(args.work_dir)
        if job.minutes and job.method != SCRATCH:
            rate = calibrate(job.method, args)
            left = 60 * job.minutes - rate["start"]
            record["iterations"] = max(2, round(left / rate["iteration"]))
            record["seconds"] = pretrain(job, args, record["iterations"], place)
        place.mkdir(parents=True, exist_ok=True)
        write_record(kept, record)
    for kind, share in missing(record, wanted):
        new = segment(job, args) if kind == "segmentation" else finetune(job, args, folder, share)
        record["rows"].append(new)
        write_record(kept, record)
    return record


def missing(record: dict, wanted: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Kinds and shares that were not measured yet; nothing but fine-tuning is for SCRATCH."""
    found = {(row["kind"], row["share"]) for row in record["rows"]}
    of_it = [w for w in wanted if record["method"] != SCRATCH or w[0] == "finetune"]
    return [want for want in of_it if want not in found]


def measured(
    jobs: Sequence[Job], args: argparse.Namespace, root: Path, searching: bool = False
) -> Iterator[dict]:
    """Records of jobs, several of which run at once; what is done is not run again.

    Args:
        jobs: in the order in which they begin.
        args: of the command line.
        root: of the labelled images.
        searching: whether all that is asked for is the linear probe with all labels.
    """
    folder = labelled_folder(root, sys.maxsize)
    data = load_images(folder, args.family.size)
    shares, draws, tuned = ((1.0,), 1, []) if searching else (SHARES, DRAWS, args.tuned)
    end = "_search.json" if searching else ".json"
    kept = {job: job.folder(args.work_dir).with_name(job.folder(Path()).name + end) for job in jobs}
    with ThreadPoolExecutor(args.jobs) as pool:
        running = {pool.submit(run, job, args, folder, tuned, kept[job]): job for job in jobs}
        for done in tqdm(as_completed(running), total=len(running), desc="trainings"):
            job, record = running[done], done.result()
            if job.method != SCRATCH and missing(record, [("linear", 1.0)]):
                model = load_encoder(job, args)
                features = [block_features(*model, x) for x in (data.train, data.val)]
                record["rows"] += list(probes(*features, data, shares, draws))
                write_record(kept[job], record)
    yield from (json.loads(path.read_text()) for path in kept.values())


def best_rates(args: argparse.Namespace) -> dict[str, float]:
    """The learning rate of each method."""
    if len(args.lrs) == 1:
        return dict.fromkeys(args.methods, args.lrs[0])
    jobs = [Job(m, min(args.minutes), SEARCH_SEED, lr) for m in args.methods for lr in args.lrs]
    found: dict[str, dict[float, float]] = {}
    # A quarter of the training images stands in for those of validation.
    for record in measured(jobs, args, args.data / "train", searching=True):
        scores = [row["score"] for row in record["rows"] if row["kind"] == "linear"]
        found.setdefault(record["method"], {})[record["lr"]] = max(scores)
    for method, scores in found.items():
        text = ", ".join(f"{lr:g}: {x:.1f}" for lr, x in sorted(scores.items()))
        print(f"{method}: {text}")
    return {method: max(scores, key=scores.get) for method, scores in found.items()}


def raw_rows(data: LabelledImages) -> dict[str, list[dict]]:
    """Probes of what needs no training."""
    both = zip(raw_features(data.train).items(), raw_features(data.val).values(), strict=True)
    return {name: list(probes([a], [b], data, SHARES, DRAWS)) for (name, a), b in both}


def main() -> None:
    args = parse_args()
    try:
        data = load_images(labelled_folder(args.data, sys.maxsize), args.family.size)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: --data: {error}") from error
    args.work_dir.mkdir(parents=True, exist_ok=True)
    args.tuned = [("finetune", share) for share in args.finetune]
    args.tuned += [("segmentation", 1.0)] if args.maps and args.family.segmentation else []
    with ThreadPoolExecutor(args.jobs) as pool:
        speeds = pool.map(lambda method: calibrate(method, args), args.methods)
        list(tqdm(speeds, total=len(args.methods), desc="speed"))
    rates = best_rates(args)
    jobs = [Job("random", 0, seed, 0) for seed in range(args.seeds)]
    jobs += [
        Job(method, minutes, seed, rates[method])
        for seed in range(args.seeds)
        for minutes in args.minutes
        for method in args.methods
    ]
    if args.finetune:
        jobs += [
            Job(SCRATCH, minutes, seed, 0) for seed in range(args.seeds) for minutes in args.minutes
        ]
    records = list(measured(jobs, args, args.data))
    report = {
        "machine": machine("cuda" if torch.cuda.is_available() else "cpu"),
        "data": args.name,
        "encoder": args.encoder,
        "images": [len(data.train), len(data.val)],
        "measure": "AUC" if data.classes == 2 else "balanced accuracy",
        "lr": rates,
        "raw": raw_rows(data),
        "records": sorted(records, key=lambda r: (r["method"], r["minutes"], r["seed"])),
    }
    write_report(args.out or args.work_dir / "acceleration.json", report)


if __name__ == "__main__":
    main()
