"""Signals that ask a process to end: it does so in order, and its exit code says which it was."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

MOMENT_SECONDS = 2.0
"""Signals that are closer together are one request."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end; like Ctrl-C, it is nobody's to catch by the way."""

    def __init__(self, number: int) -> None:
        """Be asked by the signal of this ``number``."""
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """The name of the signal."""
        return signal.Signals(self.number).name

    @property
    def exit_code(self) -> int:
        """What a shell expects of whoever was ended by it."""
        return 128 + self.number


class Stopping:
    """Raises ``Stopped`` for a signal, until ``heard`` says that everything is being ended.

    Who asks everybody, as a terminal does and what ends a session, and then an engine its steps,
    asks once: nothing that is being removed is interrupted by it.
    """

    def __init__(self) -> None:
        """Listen."""
        self.heard = False
        self._raised = -math.inf

    def handle(self, number: int, _: FrameType | None) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if not self.heard and now - self._raised > MOMENT_SECONDS:
            self._raised = now
            raise Stopped(number)


@contextmanager
def stoppable() -> Iterator[Stopping]:
    """Raise ``Stopped`` in the block for any of ``SIGNALS`` but those that are ignored already.

    Only the main thread hears signals; elsewhere this does nothing.
    """
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    # Who starts a process with nohup wants it to ignore SIGHUP.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, stopping.handle) for number in heard}
    try:
        yield stopping
    finally:
        stopping.heard = True
        for number, handler in previous.items():
            signal.signal(number, handler)


def exit_code(error: BaseException | None) -> int:
    """The exit code of a process that an interruption ended."""
    return error.exit_code if isinstance(error, Stopped) else 130
