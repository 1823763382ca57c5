"""Train a model from a config file, on one device or many."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python tools/train.py configs/localmim/"
        "localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py "
        "--cfg-options train_dataloader.dataset.data_root=/path/to/images",
    )
    parser.add_argument("config", help="path of the config file")
    parser.add_argument(
        "--work-dir", help="folder of logs and checkpoints (default: work_dirs/CONFIG_NAME)"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint; without a value, from the latest one in the work dir",
    )
    parser.add_argument(
        "--amp",
        action="store_true",
        help="mixed precision: bfloat16 where the GPU has it, else float16",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of the config, e.g. train_dataloader.batch_size=64 "
        'train_cfg.max_epochs=100; lists as key="[a,b]", without white space',
    )
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="what started the processes (default: none, a single process)",
    )
    # torch's launcher passes the rank on this process's machine.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    if not Path(args.config).is_file():
        parser.error(f"config {args.config!r} does not exist")
    return args


def load_config(args: argparse.Namespace) -> Config:
    """The config with what the command line says merged into it."""
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs", Path(args.config).stem))
    if args.amp:
        cfg.optim_wrapper.type = "MixedPrecisionOptimWrapper"
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == "auto" else args.resume
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def start_cpu_processes(cfg: Config) -> None:
    """Join the launcher's processes on a machine without GPUs, where mmengine's own start fails."""
    torch.distributed.init_process_group("gloo")
    cfg.model_wrapper_cfg = dict(type="MMDistributedDataParallel", device_ids=None)


def main() -> None:
    cfg = load_config(parse_args())
    if cfg.launcher == "pytorch" and not torch.cuda.is_available():
        start_cpu_processes(cfg)
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    runner.train()


if __name__ == "__main__":
    main()
