"""Fetch 2624 photographs of solar cells (ELPV) and write them as a folder of labelled images.

OUT_DIR gets train/ and val/, each with functional/ and defective/ (a defect is likelier than not),
in the same proportions of mono- and polycrystalline cells; pre-training takes train/ as it is.

The photographs are by Deitsch et al., CC BY-NC-SA 4.0: not for commercial use. pip downloads the
package that has them (89 MB); it is not installed.

Example:
  python tools/fetch_elpv.py data/elpv
"""

import argparse
import tempfile
from pathlib import Path

from localmim.data.solar_cells import download_cells, write_cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="a new or an empty folder")
    parser.add_argument(
        "--held-out", type=float, default=0.25, help="part of the cells in val (default: 0.25)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: 0)")
    args = parser.parse_args()
    if args.out_dir.exists() and any(args.out_dir.iterdir()):
        parser.error(f"{args.out_dir} is not empty")
    if not 0 < args.held_out < 1:
        parser.error(f"--held-out {args.held_out}: a part between 0 and 1")
    with tempfile.TemporaryDirectory() as folder:
        print("downloading 89 MB ...", flush=True)
        try:
            counts = write_cells(
                download_cells(Path(folder)), args.out_dir, args.held_out, args.seed
            )
        except (OSError, ValueError) as error:
            raise SystemExit(f"error: {error}") from error
    print(f"{counts['train']} cells to train and {counts['val']} to validate in {args.out_dir}")


if __name__ == "__main__":
    main()
