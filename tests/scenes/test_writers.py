import json

import cv2
import numpy as np
import pytest

from localmim.scenes import LAYOUTS, SceneSet, provide_scenes, scene_record, write_scenes
from localmim.scenes.shapes import KINDS
from localmim.scenes.writers import ADE20K_CLASSES, RECORD, encode_rle

SCENES = SceneSet(train=12, val=5, size=(48, 64), seed=3)


def read_rgb(path):
    return cv2.imread(str(path))[..., ::-1]


def decode_rle(rle):
    runs = np.array(rle["counts"])
    height, width = rle["size"]
    return np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T


def files(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def positions():
    return {"train": range(SCENES.train), "val": range(SCENES.val)}.items()


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    root = tmp_path_factory.mktemp("coco")
    write_scenes({"coco": root}, SCENES)
    names = ("train", "val")
    return root, {
        n: json.loads((root / f"annotations/instances_{n}2017.json").read_text()) for n in names
    }


def test_image_folder_holds_the_scenes_under_their_labels(tmp_path):
    write_scenes({"folder": tmp_path / "set"}, SCENES)
    for split, numbers in positions():
        folder = tmp_path / "set" / split
        assert sorted(p.name for p in folder.iterdir()) == list(KINDS)
        assert len(list(folder.glob("*/*"))) == len(numbers)
        for n in numbers:
            scene = SCENES.render(split, n)
            path = folder / KINDS[scene.label] / f"{n + 1:06d}.png"
            assert np.array_equal(read_rgb(path), scene.image)


def test_image_folder_loads_with_mmpretrain(tmp_path):
    datasets = pytest.importorskip("mmpretrain.datasets")
    write_scenes({"folder": tmp_path / "set"}, SCENES)
    dataset = datasets.CustomDataset(data_root=str(tmp_path / "set"), data_prefix="train")
    assert tuple(dataset.metainfo["classes"]) == KINDS
    labels = sorted(SCENES.render("train", n).label for n in range(SCENES.train))
    assert sorted(dataset[n]["gt_label"] for n in range(len(dataset))) == labels


def test_no_scene_is_in_both_splits(tmp_path):
    write_scenes({"folder": tmp_path / "set"}, SCENES)
    pictures = [p.read_bytes() for p in (tmp_path / "set").rglob("*.png")]
    assert len(set(pictures)) == len(pictures) == SCENES.train + SCENES.val


def test_ade20k_maps_agree_with_the_scenes(tmp_path):
    write_scenes({"ade20k": tmp_path / "set"}, SCENES)
    for split, folder in (("train", "training"), ("val", "validation")):
        assert len(list((tmp_path / "set/images" / folder).iterdir())) == getattr(SCENES, split)
        for n in range(getattr(SCENES, split)):
            scene = SCENES.render(split, n)
            path = tmp_path / "set/annotations" / folder / f"{n + 1:06d}.png"
            stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert stored.shape == SCENES.size and stored.min() == 1
            for number, kind in enumerate((None, *scene.kinds)):
                name = "background" if number == 0 else KINDS[kind]
                reduced = stored[scene.instances == number] - 1
                assert np.all(reduced == ADE20K_CLASSES.index(name))
            picture = read_rgb(tmp_path / "set/images" / folder / f"{n + 1:06d}.jpg")
            assert np.abs(picture.astype(float) - scene.image).mean() < 10


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 1], [0, 1]], [2, 2]),
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
    ],
)
def test_rle_runs_down_the_columns_beginning_outside(mask, counts):
    assert encode_rle(np.array(mask, dtype=bool)) == {"counts": counts, "size": [2, 2]}


def test_coco_objects_agree_with_the_scenes(coco):
    root, content = coco
    for split, numbers in positions():
        images, objects = content[split]["images"], iter(content[split]["annotations"])
        assert len(images) == len(numbers)
        for n, image in zip(numbers, images, strict=True):
            scene = SCENES.render(split, n)
            picture = read_rgb(root / f"{split}2017" / image["file_name"])
            assert picture.shape == (image["height"], image["width"], 3)
            assert np.abs(picture.astype(float) - scene.image).mean() < 10
            for number, kind in enumerate(scene.kinds, start=1):
                entry, mask = next(objects), scene.instances == number
                assert entry["image_id"] == image["id"] and entry["iscrowd"] == 0
                assert KINDS[entry["category_id"] - 1] == KINDS[kind]
                assert np.array_equal(decode_rle(entry["segmentation"]), mask)
                y, x = np.nonzero(mask)
                box = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
                assert entry["bbox"] == box and entry["area"] == mask.sum()
        assert next(objects, None) is None


