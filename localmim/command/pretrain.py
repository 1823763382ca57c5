"""``localmim pretrain``: from a folder of images to an encoder and a page that tells about it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from mmengine.config import Config

from localmim.data.survey import survey
from localmim.durable import written_aside
from localmim.engine.launch import build_runner
from localmim.engine.preemption import SIGNALS, Preempted

from .arguments import TIMM
from .machine import this_machine
from .outcome import Outcome, finish
from .places import brought
from .planning import Plan, plan
from .starting import FILE as START
from .starting import Start, start_from
from .wishes import Wishes

CONFIG, RUN = "config.py", "run.json"


def pretrain(
    data: str,
    out: str | Path | None = None,
    *,
    method: str = "localmim",
    arch: str | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    batch: int | None = None,
    weights: str | None = None,
    val: str | None = None,
    devices: int | None = None,
    seed: int = 0,
    settings: dict | None = None,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Pre-train an encoder on a folder of unlabelled images; ``localmim pretrain`` does this.

    Called again with the same ``out`` it goes on where it was stopped.

    Args:
        data: the folder, searched recursively.
        out: folder of everything that is written; ``work_dirs/DATA`` by default.
        method: "localmim", "lomar", "a2mim", "mae", "maskfeat" or "greenmim".
        arch: "vit-small", "swin-tiny", "resnet50", ...: see :data:`localmim.recipes.ENCODERS`.
        image_size: side of the crops in pixels.
        channels: 1 or 3.
        epochs: length; or
        minutes: about how long it may take.
        batch: images a step on each device.
        weights: a file to start from, of any kind that ``localmim convert`` reads; or
            "timm:NAME", which timm may download.
        val: a labelled folder on which features are measured now and then.
        devices: processes that train, one a GPU.
        seed: of everything random.
        settings: of the config, such as ``{"optim_wrapper.optimizer.lr": 1e-3}``.
        say: is told what a person would like to know.

    Returns:
        What came of it: files, and the commands to go on.

    Raises:
        OSError: a file or folder is not there.
        ValueError: something that was asked for cannot be.
        Preempted: it was asked to stop, has saved and can go on.
    """
    wishes = Wishes(
        *(data, method, arch, image_size, channels, epochs, minutes, batch, devices),
        *(weights, val, seed, settings or {}),
    )
    wishes.check()
    folder = Path(out or Path("work_dirs", Path(data).expanduser().resolve().name)).expanduser()
    config = folder / CONFIG
    if config.exists():
        _check_same(wishes, folder)
        say(f"Going on in {folder}")
    else:
        _check_empty(folder)
        begun = prepare(wishes, folder, say)
        _write(begun, wishes, folder)
        about = _duration(begun.seconds)
        say(f"Takes about {about}. The log is in {folder}; Ctrl-C saves and ends.")
    _run(config, folder)
    return finish(folder, say)


def prepare(wishes: Wishes, folder: Path, say: Callable[[str], None]) -> Plan:
    """Choose everything, and say what was chosen and why."""
    found = survey(wishes.data)
    say(f"{wishes.data}: {found}")
    start = None
    if wishes.weights is not None:
        start = Start.of(wishes.weights)
        wishes = start.fitting(wishes)
    planned = plan(wishes, found, this_machine(), say)
    if start is not None:
        folder.mkdir(parents=True, exist_ok=True)
        say(start_from(start, planned, folder))
    say(planned.table())
    planned.cfg.work_dir = str(folder.absolute())
    return planned


def _check_same(wishes: Wishes, folder: Path) -> None:
    """Refuse to go on with a training that was begun in another way."""
    before = json.loads((folder / RUN).read_text())["wishes"]
    now = json.loads(json.dumps(asdict(_rooted(wishes))))
    changed = [name for name in now if now[name] != before.get(name)]
    if changed:
        name = changed[0]
        raise ValueError(
            f"{folder} holds a training that was begun with {name.replace('_', '-')} "
            f"{before.get(name)}, not {now[name]}: give another --out, or the same again to go on"
        )


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder} is a file: give a folder")
    if any(path.name != START for path in folder.glob("*.pth")):
        raise ValueError(f"{folder} holds another training already: give another --out")


def _rooted(wishes: Wishes) -> Wishes:
    """The wishes with whole paths, which mean the same from every folder."""
    given = {name: getattr(wishes, name) for name in ("data", "weights", "val")}
    paths = {name: x for name, x in given.items() if x and not x.startswith(TIMM)}
    return replace(
        wishes, **{name: str(Path(x).expanduser().resolve()) for name, x in paths.items()}
    )


def _write(planned: Plan, wishes: Wishes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "wishes": asdict(_rooted(wishes)),
        "choices": {name: asdict(choice) for name, choice in planned.choices.items()},
        "data": str(planned.found),
        "begun": time.time(),
    }
    with written_aside(folder / RUN) as aside:
        aside.write_text(json.dumps(record, indent=2) + "\n")
    with written_aside(folder / CONFIG) as aside:
        aside.write_text(planned.cfg.pretty_text)


def _run(config: Path, folder: Path) -> None:
    """Train, or go on, in this process or in one for each device."""
    devices = json.loads((folder / RUN).read_text())["choices"]["devices"]["value"]
    resume = any(folder.glob("*.pth")) and (folder / "last_checkpoint").exists()
    if devices > 1:
        _run_processes(config, devices, resume)
        return
    cfg = Config.fromfile(str(config))
    cfg.launcher, cfg.resume = "none", resume
    if resume:
        cfg.load_from = None
    build_runner(cfg).train()


def _run_processes(config: Path, devices: int, resume: bool) -> None:
    """Train in a process for each device, to the end."""
    script = brought("tools/dist_train.sh")
    command = ["bash", str(script), str(config), str(devices)]
    command += ["--resume", "--cfg-options", "load_from=None"] if resume else []
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # In a group of its own, where signals come from here only: Ctrl-C would reach it twice.
    process = subprocess.Popen(command, env=os.environ | {"PATH": path}, start_new_session=True)
    with _passed_on(process) as received:
        code = process.wait()
    if received:
        raise Preempted(code)
    if code:
        raise ChildProcessError(f"the training on {devices} devices failed: see what it said above")


@contextmanager
def _passed_on(process: subprocess.Popen) -> Iterator[list[int]]:
    """Signals that ask to end go to a process; gives those that came."""
    received: list[int] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield received  # Python gives signals to no other thread
        return
    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
