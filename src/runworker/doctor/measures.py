"""What is measured of several servers alike: clocks and disks."""

import shutil
from typing import Final

from runworker.doctor.findings import Finding, error, ok, span, warning

SKEW_SECONDS: Final = 2.0
TIGHT: Final = 0.1
"""Share of a disk that has to be free."""
LEAST_FREE: Final = 2**30


def skew(name: str, server: str, theirs: float, before: float, after: float) -> Finding:
    """Whether a server's time lies within our question and its answer, give or take SKEW_SECONDS."""
    apart = max(before - theirs, theirs - after, 0.0)
    if apart <= SKEW_SECONDS:
        return ok(name, f"less than {SKEW_SECONDS:g} s from this machine's")
    way = "behind" if theirs < before else "ahead of"
    return warning(
        name,
        f"{server}'s clock is {span(apart)} {way} this machine's.",
        "Times of commands, expiry and audit events do not fit together; messages may be given out twice.",
        "Have both machines keep time by NTP: `timedatectl status`.",
    )


def room(name: str, seen: str, folder: str) -> Finding:
    """Whether the disk of a folder has room."""
    total, _, free = shutil.disk_usage(folder)
    seen = f"{seen}, {free / 2**30:.1f} GB of {total / 2**30:.0f} GB are free in {folder}"
    if free >= LEAST_FREE and free >= TIGHT * total:
        return ok(name, seen)
    tell = error if free < LEAST_FREE else warning
    return tell(name, f"{seen}.", "A server without room takes no writes: commands wait.", "Make room, or grow it.")
