import numpy as np
import pytest
import timm
import torch

TOOL = "embed"


@pytest.mark.usefixtures("on_the_cpu")
def test_a_folder_becomes_rows(tmp_path, photo_folder, call):
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "r18.pth")
    out, brief = tmp_path / "out.npy", ("--image-size", 64, 64, "--workers", 0)
    text = call(tmp_path / "r18.pth", photo_folder, out, *brief)
    assert "ResNet, images of 64x64 pixels; 19 files" in text
    assert f"19 rows of 512 in {out}" in text
    assert np.isfinite(np.load(out)).all()
    assert call(tmp_path / "r18.pth", photo_folder, out, *brief) == "2"  # is there
    (tmp_path / "none.png").write_bytes(b"none")
    text = call(tmp_path / "r18.pth", tmp_path / "none.png", out, "--overwrite", *brief)
    assert f"no image, a row without values: {tmp_path / 'none.png'}: no image" in text


@pytest.mark.usefixtures("on_the_cpu")
def test_mistakes_are_one_line(tmp_path, photo_folder, call):
    torch.save({"weight": torch.zeros(3, 3)}, tmp_path / "odd.pth")
    for arguments, words in (
        ((tmp_path / "none.pth", photo_folder, tmp_path / "a.npy"), "none.pth can not be found"),
        ((tmp_path / "odd.pth", photo_folder, tmp_path / "a.npy"), "odd.pth: not recognised"),
    ):
        error = call(*arguments, "--workers", 0)
        assert error.startswith("error: ") and words in error and "\n" not in error
    assert not list(tmp_path.glob("*.npy"))
