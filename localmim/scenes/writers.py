"""Procedural scenes on disk, in the layouts that the OpenMMLab data sets read.

A set is first written into a hidden folder next to its destination and renamed at the end, so
that a destination that exists is complete. Its ``scenes.json`` tells how the scenes were drawn.

With more than one worker, scenes are drawn in fresh processes, which import the main module
anew: a script that calls a writer this way must do so under ``if __name__ == "__main__":``. What
is written does not depend on the number of workers.
"""

import contextlib
import json
import multiprocessing
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from .rendering import SPLITS, Scene, SceneSet
from .shapes import KINDS

# In the order of the indices that ``reduce_zero_label`` leaves.
ADE20K_CLASSES = ("background", *KINDS)
RECORD = "scenes.json"

Progress = Callable[[], object]
Task = tuple[str, int]  # split and position, as in SceneSet.tasks

_ADE20K_FOLDERS = {"train": "training", "val": "validation"}
_PARCEL = 4  # scenes sent to a process at once: few, so that a progress bar moves


@dataclass(frozen=True)
class Layout:
    """How a set lies on disk.

    Attributes:
        folders: all that there are, those without a picture too.
        write: writes what a (split, position) shows; what it returns is kept, in order.
        finish: writes files of the whole set, given what was kept.
    """

    folders: tuple[str, ...]
    write: Callable[[Path, SceneSet, Task, Scene], object]
    finish: Callable[[Path, SceneSet, list], None] = lambda root, scenes, kept: None


def write_scenes(
    folders: Mapping[str, str | Path],
    scenes: SceneSet,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write sets of the same scenes, each of which is drawn once.

    Args:
        folders: layout, one of ``LAYOUTS``, -> destination, a new or an empty folder; folders above
            it are made if need be.
        scenes: what to draw.
        workers: number of processes, at least 1.
        progress: called without arguments after each scene.

    Raises:
        FileExistsError: a destination is a file or a folder that is not empty.
        ValueError: ``workers`` is less than 1.
    """
    with contextlib.ExitStack() as stack:
        roots = {
            layout: stack.enter_context(_staged(folder, layout, scenes))
            for layout, folder in folders.items()
        }
        kept = _each(partial(_write_scene, roots, scenes), scenes.tasks(), workers, progress)
        for number, (layout, root) in enumerate(roots.items()):
            LAYOUTS[layout].finish(root, scenes, [entries[number] for entries in kept])


def provide_scenes(
    folders: Mapping[str, str | Path],
    scenes: SceneSet,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write the sets that are not there already.

    Args:
        folders, scenes, workers, progress: as of :func:`write_scenes`.

    Raises:
        ValueError: a folder holds something else.
    """
    missing = {}
    for layout, folder in folders.items():
        path, wanted = Path(folder) / RECORD, scene_record(layout, scenes)
        if not Path(folder).exists():
            missing[layout] = folder
            continue
        found = json.loads(path.read_text()) if path.exists() else f"no {RECORD} that tells"
        if found != wanted:
            raise ValueError(
                f"{folder} does not hold the scenes that are asked for, {wanted}, but {found}; "
                "delete it or choose another folder"
            )
    if missing:
        write_scenes(missing, scenes, workers, progress)


def scene_record(layout: str, scenes: SceneSet) -> dict:
    """How a set is drawn, as its ``scenes.json`` has it."""
    return {"layout": layout, **asdict(scenes), "size": list(scenes.size)}


def semantic_map(scene: Scene) -> np.ndarray:
    """(H, W) uint8 map of a scene, as it is written for ADE20K: 1 background, k + 2 kind k."""
    return np.array((1, *(kind + 2 for kind in scene.kinds)), dtype=np.uint8)[scene.instances]


def encode_rle(mask: np.ndarray) -> dict:
    """Encode a mask as COCO's uncompressed run-length code.

    Args:
        mask: (H, W) bool.

    Returns:
        ``size``, [H, W], and ``counts``, the lengths of the runs down the columns from left to
        right, in turn outside and inside the mask, beginning outside (with 0 if need be).
    """
    flat = mask.ravel(order="F")
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], starts, [flat.size]])).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": list(mask.shape)}


def _write_scene(roots: Mapping[str, Path], scenes: SceneSet, task: Task) -> list:
    """Draw a scene and write it in every layout; what each of these keeps of it."""
    scene = scenes.render(*task)
    return [LAYOUTS[layout].write(root, scenes, task, scene) for layout, root in roots.items()]


def _write_folder_scene(root: Path, scenes: SceneSet, task: Task, scene: Scene) -> None:
    split, position = task
    _save(root / split / KINDS[scene.label] / f"{position + 1:06d}.png", scene.image)


def _write_ade20k_scene(root: Path, scenes: SceneSet, task: Task, scene: Scene) -> None:
    split, position = task
    folder, name = _ADE20K_FOLDERS[split], f"{position + 1:06d}"
    _save(root / "images" / folder / f"{name}.jpg", scene.image)
    _save(root / "annotations" / folder / f"{name}.png", semantic_map(scene))


