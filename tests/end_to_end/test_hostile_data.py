"""Training through the runner on folders with whatever may lie in a folder."""

import re
import warnings

import numpy as np
import pytest
import tifffile
import tiny
import torch
import zoo
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from PIL import Image
from test_training import config, run, state

from localmim.checkpoints import load_from_file


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")


def folder_config(work_dir, data_root, **changes):
    """All files of the folder, two epochs, two loader processes."""
    changes = {
        "train_dataloader.dataset.indices": None,
        "train_dataloader.num_workers": 2,
        "train_cfg.max_epochs": 2,
        **changes,
    }
    return config(work_dir, data_root, **changes)


def listed(work_dir) -> dict[str, str]:
    lines = (work_dir / "unusable_images.tsv").read_text().splitlines()[1:]
    return {path.rsplit("/", 1)[1]: reason for path, reason in (x.split("\t") for x in lines)}


def photographs(folder, count):
    """Small images of smooth noise, each of its own."""
    folder.mkdir()
    for number in range(count):
        pixels = zoo.numbers(8, 8, 3, seed=number)
        Image.fromarray(pixels).resize((90, 80)).save(folder / f"{number:03d}.jpg")


def log_of(work_dir) -> str:
    return next(work_dir.rglob("*.log")).read_text()


def losses(work_dir) -> list[float]:
    return [float(x) for x in re.findall(r" loss: (\S+)", log_of(work_dir))]


def test_a_folder_of_everything_trains_and_lists_what_gives_no_image(tmp_path):
    data = tmp_path / "größe 图"
    for name in ("usable", "unusable", "valued"):
        (data / name).mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        usable = zoo.write_usable(data / "usable")
    zoo.write_jpegs(data / "usable")
    expected = zoo.write_unusable(data / "unusable")
    expected |= dict.fromkeys(zoo.write_valued(data / "valued"), "values need a range")
    (data / "usable/loop").symlink_to(data)
    options = {"custom_hooks.1.max_share": 0.3, "train_dataloader.batch_size": 16}
    work = tmp_path / "work"
    run(folder_config(work, data, **options))
    assert listed(work) == expected
    assert len(losses(work)) == 2 * 5 and np.isfinite(losses(work)).all()
    total = len(usable) + 4 + len(expected)
    for epoch in (1, 2):
        message = f"After epoch {epoch}: {len(expected)} of {total} images read so far (of {total})"
        assert message in log_of(work)


def test_one_readable_image_among_many_broken_ones_is_an_error(tmp_path):
    photographs(tmp_path / "data", 1)
    for number in range(30):
        (tmp_path / f"data/broken{number}.jpg").write_text("<html>404</html>")
    with pytest.raises(ValueError, match="30 of 31 images that were read are unusable") as error:
        run(folder_config(tmp_path / "work", tmp_path / "data"))
    assert "30 x no image, such as\n" in str(error.value)
    assert len(listed(tmp_path / "work")) == 30
    assert not losses(tmp_path / "work")


def test_floats_train_once_their_range_is_set(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(8):
        values = np.random.default_rng(number).normal(300, 5, (70, 80)).astype(np.float32)
        tifffile.imwrite(tmp_path / f"data/{number}.tif", values)
    with pytest.raises(ValueError, match="set value_range"):
        run(folder_config(tmp_path / "work", tmp_path / "data"))
    options = {"train_dataloader.dataset.pipeline.0.value_range": (290, 310)}
    run(folder_config(tmp_path / "again", tmp_path / "data", **options))
    assert listed(tmp_path / "again") == {} and len(losses(tmp_path / "again")) == 4


class RemoveFiles(Hook):
    """A folder that is being deleted while the training runs."""

    def __init__(self, files, when):
        self.files, self.when = files, when

    def before_train_epoch(self, runner):
        if runner.epoch == self.when:
            for file in self.files:
                file.unlink()


def test_a_folder_that_shrinks_trains_on_and_stops_when_much_of_it_is_gone(tmp_path):
    photographs(tmp_path / "data", 20)
    files = sorted((tmp_path / "data").iterdir())
    work = tmp_path / "work"
    options = {"train_cfg.max_epochs": 4, "train_dataloader.batch_size": 10}
    runner = RUNNERS.build(folder_config(work, tmp_path / "data", **options))
    runner.register_hook(RemoveFiles(files[:2], 1))
    runner.register_hook(RemoveFiles(files[2:9], 3))
    with pytest.raises(ValueError, match="9 of 20 images that were read are unusable.*max_share"):
        runner.train()
    assert listed(work) == dict.fromkeys((file.name for file in files[:9]), "gone")
    assert log_of(work).count("2 of 20 images read so far") == 2
    # The epoch that went wrong is there all the same.
    assert load_from_file(work / "epoch_4.pth")["meta"]["epoch"] == 4


class StopAfterAnEpoch(Hook):
    def after_train_epoch(self, runner):
        raise KeyboardInterrupt


def test_resuming_among_broken_files_gives_what_an_uninterrupted_run_gives(tmp_path):
    photographs(tmp_path / "data", 12)
    for number in range(3, 12, 4):
        (tmp_path / f"data/{number:03d}.jpg").write_text("no image")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    allowed = {"custom_hooks.1.max_share": 0.3}
    run(folder_config(whole, tmp_path / "data", **allowed))
    runner = RUNNERS.build(folder_config(parts, tmp_path / "data", **allowed))
    runner.register_hook(StopAfterAnEpoch(), priority="LOWEST")
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert len(listed(parts)) == 3  # also of a run that was broken off
    run(folder_config(parts, tmp_path / "data", resume=True, **allowed))
    expected, found = state(whole / "epoch_2.pth"), state(parts / "epoch_2.pth")
    assert all(value.equal(found[name]) for name, value in expected.items())


def test_five_bands_of_another_shape_train_through_the_runner(tmp_path):
    """TIFFs and arrays, 128x224, with mean and deviation per channel."""
    data = tmp_path / "data"
    data.mkdir()
    for number in range(8):
        pixels = zoo.numbers(150, 250, 5, dtype=np.uint16, seed=number)
        if number % 2:
            np.save(data / f"{number}.npy", pixels)
        else:
            tifffile.imwrite(data / f"{number}.tif", pixels)
    np.save(data / "six.npy", zoo.numbers(150, 250, 6))
    options = {"image_size": (128, 224), "custom_hooks.1.max_share": 0.2}
    cfg = folder_config(tmp_path / "work", data, **options)
    cfg.model = tiny.localmim((128, 224), channels=5)
    cfg.data_preprocessor = dict(
        type="ClsDataPreprocessor", mean=[32768.0] * 5, std=[18919.0] * 5, to_rgb=False
    )
    cfg.train_dataloader.dataset.extensions = (".npy", ".tif")
    cfg.train_dataloader.dataset.pipeline = [
        dict(type="LoadBands", channels=5),
        dict(type="RandomResizedCrop", scale=224, backend="cv2", interpolation="bicubic"),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackInputs"),
    ]
    run(cfg)
    assert listed(tmp_path / "work") == {"six.npy": "wrong number of channels"}
    assert np.isfinite(losses(tmp_path / "work")).all()
