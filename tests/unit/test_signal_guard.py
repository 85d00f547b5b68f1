"""Ctrl-C and SIGTERM end the demo even where Python drops the exception that they raise."""

import signal
import sys

import pytest

from runworker.cli.signal_guard import SignalGuard


class Broken:
    """Cannot be freed."""

    def __del__(self) -> None:
        raise ValueError("cannot be freed")


class Freed:
    """Hears a signal while it is being freed."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """Exceptions that Python has printed and dropped."""
    found: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: found.append(unraisable.exc_type))
    return found


def test_without_a_signal_nothing_ends() -> None:
    with SignalGuard() as signals:
        signals.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_block_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises((KeyboardInterrupt, SystemExit)), SignalGuard():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_dropped_exception_comes_again(
    number: signal.Signals, end: type[BaseException], dropped: list[type[BaseException]]
) -> None:
    with SignalGuard() as signals:
        Freed(number)
        with pytest.raises(end) as ended:
            signals.check()
    assert dropped == []
    if isinstance(ended.value, SystemExit):
        assert ended.value.code == 128 + number


def test_other_exceptions_are_printed_as_before(dropped: list[type[BaseException]]) -> None:
    with SignalGuard():
        Broken()
    assert dropped == [ValueError]
