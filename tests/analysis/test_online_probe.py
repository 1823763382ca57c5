"""A small labelled folder that is classified while a model trains, through the runner."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from runs import config, logs, run, state

pytestmark = pytest.mark.usefixtures("on_the_cpu")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Coarse and fine stripes, which random features tell from each other."""
    root, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    for name, period in (("coarse", 32), ("fine", 6)):
        (root / name).mkdir()
        for number in range(12):
            phase, level = rng.uniform(0, 6.28), rng.uniform(60, 120)
            wave = np.sin(np.arange(72) * 6.28 / period + phase) * level + 128
            picture = np.repeat(wave[None], 72, 0).astype(np.uint8)
            Image.fromarray(picture).save(root / name / f"{number}.png")
    return root


def probed(work_dir, photo_folder, labelled, kind, **changes):
    cfg = config(work_dir, photo_folder, kind, **changes)
    cfg.custom_hooks.append(dict(type="OnlineProbeHook", data_root=str(labelled), interval=2))
    return cfg


@pytest.mark.parametrize(("kind", "taps"), [("vit", 4), ("swin", 4), ("resnet", 4), ("lomar", 1)])
def test_taps_are_probed(tmp_path, photo_folder, labelled, kind, taps):
    run(probed(tmp_path / "run", photo_folder, labelled, kind))
    (scalars,) = (tmp_path / "run").rglob("scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    found = [row for row in rows if "probe/knn_tap_0" in row]
    assert [row["step"] for row in found] == [4, 8]  # epochs 2 and 4 of two iterations each
    for row in found:
        values = [row[f"probe/{what}_tap_{n}"] for what in ("knn", "linear") for n in range(taps)]
        assert all(0.4 <= value <= 1 for value in values) and max(values) > 0.6
    assert len(re.findall(r"chance is 50.0%\): nearest neighbours", logs(tmp_path / "run"))) == 2


def test_probing_changes_nothing(tmp_path, photo_folder, labelled):
    short = {"train_cfg.max_epochs": 2, "train_dataloader.num_workers": 0}
    run(config(tmp_path / "plain", photo_folder, "resnet", **short))
    run(probed(tmp_path / "probed", photo_folder, labelled, "resnet", **short))
    plain, looked = (state(tmp_path / name / "epoch_2.pth") for name in ("plain", "probed"))
    assert all(tensor.equal(looked[name]) for name, tensor in plain.items())


def test_a_class_without_a_readable_image_is_an_error(tmp_path, photo_folder, labelled):
    broken = tmp_path / "broken"
    for name in ("fine", "none"):
        (broken / name).mkdir(parents=True)
        for number in range(3):
            (broken / name / f"{number}.png").write_bytes(b"no image")
    for number in range(3):
        picture = (labelled / "fine" / f"{number}.png").read_bytes()
        (broken / "fine" / f"{number}.png").write_bytes(picture)
    with pytest.raises(ValueError, match="too few images of the class none can be read"):
        run(probed(tmp_path / "run", photo_folder, broken, "vit"))
