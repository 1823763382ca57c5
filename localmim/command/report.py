"""The page about a pre-training: one file, with its pictures inside."""

import base64
import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from matplotlib.figure import Figure
from PIL import Image

from localmim.durable import written_aside
from localmim.version import __version__

if TYPE_CHECKING:
    from .outcome import Outcome

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
UNUSABLE = "unusable_images.tsv"
INK, LINES = "#333333", ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b7791f", "#c53030")
LABELS = {"loss": "sum"}
# What is drawn: heading, beginning of the names, what it means.
CURVES = (
    ("Loss", "loss", "of the scales; the sum falls"),
    ("Skill", "skill/", "0 predicts the mean target, 1 is perfect"),
    ("Directions that features use", "effective_rank/", "near 1: all images look the same to it"),
    ("Classes", "probe/", "balanced accuracy on the labelled folder"),
    ("Images a second", "images_per_second", ""),
    ("Learning rate", "lr", ""),
)


def write_report(outcome: "Outcome", rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the page.

    Args:
        outcome: what it is about; ``outcome.report`` is the page's path.
        rows: what the training logged, by "step".
    """
    folder = outcome.folder
    run = json.loads((folder / "run.json").read_text())
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text()).render(
        name=folder.name,
        version=__version__,
        data=run["data"],
        root=run["wishes"]["data"],
        choices=run["choices"],
        skipped=_skipped(folder),
        curves=[curve for curve in (_curve(rows, *about) for about in CURVES) if curve],
        pictures=[(name, _picture(Image.open(path))) for name, path in _newest(folder).items()],
        outcome=outcome,
        megabytes=outcome.encoder.stat().st_size / 1e6,
        minutes=_minutes(rows),
        skill=_skill(rows),
    )
    with written_aside(outcome.report) as aside:
        aside.write_text(page)


def _minutes(rows: Sequence[Mapping[str, Any]]) -> float:
    """That the training's steps took, by the log, which has means of their seconds."""
    logged = [row for row in rows if "time" in row and "step" in row]
    steps = [0, *(row["step"] for row in logged)]
    spans = (max(0, b - a) for a, b in zip(steps[:-1], steps[1:], strict=True))
    return sum(row["time"] * n for row, n in zip(logged, spans, strict=True)) / 60


def _skill(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The mean over scales at the end."""
    for row in reversed(rows):
        if found := [value for name, value in row.items() if name.startswith("skill/")]:
            return sum(found) / len(found)
    return None


def _skipped(folder: Path) -> list[str]:
    """Lines about files that gave no image."""
    file = folder / UNUSABLE
    lines = file.read_text().splitlines()[1:] if file.exists() else []  # after the heading
    return [line.replace("\t", ": ") for line in lines]


def _newest(folder: Path) -> dict[str, Path]:
    """The last reconstruction of each scale."""
    found: dict[str, tuple[int, Path]] = {}
    for path in folder.glob("*/vis_data/vis_image/reconstruction_*.png"):
        name, _, step = path.stem.rpartition("_")
        name = name.removeprefix("reconstruction_")
        if name not in found or int(step) > found[name][0]:
            found[name] = int(step), path
    return {name: path for name, (_, path) in sorted(found.items())}


def _picture(image: Image.Image) -> str:
    """As a link that holds the picture itself; photographs are small enough as JPEG."""
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _curve(rows: Sequence[Mapping[str, Any]], title: str, prefix: str, meaning: str) -> dict | None:
    """A chart of all that is logged under names that begin alike, None of nothing."""
    names = sorted({name for row in rows for name in row if _belongs(name, prefix)})
    if not names:
        return None
    figure = Figure(figsize=(5.2, 2.9), layout="constrained")
    axes = figure.add_subplot()
    for number, name in enumerate(names):
        points = [(row["step"], row[name]) for row in rows if name in row and "step" in row]
        label = LABELS.get(name, name.removeprefix(prefix).replace("_", " ").strip())
        axes.plot(*zip(*points, strict=True), color=LINES[number % len(LINES)], lw=1.6, label=label)
        axes.annotate(
            f"{points[-1][1]:.3g}",
            points[-1],
            textcoords="offset points",
            xytext=(3, 0),
            fontsize=7,
            color=LINES[number % len(LINES)],
        )
    if prefix == "skill/":
        axes.set_ylim(bottom=max(axes.get_ylim()[0], -0.5))  # the first steps are far below
    axes.set_xlabel("step", color=INK, fontsize=8)
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if len(names) > 1:
        axes.legend(fontsize=7, frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return {"title": title, "meaning": meaning, "picture": _picture(Image.open(buffer))}


def _belongs(name: str, prefix: str) -> bool:
    if prefix.endswith("/"):
        return name.startswith(prefix)
    return name == prefix or (prefix == "loss" and name.startswith("loss_"))
