"""What pre-training is worth: probes, table, and one whole comparison at its smallest."""

import argparse
import json
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tool_main import ROOT, main_of

from localmim.analysis.labelled import labelled_folder

sys.path.insert(0, str(ROOT / "tools/benchmarks"))
import acceleration
import acceleration_runs
from acceleration_report import scores, table
from label_quality import LabelledImages, block_features, few_labels, probes, score


def test_few_labels_are_of_every_class_and_drawn_by_the_seed():
    labels = torch.tensor([0] * 300 + [1] * 40)
    seen = few_labels(labels, 0.1, 0)
    assert labels[seen].bincount().tolist() == [30, 4]
    assert labels[few_labels(labels, 0.01, 0)].bincount().tolist() == [3, 2]
    assert few_labels(labels, 0.1, 0).equal(seen) and not few_labels(labels, 0.1, 1).equal(seen)
    assert few_labels(labels, 1.0, 7).equal(torch.arange(340))


def test_two_classes_are_ranked_and_more_are_balanced():
    ranked = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])  # all called 0, in the right order
    assert score(ranked, torch.tensor([0, 0, 1])) == 100
    three = torch.eye(3)[[0, 0, 0, 1]]
    assert score(three, torch.tensor([0, 0, 1, 1])) == 75


def test_probes_of_features_that_tell_and_of_noise():
    torch.manual_seed(0)
    labels = torch.arange(200) % 2
    telling = labels[:, None] * 4.0 + torch.randn(200, 5)
    noise, nothing = torch.randn(200, 5), torch.empty(0)
    data = LabelledImages(2, nothing, labels[:100], nothing, labels[100:])
    blocks = [telling, noise]
    rows = list(
        probes([x[:100] for x in blocks], [x[100:] for x in blocks], data, (0.1, 1.0), draws=3)
    )
    assert len(rows) == 2 * (1 + 3 + 1)
    for row in rows:
        assert (row["score"] > 95) == (row["block"] == 0)


@pytest.mark.parametrize("name", acceleration_runs.FAMILIES)
def test_every_family_has_its_configs_and_features(name):
    family = acceleration_runs.FAMILIES[name]
    configs = [family.finetune, *family.methods.values(), *(family.segmentation or ())[:1]]
    assert all((acceleration_runs.CONFIGS / f"{config}.py").is_file() for config in configs)
    args = argparse.Namespace(family=family)
    encoder = acceleration_runs.load_encoder(acceleration_runs.Job("random", 0, 0, 0), args)
    images = torch.randint(0, 256, (3, 3, family.size, family.size), dtype=torch.uint8)
    with torch.no_grad():
        found = block_features(*encoder, images)
    assert len(found) >= 2
    for features in found:
        assert features.shape[0] == 3 and features.isfinite().all() and features.std(0).mean() > 0


def record(method, minutes, seed, score):
    rows = [
        {"kind": "linear", "block": block, "share": 1.0, "draw": 0, "score": score + 10 * block}
        for block in (0, 1)
    ]
    known = dict(method=method, minutes=minutes, seed=seed, lr=1e-3)
    return known | dict(seconds=60.0 * minutes, iterations=int(100 * minutes), rows=rows)


def test_the_table_has_the_best_block_and_the_spread_of_seeds():
    records = [record("mae", 2, seed, 50 + seed) for seed in range(3)]
    records += [record("random", 0, 0, 40)]
    found, block = scores(records[:3], "linear", 1.0)
    assert found.tolist() == [60, 61, 62] and block == 1
    raw = {"pixels": [dict(kind="linear", block=0, share=1.0, draw=0, score=33.0)]}
    lines = table(dict(measure="AUC", raw=raw, records=records)).splitlines()
    assert lines[0] == "| AUC, % | minutes | iterations | linear 100% |"
    assert "33.0" in lines[2] and lines[3].startswith("| random |") and "50.0" in lines[3]
    assert "| mae | 2.0 | 200 | 61.0 ± 1.0" in lines[4]


@pytest.fixture
def stripes(tmp_path):
    """Two classes, of train and val."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for name, period in (("coarse", 40), ("fine", 8)):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(8):
                wave = np.sin(np.arange(72) * 6.28 / period + rng.uniform(0, 6)) * 90 + 128
                picture = np.repeat(wave[None], 72, 0).astype(np.uint8)
                Image.fromarray(picture).save(tmp_path / part / name / f"{number}.png")
    return tmp_path


@pytest.mark.usefixtures("on_the_cpu")
def test_a_comparison_goes_on_where_it_was(tmp_path, stripes, monkeypatch, capsys):
    def benchmark(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        main_of(f"benchmarks/{name}")()
        return capsys.readouterr().out

    monkeypatch.setattr(acceleration_runs, "CALIBRATION", (2, 6))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests'}:{ROOT}")  # for a module of the user's own
    own = f"""