def _coco_object(scene: Scene, number: int) -> dict:
    mask = scene.instances == number
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "category_id": scene.kinds[number - 1] + 1,
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": encode_rle(mask),
    }


def _write_coco_scene(
    root: Path, scenes: SceneSet, task: Task, scene: Scene
) -> tuple[dict, list[dict]]:
    """Write a scene's picture; return its entry in ``images`` and, but for ids, its objects."""
    # From the scene's number, because image ids are unique over train and val together.
    image_id = scenes.index(*task) + 1
    height, width = scenes.size
    image = {"id": image_id, "file_name": f"{image_id:012d}.jpg", "height": height, "width": width}
    _save(root / f"{task[0]}2017" / image["file_name"], scene.image)
    numbers = range(1, len(scene.kinds) + 1)
    return image, [{"image_id": image_id, **_coco_object(scene, n)} for n in numbers]


def _write_coco_annotations(root: Path, scenes: SceneSet, entries: list) -> None:
    parts = {"train": entries[: scenes.train], "val": entries[scenes.train :]}
    for split, part in parts.items():
        path = root / "annotations" / f"instances_{split}2017.json"
        path.write_text(json.dumps(_coco_file(scenes.seed, part)), encoding="utf-8")


def _coco_file(seed: int, entries: list[tuple[dict, list[dict]]]) -> dict:
    objects = [annotation for _, annotations in entries for annotation in annotations]
    categories = [
        {"id": k, "name": name, "supercategory": "shape"} for k, name in enumerate(KINDS, 1)
    ]
    return {
        "info": {"description": f"procedural scenes, seed {seed}", "version": "1.0"},
        "licenses": [],
        "images": [image for image, _ in entries],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(objects, 1)],
        "categories": categories,
    }


def _save(path: Path, picture: np.ndarray) -> None:
    """Write a grey or RGB uint8 picture in the format that the name's suffix tells."""
    _, data = cv2.imencode(path.suffix, picture[..., ::-1] if picture.ndim == 3 else picture)
    # Not cv2.imwrite, which reports a full disk by its return value alone.
    path.write_bytes(data.tobytes())


LAYOUTS = {
    # Classification, an image folder: pictures are train/<kind>/<number>.png and val/..., the kind
    # being that of the largest visible object and numbers counting through the split from 000001.
    # All ten folders exist in both splits, even those that got no picture.
    "folder": Layout(
        tuple(f"{split}/{kind}" for split in SPLITS for kind in KINDS), _write_folder_scene
    ),
    # Semantic segmentation as ADE20K: images/{training,validation}/<number>.jpg, label maps
    # annotations/{training,validation}/<number>.png. As in ADE20K, value 0 would mean "other",
    # which reduce_zero_label=True turns into the ignored 255; here no pixel has it. Background is 1
    # and the kinds are 2 to 11, hence classes 0 to 10, ADE20K_CLASSES, once reduced.
    "ade20k": Layout(
        tuple(
            f"{part}/{split}"
            for part in ("images", "annotations")
            for split in _ADE20K_FOLDERS.values()
        ),
        _write_ade20k_scene,
    ),
    # Detection and instance segmentation as COCO 2017: {train,val}2017/<id>.jpg and
    # annotations/instances_{train,val}2017.json. Boxes are [x, y, width, height] and areas pixel
    # counts, both of the visible part of an object. Masks are uncompressed run lengths, because an
    # object behind others may be in several parts. Category k + 1 is kind k.
    "coco": Layout(
        ("train2017", "val2017", "annotations"), _write_coco_scene, _write_coco_annotations
    ),
}


def _each(write: Callable, tasks: list[Task], workers: int, progress: Progress | None) -> list:
    """What ``write`` returns for every task, in order."""
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, got {workers}")
    with contextlib.ExitStack() as stack:
        results = map(write, tasks)
        if workers > 1:
            # Spawned, not forked: the threads of OpenCV and torch do not survive a fork.
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
            stack.callback(pool.shutdown, cancel_futures=True)
            results = pool.map(write, tasks, chunksize=_PARCEL)
        collected = []
        for result in results:
            collected.append(result)
            if progress is not None:
                progress()
    return collected


@contextlib.contextmanager
def _staged(out_dir: str | Path, layout: str, scenes: SceneSet) -> Iterator[Path]:
    """Give a hidden folder with those of a layout that becomes ``out_dir``, with its record, if all
    goes well."""
    target = Path(out_dir).resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "a folder that is not empty" if target.is_dir() else "a file"
        raise FileExistsError(f"{out_dir} is {what}: name a new or empty folder, or remove it")
    made = [parent for parent in target.parents if not parent.exists()]
    stage = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        for folder in LAYOUTS[layout].folders:
            (stage / folder).mkdir(parents=True)
        yield stage
        (stage / RECORD).write_text(f"{json.dumps(scene_record(layout, scenes))}\n")
        if target.exists():
            target.rmdir()  # empty, and in the way of a rename on some systems
        stage.rename(target)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
