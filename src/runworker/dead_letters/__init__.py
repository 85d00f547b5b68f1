"""Dead letters as an operator handles them: selected, shown, sent again, discarded."""

from runworker.dead_letters.marking import Marked, MarkResult, discard, operator, replay
from runworker.dead_letters.reading import LetterSender, Message, NotReplayable, message_in, sender_of
from runworker.dead_letters.selection import Promise, Selection, find_letter, letters, promised

__all__ = [
    "LetterSender",
    "MarkResult",
    "Marked",
    "Message",
    "NotReplayable",
    "Promise",
    "Selection",
    "discard",
    "find_letter",
    "letters",
    "message_in",
    "operator",
    "promised",
    "replay",
    "sender_of",
]
