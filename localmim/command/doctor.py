"""``localmim doctor``: whether installation and machine are fit to train, and what to do."""

import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import torch
import torchvision

from localmim import recipes
from localmim.data.cropping import LoadRandomResizedCrop
from localmim.data.listing import list_files
from localmim.data.survey import Survey, survey
from localmim.data.unlabelled import EXTENSIONS
from localmim.data.unusable import UnusableImage
from localmim.operators import StandIn
from localmim.stack import INSTALL, STACKS, check_stack, installed_versions
from localmim.version import __version__

from .machine import this_machine
from .planning import plan
from .wishes import Wishes

READ = 64
# Libraries beside, and what they are for.
OPTIONAL = {
    "timm": "to run exported encoders",
    "tensorboard": "to watch curves and pictures",
    "simplejpeg": "to read JPEGs faster",
    "pyarrow": "to write features as .parquet",
    "onnx": "to export encoders to ONNX",
}


@dataclass(frozen=True)
class Finding:
    """Something that was looked at.

    Attributes:
        subject: what.
        found: how it is.
        fix: what to do about it; "" where nothing is to be done.
        optional: whether all works as it is.
    """

    subject: str
    found: str
    fix: str = ""
    optional: bool = False


def doctor(data: str | None = None, say: Callable[[str], None] = print) -> list[Finding]:
    """Look at the installation, the machine and a folder of images; ``localmim doctor`` does this.

    Args:
        data: the folder, or None.
        say: is told each finding.
    """
    found = []
    for one in (*_versions(), *_devices(), *(_folder(data) if data else ())):
        say(f"{'!' if one.fix and not one.optional else ' '} {one.subject:<14}{one.found}")
        if one.fix:
            say(f"  {'':<14}-> {one.fix}")
        found.append(one)
    wrong = sum(bool(one.fix) and not one.optional for one in found)
    say(f"{wrong} thing{'s'[: wrong != 1]} to mend" if wrong else "all is well")
    return found


def _versions() -> Iterator[Finding]:
    yield Finding("localmim", f"{__version__}, Python {platform.python_version()}")
    yield Finding("torch", f"{torch.__version__}, torchvision {torchvision.__version__}")
    versions = installed_versions()
    family = check_stack(versions)
    both = all(any(name in versions for name in stack) for stack in STACKS.values())
    fix = f"use an environment with one family only: {INSTALL[family]}" if both else ""
    of_family = ", ".join(f"{n} {v}" for n, v in versions.items() if n in STACKS[family])
    yield Finding("OpenMMLab", "packages of both families" if both else of_family, fix)
    stand_in = isinstance(sys.modules.get("mmcv._ext"), StandIn)
    yield Finding("operators", "torchvision's, which do" if stand_in else "mmcv's own")
    for name, purpose in OPTIONAL.items():
        if find_spec(name):
            yield Finding(name, metadata.version(name))
        else:
            yield Finding(name, "is not installed", f"pip install {name}, {purpose}", optional=True)


def _devices() -> Iterator[Finding]:
    if not torch.cuda.is_available():
        fix = ""
        if Path("/proc/driver/nvidia").exists():
            fix = "there is a driver: this torch was built without CUDA, or is too new for it"
        yield Finding("GPU", f"none; {torch.get_num_threads()} threads of the CPU train", fix)
        return
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        free, total = (x / 2**30 for x in torch.cuda.mem_get_info(number))
        fix = "other programs hold its memory: see nvidia-smi" if free < 0.7 * total else ""
        yield Finding(f"GPU {number}", f"{device.name}, {free:.0f} of {total:.0f} GiB free", fix)


def _folder(data: str) -> Iterator[Finding]:
    found = survey(data)
    fix = f"unusable, e.g. {found.unusable[0]}" if found.unusable else ""
    yield Finding("images", str(found), fix)
    took = _milliseconds_to_read(data)
    yield Finding("reading", f"{took:.1f} ms an image and worker")
    if found.images >= recipes.pretraining.FEWEST_IMAGES:
        yield _training(data, found, took)


def _milliseconds_to_read(data: str) -> float:
    """Of an image, the mean of some."""
    names = list_files(data, lambda name: name.lower().endswith(EXTENSIONS))[:READ]
    read = LoadRandomResizedCrop(224, crop_ratio_range=(0.2, 1.0))
    begun, count = time.perf_counter(), 0
    for name in names:
        try:
            read({"img_path": str(Path(data, name))})
            count += 1
        except UnusableImage:
            continue
    return 1000 * (time.perf_counter() - begun) / max(1, count)


def _training(data: str, found: Survey, took: float) -> Finding:
    """Whether images are read as fast as they are trained with, ``took`` milliseconds each."""
    planned = plan(Wishes(data), found, this_machine(), lambda _: None)
    chosen = {name: choice.value for name, choice in planned.choices.items()}
    step = planned.seconds / chosen["iterations"]
    needed = chosen["batch"] * chosen["devices"] / step
    workers = chosen["workers"] * chosen["devices"]
    read = 1000 * workers / took
    fix = ""
    if read < needed:
        fix = "store them smaller (512 pixels are enough), or as shards: tools/make_shards.py"
    words = f"{needed:.0f} images a second ({chosen['encoder']}, {chosen['image size']} pixels)"
    return Finding("training", f"{words}; {workers} worker(s) read {read:.0f}", fix)
