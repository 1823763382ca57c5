"""Trainings that are killed, again and again, and what is left of them.

As a program (``make torture``) it kills as often as it is told, with a line for each kill:

    python tests/interruptions.py DATA_FOLDER --kills 30
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from runs import build, config

from localmim.checkpoints import load_from_file
from localmim.engine.resuming import newest_checkpoint

COMMON = {
    "train_dataloader.batch_size": 3,  # of 8 images: 3 iterations an epoch
    "train_dataloader.num_workers": 2,
    "default_hooks.checkpoint.max_keep_ckpts": 1,
    "optim_wrapper.accumulative_counts": 2,
}
LOOPS = ("epochs", "iterations")


def interrupted_config(loop: str, iterations: int, work_dir: Path, data: Path, **changes) -> Config:
    """A training that saves all the time and keeps one checkpoint."""
    cfg = config(work_dir, data, **COMMON | changes)
    saving = cfg.default_hooks.checkpoint
    if loop == "epochs":
        cfg.train_cfg.max_epochs = iterations // 3
        saving.recovery_minutes = 0.0005  # amid epochs
        return cfg
    saving.update(by_epoch=False, interval=3)
    cfg.train_cfg = dict(by_epoch=False, max_iters=iterations)
    cfg.train_dataloader.sampler = dict(type="InfiniteSampler", shuffle=True)
    cfg.log_processor = dict(by_epoch=False)
    for scheduler in cfg.param_scheduler:
        scheduler.update(by_epoch=False, convert_to_iter_based=False)
    cfg.param_scheduler[1].update(T_max=iterations - 1, end=iterations)
    return cfg


def iterations_of(cfg: Config) -> int:
    """How many the training of an ``interrupted_config`` has."""
    return cfg.train_cfg.get("max_iters") or 3 * cfg.train_cfg.max_epochs


def last_checkpoint(work_dir: Path) -> Path:
    """The one that ``last_checkpoint`` names."""
    return Path((work_dir / "last_checkpoint").read_text())


class Training:
    """A training in a process of its own, forked: importing everything takes longer than it.

    Used as a context, after which nothing of it runs any more.
    """

    def __init__(self, cfg: Config) -> None:
        self.work_dir = Path(cfg.work_dir)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._train(cfg))
        with suppress(OSError):  # whichever of both is first
            os.setpgid(self.pid, self.pid)

    def _train(self, cfg: Config) -> int:
        with suppress(OSError):
            os.setpgid(0, 0)
        self.work_dir.mkdir(parents=True, exist_ok=True)
        output = os.open(self.work_dir / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
        torch.set_num_threads(1)
        try:
            build(cfg).train()
        except SystemExit as end:
            return end.code
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def __enter__(self) -> "Training":
        return self

    def __exit__(self, *_) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def output(self) -> str:
        path = self.work_dir / "output.txt"
        return path.read_text() if path.exists() else ""

    def ended(self) -> bool:
        """Whether it has, without waiting."""
        if not hasattr(self, "status"):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return hasattr(self, "status")

    def wait(self, seconds: float = 120) -> int:
        """The exit code, negative for a signal."""
        end = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > end:
                raise TimeoutError(f"still running after {seconds} s:\n{self.output()[-2000:]}")
            time.sleep(0.002)
        return self.status

    def wait_until(self, happens: Callable[[], bool], seconds: float = 120) -> bool:
        """Whether something happens before the training ends."""
        end = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < end:
            if happens():
                return True
            time.sleep(0.0005)
        return False

    def steps(self) -> int:
        """How many it and those before it in this folder have logged."""
        return self.output().count("(train) ")

    def saves(self) -> bool:
        """Whether it is writing a checkpoint now."""
        return any(self.work_dir.glob(".*.partial.pth"))


@dataclass(frozen=True)
class Kill:
    """One kill and what was left.

    Attributes:
        saving: whether it was to come while a checkpoint was written.
        torn: whether it did, which an unfinished file shows.
        iteration: of the newest checkpoint that loads.
        lost: whether that is older than what was there before.
    """

    saving: bool
    torn: bool
    iteration: int
    lost: bool


def kill_again_and_again(
    make: Callable[..., Config], kills: int, chance: random.Random
) -> Iterator[Kill]:
    """Kill a training that resumes each time, every second time while it saves.

    Args:
        make: the config, with changes as keywords.
        kills: how often.
        chance: decides the moments, counted in iterations: what seconds bring depends on the
            machine. The first comes after a checkpoint; later ones may come while one is loaded.
    """
    newest, share = 0, iterations_of(make()) // (kills + 1)
    for number in range(kills):
        work_dir = Path(make().work_dir)
        saving = number % 2 == 1
        with Training(make(resume=any(work_dir.glob("*.pth")))) as training:
            more = chance.randint(0 if newest else 4, share)
            last = training.steps() + more

            def due(last=last, saving=saving, training=training) -> bool:
                return training.steps() >= last and (training.saves() or not saving)

            training.wait_until(due)
            time.sleep(chance.uniform(0, 0.01 if saving else 0.05 if more else 2))
            if training.ended():
                raise RuntimeError(f"the training ended by itself:\n{training.output()[-3000:]}")
            os.kill(training.pid, signal.SIGKILL)
            training.wait()
            torn = training.saves()
        path, _ = newest_checkpoint(work_dir)
        iteration = load_from_file(path)["meta"]["iter"] if path else 0
        yield Kill(saving, torn, iteration, iteration < newest)
        newest = iteration


def same_weights(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold equal weights and averages of the optimiser, bit by bit."""
    first, second = load_from_file(one), load_from_file(other)
    weights = all(x.equal(second["state_dict"][n]) for n, x in first["state_dict"].items())
    states = (c["optimizer"]["state"] for c in (first, second))
    averages = all(
        a[k].equal(b[k]) for a, b in zip(*(s.values() for s in states), strict=True) for k in a
    )
    return weights and averages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder of images")
    parser.add_argument("--kills", type=int, default=30, help="of each loop (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments (default: 0)")
    args = parser.parse_args()
    failed = 0
    for loop in LOOPS:
        with tempfile.TemporaryDirectory() as folder:
            failed += not _report(loop, Path(folder), args)
    return failed


def _report(loop: str, folder: Path, args: argparse.Namespace) -> bool:
    length = 24 * args.kills  # more than a life has time for

    def make(name: str = "killed", **changes) -> Config:
        return interrupted_config(loop, length, folder / name, args.data.absolute(), **changes)

    start, kills = time.monotonic(), []
    for kill in kill_again_and_again(make, args.kills, random.Random(args.seed)):
        kills.append(kill)
        print(f"{loop}: kill {len(kills)}: {kill}", flush=True)
    same = finish_and_compare(make)
    print(
        f"{loop}: {len(kills)} kills, {sum(k.torn for k in kills)} of them while a checkpoint was "
        f"written; checkpoints lost: {sum(k.lost for k in kills)}; final weights equal to those of "
        f"an uninterrupted training: {same} ({time.monotonic() - start:.0f} s)",
        flush=True,
    )
    return same and not any(kill.lost for kill in kills)


def finish_and_compare(make: Callable[..., Config]) -> bool:
    """Let a killed training come to its end; whether one that was not killed gives the same."""
    work_dirs = []
    for cfg in (make(resume=True), make("whole")):
        with Training(cfg) as training:
            if training.wait(300) != 0:
                raise RuntimeError(f"the training failed:\n{training.output()[-3000:]}")
            work_dirs.append(training.work_dir)
    return same_weights(*map(last_checkpoint, work_dirs))


if __name__ == "__main__":
    sys.exit(main())
