import csv

import pytest
from PIL import Image
from runs import config, run

TOOL = "analyze"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, photo_folder):
    """Of two trainings of one epoch."""
    folder, paths = tmp_path_factory.mktemp("trained"), {}
    trainings = (("one", "vit", 64), ("other", "vit", 96), ("swin", "swin", 64))
    for name, kind, size in trainings:
        changes = {"train_cfg.max_epochs": 2, "train_dataloader.num_workers": 0}
        changes |= {"image_size": size, "model.backbone.img_size": size}
        run(config(folder / name, photo_folder, kind, **changes))
        paths[name] = folder / name / "epoch_2.pth"
    return paths


@pytest.mark.usefixtures("on_the_cpu")
def test_two_checkpoints_side_by_side(tmp_path, checkpoints, photo_folder, call):
    against = ("--against", checkpoints["other"], "--out-dir", tmp_path / "out")
    text = call(checkpoints["one"], photo_folder, "--max-images", 3, "--draw", 2, *against)
    pictures = sorted((tmp_path / "out").glob("*.png"))
    assert len(pictures) == 3 and all(min(Image.open(path).size) > 300 for path in pictures)
    assert all(f"  {path}" in text for path in pictures)
    rows = list(csv.DictReader((tmp_path / "out/attention.csv").open()))
    assert {row["checkpoint"] for row in rows} == {"one", "other"}
    assert len({(row["checkpoint"], row["layer"], row["head"]) for row in rows}) == len(rows)
    for row in rows:
        assert 0 <= float(row["nmi"]) <= 1 and 0 <= float(row["distance"]) <= 96 * 2**0.5
        assert 0 <= float(row["entropy"]) <= (2.78 if row["checkpoint"] == "one" else 3.59)


@pytest.mark.usefixtures("on_the_cpu")
def test_errors_are_one_line(tmp_path, checkpoints, photo_folder, call):
    out = ("--out-dir", tmp_path / "out")
    for arguments, message in (
        ((checkpoints["swin"], photo_folder), "SparseSwin attends by more than queries and keys"),
        ((checkpoints["one"], photo_folder, "--layers", 99), "--layers 99: the encoder has layers"),
        ((checkpoints["one"], tmp_path / "none"), "none does not exist"),
        ((checkpoints["one"], photo_folder, "--against", checkpoints["one"]), "is the checkpoint"),
    ):
        error = call(*arguments, *out)
        assert error.startswith("error: ") and message in error and "\n" not in error
    assert not (tmp_path / "out").exists()
    for points in ("0.5", "1.5,0"):
        assert call(checkpoints["one"], photo_folder, "--points", points) == "2"
