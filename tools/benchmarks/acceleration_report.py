"""Table and curves of tools/benchmarks/acceleration.py."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from records import write_record

COLUMNS = (
    ("linear", 0.01),
    ("linear", 0.1),
    ("linear", 1.0),
    ("knn", 1.0),
    ("finetune", 0.01),
    ("finetune", 0.1),
    ("finetune", 1.0),
    ("segmentation", 1.0),
)


def scores(records: Iterable[dict], kind: str, share: float) -> tuple[np.ndarray, int | None]:
    """One score for each pre-training, the mean over draws of labels, at the best block of all."""
    by_block: dict[int | None, list[float]] = {}
    for record in records:
        blocks: dict[int | None, list[float]] = {}
        for row in record["rows"]:
            if (row["kind"], row["share"]) == (kind, share):
                blocks.setdefault(row["block"], []).append(row["score"])
        for block, found in blocks.items():
            by_block.setdefault(block, []).append(float(np.mean(found)))
    if not by_block:
        return np.array([]), None
    best = max(by_block, key=lambda block: np.mean(by_block[block]))
    return np.array(by_block[best]), best


def _cell(records: list[dict], kind: str, share: float) -> str:
    found, block = scores(records, kind, share)
    if not len(found):
        return ""
    spread = f" ± {found.std(ddof=1):.1f}" if len(found) > 1 else ""
    where = f" ({2 * block + 2})" if block is not None and len(records[0]["rows"]) > 20 else ""
    return f"{found.mean():.1f}{spread}{where}"


def grouped(report: dict) -> dict[tuple[str, float], list[dict]]:
    """Trainings of the same method and budget."""
    groups: dict[tuple[str, float], list[dict]] = {}
    for record in report["records"]:
        groups.setdefault((record["method"], record["minutes"]), []).append(record)
    return groups


def table(report: dict) -> str:
    """Markdown: a row for each method and budget."""
    groups = grouped(report)
    shown = [
        (kind, share)
        for kind, share in COLUMNS
        if any(len(scores(records, kind, share)[0]) for records in groups.values())
    ]
    titles = [f"{kind} {share:.0%}" if kind != "knn" else "k-NN" for kind, share in shown]
    lines = [
        f"| {report['measure']}, % | minutes | iterations | {' | '.join(titles)} |",
        f"| --- |{' --- |' * (2 + len(titles))}",
    ]
    for name, rows in report["raw"].items():
        cells = [_cell([{"rows": rows}], kind, share) for kind, share in shown]
        lines.append(f"| {name} | | | {' | '.join(cells)} |")
    for (method, _), records in sorted(groups.items(), key=lambda x: (x[0][1] > 0, x[0])):
        minutes = np.mean([record["seconds"] for record in records]) / 60
        iterations = round(np.mean([record["iterations"] for record in records]))
        cells = [_cell(records, kind, share) for kind, share in shown]
        cost = f"{minutes:.1f} | {iterations}" if minutes else " | "
        lines.append(f"| {method} | {cost} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def curves(report: dict) -> Figure:
    """Each column over minutes, a line for each method with the seeds' spread."""
    groups = grouped(report)
    methods = sorted({method for method, minutes in groups if minutes})
    budgets = sorted({minutes for _, minutes in groups if minutes})
    shown = [c for c in COLUMNS if any(len(scores(r, *c)[0]) for r in groups.values())]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.0 * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, n + 1) for n in range(len(shown))]
    for axis, (kind, share) in zip(axes, shown, strict=True):
        for number, method in enumerate(methods):
            points = []
            for (name, minutes), records in sorted(groups.items()):
                if name == method and minutes:
                    found = scores(records, kind, share)[0]
                    if len(found):
                        seconds = np.mean([record["seconds"] for record in records])
                        points.append((seconds / 60, found.mean(), found.std()))
            if points:
                minutes, means, spreads = np.array(points).T
                axis.errorbar(minutes, means, spreads, color=f"C{number}", label=method, marker=".")
        for name, style in (("random", ":"), *zip(report["raw"], ("--", "-."), strict=False)):
            raw = report["raw"].get(name)
            records = [{"rows": raw}] if raw else groups.get(("random", 0), [])
            found = scores(records, kind, share)[0]
            if len(found):
                axis.axhline(found.mean(), color="grey", ls=style, lw=1, label=name)
        axis.set_xscale("log")
        axis.set_xticks(budgets, [f"{minutes:g}" for minutes in budgets])
        axis.minorticks_off()
        axis.set_xlabel("minutes of pre-training")
        axis.set_title("k-NN" if kind == "knn" else f"{kind}, {share:.0%} of labels", fontsize=10)
    figure.axes[0].set_ylabel(f"{report['measure']}, %")
    lines = {
        label: line
        for axis in figure.axes
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.axes[0].legend(lines.values(), lines, fontsize=7)
    return figure


def write_report(path: Path, report: dict) -> None:
    """JSON, table (.md) and curves (.png) side by side; the table is printed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, report)
    text = table(report)
    path.with_suffix(".md").write_text(text)
    curves(report).savefig(path.with_suffix(".png"), dpi=130)
    print(text)
