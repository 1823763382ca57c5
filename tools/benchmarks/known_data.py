"""Labelled images that are fetched or drawn where they are not there."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# As the transfer demo draws them.
SCENES = "--train=3000 --val=600 --size 128 128 --max-objects=1 --workers=2"


def provided(name: str) -> tuple[Path, Path | None]:
    """The folder of labelled images, and that of the scenes' maps; made where it is not there."""
    scenes, elpv = ROOT / "data" / "scenes", ROOT / "data" / "elpv"
    if name not in ("scenes", "elpv"):
        return Path(name).absolute(), None
    wanted = {elpv: ["tools/fetch_elpv.py", elpv]}
    if name == "scenes":
        wanted = {
            scenes / layout: ["tools/make_scenes.py", layout, scenes / layout, *SCENES.split()]
            for layout in ("folder", "ade20k")
        }
    for folder, command in wanted.items():
        if not folder.exists():
            subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True)
    return (scenes / "folder", scenes / "ade20k") if name == "scenes" else (elpv, None)
