import json
from pathlib import Path

import pytest
from tool_main import main_of

from localmim.scenes import SceneSet, write_scenes

TOOL = Path(__file__).parents[2] / "tools" / "make_scenes.py"


@pytest.fixture(scope="module")
def main():
    return main_of("make_scenes")


def command(layout, out_dir, *more):
    return [layout, str(out_dir), "--train", "3", "--val", "2", "--size", "32", "48", *more]


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("folder", "train/*/000003.png"),
        ("ade20k", "annotations/validation/000002.png"),
        ("coco", "annotations/instances_val2017.json"),
    ],
)
def test_layouts_are_written_and_reported(main, tmp_path, capsys, layout, expected):
    main(command(layout, tmp_path / "set"))
    assert list((tmp_path / "set").glob(expected))
    out = capsys.readouterr().out
    assert "3 training and 2 validation scenes of 32 x 48 pixels" in out
    assert str(tmp_path / "set") in out


def test_options_reach_the_writer(main, tmp_path):
    main(command("folder", tmp_path / "one", "--seed", "7", "--max-objects", "2"))
    scenes = SceneSet(3, 2, (32, 48), seed=7, max_objects=2)
    write_scenes({"folder": tmp_path / "two"}, scenes)
    pictures = [
        sorted(p.read_bytes() for p in (tmp_path / n).rglob("*.png")) for n in ("one", "two")
    ]
    assert pictures[0] == pictures[1]
    assert json.loads((tmp_path / "one/scenes.json").read_text()) == dict(
        layout="folder", train=3, val=2, size=[32, 48], seed=7, max_objects=2
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--train", "-1"], "error: train must be 0 or more, got -1"),
        (["--val", "-2"], "error: val must be 0 or more, got -2"),
        (["--size", "16", "48"], "error: size must be"),
        (["--workers", "0"], "error: workers must be 1 or more, got 0"),
        (["--seed", "-1"], "error: seed must be 0 or more, got -1"),
    ],
)
def test_bad_input_is_an_error_without_a_traceback(main, tmp_path, capsys, more, message):
    with pytest.raises(SystemExit) as stop:
        main(command("coco", tmp_path / "set", *more))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_existing_destination_is_an_error(main, tmp_path, capsys):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(command("folder", tmp_path))
    assert stop.value.code == 2
    assert "is a folder that is not empty" in capsys.readouterr().err
