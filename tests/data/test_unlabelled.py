import os
import shutil

import numpy as np
import pytest
import torch
import zoo
from mmengine.dataset import default_collate
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from localmim.data import Reason
from localmim.data.unlabelled import EXTENSIONS, UNSEEN, USABLE

PIPELINE = [
    dict(type="LoadImage"),
    dict(type="RandomResizedCrop", scale=64, backend="pillow"),
    dict(type="PackInputs"),
]


def build(folder, **settings):
    settings = dict(pipeline=PIPELINE) | settings
    return DATASETS.build(dict(type="UnlabelledImages", data_root=str(folder), **settings))


def names(dataset):
    return [os.path.relpath(dataset.path(n), dataset.data_root) for n in range(len(dataset))]


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


REASONS = {
    "empty.jpg": Reason.EMPTY,
    "truncated.jpg": Reason.DAMAGED,
    "text.png": Reason.NO_IMAGE,
}


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
    assert dataset.states.tolist() == [UNSEEN] * 6
    loader = DataLoader(dataset, batch_size=6, num_workers=workers, collate_fn=default_collate)
    for _ in range(3):
        (batch,) = loader
        assert tuple(batch["inputs"].shape) == (6, 3, 64, 64)
    for name, reason in REASONS.items():
        text = f"Skipping unusable image {broken_folder / name}: {reason.text}"
        assert log.read_text().count(text) == 1
    assert "(3 of 6 files so far)" in log.read_text()
    # The states are shared: also what a worker process found is known here.
    found = {
        name.rsplit("/")[-1]: int(state)
        for name, state in zip(names(dataset), dataset.states, strict=True)
    }
    assert found == REASONS | dict.fromkeys(("china.jpg", "camera.png", "horse.png"), USABLE)


def test_the_log_names_some_files_and_counts_the_rest(tmp_path):
    log = tmp_path / "log.txt"
    MMLogger.get_instance("many-broken-files", log_file=str(log))
    for number in range(30):
        (tmp_path / f"{number:02d}.jpg").touch()
    dataset = build(tmp_path)
    assert [dataset.prepare_data(n) for n in range(30)] == [None] * 30
    lines = log.read_text().splitlines()
    assert len(lines) == 20
    assert lines[-1].endswith("(20 of 30 files so far; further ones are counted, not named)")


def test_a_loader_that_only_returns_none_gives_no_reason(broken_folder):
    loader = dict(type="LoadImageFromFile", imdecode_backend="pillow", ignore_empty=True)
    dataset = build(broken_folder, pipeline=[loader, *PIPELINE[1:]])
    assert [dataset.prepare_data(n) is None for n in range(6)] == [
        True,
        False,
        False,
        False,
        True,
        True,
    ]
    assert sorted(set(dataset.states.tolist())) == [USABLE, Reason.UNKNOWN]


def test_a_file_that_disappears_is_replaced(broken_folder):
    dataset = build(broken_folder)
    index = names(dataset).index("good/camera.png")
    assert dataset.prepare_data(index) is not None
    (broken_folder / "good/camera.png").unlink()
    assert dataset[index]["inputs"].shape == (3, 64, 64)
    assert dataset.states[index] == Reason.GONE


def test_replacements_follow_from_the_random_numbers_and_not_from_what_was_found_before(
    broken_folder,
):
    def pictures(dataset):
        np.random.seed(3)
        return torch.stack([dataset[n % 6]["inputs"] for n in range(24)])

    dataset = build(broken_folder)
    first = pictures(dataset)
    assert (dataset.states != UNSEEN).all()
    assert torch.equal(first, pictures(dataset))
    assert torch.equal(first, pictures(build(broken_folder)))


def test_subsets_have_states_of_their_own(broken_folder):
    dataset = build(broken_folder, indices=4)
    assert len(dataset) == len(dataset.states) == 4
    for n in range(4):
        dataset.prepare_data(n)
    part = dataset.get_subset([1, 2])
    assert names(part) == names(dataset)[1:3]
    assert part.states.tolist() == [UNSEEN] * 2 and part.states.is_shared()
    assert (dataset.states != UNSEEN).all()
    dataset.get_subset_(2)
    assert dataset.states.tolist() == [UNSEEN] * 2


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


def test_arrays_of_twelve_bands_become_batches(tmp_path):
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", zoo.numbers(90, 100, 12, dtype=np.uint16))
    (tmp_path / "a.png").touch()
    pipeline = [
        dict(type="LoadBands", channels=12),
        dict(type="RandomResizedCrop", scale=64, backend="cv2", interpolation="bicubic"),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackInputs"),
    ]
    dataset = build(tmp_path, extensions=(".npy",), pipeline=pipeline)
    loader = DataLoader(dataset, batch_size=4, num_workers=1, collate_fn=default_collate)
    (batch,) = loader
    assert batch["inputs"].shape == (4, 12, 64, 64) and batch["inputs"].dtype == torch.float32


def test_the_order_is_that_of_mmpretrain(tmp_path):
    """Which a run that is resumed depends on."""
    rng = np.random.default_rng(0)
    for number in range(200):
        words = ["".join(rng.choice(list("aB_ é.-9"), 3)).strip(". ") or "x" for _ in range(3)]
        folder = tmp_path.joinpath(*words[: rng.integers(0, 3)])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{words[2]}{number}{rng.choice(['.jpg', '.PNG', '.txt'])}").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/seen.jpg").touch()
    (tmp_path / ".hidden.jpg").touch()
    (tmp_path / "elsewhere").symlink_to(tmp_path.parent)
    (tmp_path / "elsewhere").unlink()
    expected = CustomDataset(data_root=str(tmp_path), with_label=False, extensions=EXTENSIONS)
    assert len(expected) > 100
    found = build(tmp_path)
    assert [expected.get_data_info(n)["img_path"] for n in range(len(expected))] == [
        found.path(n) for n in range(len(found))
    ]
