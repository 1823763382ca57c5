"""What the machine has that trains."""

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Machine:
    """The machine.

    Attributes:
        gpus: how many there are.
        cores: of the CPU that this process may use.
        description: in words.
        precision: of training, and why.
    """

    gpus: int
    cores: int
    description: str
    precision: tuple[str, str]


def this_machine() -> Machine:
    """The machine that this runs on."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if not torch.cuda.is_available():
        return Machine(0, cores, f"no GPU, {cores} cores", ("float32", "there is no GPU"))
    gpus = torch.cuda.device_count()
    device = torch.cuda.get_device_properties(0)
    fast = torch.cuda.is_bf16_supported(including_emulation=False)
    precision = ("bfloat16", "the GPU has it") if fast else ("float16", "the GPU has no bfloat16")
    memory = device.total_memory / 2**30
    return Machine(gpus, cores, f"{gpus} x {device.name}, {memory:.0f} GiB", precision)
