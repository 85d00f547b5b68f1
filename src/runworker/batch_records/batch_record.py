"""The batch record as a page: a run's whole record, for a reader who has never seen the system."""

from runworker.batch_records.lot_sections import decisions, genealogy, lots, mass_balance
from runworker.batch_records.markup import Html, definitions, joined, page, table, tag
from runworker.batch_records.pieces import changed_by, code, meanings, person, section, state, time
from runworker.batch_records.run_record import Hold, RunRecord, StepRecord
from runworker.batch_records.trail_sections import audit, by_hand, commands
from runworker.batch_records.words import RUN_STATES, STEP_STATES, step_name
from runworker.states import LotStatus, RunStatus


def record_page(record: RunRecord) -> Html:
    """The whole document, with nothing outside of it."""
    return page(
        f"Batch record {record.code}",
        _header(record),
        _steps(record),
        _holds(record),
        genealogy(record),
        lots(record),
        decisions(record),
        mass_balance(record),
        commands(record),
        by_hand(record),
        audit(record),
        _people(record),
        _signatures(),
    )


def _header(record: RunRecord) -> Html:
    flow = record.flow
    rejected = sum(
        lot.status is LotStatus.REJECTED for lot in record.genealogy.lots.values() if lot.id in record.own_lots
    )
    facts = (
        ("State", state(record.status)),
        ("What that means", RUN_STATES[record.status]),
        ("Why", record.status_reason if record.status in (RunStatus.HOLD, RunStatus.ABORTED) else None),
        ("Flow", f"{_flow_name(record)}, version {flow.version_num} ({flow.status})" if flow else "none (legacy run)"),
        ("Flow published", time(flow.published_at) if flow else None),
        ("Flow published by", person(flow.published_by, record.people) if flow else None),
        ("Started", time(record.started_at)),
        ("Started by", person(record.started_by, record.people)),
        ("Operator", person(record.operator_id, record.people)),
        ("Taken over", _adoption(record)),
        ("Completed", time(record.completed_at)),
        ("Ended", time(record.ended_at) if record.completed_at is None else None),
        ("Target of the day", f"{record.daily_target_kg} kg" if record.daily_target_kg is not None else None),
        ("Lots", f"{len(record.own_lots)}, {rejected} of them rejected"),
        ("Holds", str(len(record.holds))),
        ("Mass balance error", f"{record.balance.error_kg} kg"),
        ("Id of the run", str(record.id)),
    )
    written = tag(
        "p",
        "All that the plant's records say of one production run, written ",
        time(record.made_at),
        ". All times are UTC. Weights are in kilograms, temperatures in degrees Celsius.",
        class_="lead",
    )
    archived = tag(
        "p",
        f"Part of this run's audit trail is archived: {', '.join(record.audit.archives)}. Of that, this record has the"
        " last event of the run, of each step and of each lot. Earlier holds, roll-backs, changes by hand and commands"
        " that the ledger forgot are in these files and not here.",
        class_="warning",
    )
    return tag(
        "header",
        tag("h1", f"Batch record {record.code}"),
        written,
        archived if record.audit.archives else None,
        definitions(facts),
    )


def _adoption(record: RunRecord) -> Html | None:
    adoption = record.adoption
    if adoption is None:
        return None
    by = changed_by(adoption, record.people)
    return joined(
        ("from an older system, at ", adoption.after, ", ", time(adoption.at), ", by ", by, ": ", adoption.reason)
    )


def _flow_name(record: RunRecord) -> str:
    names = record.flow.name if record.flow else {}
    return names.get("en") or next(iter(names.values()), "without a name")


def _steps(record: RunRecord) -> Html:
    labels = record.flow.labels if record.flow else {}
    note = (
        "The run was taken over from an older system, which noted no times of steps: those up to the one where it stood"
        " are said to have begun when the run did."
    )
    rows = [
        (
            step_name(step.step_index, labels),
            state(step.status),
            time(step.started_at),
            time(step.completed_at),
            _took(step, record),
            person(step.operator_id, record.people),
        )
        for step in record.steps
    ]
    return section(
        "Steps",
        "A run takes the steps of its flow in ascending order; one at a time is in progress. After a roll-back a step"
        " shows its last times.",
        tag("p", note, class_="warning") if record.adoption else None,
        table(
            ("Step", "State", "Started", "Completed", "Took", "Operator"),
            rows,
            caption=f"{len(rows)} steps",
            empty="The run has not begun any step.",
        ),
        meanings(STEP_STATES, (step.status for step in record.steps)),
    )


def _took(step: StepRecord, record: RunRecord) -> str | None:
    """How long the step took; nobody knows of one that began before the run was taken over."""
    is_guessed = record.adoption is not None and step.started_at == record.started_at
    if is_guessed or step.started_at is None or step.completed_at is None:
        return None
    return str(step.completed_at - step.started_at).split(".")[0]


def _holds(record: RunRecord) -> Html:
    stops = [
        (
            time(stop.at),
            code(stop.subject),
            f"{stop.before} → {stop.after}",
            stop.reason,
            changed_by(stop, record.people),
        )
        for stop in record.stops
    ]
    return section(
        "Holds, rejections and roll-backs",
        "A hold stops a lot or the whole run until a manager ends it. Each has its reason; so has its end.",
        table(
            ("Stopped", "On hold", "Why", "By", "Ended", "Became", "Resolution or reason", "Ended by"),
            [_hold(hold, record) for hold in record.holds],
            caption=f"{len(record.holds)} holds",
            empty="Nothing was ever on hold.",
        ),
        table(
            ("When", "What", "Change", "Reason", "By"),
            stops,
            caption="Rejections, roll-backs and an abort",
            empty="Nothing was rejected, rolled back or aborted.",
        ),
    )


def _hold(hold: Hold, record: RunRecord) -> tuple[Html | str | None, ...]:
    begin, end = hold.begin, hold.end
    return (
        time(begin.at),
        code(begin.subject),
        begin.reason,
        changed_by(begin, record.people),
        time(end.at) if end else "still on hold",
        state(end.after) if end and end.after else None,
        end.reason if end else None,
        changed_by(end, record.people) if end else None,
    )


def _people(record: RunRecord) -> Html:
    seen = {
        *(step.operator_id for step in record.steps),
        *(decision.operator_id for decision in record.decisions),
        *(line.issued_by for line in record.commands),
        *(lot.operator_id for lot in record.genealogy.lots.values()),
        record.started_by,
        record.operator_id,
        record.flow.published_by if record.flow else None,
    }
    rows = [(who.name, who.email, who.role) for id_, who in record.people.items() if id_ in seen]
    return section(
        "People",
        "Everybody who is named above, with the role they have today.",
        table(("Name", "E-mail", "Role"), sorted(rows), caption=f"{len(rows)} people", empty="Nobody is named."),
    )


def _signatures() -> Html:
    return tag(
        "div", *(tag("div", f"{who}, date, signature") for who in ("Made", "Checked", "Released")), class_="signatures"
    )
