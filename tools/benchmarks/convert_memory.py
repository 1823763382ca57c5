"""Measure the memory that converting a checkpoint takes.

Reports the peak above what the interpreter had with everything imported, against the size of the
file. Weights that a conversion reads from the file count as well.
"""

import argparse
import resource
import tempfile
from pathlib import Path

from localmim.checkpoints import DIALECTS, convert_file


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="a checkpoint file; take a large one")
    parser.add_argument("--to", dest="target", choices=DIALECTS, required=True, metavar="KIND")
    parser.add_argument("--safetensors", action="store_true", help="write safetensors")
    args = parser.parse_args()
    size = Path(args.checkpoint).stat().st_size / 2**20
    with tempfile.TemporaryDirectory() as folder:
        destination = Path(folder, "out.safetensors" if args.safetensors else "out.pth")
        before = peak()
        convert_file(args.checkpoint, destination, args.target)
        above = peak() - before
    print(f"file {size:.0f} MiB, peak {above:.0f} MiB above {before:.0f}: {above / size:.2f}")


if __name__ == "__main__":
    main()
