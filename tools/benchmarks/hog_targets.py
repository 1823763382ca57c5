"""Time HOG targets at four scales against mmpretrain's HOGGenerator at one, on the same batch.

Example:
  python tools/benchmarks/hog_targets.py --batch-size 32
"""

import argparse
import statistics
import time

import torch
from mmpretrain.models.selfsup.maskfeat import HOGGenerator

from localmim.models import MultiScaleHOG


def seconds(generator, images: torch.Tensor) -> float:
    """Seconds to describe one batch."""
    if images.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    generator(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=8, help="images of 224 px (default: 8)")
    parser.add_argument("--rounds", type=int, default=20, help="timed batches (default: 20)")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda"
    )
    args = parser.parse_args()
    images = torch.randn(args.batch_size, 3, 224, 224, device=args.device)
    ours, theirs = MultiScaleHOG().to(args.device), HOGGenerator().to(args.device)
    pairs = [(seconds(ours, images), seconds(theirs, images)) for _ in range(args.rounds + 2)][2:]
    for name, times in zip(
        ("MultiScaleHOG, 4 scales", "HOGGenerator, 1 scale"), zip(*pairs, strict=True), strict=True
    ):
        print(f"{name}: {statistics.median(times) / args.batch_size * 1e3:.2f} ms/image")
    ratios = [a / b for a, b in pairs]
    print(f"ratio: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
