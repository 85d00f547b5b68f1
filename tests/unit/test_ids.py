"""Ids that come in the order of time."""

import time
from uuid import RFC_4122

import pytest

from runworker.ids import new_id


def test_is_a_uuid_of_version_7() -> None:
    made = [new_id() for _ in range(1000)]
    assert {(id_.version, id_.variant) for id_ in made} == {(7, RFC_4122)}
    assert len(set(made)) == 1000


def test_begins_with_the_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    # The example of RFC 9562, appendix A.6.
    monkeypatch.setattr(time, "time_ns", lambda: 1_645_557_742_000_999_999)
    assert str(new_id()).startswith("017f22e2-79b0-7")


def test_the_random_bits_are_all_used() -> None:
    ones, zeros = 0, 0
    for _ in range(200):
        ones |= new_id().int
        zeros |= ~new_id().int
    assert ones & zeros & (1 << 80) - 1 == (1 << 80) - 1 ^ (0xF << 76 | 0b11 << 62)


def test_later_ones_are_greater() -> None:
    first = new_id()
    time.sleep(0.002)
    assert new_id() > first
