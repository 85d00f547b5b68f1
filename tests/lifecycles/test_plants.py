"""Runs with their lots and flow versions: every command there is, by everybody, in any order."""

import json
from collections.abc import Sequence
from decimal import Decimal
from operator import itemgetter
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, multiple, rule
from sqlalchemy import text
from tests.lifecycles.machine import RETENTIONS, SEEDS, SIZES, Lifecycles, Place, try_out
from tests.lifecycles.requests import CELSIUS, REQUESTS, RUNS, SOME_NUMBER, Request, Requests
from tests.lifecycles.rules_lots import MADE_AT
from tests.lifecycles.world import Lot, Version
from tests.plant import linear_graph

from runworker.commands import Command

PLANS: dict[str, tuple[tuple[int, ...], frozenset[int]]] = {
    "skewers": ((0, 1, 3, 5, 9, 10), frozenset({1, 5, 10})),
    "frozen": ((0, 1, 2, 4, 7, 8, 10), frozenset({7})),
    "shipped": ((0, 1, 10), frozenset()),
    "nothing": ((), frozenset()),
}
"""Steps, and those of them with a gate; the last is of a graph that gives no plan."""

FLOWS = (
    {"published": ("PUBLISHED", "skewers"), "draft": ("DRAFT", "frozen"), "review": ("REVIEW", "shipped"),
     "no plan": ("DRAFT", "nothing")},
    {"other": ("PUBLISHED", "frozen"), "no plan any more": ("REVIEW", "nothing")},
    {"never a plan": ("PUBLISHED", "nothing")},
)  # fmt: skip
"""Versions by name, flow by flow, as another system has written them: their states and plans."""

VERSIONS = st.sampled_from([name for flow in FLOWS for name in flow] + ["published", "other", "review", "unknown"])
CHECKED = st.sampled_from(["all", "all", "gates", "none"])
"""Which lots of a story quality control decides on."""


class PlantLives(Lifecycles):
    """Three runs, whatever lots somebody thinks of, and versions that come and go."""

    commands = Lifecycles.commands

    @initialize(target=commands, kept_days=st.sampled_from(RETENTIONS), tied=st.booleans(), cut=st.integers(1, 30))
    def first_story(self, kept_days: int, tied: bool, cut: int) -> Any:
        """Write versions and an older system's lots, and think of a story; it is told at once, up to some point."""
        self.lots = [next(self.ids) for _ in range(3)]
        self.versions = {name: next(self.ids) for flow in FLOWS for name in flow} | {"unknown": uuid4()}
        flows = {name: next(self.ids) for flow in FLOWS for name in flow}
        versions = {}
        for flow in FLOWS:
            flows |= dict.fromkeys(flow, next(self.ids))
            for name, (status, plan) in flow.items():
                versions[self.versions[name]] = Version(flows[name], status, *PLANS[plan])
        self.open(kept_days, versions=versions, lots={id_: Lot(Decimal(10), left=Decimal(10)) for id_ in self.lots})
        self._write_what_is_there()
        self.news: list[list[Command]] = []
        self.requests = Requests(
            lambda: self.model.world, self.runs, self.lots, self._new_lot, [*self.versions.values()]
        )
        told = self.story(0, "published", tied, "all", None)
        self.deliver_in_batches(told[:cut], cut)
        self.news.append(told[cut:])
        return multiple(*told)

    @rule(
        target=commands,
        run=RUNS,
        version=VERSIONS,
        tied=st.booleans(),
        checked=CHECKED,
        warmth=CELSIUS,
        site=st.sampled_from([None, None, "BUDA"]),
        cut=st.integers(2, 30),
    )
    def another_story(
        self, *, run: int, version: str, tied: bool, checked: str, warmth: str | None, site: str | None, cut: int
    ) -> Any:
        """Think of a run with lots at its steps, up to some point; each command tied to the one before, or none."""
        start = {"site_code": site} if site else {}
        self.news.append(self.story(run, version, tied, checked, warmth, **start)[:cut])
        return multiple(*self.news[-1])

    def story(
        self, run: int, version: str, tied: bool, checked: str, warmth: str | None, **start: Any
    ) -> list[Command]:
        told: list[Command] = []

        def tell(name: str, **fields: Any) -> None:
            after = [told[-1].idempotency_key] if told and tied else []
            told.append(self.think(name, after=after, **fields))

        run_id = self.runs[run]
        tell("start_run", run_id=run_id, flow_version_id=self.versions[version], **start)
        stock: list[tuple[UUID, str, str]] = []
        known = self.model.world.versions.get(self.versions[version])
        for step in known.plan[1:] if known else ():
            tell("advance_step", run_id=run_id, to_step_index=step)
            made = []
            for lot_type, parents in _what_is_made(step, stock):
                lot_id = self._new_lot()
                kg = str(sum(Decimal(taken) for _, taken in parents) or 10)
                made_of = [{"lot_id": parent, "quantity_used_kg": taken} for parent, taken in parents]
                about = {"run_id": run_id, "step_index": step, "lot_id": lot_id, "lot_type": lot_type}
                tell("register_lot", weight_kg=kg, parents=made_of, **about)
                if checked == "all" or (checked == "gates" and step in known.gates):
                    tell("record_qc_decision", lot_id=lot_id, decision="PASS", temperature_c=warmth)
                made.append((lot_id, lot_type, kg))
            stock = made or stock
        tell("complete_run", run_id=run_id)
        return told

    @rule(target=commands, requests=st.lists(REQUESTS, min_size=4, max_size=12), after=st.lists(commands, max_size=2))
    def single_commands(self, requests: list[Request], after: list[Command]) -> Any:
        """Think of commands, sensible or not, all of them after some others or none."""
        self.news.append([self.single(request, after) for request in requests])
        return multiple(*self.news[-1])

    @rule(target=commands, requests=st.lists(REQUESTS, min_size=4, max_size=12), size=st.integers(1, 3))
    def single_commands_at_once(self, requests: list[Request], size: int) -> Any:
        """Think of a few commands and send them before thinking of the next."""
        told: list[Command] = []
        for start in range(0, len(requests), size):
            batch = [self.single(request, ()) for request in requests[start : start + size]]
            self.deliver_in_batches(batch, size)
            told += batch
        return multiple(*told)

    def single(self, request: Request, after: Sequence[Command]) -> Command:
        return self.think(**self.requests.fields(request), after=[command.idempotency_key for command in after])

    @rule(target=commands)
    def circle(self) -> Any:
        """Think of three lots of no known step that pass, and go into each other all the way round."""
        one, two, three = self.lots[:3]
        told = [self.think("record_qc_decision", lot_id=lot, decision="PASS") for lot in (one, two, three)]
        for lot, into in ((one, two), (two, three), (three, one)):
            told.append(self.think("consume_lot", lot_id=lot, into_lot_id=into, quantity_used_kg="4"))
        self.news.append(told)
        return multiple(*told)

    @rule(target=commands, ways=st.lists(st.tuples(st.booleans(), SOME_NUMBER, st.integers(0, 2)), min_size=4))
    def ways_around(self, ways: list[tuple[bool, int, int]]) -> Any:
        """Send material out of and into the older system's lots, which tell neither SKU nor site."""
        old = self.lots[:3]
        told = [self.think("record_qc_decision", lot_id=lot, decision="PASS") for lot in old]
        for outwards, number, which in ways:
            lot, into = self.lots[::-1][number % len(self.lots)], old[which]
            if outwards:
                lot, into = into, lot
            told.append(self.think("consume_lot", lot_id=lot, into_lot_id=into, quantity_used_kg="1"))
        self.deliver_in_batches(told, 1)
        return multiple(*told)

    @rule(seed=SEEDS, size=SIZES)
    def send_news(self, seed: int, size: int) -> None:
        self.deliver_news(seed, size)

    def deliver_news(self, seed: int, size: int) -> None:
        """Send what was not sent yet, each thread in its order and all of them mingled, in batches of one size."""
        random = Random(seed)  # noqa: S311 - an order, no secret
        mingled = [
            (moment, command)
            for thread in self.news
            for moment, command in zip(sorted(random.random() for _ in thread), thread, strict=True)
        ]
        self.news.clear()
        self.deliver_in_batches([command for _, command in sorted(mingled, key=itemgetter(0))], size)

    def _new_lot(self) -> UUID:
        self.lots.append(next(self.ids))
        return self.lots[-1]

    def _write_what_is_there(self) -> None:
        world = self.model.world
        with self.plant.transaction() as connection:
            versions = [
                {"id": id_, "number": number, "graph": json.dumps(_graph(each.plan, each.gates)), **vars(each)}
                for number, (id_, each) in enumerate(world.versions.items())
            ]
            connection.execute(text(WRITE_VERSION), versions)
            connection.execute(text(WRITE_LOTS), {"ids": self.lots})


