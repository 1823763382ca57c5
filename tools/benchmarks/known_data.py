"""Labelled images that are fetched or drawn where they are not there."""

import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from localmim.scenes import SceneSet, provide_scenes

ROOT = Path(__file__).parents[2]
# Those of the transfer demo's tasks.
SCENES = SceneSet(3000, 600, (128, 128), max_objects=1)


def provided(name: str) -> tuple[Path, Path | None]:
    """The folder of labelled images, and that of the scenes' maps; made where it is not there.

    Raises:
        ValueError: there are other scenes than those that are meant.
    """
    scenes, elpv = ROOT / "data" / "scenes", ROOT / "data" / "elpv"
    if name == "elpv":
        if not elpv.exists():
            subprocess.run([sys.executable, "tools/fetch_elpv.py", elpv], cwd=ROOT, check=True)
        return elpv, None
    if name != "scenes":
        return Path(name).absolute(), None
    folders = {layout: scenes / layout for layout in ("folder", "ade20k")}
    with tqdm(total=SCENES.train + SCENES.val, desc="drawing scenes", delay=0.2) as bar:
        provide_scenes(folders, SCENES, 2, bar.update)
    return scenes / "folder", scenes / "ade20k"
