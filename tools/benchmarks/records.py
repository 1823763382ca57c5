"""What a benchmark says of the machine, and the JSON files they write."""

import datetime
import json
import platform
import sys
from pathlib import Path

import torch

from localmim.durable import written_aside


def machine(device: str) -> dict[str, str | int]:
    """Date, machine, versions and command of a measurement."""
    name = torch.cuda.get_device_name() if device == "cuda" else _cpu_name()
    threads = torch.get_num_threads()
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "device": name if device == "cuda" else f"{name}, {threads} thread{'s'[: threads > 1]}",
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "command": " ".join(["python", *sys.argv]),
    }


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_record(path: str | Path, record: dict) -> None:
    """Write a JSON file, whole or not at all."""
    with written_aside(path) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
