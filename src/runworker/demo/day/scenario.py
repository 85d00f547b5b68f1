"""The day's script: which runs there are, what befalls them, and how their flows change meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from uuid import UUID

from runworker.codes import Code
from runworker.demo.day.author import Author
from runworker.demo.day.book import Cast, Day
from runworker.demo.day.cast import BOTH, FIFTEEN, THIRTY
from runworker.demo.day.incidents import Incident
from runworker.demo.day.moves import Book
from runworker.demo.day.shift import Shift
from runworker.demo.day.trade import MELL
from runworker.demo.script import SITE, Expected, Flow, Scripted
from runworker.states import CommandStatus, FlowVersionStatus, UserRole

SKUS: Final = {BOTH: ("15", "30"), FIFTEEN: ("15",), THIRTY: ("30",)}


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens on a day.

    eventful_runs: how many runs its incidents are dealt to. quiet_runs: how many there are besides, on two flows in
    turn. Four more are always there: one that breaks down, one that takes over what is left of it, and one before and
    one after the change of a flow.
    """

    eventful_runs: int
    quiet_runs: int


WHOLE_DAY: Final = Size(eventful_runs=6, quiet_runs=5)


def write_day(random: Random, cast: Cast, size: Size) -> Day:
    """Write a day. The same random state, cast and size give the same one."""
    author = _DayAuthor(random, Book(cast))
    author.write(size)
    return author.day


class _DayAuthor:
    """Writes the runs one after the other; nothing but what is said here makes one wait for another."""

    def __init__(self, random: Random, book: Book) -> None:
        self._random = random
        self._book = book
        self._cast = book.cast
        self._runs: list[Author] = []
        self._others: list[Scripted] = []
        self._trails: dict[UUID, list[tuple[FlowVersionStatus, UUID]]] = {}
        self._recalled: UUID | None = None

    @property
    def day(self) -> Day:
        """All that has been written."""
        assert self._recalled is not None  # noqa: S101 - an author's mistake
        published = {flow.version_id: FlowVersionStatus.PUBLISHED for flow in self._cast.flows.values()}
        return Day(
            lives=tuple(run.life for run in self._runs),
            others=tuple(self._others),
            lots=self._book.lots,
            decisions=self._book.decisions,
            versions=published | {version_id: trail[-1][0] for version_id, trail in self._trails.items()},
            version_trails=self._trails,
            recalled=self._recalled,
        )

    def write(self, size: Size) -> None:
        self._break_down()
        dealt = list(Incident)
        self._random.shuffle(dealt)
        for number in range(size.eventful_runs):
            self._play(BOTH, dealt[number :: size.eventful_runs])
        self._supersede()
        for number in range(size.quiet_runs):
            self._play((FIFTEEN, BOTH)[number % 2])

    def _break_down(self) -> None:
        """A run is given up for a broken mixer, and another takes what is left of it in the buffer."""
        broken = self._author(self._cast.flows[BOTH])
        shift = Shift(broken, self._random, SKUS[BOTH], breaks_down=True)
        shift.play()
        [buffer] = shift.stock[MELL.name]
        carrier = self._author(self._cast.flows[BOTH])
        Shift(carrier, self._random, SKUS[BOTH], carried=buffer).play()
        boned = [self._book.lots[lot_id] for lot_id, _ in buffer.parents]
        received = [self._book.lots[lot_id] for lot in boned for lot_id, _ in lot.parents]
        # An abort finishes no lots, so somebody does when the other run has shipped what was made of them.
        broken.refuse("finish_lot", Code.CHILDREN_NOT_FINISHED, buffer, lot_id=received[0].id)
        for lot in (buffer, *boned, *received):
            broken.finish(lot)
        self._recalled = received[0].id

    def _supersede(self) -> None:
        """A new version of a flow is sent back, handed in again and approved, between two runs of that flow."""
        old, new = self._cast.flows[THIRTY], self._cast.successor
        started = self._play(THIRTY).life.script[0].key
        reason = "The drawing lacks a word on where the mix is kept"
        self._move(new, "submit_flow_version", FlowVersionStatus.REVIEW)
        self._move(new, "reject_flow_version", FlowVersionStatus.DRAFT, reason=reason)
        self._move(new, "submit_flow_version", FlowVersionStatus.REVIEW)
        approved = self._move(new, "approve_flow_version", FlowVersionStatus.PUBLISHED, started)
        self._trails[old.version_id] = [(FlowVersionStatus.DEPRECATED, approved)]
        refused = Expected(CommandStatus.REJECTED, code=Code.FLOW_VERSION_NOT_PUBLISHED)
        fields = {"flow_version_id": old.version_id, "site_code": SITE, "after": [approved]}
        self._add("start_run", UserRole.OPERATOR, refused, **fields)
        self._play(THIRTY, flow=new, after=[approved])

    def _move(self, flow: Flow, name: str, status: FlowVersionStatus, *after: UUID, **fields: Any) -> UUID:
        """A command that moves a version, after the one before it."""
        trail = self._trails.setdefault(flow.version_id, [])
        before = [key for _, key in trail[-1:]]
        expected = Expected(CommandStatus.APPLIED, version_status=status)
        fields |= {"flow_version_id": flow.version_id, "after": [*before, *after]}
        key = self._add(name, UserRole.MANAGER, expected, **fields)
        trail.append((status, key))
        return key

    def _add(self, name: str, by: UserRole, expected: Expected, **fields: Any) -> UUID:
        scripted = self._book.scripted(name, f"other {len(self._others)}", by, expected, **fields)
        self._others.append(scripted)
        return scripted.key

    def _play(
        self, name: str, incidents: Sequence[Incident] = (), *, flow: Flow | None = None, after: Sequence[UUID] = ()
    ) -> Author:
        run = self._author(flow or self._cast.flows[name], after)
        Shift(run, self._random, SKUS[name], incidents).play()
        return run

    def _author(self, flow: Flow, after: Sequence[UUID] = ()) -> Author:
        run = Author(self._book, flow, f"run {len(self._runs)}")
        run.start(after)
        self._runs.append(run)
        return run
