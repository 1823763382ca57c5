"""Contenders of a comparison, each in a process of its own."""

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Contender:
    """An object in a process of its own, so that its peak memory is its own.

    Args:
        name: for messages.
        factory: makes the object there; a function or class of a module.
        args: of the factory.

    Raises:
        RuntimeError: the object has raised, or its process has ended; the message says what.
    """

    def __init__(self, name: str, factory: Callable, *args: Any) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, factory, args), daemon=True)
        self._process.start()
        there.close()
        self._answer()

    def ask(self, method: str, *args: Any) -> Any:
        """Call a method of the object."""
        self._connection.send((method, args))
        return self._answer()

    def end(self) -> None:
        """End its process, which frees its memory."""
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _answer(self) -> Any:
        try:
            error, answer = self._connection.recv()
        except EOFError:
            self._process.join(10)
            raise RuntimeError(
                f"{self.name}: its process ended with {self._process.exitcode}"
            ) from None
        if error:
            self.end()
            raise RuntimeError(f"{self.name}: {error}")
        return answer


def _serve(connection: Connection, factory: Callable, args: tuple) -> None:
    try:
        thing = factory(*args)
        connection.send((None, None))
        while True:
            method, args = connection.recv()
            connection.send((None, getattr(thing, method)(*args)))
    except EOFError:  # nobody asks any more
        return
    except Exception as error:
        traceback.print_exc()
        first, *_ = str(error).splitlines() or [""]
        connection.send((f"{type(error).__name__}: {first}", None))
