"""Text that may be shown, without passwords and what would steer a terminal; and text that may be stored."""

import re
from typing import Final

_WORD: Final = re.compile(r"\S+")


def without_passwords(text: str) -> str:
    """`text` with the password of every URL in it replaced by stars; rather too much is hidden than too little."""
    if "://" not in text or "@" not in text:
        return text
    return _WORD.sub(_without_password, text)


def printable(text: str) -> str:
    """`text` as it may be shown in a terminal: control characters, with which a sender could steer it, are escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL and Redis can take `text`: it has neither a NUL character nor half of a surrogate pair."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_password(word: re.Match[str]) -> str:
    # By hand, because a pattern that looks for both ends would take quadratic time on a hostile text.
    before, scheme_end, rest = word[0].partition("://")
    credentials, at, after = rest.rpartition("@")
    user, colon, password = credentials.partition(":")
    return f"{before}{scheme_end}{user}:***{at}{after}" if colon and password else word[0]
