"""What a checkpoint costs the training when it is written beside it, and when the training waits.

Steps of a config's model on random images go on while its state and its optimiser's are written to
a folder and synced to the disk. The time that a checkpoint costs is that of the copy, for which the
training always waits, and what the steps meanwhile take longer than they do alone.

Example:
  python tools/benchmarks/checkpoint_writing.py \\
      configs/localmim/localmim_vit-base-p16_8xb256-amp-coslr-1600e_in1k.py /tmp
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from tqdm import tqdm

from localmim.engine import settle_image_size
from localmim.engine.checkpoint_writer import CheckpointWriter
from localmim.engine.training_state import on_cpu


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="path of a pre-training config")
    parser.add_argument("folder", type=Path, help="where to write, and remove again")
    parser.add_argument("--batch-size", type=int, default=4, help="images a step (default: 4)")
    parser.add_argument("--repeats", type=int, default=5, help="checkpoints (default: 5)")
    return parser.parse_args()


class Training:
    """Steps of a config's model on random images, on the GPU where there is one."""

    def __init__(self, config: str, batch_size: int) -> None:
        cfg = Config.fromfile(config)
        init_default_scope("mmpretrain")
        settle_image_size(cfg)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = MODELS.build(cfg.model).to(device).train()
        settings = {**cfg.optim_wrapper, "type": "OptimWrapper"}
        self.optim_wrapper = build_optim_wrapper(self.model, settings)
        size = cfg.model.backbone.get("img_size", 224)
        height, width = (size, size) if isinstance(size, int) else size
        self.images = torch.randn(batch_size, 3, height, width, device=device)

    def step(self) -> float:
        """Seconds of a step."""
        start = time.perf_counter()
        losses = self.model.loss(self.images, None)
        self.optim_wrapper.update_params(self.model.parse_losses(losses)[0])
        if self.images.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def state(self) -> dict:
        return on_cpu(
            {
                "state_dict": self.model.state_dict(),
                "optimizer": self.optim_wrapper.state_dict(),
            }
        )


def measure(training: Training, path: Path) -> tuple[float, float, float]:
    """Seconds of the copy, of the write for which the training waits, and lost to one beside it."""
    writer, start = CheckpointWriter(), time.perf_counter()
    state = training.state()
    copy = time.perf_counter() - start
    start = time.perf_counter()
    writer.write(state, path)
    writer.wait()
    waited = time.perf_counter() - start
    alone = statistics.median(training.step() for _ in range(5))
    ended: list[bool] = []
    writer.write(state, path, [lambda: ended.append(True)])
    beside = []
    while not ended:
        beside.append(training.step())
    writer.wait()
    return copy, waited, sum(beside) - alone * len(beside)


def main() -> None:
    args = parse_args()
    training = Training(args.config, args.batch_size)
    for _ in range(3):
        training.step()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder, "checkpoint.pth")
        rounds = [measure(training, path) for _ in tqdm(range(args.repeats), unit="checkpoint")]
        size = path.stat().st_size
    copy, waited, lost = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{Path(args.config).stem}: {size / 1e9:.2f} GB")
    print(f"copy {copy:.2f} s, write {waited:.2f} s, lost to a write beside the steps {lost:.2f} s")
    ratio = (copy + lost) / (copy + waited)
    print(f"cost to the training, beside / waiting: {ratio:.2f}")


if __name__ == "__main__":
    main()
