"""Generated passwords, kept beside the data they open so that a restart still fits."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from runworker.embedded.directories import write_private

PASSWORD_BYTES = 24


def load_or_generate(path: Path, names: Sequence[str]) -> dict[str, str]:
    """The passwords at path by login name, generated on the first call. Hexadecimal: URLs need no quoting.

    The caller holds the server's lock.
    """
    if not path.exists():
        passwords = {name: secrets.token_hex(PASSWORD_BYTES) for name in names}
        write_private(path, json.dumps(passwords))
    return load(path)


def load(path: Path) -> dict[str, str]:
    """The passwords at path by login name."""
    passwords: dict[str, str] = json.loads(path.read_text("utf-8"))
    return passwords
