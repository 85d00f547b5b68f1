"""Ctrl-C and SIGTERM end the demo even where Python drops the exception that they raise."""

import signal
import sys

import pytest

from runworker.demo import Ending


class Freed:
    """Hears a signal while it is being freed."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


def test_without_a_signal_nothing_ends() -> None:
    with Ending() as ending:
        ending.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_block_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises((KeyboardInterrupt, SystemExit)), Ending():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_dropped_exception_comes_again(
    number: signal.Signals, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: dropped.append(unraisable.exc_type))
    with Ending() as ending:
        Freed(number)
        assert dropped == [end]
        with pytest.raises(end) as ended:
            ending.check()
    if isinstance(ended.value, SystemExit):
        assert ended.value.code == 128 + number
