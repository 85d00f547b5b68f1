"""Ctrl-C and SIGTERM, kept until they have had their effect."""

import signal
import sys
from types import FrameType, TracebackType
from typing import Final, NoReturn, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class SignalGuard:
    """A block that ctrl-C and SIGTERM end by an exception, which passes through all that has to clean up.

    Python prints and drops an exception that a signal raises while some object is being freed. So who works in a loop
    asks again, by `check`, and nothing of it is printed. Enter it in the main thread.
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._before: dict[signal.Signals, signal._HANDLER] = {}
        self._hook_before = sys.unraisablehook

    def check(self) -> None:
        """Raise what the signal that came before has raised already: KeyboardInterrupt, or SystemExit with 143."""
        if self._asked is not None:
            self._end(self._asked)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        self._hook_before, sys.unraisablehook = sys.unraisablehook, self._drop
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.unraisablehook = self._hook_before
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _frame: FrameType | None) -> NoReturn:
        self._asked = number
        self._end(number)

    def _drop(self, dropped: "sys.UnraisableHookArgs") -> None:
        if self._asked is None or not issubclass(dropped.exc_type, (KeyboardInterrupt, SystemExit)):
            self._hook_before(dropped)

    @staticmethod
    def _end(number: int) -> NoReturn:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
