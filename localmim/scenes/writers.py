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
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
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


def write_image_folder(
    out_dir: str | Path, scenes: SceneSet, workers: int = 1, progress: Progress | None = None
) -> None:
    """Write a classification set as an image folder.

    Pictures are ``train/<kind>/<number>.png`` and ``val/<kind>/<number>.png``, the kind being that
    of the largest visible object and numbers counting through the split from 000001. All ten
    folders exist in both splits, even those that got no picture.

    Args:
        out_dir: destination, a new or an empty folder; folders above it are made if need be.
        scenes: what to draw.
        workers: number of processes, at least 1.
        progress: called without arguments after each scene.

    Raises:
        FileExistsError: ``out_dir`` is a file or a folder that is not empty.
        ValueError: ``workers`` is less than 1.
    """
    folders = [f"{split}/{kind}" for split in SPLITS for kind in KINDS]
    with _staged(out_dir, folders, scene_record("folder", scenes)) as root:
        _each(partial(_write_folder_scene, root, scenes), scenes.tasks(), workers, progress)


def write_ade20k(
    out_dir: str | Path, scenes: SceneSet, workers: int = 1, progress: Progress | None = None
) -> None:
    """Write a semantic segmentation set laid out as ADE20K.

    Pictures are ``images/{training,validation}/<number>.jpg``, label maps
    ``annotations/{training,validation}/<number>.png``. As in ADE20K, value 0 would mean "other",
    which ``reduce_zero_label=True`` turns into the ignored 255; here no pixel has it. Background
    is 1 and the kinds are 2 to 11, hence classes 0 to 10, ``ADE20K_CLASSES``, once reduced.

    Arguments and errors are those of :func:`write_image_folder`.
    """
    parts, splits = ("images", "annotations"), _ADE20K_FOLDERS.values()
    folders = [f"{part}/{split}" for part in parts for split in splits]
    with _staged(out_dir, folders, scene_record("ade20k", scenes)) as root:
        _each(partial(_write_ade20k_scene, root, scenes), scenes.tasks(), workers, progress)


def write_coco(
    out_dir: str | Path, scenes: SceneSet, workers: int = 1, progress: Progress | None = None
) -> None:
    """Write an instance segmentation and detection set laid out as COCO 2017.

    Pictures are ``train2017/<id>.jpg`` and ``val2017/<id>.jpg``, annotations
    ``annotations/instances_{train,val}2017.json``. Boxes are [x, y, width, height] and areas
    pixel counts, both of the visible part of an object. Masks are uncompressed run lengths,
    because an object behind others may be in several parts. Category k + 1 is kind k.

    Arguments and errors are those of :func:`write_image_folder`.
    """
    folders, record = ["train2017", "val2017", "annotations"], scene_record("coco", scenes)
    with _staged(out_dir, folders, record) as root:
        write = partial(_write_coco_scene, root, scenes)
        entries = _each(write, scenes.tasks(), workers, progress)
        parts = {"train": entries[: scenes.train], "val": entries[scenes.train :]}
        for split, part in parts.items():
            path = root / "annotations" / f"instances_{split}2017.json"
            path.write_text(json.dumps(_coco_file(scenes.seed, part)), encoding="utf-8")


# By layout.
WRITERS = {"folder": write_image_folder, "ade20k": write_ade20k, "coco": write_coco}


def provide_scenes(
    layout: str,
    folder: str | Path,
    scenes: SceneSet,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write a set unless it is there already.

    Args:
        layout: one of ``WRITERS``.
        folder: of the set.
        scenes, workers, progress: as of :func:`write_image_folder`.

    Raises:
        ValueError: the folder holds something else.
    """
    if not Path(folder).exists():
        return WRITERS[layout](folder, scenes, workers, progress)
    path, wanted = Path(folder) / RECORD, scene_record(layout, scenes)
    found = json.loads(path.read_text()) if path.exists() else f"no {RECORD} that tells"
    if found != wanted:
        raise ValueError(
            f"{folder} does not hold the scenes that are asked for, {wanted}, but {found}; delete "
            "it or choose another folder"
        )


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


def _write_folder_scene(root: Path, scenes: SceneSet, task: Task) -> None:
    split, position = task
    scene = scenes.render(split, position)
    _save(root / split / KINDS[scene.label] / f"{position + 1:06d}.png", scene.image)


def _write_ade20k_scene(root: Path, scenes: SceneSet, task: Task) -> None:
    split, position = task
    scene = scenes.render(split, position)
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


def _write_coco_scene(root: Path, scenes: SceneSet, task: Task) -> tuple[dict, list[dict]]:
    """Write a scene's picture; return its entry in ``images`` and, but for ids, its objects."""
    scene = scenes.render(*task)
    # From the scene's number, because image ids are unique over train and val together.
    image_id = scenes.index(*task) + 1
    height, width = scenes.size
    image = {"id": image_id, "file_name": f"{image_id:012d}.jpg", "height": height, "width": width}
    _save(root / f"{task[0]}2017" / image["file_name"], scene.image)
    numbers = range(1, len(scene.kinds) + 1)
    return image, [{"image_id": image_id, **_coco_object(scene, n)} for n in numbers]


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
def _staged(out_dir: str | Path, folders: Iterable[str], record: dict) -> Iterator[Path]:
    """Give a hidden folder holding ``folders`` that becomes ``out_dir``, with its record, if all
    goes well."""
    target = Path(out_dir).resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "a folder that is not empty" if target.is_dir() else "a file"
        raise FileExistsError(f"{out_dir} is {what}: name a new or empty folder, or remove it")
    made = [parent for parent in target.parents if not parent.exists()]
    stage = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        for folder in folders:
            (stage / folder).mkdir(parents=True)
        yield stage
        (stage / RECORD).write_text(f"{json.dumps(record)}\n")
        if target.exists():
            target.rmdir()  # empty, and in the way of a rename on some systems
        stage.rename(target)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
