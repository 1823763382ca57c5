"""Every cell of the notebooks runs, one after the other, at small size."""

import json
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
SMALL = "EPOCHS, CROPS = 2, 2"


@pytest.mark.usefixtures("on_the_cpu")
@pytest.mark.filterwarnings("error:.*attention is left out")
def test_photographs(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    matplotlib.use("agg", force=True)
    notebook = json.loads((ROOT / "docs/notebooks/photographs.ipynb").read_text())
    cells = ["".join(x["source"]) for x in notebook["cells"] if x["cell_type"] == "code"]
    settings = f"PHOTOS, WORK_DIR = {str(tmp_path / 'photos')!r}, {str(tmp_path / 'run')!r}"
    cells[0] += f"\n{settings}\n{SMALL}"
    names: dict = {}
    for cell in cells:
        exec(compile(cell, "cell", "exec"), names)
    assert len(names["files"]) == 19 and len(names["rows"]) > 2
    assert len(names["figures"]) == 4
    assert all(isinstance(figure, Figure) for figure in names["figures"].values())
    assert len(names["layers"]) == 8


def test_what_is_shown_was_run():
    """The committed notebook has all its outputs, of one run from top to bottom."""
    notebook = json.loads((ROOT / "docs/notebooks/photographs.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    shown = [out for cell in cells for out in cell["outputs"] if "image/png" in out.get("data", {})]
    assert len(shown) == 5
