"""What pre-training is worth for its time: quality on labelled images by method and by minutes.

Every method pre-trains the same encoder on DATA/train without labels, for each of the budgets anew
with a schedule of that length. The clock is the whole process, loading, targets and start included:
seconds of the CPU (several trainings then share its cores, a thread each), or wall clock on a GPU.
Its features are then measured on DATA/val:

- a linear probe of every second block (mean over positions, standardised) with 1 %, 10 % and all
  labels of DATA/train, and the nearest neighbours of all;
- fine-tuning with a part of the labels.

Beside them stand random weights, grey levels and HOG. Scores are the area under the ROC curve (AUC)
where there are two classes, else balanced accuracy. The learning rate of each method is the best of
--lrs by linear probes on a held-out part of DATA/train, with the smallest budget and a seed of its
own.

What is done is kept in --work-dir: called again with the same arguments it goes on.

Example, on photographs of solar cells:
  python tools/fetch_elpv.py data/elpv
  python tools/benchmarks/acceleration.py --data data/elpv --minutes 3 6 12 --seeds 3
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from acceleration_report import write_report
from label_quality import (
    LabelledImages,
    block_features,
    few_labels,
    load_images,
    probes,
    raw_features,
)
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from records import machine, write_record
from torch import nn
from tqdm import tqdm

from localmim.analysis import load_trained
from localmim.analysis.labelled import LabelledFolder, labelled_folder
from localmim.engine import settle_image_size

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "demo"
SUFFIX = "1xb64-coslr-2k_scenes"
METHODS = {
    "localmim": f"localmim_vit-mini-p8_{SUFFIX}",
    "mae": f"mae_vit-mini-p8_{SUFFIX}",
    "maskfeat": f"maskfeat-sparse_vit-mini-p8_{SUFFIX}",
    "lomar": f"lomar_vit-mini-p8_{SUFFIX}",
}
FINETUNE = "vit-mini-p8_1xb32-coslr-300_scenes"
SIZE = 64  # pixels, of these configs
SHARES, DRAWS = (0.01, 0.1, 1.0), 5
CALIBRATION = (10, 60)  # iterations
WARM_UP = 100
SEARCH_SEED = 1000


@dataclass(frozen=True)
class Job:
    """One pre-training with what is measured of it; ``minutes`` 0 are random weights."""

    method: str
    minutes: float
    seed: int
    lr: float

    def folder(self, work_dir: Path) -> Path:
        """Where it runs."""
        return work_dir / self.method / f"{self.minutes:g}min_lr{self.lr:g}_seed{self.seed}"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", required=True, type=Path, help="folder with train/CLASS and val/CLASS"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=["localmim", "mae", "maskfeat"],
        help="what is compared (default: localmim mae maskfeat)",
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
    parser.add_argument("--work-dir", type=Path, help="(default: work_dirs/acceleration/DATA)")
    parser.add_argument("--out", type=Path, help="JSON, beside it .md and .png with the same name")
    args = parser.parse_args()
    args.data = args.data.absolute()
    args.work_dir = args.work_dir or ROOT / "work_dirs" / "acceleration" / args.data.name
    args.work_dir = args.work_dir.absolute()
    if min(args.minutes) <= 0 or args.seeds < 1 or args.jobs < 1:
        parser.error("--minutes are above 0, --seeds and --jobs start at 1")
    return args


def train(config: str, folder: Path, options: Sequence[str]) -> float:
    """Run a config; the seconds that it took, of the CPU or by the clock of a GPU's.

    Raises:
        RuntimeError: it failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "tools/train.py", str(CONFIGS / f"{config}.py")]
    command += ["--work-dir", str(folder), "--cfg-options", *options]
    on_gpu = torch.cuda.is_available()
    environment = dict(os.environ) | ({} if on_gpu else {"OMP_NUM_THREADS": "1"})
    begun = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{config} failed, see {folder / 'log.txt'}")
    return time.perf_counter() - begun if on_gpu else used.ru_utime + used.ru_stime


