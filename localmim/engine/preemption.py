"""Signals that ask a training to save and end."""

import os
import signal
import threading
from types import FrameType

# What ends a training that can go on later: of clusters, and of people.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Preempted(SystemExit):
    """The training has saved and ends because it was asked to.

    The process's exit code is 0, or 130 after Ctrl-C.
    """


class StopRequest:
    """Remembers a signal until the training has come to a place where it can save.

    Used as a context: outside of it, signals do what they did before.

    Attributes:
        number: the signal, or None.
        grace_seconds: after a signal, when the process ends even if it could not save.
    """

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        self.grace_seconds = 120.0
        self._before: dict[int, object] = {}
        self._timer: threading.Timer | None = None

    def __enter__(self) -> "StopRequest":
        # Python gives signals to no other thread.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if self._timer is not None:
            self._timer.cancel()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if number == signal.SIGINT == self.number:  # somebody who does not want to wait
                self.__exit__()
                raise KeyboardInterrupt
            return
        self.number = signal.Signals(number)
        again = " (Ctrl-C again to end at once)" if number == signal.SIGINT else ""
        _say(f"{self.number.name} received: saving after this step{again}")
        self._timer = threading.Timer(self.grace_seconds, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def _give_up(self) -> None:
        _say(
            f"Could not save within {self.grace_seconds:g} s of {self.number.name}; ending. The "
            "checkpoints from before are as they were"
        )
        os._exit(1)


def _say(text: str) -> None:
    """Write to the terminal, also amid another write, which print and loggers can not."""
    os.write(2, f"\n{text}\n".encode())
