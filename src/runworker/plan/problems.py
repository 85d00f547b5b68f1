"""What can be wrong with a graph, and the one error that carries all of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runworker.codes import Code
from runworker.errors import Rejected

_SHOWN_CHARACTERS = 60
_SHOWN_IDS = 20
_WIDEST_SHOWN_INTEGER = 64  # bits; Python itself refuses to print integers of several thousand digits
_KINDS: Final[dict[type, str]] = {list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One thing wrong with a graph.

    code: one of the PLAN_ codes.
    where: the place, as `nodes[3]`, `node "n-4"`, `edges[0]`, `edge "e-2"`, `nodes`, `edges` or `graph`.
    message: what is wrong, what was expected, what to do.
    """

    code: Code
    where: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """Give the problem as a verdict shows it; the text can always be stored as JSONB."""
        return {"code": self.code.value, "where": self.where, "message": self.message}


class PlanInvalid(Rejected):
    """A graph gives no plan: PLAN_INVALID, and every problem found in `problems` and in the verdict's facts."""

    def __init__(self, problems: Sequence[PlanProblem]) -> None:
        first = problems[0]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems, of which the first"
        super().__init__(
            Code.PLAN_INVALID,
            f"The flow version's graph gives no valid plan: {count} at {first.where}: {first.message}",
            problems=[problem.as_dict() for problem in problems],
        )
        self.problems = tuple(problems)


def quoted(text: str) -> str:
    """Show text from a graph in double quotes, cut short, with what cannot be printed escaped."""
    cut = text[:_SHOWN_CHARACTERS]
    shown = json.dumps(cut, ensure_ascii=not cut.isprintable())
    return shown if cut == text else shown + "..."


def described(value: object) -> str:
    """Show a value from a graph in a few words, whatever it is: containers by kind, since they may be deep."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool | int | float):
        huge = isinstance(value, int) and value.bit_length() > _WIDEST_SHOWN_INTEGER
        return "a huge integer" if huge else json.dumps(value)
    return _KINDS.get(type(value), f"a Python {type(value).__name__}")


def described_field(value: object) -> str:
    """Show the value of a field that has to be there; null counts as absent."""
    return "missing" if value is None else described(value)


def listed(ids: Sequence[str], separator: str = ", ") -> str:
    """Show node ids in a row, the first twenty of them."""
    shown = separator.join(quoted(node_id) for node_id in ids[:_SHOWN_IDS])
    return shown if len(ids) <= _SHOWN_IDS else f"{shown} and {len(ids) - _SHOWN_IDS} more"
