"""What keeps workers from taking messages."""

from typing import NamedTuple


class Blocker(NamedTuple):
    """A reason to take nothing.

    name: stable, for logs and alarms. problem: one sentence. remedy: what to do, by whom it can be done.
    """

    name: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"
