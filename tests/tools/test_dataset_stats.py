import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zoo
from mmengine.config import Config
from PIL import Image
from tool_main import main_of

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"


@pytest.fixture(scope="module")
def main():
    return main_of("dataset_stats")


@pytest.fixture
def tell(main, capsys):
    """Run the tool: what it prints, and the config made of the lines it offers."""

    def call(*arguments):
        main([str(argument) for argument in arguments])
        out = capsys.readouterr().out
        return out, Config.fromstring(
            "train_pipeline = [dict()]\n" + out.split("For the config:\n")[1], ".py"
        )

    return call


def plain(images):
    """Mean and deviation of all pixels where each image counts the same, in float64."""
    images = [np.asarray(image, dtype=np.float64) for image in images]
    mean = np.mean([image.mean((0, 1)) for image in images], axis=0)
    square = np.mean([((image - mean) ** 2).mean((0, 1)) for image in images], axis=0)
    return mean, np.sqrt(square)


def agree(cfg, images):
    mean, std = plain(images)
    np.testing.assert_allclose(cfg.data_preprocessor.mean, mean, atol=1e-4)
    np.testing.assert_allclose(cfg.data_preprocessor.std, std, atol=1e-4)


@pytest.fixture
def pictures(tmp_path):
    """Images of several sizes, in RGB, and their folder."""
    (tmp_path / "data").mkdir()
    shapes = [(30, 40, 3), (70, 20, 3), (1, 1, 3), (50, 60, 3), (8, 9, 3)]
    images = [zoo.numbers(*shape) // (n + 1) for n, shape in enumerate(shapes)]
    images = [image * np.uint8([1, 0, 1]) + np.uint8([0, 50, 2]) for image in images]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"data/{number}.png")
    return images


@pytest.mark.parametrize("workers", [1, 2])
def test_mean_and_deviation_of_a_folder_in_the_order_of_the_configs(
    tell, tmp_path, pictures, workers
):
    (tmp_path / "data/broken.jpg").write_text("no image")
    (tmp_path / "data/empty.jpg").touch()
    out, cfg = tell(tmp_path / "data", "--workers", workers)
    agree(cfg, pictures)
    assert "5 of 7 files gave an image (7 files in all)." in out
    assert "1 unusable: empty file, such as\n" in out
    assert f"    {tmp_path}/data/broken.jpg: no image\n" in out
    assert "uint8, 5 files: 0 to 255" in out


def test_a_sample_is_evenly_spaced(tell, tmp_path, pictures):
    out, cfg = tell(tmp_path / "data", "--samples", 3, "--workers", 1)
    agree(cfg, pictures[::2])
    assert "3 of 3 files gave an image (5 files in all)." in out


def test_the_training_data_of_a_config(tell, tmp_path, pictures):
    place = f"train_dataloader.dataset.dataset.data_root={tmp_path}/data"
    _, cfg = tell(CONFIG, "--workers", 1, "--cfg-options", place)
    agree(cfg, pictures)


def test_photographs_agree_with_what_pillow_gives(tell, photo_folder):
    _, cfg = tell(photo_folder, "--workers", 1)
    images = [np.array(Image.open(path).convert("RGBA")) for path in photo_folder.iterdir()]
    assert len(images) == 19
    agree(cfg, [np.rint(zoo.over_canvas(image)) for image in images])


def test_the_range_of_values_and_what_follows_from_it(tell, tmp_path):
    values = [zoo.numbers(30, 40, dtype=np.uint16, seed=n) // 16 + 7 for n in range(3)]
    for number, image in enumerate(values):
        tifffile.imwrite(tmp_path / f"{number}.tif", image)
    floats = np.linspace(-50, 400, 1200, dtype=np.float32).reshape(30, 40)
    broken = floats.copy()
    broken[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", floats)
    tifffile.imwrite(tmp_path / "b.tif", broken)
    out, cfg = tell(tmp_path, "--workers", 1)
    assert "2 unusable: values need a range" in out
    stored = np.stack(values)
    assert f"uint16, 3 files: {stored.min()} to {stored.max()}" in out
    assert "float32, 2 files: -50 to 400" in out
    assert f"--value-range -50 {stored.max()}, or with value_range in a config" in out
    agree(cfg, [zoo.grey(zoo.eight_bits(image)) for image in values])

    out, cfg = tell(tmp_path, "--workers", 1, "--value-range", 0, 500)
    assert "1 unusable: values without a number" in out
    assert cfg.train_pipeline == [dict(value_range=(0, 500))]
    agree(cfg, [zoo.grey(zoo.eight_bits(image, 0, 500)) for image in [*values, floats]])


def test_bands(tell, tmp_path):
    images = [np.random.default_rng(n).normal(1e4, 3, (20, 30, 5)) for n in range(3)]
    for number, image in enumerate(images):
        np.save(tmp_path / f"{number}.npy", image.transpose(2, 0, 1))
    out, cfg = tell(tmp_path, "--bands", 5, "--extensions", ".npy", "--workers", 1)
    agree(cfg, [image.astype(np.float32) for image in images])
    assert cfg.data_preprocessor.to_rgb is False
    least, most = min(map(np.min, images)), max(map(np.max, images))
    assert f"float64, 3 files: {least:.6g} to {most:.6g}" in out


def test_parts_of_a_large_image_add_up(tell, tmp_path, pictures, monkeypatch):
    monkeypatch.setattr("localmim.data.stored_values._STRIP", 100)
    _, cfg = tell(tmp_path / "data", "--workers", 1)
    agree(cfg, pictures)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/nowhere"], "nowhere' is no folder"),
        (["{}", "--samples", "0"], "--samples must be 1 or more, got 0"),
        (["{}", "--workers", "-1"], "--workers must be 1 or more, got -1"),
        (["{}", "--value-range", "3", "1"], r"value_range must be \(low, high\)"),
        (["{}", "--bands", "0"], "channels must be an int, 1 or more, got 0"),
        (["{}", "--bands", "5", "--value-range", "0", "1"], "--bands are read unscaled"),
        (["{}", "--cfg-options", "a=1"], "--cfg-options is for a config"),
        ([str(CONFIG), "--bands", "5"], "--bands is for a folder"),
    ],
)
def test_bad_input_is_an_error_without_a_traceback(main, tmp_path, capsys, arguments, message):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(SystemExit) as stop:
        main([argument.format(tmp_path) for argument in arguments])
    assert stop.value.code == 2
    assert re.search(f"error: .*{message}", capsys.readouterr().err)


def test_a_folder_without_any_image_is_an_error(main, tmp_path, capsys):
    (tmp_path / "a.png").touch()
    with pytest.raises(SystemExit, match="error: no file gave an image"):
        main([str(tmp_path), "--workers", "1"])
    assert "1 unusable: empty file" in capsys.readouterr().out
