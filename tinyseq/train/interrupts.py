"""Ctrl-C during a training: the step that runs is finished first, so that weights, optimiser and place fit together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


class Interrupts:
    """Within it, the first Ctrl-C only sets ``wanted``; a second one is a KeyboardInterrupt at once, as usual.

    It changes nothing outside the main thread, nor where a program handles Ctrl-C in its own way.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Callable[..., object] | int | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if before is signal.default_int_handler:
                self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
