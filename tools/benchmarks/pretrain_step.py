"""Time a pre-training step of one config against another, in one run.

A step is forward, backward and optimiser on random images that lie on the device; the targets are
generated beforehand and timed apart. B may also be a classifier of mmpretrain, which tells the cost
of the dense encoder. Each config runs in a process of its own, so that the peak
memory is its own, and the two take turns (A B A B ...), so that the ratio holds when the speed of
the machine drifts.

Example, LocalMIM against mmpretrain's MAE:
  python tools/benchmarks/pretrain_step.py \\
      configs/localmim/localmim_vit-base-p16_8xb256-amp-coslr-1600e_in1k.py \\
      mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py --batch-size 8
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from multiprocessing.connection import Connection

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample
from torch import nn
from tqdm import tqdm

from localmim.engine import settle_image_size
from localmim.models import MaskedImageModel


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
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cpu or cuda (default: cuda where there is one)",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="float32, or autocast to one of the others (default: float32)",
    )
    args = parser.parse_args()
    if min(args.steps, args.batch_size, args.warmup + 1) < 1:
        parser.error("--steps and --batch-size start at 1, --warmup at 0")
    return args


class StoredTargets(nn.Module):
    """Stands in for a target generator: what it gives for the one batch there is."""

    def __init__(self, targets) -> None:
        super().__init__()
        self.targets = targets

    def forward(self, *_args):
        return self.targets


class Step:
    """A pre-training step of a config on random images."""

    def __init__(self, config: str, size: int | None, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        cfg = get_config(config) if "::" in config else Config.fromfile(config)
        init_default_scope("mmpretrain")
        settle_image_size(cfg)
        self.device, self.dtype = torch.device(args.device), getattr(torch, args.dtype)
        # One process has nothing to synchronise.
        self.model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(self.device).train()
        shape = (args.batch_size, *image_shape(cfg, size))
        self.images = torch.randn(shape, device=self.device)
        self.data_samples = data_samples(cfg, args.batch_size)
        self.target_seconds = self._set_targets_apart(args.steps)
        settings = {k: v for k, v in cfg.optim_wrapper.items() if k not in ("loss_scale", "dtype")}
        self.optim_wrapper = build_optim_wrapper(self.model, {**settings, "type": "OptimWrapper"})
        self.with_optimizer = not args.no_optimizer

    def _set_targets_apart(self, steps: int) -> float:
        """Time the target generator, if there is one, and put its result in its place."""
        generator = getattr(self.model, "target_generator", None)
        if generator is None:
            return 0.0
        images = self.images
        if isinstance(self.model, MaskedImageModel):
            images = self.model.views(images)
        self.model.target_generator = StoredTargets(generator(images))
        return statistics.median(self._timed(lambda: generator(images)) for _ in range(steps))

    def _timed(self, function) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def _step(self) -> None:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            losses = self.model.loss(self.images, self.data_samples)
        total = self.model.parse_losses(losses)[0]
        if self.with_optimizer:
            self.optim_wrapper.update_params(total)
        else:
            self.optim_wrapper.zero_grad()
            self.optim_wrapper.backward(total)

    def time(self) -> float:
        """Seconds of one step."""
        return self._timed(self._step)

    def peak_memory(self) -> float:
        """Peak memory of this process in GiB: the device's, or the resident set on a CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def image_shape(cfg: Config, size: int | None) -> tuple[int, int, int]:
    """Channels, height and width of a config's images; 224 px where it names no size."""
    backbone = cfg.model.backbone
    size = size or backbone.get("img_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    return backbone.get("in_channels", 3), height, width


def data_samples(cfg: Config, batch_size: int) -> list[DataSample]:
    """Labels for classifiers, and masks where the config's pipeline makes them (SimMIM)."""
    samples = [DataSample().set_gt_label(0) for _ in range(batch_size)]
    for transform in cfg.train_dataloader.dataset.get("pipeline", []):
        if str(transform["type"]).endswith("MaskGenerator"):
            generator = TRANSFORMS.build(transform)
            for sample in samples:
                sample.set_mask(torch.as_tensor(generator({})["mask"]))
    return samples


def serve(connection: Connection, config: str, size: int | None, args: argparse.Namespace) -> None:
    """Run a step whenever asked, in a process of its own."""
    step = Step(config, size, args)
    connection.send({"targets": step.target_seconds, "size": tuple(step.images.shape[2:])})
    while connection.recv():
        connection.send(step.time())
    connection.send(step.peak_memory())


def measure(args: argparse.Namespace) -> list[dict]:
    """Step times, target times (seconds) and peak memory (GiB) of both configs."""
    context = multiprocessing.get_context("spawn")
    contenders = [(args.config, args.size), (args.against, args.against_size)]
    connections, results = [], []
    for config, size in contenders:
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there, config, size, args), daemon=True)
        process.start()
        there.close()
        connections.append(here)
        results.append({"config": config, "seconds": [], **here.recv()})
    for turn in tqdm(range(args.warmup + args.steps), desc="steps of each", unit="step"):
        for connection, result in zip(connections, results, strict=True):
            connection.send(True)
            seconds = connection.recv()
            if turn >= args.warmup:
                result["seconds"].append(seconds)
    for connection, result in zip(connections, results, strict=True):
        connection.send(False)
        result["memory"] = connection.recv()
    return results


def report(results: list[dict], args: argparse.Namespace) -> None:
    """Print medians, memory and the ratio A / B, pair by pair."""
    on_cpu = args.device == "cpu"
    name = f"{torch.get_num_threads()} threads" if on_cpu else torch.cuda.get_device_name()
    what = "forward and backward" if args.no_optimizer else "step"
    print(
        f"{args.device} ({name}), {args.dtype}, batch {args.batch_size}, {what}, median of "
        f"{args.steps}"
    )
    for letter, result in zip("AB", results, strict=True):
        step, targets = (
            seconds / args.batch_size * 1e3
            for seconds in (statistics.median(result["seconds"]), result["targets"])
        )
        print(
            f"{letter}: {step:.2f} ms/image, targets {targets:.2f} ms/image, peak "
            f"{result['memory']:.2f} GiB, {'x'.join(map(str, result['size']))} px, "
            f"{result['config']}"
        )
    a, b = results
    ratios = [x / y for x, y in zip(a["seconds"], b["seconds"], strict=True)]
    print(
        f"time A / B: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
        f"memory A / B: {a['memory'] / b['memory']:.3f}"
    )


def main() -> None:
    args = parse_args()
    report(measure(args), args)


if __name__ == "__main__":
    main()
