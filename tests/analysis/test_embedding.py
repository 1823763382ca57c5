"""Features of a folder in a file: equal to one by one, resumed, with what is no image named."""

import shutil
import sys

import numpy as np
import pyarrow.parquet
import pytest
import timm
import torch

from localmim.analysis import embed, image_files, load_encoder
from localmim.analysis.embedding import _Images


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), file)
    return load_encoder(str(file), image_size=(64, 64))


@pytest.fixture
def paths(tmp_path, photo_folder):
    shutil.copytree(photo_folder, tmp_path / "photos")
    (tmp_path / "photos/a broken one.png").write_bytes(b"none")
    return image_files([str(tmp_path / "photos")])


def test_rows_are_the_images_features_one_by_one(tmp_path, encoder, paths):
    out = tmp_path / "out.npy"
    done = embed(encoder, paths, out, batch_size=5, workers=1)
    rows = np.load(out)
    assert rows.shape == done.shape == (len(paths), 192) and rows.dtype == np.float32
    assert list(done.unusable.items()) == [(paths[0], "no image")] and np.isnan(rows[0]).all()
    for number in (1, 7, len(paths) - 1):
        image = encoder.read([paths[number]])
        expected = encoder.backbone(image)[-1].mean((2, 3))[0]
        torch.testing.assert_close(torch.from_numpy(rows[number]), expected, rtol=1e-4, atol=1e-5)
    assert (tmp_path / "out.txt").read_text().splitlines() == paths
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["out.npy", "out.txt", "photos"]


def test_what_was_interrupted_goes_on(tmp_path, encoder, paths, monkeypatch):
    monkeypatch.setattr("localmim.analysis.embedding.SAVED_EVERY", 1)
    whole = tmp_path / "whole.npy"
    embed(encoder, paths, whole, batch_size=4)
    out, read = tmp_path / "out.npy", _Images.__getitem__

    def fails(self, index):
        if self.paths[index] == paths[10]:
            raise KeyboardInterrupt
        return read(self, index)

    with monkeypatch.context() as patched:
        patched.setattr(_Images, "__getitem__", fails)
        with pytest.raises(KeyboardInterrupt):
            embed(encoder, paths, out, batch_size=4)
    assert not out.exists()
    done = embed(encoder, paths, out, batch_size=4)
    assert done.begun_at == 8 and len(done.unusable) == 1
    assert out.read_bytes() == whole.read_bytes()


def test_other_weights_or_images_begin_anew(tmp_path, encoder, paths, monkeypatch):
    monkeypatch.setattr("localmim.analysis.embedding.SAVED_EVERY", 1)
    out = tmp_path / "out.npy"
    with monkeypatch.context() as patched:
        patched.setattr("localmim.analysis.embedding.os.replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            embed(encoder, paths[:4], out, batch_size=2)
    mean = encoder.data_preprocessor.mean.clone()
    with monkeypatch.context() as patched:
        patched.setattr("localmim.analysis.embedding.os.replace", lambda *_: 1 / 0)
        encoder.data_preprocessor.mean += 1  # images are seen in another way
        with pytest.raises(ZeroDivisionError):
            embed(encoder, paths[:6], out, batch_size=2)
    encoder.data_preprocessor.mean.copy_(mean)
    assert embed(encoder, paths[:6], out, batch_size=2).begun_at == 0
    with pytest.raises(ValueError, match=r"out.csv must end in .npy or .parquet"):
        embed(encoder, paths, tmp_path / "out.csv")
    with pytest.raises(ValueError, match="there are no images"):
        embed(encoder, [], out)


def test_a_table_has_the_same_rows(tmp_path, encoder, paths, monkeypatch):
    monkeypatch.setattr("localmim.analysis.embedding.ROWS", 8)
    embed(encoder, paths, tmp_path / "out.npy", batch_size=8)
    embed(encoder, paths, tmp_path / "out.parquet", batch_size=8)
    rows = np.load(tmp_path / "out.npy")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["path", "features"]
    assert table["path"].to_pylist() == paths
    found = table["features"].to_pylist()
    assert found[0] is None  # which is no image
    np.testing.assert_array_equal(np.array(found[1:], np.float32), rows[1:])
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["out.npy", "out.parquet", "out.txt", "photos"]


def test_a_vector_of_each_patch(tmp_path, encoder, paths):
    done = embed(encoder, paths[1:4], tmp_path / "out.npy", batch_size=2, patches=True)
    rows = np.load(tmp_path / "out.npy")
    assert rows.shape == done.shape == (3, 4, 4, 192)
    image = encoder.read([paths[3]])
    expected = encoder.backbone(image)[-1][0].permute(1, 2, 0).detach().numpy()
    np.testing.assert_allclose(rows[2], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="features of each patch are written as .npy"):
        embed(encoder, paths, tmp_path / "out.parquet", patches=True)


def test_a_table_needs_pyarrow(tmp_path, encoder, paths, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="out.parquet needs pyarrow: pip install pyarrow"):
        embed(encoder, paths, tmp_path / "out.parquet")