def length_options(iterations: int) -> list[str]:
    """Settings of a schedule of so many iterations."""
    warm_up = max(1, min(WARM_UP, iterations // 10))
    return [
        f"train_cfg.max_iters={iterations}",
        f"train_cfg.val_interval={iterations + 1}",
        f"param_scheduler.0.end={warm_up}",
        f"param_scheduler.1.begin={warm_up}",
    ]


def pretrain(job: Job, args: argparse.Namespace, iterations: int, folder: Path) -> float:
    """Pre-train for so many iterations; the seconds."""
    options = [
        *length_options(iterations),
        f"train_dataloader.dataset.data_root={args.data / 'train'}",
        f"optim_wrapper.optimizer.lr={job.lr}",
        f"randomness.seed={job.seed}",
        *args.cfg_options,
    ]
    return train(METHODS[job.method], folder, options)


def calibrate(method: str, args: argparse.Namespace) -> dict[str, float]:
    """Seconds of an iteration, and of everything else; measured once."""
    kept = args.work_dir / method / "rate.json"
    if not kept.exists():
        job = Job(method, 0, 0, args.lrs[0])
        folder = args.work_dir / method / "rate"
        short, long = (pretrain(job, args, n, folder) for n in CALIBRATION)
        rate = (long - short) / (CALIBRATION[1] - CALIBRATION[0])
        write_record(kept, {"iteration": rate, "start": short - rate * CALIBRATION[0]})
    return json.loads(kept.read_text())


def load_encoder(job: Job, args: argparse.Namespace) -> tuple[nn.Module, nn.Module]:
    """The backbone of a training that has run, or a random one, and the preprocessor."""
    if job.minutes:
        checkpoint = (job.folder(args.work_dir) / "last_checkpoint").read_text()
        model, _ = load_trained(checkpoint)
    else:
        init_default_scope("mmpretrain")
        MMLogger.get_instance("acceleration", log_level="WARNING")
        cfg = Config.fromfile(CONFIGS / f"{METHODS['localmim']}.py")
        settle_image_size(cfg)
        torch.manual_seed(job.seed)
        model = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
        model.init_weights()
    return model.backbone, model.data_preprocessor


def finetune(
    job: Job, args: argparse.Namespace, folder: LabelledFolder, share: float
) -> dict[str, float | str]:
    """Fine-tune with a part of the labels, drawn by the seed."""
    place = job.folder(args.work_dir) / f"finetune_{share:g}"
    labels = torch.tensor([label for _, label in folder.train])
    for number in few_labels(labels, share, job.seed).tolist():
        path, label = folder.train[number]
        link = place.with_name(f"labels_{share:g}") / folder.classes[label] / f"{number}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
    metric = "auc" if len(folder.classes) == 2 else "balanced_accuracy"
    start = "model.backbone.init_cfg=None"
    if job.minutes:
        checkpoint = (job.folder(args.work_dir) / "last_checkpoint").read_text()
        start = f"model.backbone.init_cfg.checkpoint={checkpoint}"
    options = [
        f"train_dataloader.dataset.data_root={place.with_name(f'labels_{share:g}')}",
        f"val_dataloader.dataset.data_root={args.data / 'val'}",
        f"test_dataloader.dataset.data_root={args.data / 'val'}",
        f"model.head.num_classes={len(folder.classes)}",
        f"data_preprocessor.num_classes={len(folder.classes)}",
        f"randomness.seed={job.seed}",
        start,
    ]
    train(FINETUNE, place, options)
    (record,) = place.rglob("scalars.json")
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    found = next(row[metric] for row in reversed(rows) if metric in row)
    for checkpoint in place.glob("*.pth"):
        checkpoint.unlink()
    return {"kind": "finetune", "block": None, "share": share, "draw": job.seed, "score": found}


def run(
    job: Job, args: argparse.Namespace, folder: LabelledFolder, shares: Sequence[float]
) -> dict:
    """Pre-train and fine-tune, each in a process of its own."""
    record = asdict(job) | {"iterations": 0, "seconds": 0.0}
    place = job.folder(args.work_dir)
    if job.minutes:
        rate = calibrate(job.method, args)
        left = 60 * job.minutes - rate["start"]
        record["iterations"] = max(2, round(left / rate["iteration"]))
        record["seconds"] = pretrain(job, args, record["iterations"], place)
    place.mkdir(parents=True, exist_ok=True)
    record["rows"] = [finetune(job, args, folder, share) for share in shares]
    return record


def measured(
    jobs: Sequence[Job], args: argparse.Namespace, root: Path, searching: bool = False
) -> Iterator[dict]:
    """Records of jobs, several of which run at once; those that are done are not run again.

    Args:
        jobs: in the order in which they begin.
        args: of the command line.
        root: of the labelled images.
        searching: whether all that is asked for is the linear probe with all labels.
    """
    folder = labelled_folder(root, sys.maxsize)
    data = load_images(folder, SIZE)
    shares, draws, tuned = ((1.0,), 1, ()) if searching else (SHARES, DRAWS, args.finetune)
    end = "_search.json" if searching else ".json"
    kept = {job: job.folder(args.work_dir).with_name(job.folder(Path()).name + end) for job in jobs}
    waiting = [job for job in jobs if not kept[job].exists()]
    with ThreadPoolExecutor(args.jobs) as pool:
        running = {pool.submit(run, job, args, folder, tuned): job for job in waiting}
        for done in tqdm(as_completed(running), total=len(running), desc="trainings"):
            job, record = running[done], done.result()
            encoder, preprocessor = load_encoder(job, args)
            features = [block_features(encoder, preprocessor, x) for x in (data.train, data.val)]
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
        data = load_images(labelled_folder(args.data, sys.maxsize), SIZE)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: --data: {error}") from error
    args.work_dir.mkdir(parents=True, exist_ok=True)
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
    records = list(measured(jobs, args, args.data))
    report = {
        "machine": machine("cuda" if torch.cuda.is_available() else "cpu"),
        "data": args.data.name,
        "images": [len(data.train), len(data.val)],
        "measure": "AUC" if data.classes == 2 else "balanced accuracy",
        "lr": rates,
        "raw": raw_rows(data),
        "records": sorted(records, key=lambda r: (r["method"], r["minutes"], r["seed"])),
    }
    write_report(args.out or args.work_dir / "acceleration.json", report)


if __name__ == "__main__":
    main()
