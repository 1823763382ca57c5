import csv
import shutil

import pytest
import timm
import torch
from PIL import Image
from runs import config, run
from safetensors.torch import save_file

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
    text = call(checkpoints["one"], photo_folder, "--max-images", 5, "--draw", 2, *against)
    pictures = sorted((tmp_path / "out").glob("*.png"))
    assert len(pictures) == 7 and all(min(Image.open(path).size) > 300 for path in pictures)
    assert all(f"  {path}" in text for path in pictures)
    rows = table(tmp_path / "out/attention.csv")
    assert {row["checkpoint"] for row in rows} == {"one", "other"}
    assert len({(row["checkpoint"], row["layer"], row["head"]) for row in rows}) == len(rows)
    for row in rows:
        assert 0 <= float(row["nmi"]) <= 1 and 0 <= float(row["distance"]) <= 96 * 2**0.5
        assert 0 <= float(row["entropy"]) <= (2.78 if row["checkpoint"] == "one" else 3.59)
    assert len(table(tmp_path / "out/layers.csv")) == 2 * 8
    alignment = table(tmp_path / "out/cka.csv")
    assert len(alignment) == 3 * 8 * 8
    for row in alignment:
        if (row["checkpoint"], row["layer"]) == (row["other"], row["other_layer"]):
            assert float(row["cka"]) == pytest.approx(1)


def table(path):
    return list(csv.DictReader(path.open()))


@pytest.mark.usefixtures("on_the_cpu")
def test_swins_and_weights_of_other_libraries(tmp_path, checkpoints, photo_folder, call):
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224")
    save_file(model.state_dict(), tmp_path / "timm.safetensors")
    against = ("--against", tmp_path / "timm.safetensors", "--image-size", 96, 96)
    out = ("--out-dir", tmp_path / "out", "--max-images", 4, "--draw", 1)
    text = call(checkpoints["swin"], photo_folder, *against, *out)
    rows = table(tmp_path / "out/attention.csv")
    assert "swin: SparseSwin, images of 64x64 pixels" in text
    assert f"{tmp_path.name}: VisionTransformer, images of 96x96 pixels" in text
    assert "NMI by layer, swin" in text and {row["checkpoint"] for row in rows} == {
        "swin",
        tmp_path.name,
    }
    heads = [sum(row["checkpoint"] == name for row in rows) for name in ("swin", tmp_path.name)]
    assert heads == [2 * (1 + 2 + 4 + 8), 12 * 3]


@pytest.mark.usefixtures("on_the_cpu")
def test_convolutional_encoders_have_no_attention(tmp_path, photo_folder, call):
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "r18.pth")
    out = tmp_path / "out"
    with pytest.warns(UserWarning, match="ResNet has no attention that is known here: attention"):
        call(tmp_path / "r18.pth", photo_folder, "--out-dir", out, "--max-images", 5)
    names = sorted(path.name for path in out.iterdir())
    neighbours = f"neighbours_{tmp_path.name}.png"
    assert names == ["cka.csv", "cka.png", "layers.csv", neighbours, "spectrum.png"]
    with pytest.warns(UserWarning, match="left out"):
        few = call(tmp_path / "r18.pth", photo_folder, "--out-dir", out, "--max-images", 2)
    assert "2 images are too few for alignment and neighbours" in few


@pytest.mark.usefixtures("on_the_cpu")
def test_files_of_one_name_and_files_that_are_no_image(tmp_path, checkpoints, photo_folder, call):
    for name, photo in (("a", "coffee.png"), ("b", "chelsea.png")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        shutil.copy(photo_folder / photo, tmp_path / "photos" / name / "same.png")
    (tmp_path / "photos/broken.png").write_bytes(b"none")
    out = tmp_path / "out"
    with pytest.warns(UserWarning, match=r"left out: .*/broken.png: no image"):
        text = call(checkpoints["one"], tmp_path / "photos", "--out-dir", out)
    names = sorted(path.name for path in out.glob("attention_*"))
    assert names == ["attention_same.png", "attention_same_2.png"]
    assert text.count("attention_same") == 2
    with pytest.warns(UserWarning, match="left out"):
        error = call(checkpoints["one"], tmp_path / "photos/broken.png", "--out-dir", out)
    assert "none of 1 files gives an image" in error


@pytest.mark.usefixtures("on_the_cpu")
def test_errors_are_one_line(tmp_path, checkpoints, photo_folder, call):
    out = ("--out-dir", tmp_path / "out")
    for arguments, message in (
        ((checkpoints["one"], photo_folder, "--layers", 99), "--layers 99: one has layers 1 to 8"),
        ((checkpoints["one"], tmp_path / "none"), "none does not exist"),
        ((checkpoints["one"], photo_folder, "--against", checkpoints["one"]), "is the checkpoint"),
    ):
        error = call(*arguments, *out)
        assert error.startswith("error: ") and message in error and "\n" not in error
    assert not (tmp_path / "out").exists()
    for points in ("0.5", "1.5,0"):
        assert call(checkpoints["one"], photo_folder, "--points", points) == "2"
