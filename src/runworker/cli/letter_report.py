"""What a command does to many dead letters: promised, shown while it happens, and counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from runworker.cli.output import show_lines
from runworker.cli.progress import Progress
from runworker.cli.reporting import show, tell
from runworker.dead_letters import Marked, MarkResult, Promise, Selection, operator, promised

DONE = {"replay": "replayed", "discard": "discarded"}


def promise(database: Engine, selection: Selection, email: str, *, replay: bool) -> tuple[list[Promise], UUID]:
    """The letters that will be acted upon, and the id of the user who does it. Raises Rejected for the user."""
    with Session(database) as session:
        user = operator(session, email)
        return promised(session, selection, replay=replay), user


class LetterReport:
    """Tells what was promised and what was done. verb: "replay" or "discard". dry_run: nothing of it was kept."""

    def __init__(self, verb: str, promises: Sequence[Promise], *, dry_run: bool, as_json: bool) -> None:
        self._verb = verb
        self._promises = promises
        self._dry_run = dry_run
        self._as_json = as_json
        self._marked: list[Marked] = []
        self._progress = Progress(bars=True)
        self.possible = sum(each.refusal is None for each in promises)

    @property
    def fell_short(self) -> bool:
        """Whether a letter that was asked for stays as it was."""
        counts = self._counts()
        return bool(counts["refused"] or counts["left"])

    def sentence(self) -> str:
        """What is promised, for the question."""
        refused = len(self._promises) - self.possible
        said = f"{self._verb.capitalize()} {self.possible} dead letter{'s' * (self.possible != 1)}"
        return said + (f" ({refused} more would be refused)" if refused else "")

    def add(self, marked: Marked) -> None:
        """Take note of a letter, and move the bar."""
        self._marked.append(marked)
        if len(self._promises) > 1:
            self._progress.show(self._verb, len(self._marked), len(self._promises))

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)
        done = [_line(each) for each in self._marked if each.result is MarkResult.DONE]
        refusals = {each.letter_id: each.why for each in self._marked if each.result is MarkResult.REFUSED}
        if self._as_json:
            show({"dry_run": self._dry_run, **self._counts(), "letters": done, **_named(refusals)}, as_json=True)
        else:
            show_lines(done, ("id", "task", "task_id"))
            for why in refusals.values():
                tell(str(why))
        tell(f"a dry run: nothing was done. It would ask: {self.sentence()}?" if self._dry_run else self._summary())

    def _counts(self) -> dict[str, int]:
        counted = Counter(each.result for each in self._marked)
        return {
            "selected": len(self._promises),
            "done": counted[MarkResult.DONE],
            "done_by_somebody_else": counted[MarkResult.ELSEWHERE],
            "refused": counted[MarkResult.REFUSED],
            "left": len(self._promises) - len(self._marked),
        }

    def _summary(self) -> str:
        counts = self._counts()
        if not counts["selected"]:
            return "no dead letter is selected"
        parts = [f"{counts['done']} of {counts['selected']} {DONE[self._verb]}"]
        if counts["done_by_somebody_else"]:
            parts.append(f"{counts['done_by_somebody_else']} done by somebody else meanwhile")
        if counts["refused"]:
            parts.append(f"{counts['refused']} refused")
        if counts["left"]:
            parts.append(f"{counts['left']} left as they were; the same command again does the rest")
        return ", ".join(parts)


def _line(letter: Marked) -> dict[str, Any]:
    message = letter.message
    return {
        "id": letter.letter_id,
        "task": message and message.task_name.removeprefix("runworker."),
        "task_id": message and message.task_id,
    }


def _named(refusals: Mapping[int, str | None]) -> dict[str, Any]:
    return {"refusals": [{"id": id_, "why": why} for id_, why in refusals.items()]}
