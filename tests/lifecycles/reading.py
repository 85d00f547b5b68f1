"""What the database says of an example, held against what the model says."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from tests.lifecycles.model import Plant as Model
from tests.lifecycles.world import Lot
from tests.plant import Plant

GENERATED_CODE = re.compile(r"(?P<prefix>[A-Z0-9]+)-20[0-9]{6}-(?P<site>[A-Z]{4})-[0-9]{4,}")


class Reading:
    """Compares one plant with its model."""

    def __init__(self, plant: Plant, model: Model) -> None:
        self.plant, self.model = plant, model

    def compare(self, lots: Collection[UUID]) -> None:
        """Compare all that the model knows. lots: those that somebody has thought of, made or not."""
        with self.plant.transaction() as self._connection:
            self._compare({*lots, *self.model.world.lots})

    def _compare(self, lots: set[UUID]) -> None:
        world = self.model.world
        assert dict(self._ledger()) == {
            key: (record.status, record.code, record.blocked_on) for key, record in self.model.ledger.items()
        }
        assert dict(self._runs()) == {
            id_: (run.version, run.status, run.step, run.steps) for id_, run in world.runs.items()
        }
        assert dict(self._versions()) == {id_: version.status for id_, version in world.versions.items()}
        if lots:
            self._compare_lots(list(lots))
        changed: Mapping[UUID, Any] = {**world.runs, **world.lots, **world.versions}
        assert self._trail(changed) == {id_: each.changed_by for id_, each in changed.items() if each.changed_by}

    def _sql(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        return self._connection.execute(text(statement), parameters).all()

    def _compare_lots(self, lots: list[UUID]) -> None:
        world = self.model.world
        assert dict(self._lots(lots)) == {
            id_: (lot.type, lot.status, lot.run, lot.step, lot.kg, lot.sku, lot.warmth, lot.code)
            for id_, lot in world.lots.items()
        }
        # One audit event a link and a decision, which names its command, besides those of the lots.
        assert sorted(self._links(lots)) == sorted((*made_of, [key]) for *made_of, key in world.links)
        assert dict(self._decisions(lots)) == {key: (*decision, [key]) for key, decision in world.decisions.items()}

    def _ledger(self) -> Iterable[tuple[UUID, Any]]:
        for row in self._sql(
            "SELECT idempotency_key, status, code, blocked_on FROM commands WHERE idempotency_key = ANY(:keys)",
            keys=list(self.model.ledger),
        ):
            yield row.idempotency_key, (row.status, row.code, set(row.blocked_on or ()))

    def _runs(self) -> Iterable[tuple[UUID, Any]]:
        asked = {command.target_run for command in (record.command for record in self.model.ledger.values())}
        for row in self._sql(
            "SELECT run.id, flow_version_id, run.status, current_step_index,"
            " array_agg(step.status ORDER BY step_index) AS steps, array_agg(step_index ORDER BY step_index) AS indices"
            " FROM production_runs AS run JOIN run_step_executions AS step ON run_id = run.id"
            " WHERE run.id = ANY(:runs) GROUP BY run.id",
            runs=list(asked - {None}),
        ):
            steps = dict(zip(row.indices, row.steps, strict=True))
            yield row.id, (row.flow_version_id, row.status, row.current_step_index, steps)
            gapless(row.status, [status for status in row.steps if status != "SKIPPED"])

    def _versions(self) -> Iterable[tuple[UUID, str]]:
        versions = "SELECT id, status FROM flow_versions WHERE id = ANY(:versions)"
        return [(id_, status) for id_, status in self._sql(versions, versions=list(self.model.world.versions))]

    def _lots(self, lots: list[UUID]) -> Iterable[tuple[UUID, Any]]:
        for row in self._sql(
            "SELECT id, lot_type::text, status, production_run_id, step_index, weight_kg, sku_type, temperature_c,"
            " lot_code FROM lots WHERE id = ANY(:lots)",
            lots=lots,
        ):
            *said, code = row[1:]
            lot = self.model.world.lots.get(row.id)
            yield row.id, (*said, None if lot and lot.code is None and self._is_generated(code, lot) else code)

    def _is_generated(self, code: str, lot: Lot) -> bool:
        if lot.run is None:
            return code.startswith("OLD-")
        found = GENERATED_CODE.fullmatch(code)
        prefix = "MIXLOT" if lot.type == "MIX" else lot.type
        return found is not None and found.groups() == (prefix, self.model.world.runs[lot.run].site)

    def _links(self, lots: list[UUID]) -> Sequence[Sequence[Any]]:
        return [
            tuple(row)
            for row in self._sql(
                "SELECT parent_lot_id, child_lot_id, quantity_used_kg, ARRAY(SELECT command_key FROM audit_events"
                "  WHERE entity = 'lot_genealogy' AND entity_id = link.id)"
                " FROM lot_genealogy AS link WHERE parent_lot_id = ANY(:lots) OR child_lot_id = ANY(:lots)",
                lots=lots,
            )
        ]

    def _decisions(self, lots: list[UUID]) -> Iterable[tuple[UUID, Any]]:
        for row in self._sql(
            "SELECT id, lot_id, decision, notes, temperature_c, operator_id, ARRAY(SELECT command_key FROM audit_events"
            "  WHERE entity = 'qc_decisions' AND entity_id = qc_decisions.id)"
            " FROM qc_decisions WHERE lot_id = ANY(:lots)",
            lots=lots,
        ):
            yield row.id, tuple(row[1:])

    def _trail(self, changed: Collection[UUID]) -> dict[UUID, list[UUID]]:
        """For each entity, the commands that audit events name for its changes, in order."""
        events: defaultdict[UUID, list[UUID]] = defaultdict(list)
        for id_, key in self._sql(
            "SELECT entity_id, command_key FROM audit_events"
            " WHERE entity IN ('production_runs', 'lots', 'flow_versions') AND entity_id = ANY(:changed)"
            " AND command_key IS NOT NULL ORDER BY id",
            changed=list(changed),
        ):
            events[id_].append(key)
        return dict(events)


def gapless(status: str, planned: Sequence[str]) -> None:
    """All planned steps up to the current one are done, which is in progress unless the run has ended."""
    done = len([each for each in planned if each == "COMPLETED"])
    assert list(planned[:done]) == ["COMPLETED"] * done
    in_progress = [each for each in planned if each == "IN_PROGRESS"]
    assert len(in_progress) == (1 if status in ("RUNNING", "HOLD") else 0)
    assert set(planned[done + len(in_progress) :]) <= {"PENDING"}
