"""What a pre-training leaves behind: an encoder for other libraries, numbers, a page."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from localmim.analysis import load_encoder
from localmim.analysis.labelled import pooled
from localmim.checkpoints import Conversion, convert_file, timm_call
from localmim.checkpoints.usage import IMPORTS
from localmim.durable import written_aside

from .report import write_report
from .starting import FILE as START

METRICS, REPORT = "metrics.jsonl", "report.html"

# Of encoders that timm does not have.
LOADED = """\
from localmim.analysis import load_encoder

model = load_encoder({!r})
# vectors = model.vectors(model.read(["image.png", ...]))"""


@dataclass
class Outcome:
    """What came of a pre-training.

    Attributes:
        folder: of everything.
        checkpoint: of the whole model, to resume from and to draw with.
        encoder: alone, for the library that it names.
        snippet: Python that uses it, which has been run: timm's where timm has the model.
        checked: what running it showed.
        report: the page.
        commands: to go on, by what they are for.
    """

    folder: Path
    checkpoint: Path
    encoder: Path
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
    for dialect in ("timm", "mmpretrain"):
        encoder = folder / f"encoder_{dialect}.safetensors"
        try:
            conversion, meta = convert_file(checkpoint, encoder, dialect, overwrite=True)
        except ValueError:
            if dialect == "mmpretrain":
                raise
            continue
        found = Outcome(folder, checkpoint, encoder)
        if dialect == "timm":
            call = timm_call(conversion.architecture, meta, encoder)
            if call is not None:
                imports = IMPORTS if "partial(" in call else "import timm\n"
                found.snippet = f"{imports}\nmodel = {call}\nmodel.eval()"
                found.checked = _run(found, conversion)
                return found
        found.snippet = LOADED.format(str(encoder))
        found.checked = _run_loaded(found)
        return found
    raise AssertionError("unreachable")


@torch.no_grad()
def _run(found: Outcome, conversion: Conversion) -> str:
    """Run the snippet, and compare the features that it gives with the training's."""
    if find_spec("timm") is None:
        return "not run: timm is not installed here"
    names: dict = {}
    exec(found.snippet, names)
    encoder = load_encoder(str(found.checkpoint))
    images = torch.randn(2, encoder.channels, *encoder.image_size)
    theirs = names["model"].forward_features(images)
    family = conversion.architecture.family
    if family == "swin":
        theirs = theirs.permute(0, 3, 1, 2)
    theirs = pooled(theirs, names["model"].num_prefix_tokens if family == "vit" else 0)
    ours = encoder.vectors(images)
    if family == "convnext":  # whose last norm is part of timm's head
        return "run; timm's features come before the last norm"
    return _compared(theirs, ours)


def _run_loaded(found: Outcome) -> str:
    """The same with the encoder as it is loaded here."""
    names: dict = {}
    exec(found.snippet, names)
    encoder = load_encoder(str(found.checkpoint))
    images = torch.randn(2, encoder.channels, *encoder.image_size)
    theirs, ours = names["model"].vectors(images), encoder.vectors(images)
    return _compared(theirs, ours)


def _compared(theirs: Tensor, ours: Tensor) -> str:
    difference = float((theirs - ours).abs().max() / ours.abs().max())
    equal = f"to {difference:.0e}" if difference else "exactly"
    return f"run: features equal the training's {equal}"


def _commands(found: Outcome) -> dict[str, str]:
    data = json.loads((found.folder / "run.json").read_text())["wishes"]["data"]
    weights = found.checkpoint
    return {
        "Look": f"localmim show {weights} {data} --out-dir {found.folder / 'reconstructions'}",
        "Embed": f"localmim embed {weights} {data} {found.folder / 'features.npy'}",
        "k-NN": f"localmim knn LABELLED_FOLDER {weights}",
        "Finetune": f"localmim finetune LABELLED_FOLDER {weights}",
        "Convert": f"localmim convert {weights} OUT.safetensors --to mmseg",
    }
