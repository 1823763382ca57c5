"""What a pre-training leaves behind: an encoder for other libraries, numbers, a page."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import torch

from localmim.analysis import load_encoder
from localmim.analysis.online_probe import BEST
from localmim.checkpoints import convert_file, timm_call, timm_vectors
from localmim.checkpoints.usage import IMPORTS
from localmim.durable import written_aside

from .report import write_report
from .starting import FILE as START

DIALECTS = ("timm", "mmpretrain", "localmim")  # the first that has a place for all weights
# What segmentation and detection configs of a family start from.
DOWNSTREAM = {
    "vit": {"Segment": "mmseg-mae", "Detect": "mmpretrain"},
    "swin": {"Segment": "mmseg", "Detect": "mmdet"},
    "resnet": {"Segment": "mmpretrain", "Detect": "mmdet"},
    "convnext": {"Segment": "mmpretrain", "Detect": "mmpretrain"},
}
METRICS, REPORT = "metrics.jsonl", "report.html"

# Of encoders that timm does not have.
LOADED = """\
from localmim.analysis import load_encoder

model = load_encoder({!r})
vectors = model.vectors(images)  # model.read(["image.png", ...])"""
# Of timm's.
TIMMS = """\
{}
model = {}.eval()
vectors = {}  # of images as model.pretrained_cfg says"""


@dataclass
class Outcome:
    """What came of a pre-training.

    Attributes:
        folder: of everything.
        checkpoint: of the whole model, to resume from and to draw with.
        encoder: alone, for the library that it names.
        family: of the encoder, as :class:`~localmim.checkpoints.Architecture` has it.
        snippet: Python that uses it, which has been run: timm's where timm has the model.
        checked: what running it showed.
        report: the page.
        commands: to go on, by what they are for.
    """

    folder: Path
    checkpoint: Path
    encoder: Path
    family: str
    snippet: str = ""
    checked: str = ""
    report: Path = Path()
    commands: dict[str, str] = field(default_factory=dict)


def finish(folder: Path, say: Callable[[str], None]) -> Outcome:
    """Export the encoder of a training that is complete, and write the page about it."""
    checkpoint = Path((folder / "last_checkpoint").read_text().strip())
    found = _export(folder, checkpoint)
    (folder / START).unlink(missing_ok=True)
    rows = scalars(folder)
    with written_aside(folder / METRICS) as aside:
        aside.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found.commands = _commands(found)
    found.report = folder / REPORT
    write_report(found, rows)
    say(f"Encoder:  {found.encoder}")
    say(f"Report:   {found.report}")
    for purpose, command in found.commands.items():
        say(f"{purpose + ':':<10}{command}")
    return found


def scalars(folder: Path) -> list[dict]:
    """What all starts of a training logged, in their order."""
    files = sorted(folder.glob("*/vis_data/scalars.json"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines() if line]


def _export(folder: Path, checkpoint: Path) -> Outcome:
    for dialect in DIALECTS:
        encoder = folder / f"encoder_{dialect}.safetensors"
        try:
            conversion, meta = convert_file(checkpoint, encoder, dialect, overwrite=True)
        except ValueError:
            if dialect == DIALECTS[-1]:
                raise
            continue
        found = Outcome(folder, checkpoint, encoder, conversion.architecture.family)
        if dialect == "timm":
            call = timm_call(conversion.architecture, meta, encoder)
            if call is not None:
                imports = IMPORTS if "partial(" in call else "import timm\n"
                found.snippet = TIMMS.format(imports, call, timm_vectors(conversion.architecture))
                found.checked = _run(found, by_timm=True)
                return found
        found.snippet = LOADED.format(str(encoder))
        found.checked = _run(found, by_timm=False)
        return found
    raise AssertionError("unreachable")


@torch.no_grad()
def _run(found: Outcome, by_timm: bool) -> str:
    """Run the snippet, and compare the vectors that it gives with the training's."""
    if by_timm and find_spec("timm") is None:
        return "not run: timm is not installed here"
    encoder = load_encoder(str(found.checkpoint))
    images = torch.randn(2, encoder.channels, *encoder.image_size)
    names = {"images": images}
    exec(found.snippet, names)
    if by_timm and found.family == "convnext":
        return "run; timm's vectors come before the last norm, the training's after it"
    ours = encoder.vectors(images)
    difference = float((names["vectors"] - ours).abs().max() / ours.abs().max())
    equal = f"to {difference:.0e}" if difference else "exactly"
    return f"run: vectors equal the training's {equal}"


def _commands(found: Outcome) -> dict[str, str]:
    """To go on, by what they are for."""
    dialect = found.encoder.stem.removeprefix("encoder_")
    data = json.loads((found.folder / "run.json").read_text())["wishes"]["data"]
    folder, weights = found.folder, str(found.checkpoint)
    commands = {
        "Look": ["show", weights, data, "--out-dir", folder / "reconstructions"],
        "Embed": ["embed", data, weights, folder / "features.npy"],
        "k-NN": ["knn", "LABELLED_FOLDER", weights],
        "Finetune": ["finetune", "LABELLED_FOLDER", weights],
    }
    for purpose, to in DOWNSTREAM[found.family].items() if dialect != DIALECTS[-1] else ():
        commands[purpose] = ["convert", weights, "OUT.pth", "--to", to]
    if (best := folder / BEST).exists():
        commands["Best"] = ["convert", best, folder / "encoder_best.safetensors", "--to", dialect]
    return {name: shlex.join(["localmim", *map(str, words)]) for name, words in commands.items()}
