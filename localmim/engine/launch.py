"""What the command-line tools that run a config share."""

import argparse
import atexit
import os
import time
from datetime import timedelta
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import init_dist
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .sharding import WRAPPER


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, and the arguments that every run of one takes."""
    parser.add_argument("config", help="path of the config file")
    parser.add_argument(
        "--work-dir", help="folder of logs and checkpoints (default: work_dirs/CONFIG_NAME)"
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


def parse_config_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line and make sure that the config exists."""
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    if not Path(args.config).is_file():
        parser.error(f"config {args.config!r} does not exist")
    return args


def load_config(args: argparse.Namespace) -> Config:
    """The config with what the shared arguments say merged into it."""
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs", Path(args.config).stem))
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """The runner of a config, whose scope decides which library's models it trains."""
    if cfg.get("launcher") == "pytorch":
        _join_processes(cfg)
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


def _join_processes(cfg: Config) -> None:
    """Join the processes of torch's launcher, also where there is no GPU or after a restart.

    mmengine's own start calls CUDA unconditionally. And the launcher keeps one store of addresses
    over its restarts, in which processes that started again would find those that have died: each
    start has its own part of the store.
    """
    # gloo's threads let go of their last tensors some time after an operation. One that does so
    # while Python ends aborts the process, and the launcher takes that for a failed training.
    atexit.register(time.sleep, 0.2)
    settings = dict(cfg.get("env_cfg", {}).get("dist_cfg", {}))
    store, rank, world_size = next(torch.distributed.rendezvous("env://"))
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    place = dict(
        store=torch.distributed.PrefixStore(f"restart_{restarts}", store),
        rank=rank,
        world_size=world_size,
    )
    if torch.cuda.is_available():
        init_dist("pytorch", **settings, **place)
        return
    if (seconds := settings.get("timeout")) is not None:
        place["timeout"] = timedelta(seconds=seconds)
    torch.distributed.init_process_group("gloo", **place)
    if (cfg.get("model_wrapper_cfg") or {}).get("type") != WRAPPER:
        cfg.model_wrapper_cfg = dict(type="MMDistributedDataParallel", device_ids=None)