def test_coco_files_are_complete_and_ids_unique(coco):
    root, content = coco
    for split, part in content.items():
        assert set(part) == {"info", "licenses", "images", "annotations", "categories"}
        assert [(c["id"], c["name"]) for c in part["categories"]] == list(enumerate(KINDS, 1))
        ids = [entry["id"] for entry in part["annotations"]]
        assert len(set(ids)) == len(ids) and min(ids) == 1
        stored = {path.name for path in (root / f"{split}2017").iterdir()}
        assert stored == {image["file_name"] for image in part["images"]}
    image_ids = [image["id"] for part in content.values() for image in part["images"]]
    assert len(set(image_ids)) == SCENES.train + SCENES.val


def test_number_of_workers_does_not_change_a_byte(tmp_path, coco):
    calls, folders = [], {"coco": tmp_path / "two"}
    write_scenes(folders, SCENES, workers=2, progress=lambda: calls.append(None))
    assert files(tmp_path / "two") == files(coco[0])
    assert len(calls) == SCENES.train + SCENES.val


def test_layouts_written_together_are_those_written_alone_and_drawn_once(tmp_path, monkeypatch):
    for layout in LAYOUTS:
        write_scenes({layout: tmp_path / "alone" / layout}, SCENES)
    render, drawn = SceneSet.render, []
    monkeypatch.setattr(SceneSet, "render", lambda *task: drawn.append(task) or render(*task))
    write_scenes({layout: tmp_path / "together" / layout for layout in LAYOUTS}, SCENES)
    assert len(drawn) == SCENES.train + SCENES.val
    assert files(tmp_path / "together") == files(tmp_path / "alone")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_destination_in_use_is_refused_before_any_work(tmp_path, layout):
    kept = tmp_path / "set" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(FileExistsError, match="not empty: name a new or empty folder"):
        write_scenes(
            {layout: tmp_path / "set"}, SCENES, progress=lambda: pytest.fail("drew a scene")
        )
    with pytest.raises(FileExistsError, match="is a file"):
        write_scenes({layout: kept}, SCENES)
    assert files(tmp_path) == {kept.relative_to(tmp_path): b"mine"}
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_left_after_a_failure(tmp_path, monkeypatch):
    render = SceneSet.render

    def fail_late(self, split, position):
        if position == 3:
            raise RuntimeError("out of paint")
        return render(self, split, position)

    monkeypatch.setattr(SceneSet, "render", fail_late)
    with pytest.raises(RuntimeError, match="out of paint"):
        write_scenes({layout: tmp_path / "new" / layout for layout in LAYOUTS}, SCENES)
    assert list(tmp_path.iterdir()) == []


def test_a_set_is_drawn_once_and_one_that_was_drawn_otherwise_is_not_taken(tmp_path):
    scenes, calls = SceneSet(2, 1, (32, 48), seed=7, max_objects=2), []
    folders = {"ade20k": tmp_path / "set"}
    for _ in range(2):
        provide_scenes(folders, scenes, progress=lambda: calls.append(None))
    assert len(calls) == 3
    folders["coco"] = tmp_path / "more"
    provide_scenes(folders, scenes, progress=lambda: calls.append(None))
    assert len(calls) == 6 and (tmp_path / "more" / "train2017").is_dir()
    written = json.loads((tmp_path / "set" / RECORD).read_text())
    assert written == scene_record("ade20k", scenes)
    assert written == dict(layout="ade20k", train=2, val=1, size=[32, 48], seed=7, max_objects=2)
    with pytest.raises(ValueError, match="set does not hold .*'folder'.* but .*'ade20k'"):
        provide_scenes({"folder": tmp_path / "set"}, scenes)
    (tmp_path / "set" / RECORD).unlink()
    with pytest.raises(ValueError, match="but no scenes.json that tells"):
        provide_scenes({"ade20k": tmp_path / "set"}, scenes)


def test_requests_out_of_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match="train must be 0 or more, got -1"):
        SceneSet(train=-1, val=0)
    with pytest.raises(ValueError, match="size must be .* at least 32 pixels"):
        SceneSet(train=1, val=0, size=(16, 64))
    with pytest.raises(ValueError, match="workers must be 1 or more, got 0"):
        write_scenes({"coco": tmp_path / "set"}, SCENES, workers=0)
    assert list(tmp_path.iterdir()) == []
