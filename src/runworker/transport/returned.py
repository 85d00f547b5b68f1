"""A note in the broker that messages went back to their queues undecided, since their servers failed, somebody holds a
lock, or their process died. Until it lapses nobody can tell from the queues up to when all that was sent was looked at.
"""

from typing import Any, Final

NOTED_SECONDS: Final = 30
"""For how long the note stays: by then every worker has seen it."""


def returned_key(channel: Any) -> str:
    """Where the note is, for a channel of ours or of kombu's own."""
    return f"{channel.global_keyprefix}{channel.unacked_key}_returned"


def note_returned(channel: Any) -> None:
    """Write the note, for a channel of kombu's own: ours do when they put messages back. Raises RedisError."""
    channel.client.setex(returned_key(channel), NOTED_SECONDS, 1)