_base_ = "{acceleration_runs.CONFIGS / "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"}"
custom_imports = dict(imports=["localmim.parts", "fixed_batches"], allow_failed_imports=False)
"""
    (tmp_path / "mine.py").write_text(own)
    mine = f"mine={tmp_path / 'mine.py'}"
    arguments = ("--data", stripes, "--methods", mine, "--minutes", 0.2, "--seeds", 1)
    small = ("--cfg-options", "train_dataloader.batch_size=2", "train_dataloader.num_workers=0")
    places = ("--work-dir", tmp_path / "work", "--out", tmp_path / "out.json")
    arguments = (*arguments, "--lrs", 1e-3, "--finetune", *small, *places)
    text = benchmark("acceleration", *arguments)
    assert re.search(r"^\| mine \| 0\.\d+ \| \d+ \|", text, re.M)
    report = json.loads((tmp_path / "out.json").read_text())
    (trained,) = [row for row in report["records"] if row["method"] == "mine"]
    assert 4 < trained["seconds"] < 60 and trained["iterations"] >= 2
    kinds = {(row["kind"], row["block"]) for row in trained["rows"]}
    assert kinds == {(kind, block) for kind in ("linear", "knn") for block in range(4)}
    assert (tmp_path / "out.png").stat().st_size > 5000
    monkeypatch.setattr(acceleration_runs, "train", None)  # nothing is trained again
    assert table(report) in benchmark("acceleration", *arguments)
    assert json.loads((tmp_path / "out.json").read_text())["records"] == report["records"]


def test_what_is_asked_for_later_is_added_to_what_is_kept(tmp_path, monkeypatch):
    begun = []

    def stub(name, found):
        def called(job, *rest):
            begun.append((name, *rest[2:]))
            return found(*rest[2:]) if callable(found) else found

        monkeypatch.setattr(acceleration, name, called)

    stub("pretrain", 65.0)
    stub("finetune", lambda share: {"kind": "finetune", "share": share, "score": 50.0})
    stub("segment", {"kind": "segmentation", "share": 1.0, "score": 20.0})
    monkeypatch.setattr(acceleration, "calibrate", lambda *_: {"iteration": 1.0, "start": 20.0})
    args = argparse.Namespace(work_dir=tmp_path)
    job, kept = acceleration_runs.Job("mae", 1, 0, 1e-3), tmp_path / "mae" / "kept.json"

    def run(*wanted, job=job, kept=kept):
        begun.clear()
        return acceleration.run(job, args, None, wanted, kept)

    assert run(("finetune", 0.1))["iterations"] == 40
    assert [name for name, *_ in begun] == ["pretrain", "finetune"]
    record = run(("finetune", 0.1), ("finetune", 1.0), ("segmentation", 1.0))
    assert begun == [("finetune", 1.0), ("segment",)]
    assert record == json.loads(kept.read_text()) and len(record["rows"]) == 3
    scratch = acceleration_runs.Job(acceleration_runs.SCRATCH, 1, 0, 0)
    run(("finetune", 0.1), ("segmentation", 1.0), job=scratch, kept=tmp_path / "scratch.json")
    assert begun == [("finetune", 0.1)]  # longer fine-tuning stands in for pre-training
    with pytest.raises(RuntimeError, match="are gone, .* delete .*seed0.json to pre-train again"):
        acceleration_runs.pretrained(job, args)


@pytest.mark.parametrize(("share", "batch"), [(0.5, 8), (1.0, 12)])
def test_fewer_labels_than_a_batch_are_a_batch(tmp_path, stripes, monkeypatch, share, batch):
    """One percent of 2000 labels are 20, which a config with batches of 32 cannot train on."""
    told = []
    monkeypatch.setattr(acceleration_runs, "train", lambda *given: told.extend(given[2]))
    monkeypatch.setattr(acceleration_runs, "last_score", lambda *_: 50.0)
    family = acceleration_runs.FAMILIES["vit"]
    config = acceleration_runs.Config.fromfile(ROOT / f"configs/demo/{family.finetune}.py")
    config.train_dataloader.batch_size = 12
    monkeypatch.setattr(acceleration_runs.Config, "fromfile", lambda _: config)
    args = argparse.Namespace(work_dir=tmp_path / "work", data=stripes, family=family)
    images = labelled_folder(stripes, sys.maxsize)
    random = acceleration_runs.Job("random", 0, 0, 0)
    acceleration_runs.finetune(random, args, images, share)
    assert f"train_dataloader.batch_size={batch}" in told
    links = list((tmp_path / "work").rglob("*.png"))
    assert len(links) == 16 * share and all(path.is_symlink() for path in links)
