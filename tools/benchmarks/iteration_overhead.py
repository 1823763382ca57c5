"""What the runner costs a training iteration: hooks, logging, the guard of the optimiser's step.

Iterations of a pre-training config's runner, with all of its hooks, take turns with bare steps of
the same model on the same batches: preprocessing, forward, backward and optimiser in a loop that
does nothing else. Loading is left out on both sides. What each hook takes is said, and which lines
read values of tensors on the host: on a GPU each of them waits for what the device has still to do.

Example:
  python tools/benchmarks/iteration_overhead.py \\
      configs/localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py --batch-size 8
"""

import argparse
import contextlib
import io
import itertools
import statistics
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import LOOPS, RUNNERS
from pictures import write_pictures
from records import machine, write_record
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm import tqdm

from localmim.engine.image_size import training_steps
from localmim.engine.loops import ResumableEpochLoop
from localmim.engine.matrix_ceiling import seconds
from localmim.engine.sampling import seed_step

TOLD = ("before_train_iter", "after_train_iter")
READING = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="a pre-training config")
    parser.add_argument("--batch-size", type=int, default=8, help="images a step (default: 8)")
    parser.add_argument(
        "--iterations", type=int, default=20, help="iterations a turn (default: 20)"
    )
    parser.add_argument("--turns", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--out", help="JSON file for everything that was measured")
    args = parser.parse_args()
    if min(args.batch_size, args.iterations, args.turns) < 1:
        parser.error("--batch-size, --iterations and --turns start at 1")
    return args


class Reads(TorchDispatchMode):
    """Counts where values of tensors are read on the host, by the innermost line of Python."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator.overloadpacket.__name__ in READING:
            self.places[_place()] += 1
        return operator(*args, **kwargs or {})


def _place() -> str:
    """The innermost line that is neither torch's nor this file's."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if "torch" not in path.parts and path.name != Path(__file__).name:
            return f"{'/'.join(path.parts[-3:])}:{frame.lineno} {frame.name}"
    return "elsewhere"


@LOOPS.register_module(force=True)  # a process may import this file and run it as well
class TakingTurns(ResumableEpochLoop):
    """Iterations as the runner does them, and bare steps, on a few batches that are there already.

    Args:
        iterations: of a turn.
        turns: of each.
    """

    def __init__(self, *args, iterations: int, turns: int, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.iterations, self.turns = iterations, turns
        self.device = next(self.runner.model.parameters()).device
        self.hooks: dict[str, list[float]] = defaultdict(list)

    def run(self) -> nn.Module:
        runner = self.runner
        runner.call_hook("before_train")
        runner.call_hook("before_train_epoch")
        runner.model.train()
        batches = list(itertools.islice(self.dataloader.start_at(self.seed, 0, 0), 4))
        self.record = self._measure(itertools.cycle(batches))
        return runner.model

    def _measure(self, batches) -> dict[str, Any]:
        def turn(step: Callable[[Any], None]) -> float:
            drawn = list(itertools.islice(batches, self.iterations))
            return seconds(lambda: [step(batch) for batch in drawn], self.device) / self.iterations

        for step in (self._iteration, self._bare):
            for batch in itertools.islice(batches, 3):
                step(batch)
        with self._hooks_timed():
            pairs = [
                (turn(self._iteration), turn(self._bare))
                for _ in tqdm(range(self.turns), desc="turns of each", unit="turn", delay=3)
            ]
        reads = {}
        for name, step in {"runner": self._iteration, "bare": self._bare}.items():
            with Reads() as counting:
                step(next(batches))
            reads[name] = dict(counting.places.most_common())
        return {
            "runner_seconds": [a for a, _ in pairs],
            "bare_seconds": [b for _, b in pairs],
            "hook_seconds": {
                k: sum(v) / self.iterations / self.turns for k, v in self.hooks.items()
            },
            "reads": reads,
        }

    def _iteration(self, batch) -> None:
        seed_step(self.seed, self._iter)
        self.run_iter(self._iter, batch)

    def _bare(self, batch) -> None:
        model, wrapper = self.runner.model, self.runner.optim_wrapper
        dtype = getattr(wrapper, "cast_dtype", None)
        amp = hasattr(wrapper, "cast_dtype")
        with torch.autocast(self.device.type, dtype, enabled=amp):
            losses = model(**model.data_preprocessor(batch, training=True), mode="loss")
        sum(loss.mean() for loss in losses.values()).backward()
        wrapper.optimizer.step()
        wrapper.optimizer.zero_grad()

    @contextlib.contextmanager
    def _hooks_timed(self):
        for hook in self.runner.hooks:
            for name in TOLD:
                setattr(hook, name, self._timed(getattr(hook, name), type(hook).__name__))
        yield
        for hook in self.runner.hooks:
            for name in TOLD:
                delattr(hook, name)

    def _timed(self, method: Callable, name: str) -> Callable:
        def call(*args, **kwargs):
            begun = time.perf_counter()
            method(*args, **kwargs)
            self.hooks[name].append(time.perf_counter() - begun)

        return call


def measure(args: argparse.Namespace, folder: Path) -> dict:
    """Build the runner on pictures made for this, and let its loop measure."""
    write_pictures(folder / "pictures", 256, 4 * args.batch_size)
    cfg = Config.fromfile(args.config)
    cfg.work_dir, cfg.log_level = str(folder / "run"), "WARNING"
    cfg.train_cfg = dict(
        type="TakingTurns", max_epochs=1000, iterations=args.iterations, turns=args.turns
    )
    loader = cfg.train_dataloader
    loader.update(batch_size=args.batch_size, num_workers=0)
    loader.dataset = dict(
        type="UnlabelledImages",
        data_root=str(folder / "pictures"),
        pipeline=training_steps(cfg),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        runner = RUNNERS.build(cfg)
        runner.train()
    return runner.train_loop.record


def report(record: dict) -> None:
    """Print the ratio, the hooks' time and where the host reads."""
    runner, bare = (statistics.median(record[f"{k}_seconds"]) for k in ("runner", "bare"))
    ratio = record["time_ratio"]
    print(f"{record['device']}, batch {record['settings']['batch_size']}")
    print(f"runner: {runner * 1e3:.2f} ms an iteration; bare step: {bare * 1e3:.2f} ms")
    print(f"runner / bare: {ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['most']:.3f})")
    print("\nhook                          ms an iteration")
    for name, spent in sorted(record["hook_seconds"].items(), key=lambda pair: -pair[1]):
        print(f"{name:<30}{spent * 1e3:>15.3f}")
    print(f"{'all':<30}{sum(record['hook_seconds'].values()) * 1e3:>15.3f}")
    for name, places in record["reads"].items():
        print(f"\nvalues read on the host in an iteration, {name}: {sum(places.values())}")
        for place, count in places.items():
            print(f"{count:>4}  {place}")


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(args, Path(folder))
    pairs = zip(measured["runner_seconds"], measured["bare_seconds"], strict=True)
    ratios = [a / b for a, b in pairs]
    record = {
        **machine("cuda" if torch.cuda.is_available() else "cpu"),
        "settings": vars(args),
        **measured,
        "time_ratio": {
            "median": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        },
    }
    report(record)
    if args.out:
        write_record(args.out, record)


if __name__ == "__main__":
    main()
