"""Text that may be shown: without passwords, and without what would steer a terminal."""

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


def _without_password(word: re.Match[str]) -> str:
    # By hand, because a pattern that looks for both ends would take quadratic time on a hostile text.
    before, scheme_end, rest = word[0].partition("://")
    credentials, at, after = rest.rpartition("@")
    user, colon, password = credentials.partition(":")
    return f"{before}{scheme_end}{user}:***{at}{after}" if colon and password else word[0]
