"""A small labelled folder that is classified while a model trains, through the runner."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from runs import config, logs, run, state

from localmim.analysis import online_probe
from localmim.checkpoints import load_from_file

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
    hook = dict(type="OnlineProbeHook", data_root=str(labelled), interval=2, keep_best=True)
    cfg.custom_hooks.append(hook)
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
    kept = load_from_file(tmp_path / "run" / "best_probe.pth")
    scores = {row["step"]: row[f"probe/linear_tap_{taps - 1}"] for row in found}
    best = max(scores, key=scores.get)
    assert (kept["meta"]["iter"], kept["meta"]["linear_probe"]) == (best, scores[best])
    if best == 8:  # the last, of which there is a checkpoint
        last = state(tmp_path / "run" / "epoch_4.pth")
        assert all(tensor.equal(last[name]) for name, tensor in kept["state_dict"].items())
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


def test_the_best_is_kept_over_restarts(tmp_path, photo_folder, labelled, monkeypatch):
    """Of scores that are given: 0.7 and 0.9; from the middle on again 0.8, and again 0.95."""
    given = iter([0.7, 0.9, 0.8, 0.95])
    for name in ("linear_scores", "knn_scores"):
        monkeypatch.setattr(online_probe, name, lambda *_, name=name: name)
    monkeypatch.setattr(
        online_probe,
        "balanced_accuracy",
        lambda votes, _: next(given) if votes == "linear_scores" else 0.5,
    )
    found, work = [], tmp_path / "run"
    for again in (False, True, True):
        none = {"train_dataloader.num_workers": 0}
        cfg = probed(work, photo_folder, labelled, "lomar", **none)
        if again:
            cfg.resume, cfg.load_from = True, str(work / "epoch_2.pth")
        run(cfg)
        meta = load_from_file(work / "best_probe.pth")["meta"]
        found.append((meta["iter"], meta["linear_probe"]))
    assert found == [(8, 0.9), (8, 0.9), (8, 0.95)]