WRITE_VERSION = """
    WITH flow AS (
        INSERT INTO flow_definitions (id, name) VALUES (:flow, '{"en": "Flow"}') ON CONFLICT DO NOTHING
    )
    INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
    VALUES (:id, :flow, :number, :status, CAST(:graph AS jsonb))
"""
WRITE_LOTS = """
    INSERT INTO lots (id, lot_code, status, weight_kg)
    SELECT id, 'OLD-' || id, 'QUARANTINE', 10 FROM unnest(CAST(:ids AS uuid[])) AS id
"""


def _what_is_made(step: int, stock: Sequence[tuple[UUID, str, str]]) -> list[tuple[str, list[tuple[UUID, str]]]]:
    """Types of a step's lots, and what of the lots before goes into each."""
    types = MADE_AT[step].split()
    whole = [(lot, kg) for lot, _, kg in stock]
    if len(types) == 1:
        return [(types[0], [each]) for each in whole] if types[0] == "PAL" else [(types[0], whole)]
    if len(stock) == 1:
        return [(types[0], [(stock[0][0], "4")]), (types[1], [(stock[0][0], "6")])]
    return [(type_, [(lot, kg) for lot, of_type, kg in stock if of_type[-2:] == type_[-2:]]) for type_ in types]


def _graph(plan: Sequence[int], gates: frozenset[int]) -> dict[str, Any]:
    if not plan:
        return {}
    graph = linear_graph(plan)
    for node in [*graph["nodes"]]:
        if (index := node["data"]["stepIndex"]) in gates:
            data = {"label": {"en": f"gate {index}"}, "nodeType": "qc_gate", "stepIndex": index}
            graph["nodes"].append(node | {"id": f"gate-{index}", "type": "qc_gate", "data": data})
    return graph


@pytest.mark.timeout(7200)  # a thousand examples, or the time to shrink a failing one
def test_lives_of_plants(plant: Any) -> None:
    try_out(PlantLives, Place(plant), examples=50, steps=12)
    assert plant.discrepancies() == []
