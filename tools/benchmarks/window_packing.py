"""How well visible tokens of a Swin pack into groups, and what planning that costs.

For every stage and shift: the groups and their size for the last mask, the part of their slots
that holds a token (mean over masks), and the time of a plan on this CPU. The masks are those of
RandomMasking with cells of 32 pixels; the first stage has patches of 4.
"""

import argparse
import statistics
import time

import torch
from tqdm import tqdm

from localmim.models import RandomMasking
from localmim.models.layers import WindowGroups, group_windows, token_places


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="(default: 224)"
    )
    parser.add_argument("--window", type=int, default=7, help="tokens along a side (default: 7)")
    parser.add_argument("--ratio", type=float, default=0.75, help="hidden part (default: 0.75)")
    parser.add_argument(
        "--images", type=int, default=1, help="masks in a batch; 1 is a shared one (default: 1)"
    )
    parser.add_argument("--masks", type=int, default=100, help="batches (default: 100)")
    return parser.parse_args()


SIDES = (8, 4, 2, 1)  # tokens along a side of a cell, by stage


def plans_of_a_swin(size: tuple[int, int], window: int) -> list[tuple[int, int, int]]:
    """Tokens along a side of a cell, window and shift of the plans a Swin needs."""
    plans = []
    for side in SIDES:
        shorter = min(size) // 32 * side
        plans.append((side, min(window, shorter), 0))
        if shorter > window:
            plans.append((side, window, window // 2))
    return plans


def plan(hidden: torch.Tensor, side: int, window: int, shift: int) -> WindowGroups:
    return group_windows(token_places(hidden, side), window, shift, hidden.device)


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    images = torch.zeros(args.images, 1, *args.size)
    generator = RandomMasking(32, args.ratio)
    results = {plan: [] for plan in plans_of_a_swin(args.size, args.window)}
    for _ in tqdm(range(args.masks), desc="masks"):
        hidden = generator(images).on_cpu()
        for settings, rows in results.items():
            start = time.perf_counter()
            groups = plan(hidden, *settings)
            rows.append((groups.efficiency, time.perf_counter() - start))
    print("stage  window  shift  tokens / slots  groups x size  ms a plan")
    for (side, window, shift), rows in results.items():
        efficiency, seconds = (statistics.mean(column) for column in zip(*rows, strict=True))
        last = plan(hidden, side, window, shift).tokens.shape
        print(
            f"{SIDES.index(side):5}  {window:6}  {shift:5}  {efficiency:14.3f}  "
            f"{f'{last[0]} x {last[1]}':>13}  {seconds * 1e3:9.2f}"
        )


if __name__ == "__main__":
    main()
