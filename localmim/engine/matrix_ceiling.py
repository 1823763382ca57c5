"""How fast this machine multiplies matrices, at best."""

import time

import torch

_SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
_BUDGET_SECONDS = 1.0


def matrix_ceiling(device: str | torch.device, dtype: torch.dtype, repeats: int = 3) -> float:
    """Operations a second of the best of a few big matrix products.

    Args:
        device: a CPU (with as many threads as torch has now) or a CUDA device.
        dtype: float32 (in whatever precision torch is set to), bfloat16 or float16.
        repeats: products of each size that count; the fastest does.

    Returns:
        Floating-point operations a second, two for a multiply-add.
    """
    device = torch.device(device)
    fastest = 0.0
    for side in _SIDES[device.type]:
        # Values decide the clock that a GPU under its power limit reaches: zeros flatter it.
        a, b = (
            torch.empty(side, side, device=device).normal_(generator=_generator(device)).to(dtype)
            for _ in range(2)
        )
        spent = seconds(lambda a=a, b=b: a @ b, device)  # warms up, and says what it takes
        for _ in range(repeats if spent < _BUDGET_SECONDS else 1):
            fastest = max(fastest, 2 * side**3 / seconds(lambda a=a, b=b: a @ b, device))
    return fastest


def _generator(device: torch.device) -> torch.Generator:
    """Of its own, so that a training draws what it would have drawn."""
    return torch.Generator(device).manual_seed(0)


def seconds(function, device: torch.device) -> float:
    """Wall time of a call until the device has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
