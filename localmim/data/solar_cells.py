"""Photographs of solar cells with and without defects, as a folder of labelled images.

ELPV (Deitsch et al., "Automatic classification of defective photovoltaic module cells in
electroluminescence images", Solar Energy 185, 2019): 2624 grey images of 300 x 300 pixels of
monocrystalline and polycrystalline cells, each with the probability of a defect (0, 1/3, 2/3, 1).
They are CC BY-NC-SA 4.0 and never part of this project: the package ``elpv-dataset`` has them.
"""

import random
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE, VERSION = "elpv-dataset", "1.0.0.post1"
CLASSES = ("functional", "defective")
LABELS = "elpv_dataset/data/labels.csv"


@dataclass(frozen=True)
class Cell:
    """One photograph.

    Attributes:
        path: below the folder of the labels.
        probability: of a defect, as experts judged.
        kind: "mono" or "poly".
    """

    path: str
    probability: float
    kind: str

    @property
    def label(self) -> str:
        """Defective where that is likelier than not."""
        return CLASSES[self.probability > 0.5]


def download_cells(folder: Path) -> Path:
    """Fetch the package by pip and unpack it, without installing it.

    Returns:
        The table of labels, beside which the images lie.

    Raises:
        ValueError: pip could not fetch it.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or ["nothing was fetched"]
        raise ValueError(f"pip could not fetch {PACKAGE}: {lines[-1]}")
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(folder)
    return folder / LABELS


def read_cells(labels: Path) -> list[Cell]:
    """The rows of a table of labels: path, probability and kind, parted by blanks.

    Raises:
        ValueError: a row is not of that kind.
    """
    cells = []
    for number, line in enumerate(labels.read_text().splitlines(), 1):
        try:
            path, probability, kind = line.split()
            cells.append(Cell(path, float(probability), kind))
        except ValueError as error:
            raise ValueError(f"{labels}, line {number}: {line!r} is no cell") from error
    return cells


def split_cells(cells: Sequence[Cell], held_out: float, seed: int) -> dict[str, list[Cell]]:
    """Part cells into "train" and "val", each kind and probability in the same proportion.

    Args:
        cells: in any order.
        held_out: part of them in "val".
        seed: that decides which.
    """
    groups = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: cell.path):
        groups[cell.kind, cell.probability].append(cell)
    found: dict[str, list[Cell]] = {"train": [], "val": []}
    for key in sorted(groups):
        group = groups[key]
        random.Random(f"{seed} {key}").shuffle(group)
        count = round(held_out * len(group))
        found["val"] += group[:count]
        found["train"] += group[count:]
    return found


def write_cells(
    labels: Path, out_dir: Path, held_out: float = 0.25, seed: int = 0
) -> dict[str, int]:
    """Copy photographs into ``OUT_DIR/{train,val}/{functional,defective}``, all of them or none.

    Args:
        labels: the table, beside which the photographs lie.
        out_dir: not there, or empty.
        held_out, seed: see :func:`split_cells`.

    Returns:
        How many are in each part.
    """
    parts = split_cells(read_cells(labels), held_out, seed)
    partial = out_dir.absolute().with_name(f".{out_dir.absolute().name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part, cells in parts.items():
        for name in CLASSES:
            (partial / part / name).mkdir(parents=True, exist_ok=True)
        for cell in cells:
            name = f"{cell.kind}_{Path(cell.path).name}"
            shutil.copyfile(labels.parent / cell.path, partial / part / cell.label / name)
    partial.replace(out_dir)
    return {part: len(cells) for part, cells in parts.items()}
