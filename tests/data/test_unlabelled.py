import shutil

import pytest
from mmengine.dataset import default_collate
from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

PIPELINE = [
    dict(type="LoadImageFromFile", imdecode_backend="pillow", ignore_empty=True),
    dict(type="RandomResizedCrop", scale=64, backend="pillow"),
    dict(type="PackInputs"),
]


def build(folder):
    return DATASETS.build(dict(type="UnlabelledImages", data_root=str(folder), pipeline=PIPELINE))


@pytest.fixture
def broken_folder(photo_folder, tmp_path):
    """Good images, in a folder of their own, among an empty, a truncated and a fake one."""
    (tmp_path / "good").mkdir()
    for name in ("china.jpg", "camera.png", "horse.png"):
        shutil.copy(photo_folder / name, tmp_path / "good")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "truncated.jpg").write_bytes((photo_folder / "china.jpg").read_bytes()[:20_000])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "notes.txt").write_text("no image ending")
    return tmp_path


def test_finds_images_in_subfolders_of_every_kind(photo_folder):
    dataset = build(photo_folder)
    assert len(dataset) == 19
    # Grey, alpha and colour files all come out with three channels.
    assert {tuple(dataset[i]["inputs"].shape) for i in range(19)} == {(3, 64, 64)}


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_files_are_replaced_counted_and_named_once(broken_folder, workers):
    log = broken_folder / "log.txt"
    MMLogger.get_instance(f"broken-files-{workers}", log_file=str(log))
    dataset = build(broken_folder)
    assert len(dataset) == 6
    loader = DataLoader(dataset, batch_size=6, num_workers=workers, collate_fn=default_collate)
    for _ in range(3):
        (batch,) = loader
        assert tuple(batch["inputs"].shape) == (6, 3, 64, 64)
    for name in ("empty.jpg", "truncated.jpg", "text.png"):
        assert log.read_text().count(f"Skipping unreadable image {broken_folder / name}") == 1
    assert "(3 of 6 files so far)" in log.read_text()
    # The flags are shared: also what a worker process found is known here.
    names = [dataset.get_data_info(i)["img_path"].rsplit("/", 1)[-1] for i in range(6)]
    found = {name for name, bad in zip(names, dataset._unreadable.tolist(), strict=True) if bad}
    assert found == {"empty.jpg", "truncated.jpg", "text.png"}


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere' is no folder; set it with"):
        build(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="holds no image with one of the endings .bmp"):
        build(tmp_path)


def test_capital_endings_and_webp_count(tmp_path):
    Image.new("RGB", (80, 80)).save(tmp_path / "A.WEBP")
    Image.new("RGB", (80, 80)).save(tmp_path / "B.JPG")
    assert len(build(tmp_path)) == 2
