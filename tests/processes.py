"""Real processes: the tools' shell scripts with this Python, free ports, and waiting for things."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, with its Python first, one thread and no GPU."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **changes,
    }


def start(*command, **changes: str) -> subprocess.Popen:
    """Start a command in the root of the repository; stdout and stderr are one pipe."""
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests in the background ignores Ctrl-C, and shells then cannot trap it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def free_port() -> str:
    """A port of this machine that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def wait_for(condition: Callable, seconds: float = 60):
    """Wait until a condition holds and return what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(0.05)
    return found


def alive(process: int) -> bool:
    """Whether a process, which may be another process's child, still runs."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    found = [task.read_text().split() for task in Path(f"/proc/{process}/task").glob("*/children")]
    return [int(number) for numbers in found for number in numbers]
