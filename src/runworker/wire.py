"""The wire to PostgreSQL: one that was cut without a word is noticed.

Keepalives find out where nothing is being sent, and a server that works on a long statement answers them; the TCP user
timeout finds out where something was. By themselves, Linux would take a quarter of an hour to two hours.
"""

from collections.abc import Collection
from typing import Final

SILENCE_SECONDS: Final = 15
"""After how long a silent wire is taken for cut, unless a setting says otherwise."""


def options(silence_seconds: int, given: Collection[str] = ()) -> dict[str, int]:
    """Libpq's parameters for a wire that is given up when it was silent for so long. Unix sockets do without them.

    given: those that the URL itself has, which stay as they are.
    """
    wanted = {
        "tcp_user_timeout": silence_seconds * 1000,
        "keepalives": 1,
        "keepalives_idle": max(silence_seconds // 3, 1),
        "keepalives_interval": max(silence_seconds // 6, 1),
        "keepalives_count": 4,
    }
    return {name: value for name, value in wanted.items() if name not in given}
