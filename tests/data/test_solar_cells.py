"""A table of cells as the package has it becomes a folder of labelled images."""

from collections import Counter

import pytest
from PIL import Image

from localmim.data.solar_cells import Cell, read_cells, split_cells, write_cells

GROUPS = {("mono", 0.0): 40, ("poly", 0.0): 8, ("mono", 1 / 3): 4, ("poly", 2 / 3): 12}


@pytest.fixture
def labels(tmp_path):
    folder, rows = tmp_path / "package", []
    (folder / "images").mkdir(parents=True)
    for (kind, probability), count in GROUPS.items():
        for _ in range(count):
            name = f"images/cell{len(rows):04}.png"
            Image.new("L", (8, 8), len(rows)).save(folder / name)
            rows.append(f"{name}  {probability:<20}{kind}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"


def test_a_part_of_each_kind_and_probability_is_held_out(labels):
    cells = read_cells(labels)
    parts = split_cells(cells, 0.25, seed=0)
    counted = Counter((cell.kind, cell.probability) for cell in parts["val"])
    assert counted == {group: count // 4 for group, count in GROUPS.items()}
    assert sorted(parts["train"] + parts["val"], key=str) == sorted(cells, key=str)
    assert split_cells(cells[::-1], 0.25, seed=0) == parts
    assert split_cells(cells, 0.25, seed=1) != parts


def test_folders_have_the_classes(labels, tmp_path):
    out = tmp_path / "out"
    assert write_cells(labels, out) == {"train": 48, "val": 16}
    names = {path.name for path in (out / "train/defective").iterdir()}
    assert len(names) == 9 and all(name.startswith("poly_cell") for name in names)
    assert len(list((out / "val/functional").iterdir())) == 13
    picture = next((out / "val/functional").iterdir())
    assert Image.open(picture).getpixel((0, 0)) == int(picture.stem[-4:])


def test_nothing_is_left_of_a_table_that_is_none(labels, tmp_path):
    labels.write_text(labels.read_text() + "images/none.png 0.5\n")
    with pytest.raises(ValueError, match=r"line 65: 'images/none.png 0.5' is no cell"):
        write_cells(labels, tmp_path / "out")
    labels.write_text("images/none.png 0.5 mono\n" * 4)
    with pytest.raises(FileNotFoundError):
        write_cells(labels, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert Cell("a", 0.5, "mono").label == "functional"
