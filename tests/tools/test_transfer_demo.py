"""What the demo takes for done already."""

import argparse
import importlib.util
import sys
from pathlib import Path
from threading import Event

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(monkeypatch):
    """The tool as a module that notes which tools it calls, without training."""
    spec = importlib.util.spec_from_file_location("demo", ROOT / "tools/transfer_demo.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "demo", module)  # for its dataclasses
    spec.loader.exec_module(module)
    module.calls = []

    def call(log, tool, *arguments, threads=None):
        module.calls.append(tool)
        log.parent.mkdir(parents=True, exist_ok=True)
        (log.parent / "last_checkpoint").write_text(str(log.parent / "iter_4.pth"))

    monkeypatch.setattr(module, "call", call)
    return module


def test_a_training_is_done_again_only_where_its_result_would_differ(demo, tmp_path):
    config = demo.config_path("vit-mini-p8_1xb32-coslr-300_scenes")
    scenes, weights = dict(objects=1), "0123"

    def trains(options=(), inputs=(scenes, weights), budget=1.0) -> bool:
        demo.calls.clear()
        found = demo.train(config, tmp_path / "run", list(options), inputs, budget, 1)
        assert found == tmp_path / "run/iter_4.pth"
        return bool(demo.calls)

    assert trains() and not trains()
    assert trains(options=["randomness.seed=1"]) and trains()
    assert trains(inputs=(dict(objects=4), weights)) and trains()
    assert trains(inputs=(scenes, "4567")) and trains()
    assert trains(budget=0.5) and not trains(budget=0.5)


def test_scenes_that_were_drawn_otherwise_are_not_taken(demo, tmp_path):
    args = argparse.Namespace(
        budget=0.03,
        tasks=["classification"],
        data_dir=tmp_path / "data",
        work_dir=tmp_path / "work",
    )
    drawn = demo.make_scenes(args)
    pictures = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*g")}
    assert len(pictures) == 2 * 90 + (90 + 64) and demo.make_scenes(args) == drawn
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*g")} == pictures
    args.budget = 0.04
    with pytest.raises(SystemExit, match="unlabelled does not hold .*'train': 120.*'train': 90"):
        demo.make_scenes(args)
    (tmp_path / "data/folder/scenes.json").unlink()
    args.budget = 0.03
    with pytest.raises(SystemExit, match="data/folder does not hold .* but no scenes.json"):
        demo.make_scenes(args)


@pytest.mark.parametrize("name", ["localmim-vit", "lomar-vit", "a2mim-r50"])
def test_models_have_their_configs_and_tasks(demo, name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo", "--model", name])
    args = demo.parse_args()
    assert args.tasks == list(args.configs)
    assert demo.config_path(demo.MODELS[name][0]).exists()
    assert all(demo.config_path(config).exists() for config, _ in args.configs.values())
    if name == "lomar-vit":
        monkeypatch.setattr(sys, "argv", ["demo", "--model", name, "--tasks", "detection"])
        with pytest.raises(SystemExit):
            demo.parse_args()
        assert "lomar-vit has classification, not detection" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_both_starts_are_trained_and_scratch_does_not_wait(
    demo, jobs, tmp_path, monkeypatch, capsys
):
    begun, all_from_scratch = [], Event()

    def train(config, work_dir, options, inputs, budget, threads):
        begun.append((work_dir.relative_to(tmp_path).parts[0], options))
        if sum(place == "scratch" for place, _ in begun) == 6:
            all_from_scratch.set()
        if jobs > 1 and "unlabelled" in options[0]:
            assert all_from_scratch.wait(60)
        return work_dir / "last.pth"

    monkeypatch.setattr(demo, "train", train)
    monkeypatch.setattr(demo, "convert", lambda checkpoint, dialect, folder: folder / dialect)
    monkeypatch.setattr("localmim.checkpoints.files.file_hash", lambda path: "0123")
    monkeypatch.setattr(demo, "metrics_of", lambda *_: {"score": 50.0})
    arguments = ["demo", "--jobs", str(jobs), "--work-dir", str(tmp_path), "--seeds", "2"]
    monkeypatch.setattr(sys, "argv", arguments)
    args = demo.parse_args()
    drawn = dict.fromkeys(("unlabelled", "folder", "ade20k", "coco"))
    results = demo.compare(args, drawn)
    assert {key: sorted(seeds) for key, seeds in results.items()} == {
        (task, start): [0, 1] for task in demo.TASKS for start in ("scratch", "pre-trained")
    }
    pretraining = [x for x in begun if "unlabelled" in x[1][0]]
    assert len(pretraining) == 1 and (jobs > 1 or begun[0] == pretraining[0])
    scratch = [options for place, options in begun if place == "scratch"]
    assert len(scratch) == 6 and all("model.backbone.init_cfg=None" in x for x in scratch)
    assert "coco" in scratch[0][1] and "folder" in scratch[-1][1]  # the longest first
    weights = "model.backbone.init_cfg.checkpoint="
    started = [options for _, options in begun if any(x.startswith(weights) for x in options)]
    assert len(started) == 6 and "[13/13]" in capsys.readouterr().out


def test_the_table_has_the_spread_of_seeds_where_there_are_several(demo):
    results = {
        ("detection", "scratch"): {0: {"AP": 1.0}, 1: {"AP": 3.0}},
        ("detection", "pre-trained"): {0: {"AP": 4.0}, 1: {"AP": 5.0}},
        ("classification", "pre-trained"): {0: {"top-1": 30.0}},
        ("classification", "scratch"): {0: {"top-1": 10.0}},
    }
    assert demo.table(results).splitlines()[2:] == [
        "| classification, top-1 | 10.0 | 30.0 | +20.0 |",
        "| detection, AP | 2.0 (1.0 to 3.0) | 4.5 (4.0 to 5.0) | +2.5 |",
    ]
