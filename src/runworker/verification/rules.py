"""Do rows agree with one another, as the plant's rules want it: runs and steps, pins, times, genealogy, kilograms, SKU.

Guards keep these rules from the day on which they came, and leave rows of an older system as they are. What is found is
therefore something that has come since: a run with the steps that only runworker writes, a link that has its event.
"""

from typing import Final

from runworker.verification.discrepancies import Question

LOOK: Final = "rules"

_RUN: Final = "SELECT * FROM run_step_executions WHERE run_id = '{row}' ORDER BY step_index"
_LOT: Final = "SELECT * FROM lot_genealogy WHERE '{row}' IN (parent_lot_id, child_lot_id)"
_GUARDED: Final = """EXISTS (SELECT FROM audit_events AS event WHERE event.entity_id = link.id
                             AND event.entity = 'lot_genealogy' AND event.operation = 'INSERT')"""
_SKU: Final = """coalesce({lot}.sku_type, CASE WHEN {lot}.lot_type::text ~ '^(SKW|FRZ|FG)(15|30)$'
                                           THEN right({lot}.lot_type::text, 2) END)"""

RUNS: Final = (
    Question(
        "production_runs",
        """
        SELECT run.id::text AS row,
               format('the run is %s at step %s; %s steps, in progress: %s, open: %s', run.status,
                      run.current_step_index, step.many, coalesce(step.current::text, 'none'), step.open) AS problem,
               CASE WHEN run.status IN ('RUNNING', 'HOLD')
                    THEN 'eleven steps, the current one IN_PROGRESS, those before it done and those after it not begun'
                    WHEN run.status = 'IDLE' THEN 'no step that has begun'
                    ELSE 'eleven steps, none of them open' END AS expected
        FROM production_runs AS run JOIN (
            SELECT run_id, count(*) AS many, min(step_index) FILTER (WHERE status = 'IN_PROGRESS') AS current,
                   count(*) FILTER (WHERE status IN ('PENDING', 'IN_PROGRESS')) AS open,
                   count(*) FILTER (WHERE status IN ('IN_PROGRESS', 'COMPLETED')) AS begun,
                   max(step_index) FILTER (WHERE status = 'COMPLETED') AS last_done,
                   min(step_index) FILTER (WHERE status = 'PENDING') AS first_pending,
                   max(step_index) FILTER (WHERE status <> 'SKIPPED') AS last_planned
            FROM run_step_executions GROUP BY run_id
        ) AS step ON step.run_id = run.id
        WHERE step.many <> 11
           OR CASE WHEN run.status IN ('RUNNING', 'HOLD')
                   THEN step.current IS DISTINCT FROM run.current_step_index
                        OR step.last_done > step.current OR step.first_pending < step.current
                   WHEN run.status = 'IDLE' THEN step.begun > 0
                   WHEN run.status = 'COMPLETED'
                   THEN step.open > 0 OR step.last_planned IS DISTINCT FROM run.current_step_index
                   ELSE step.open > 0 END
        """,
        _RUN,
    ),
    Question(
        "production_runs",
        """
        SELECT run.id::text AS row, format('a worker moved the run to %s, and it has no steps', run.status) AS problem,
               'eleven steps' AS expected
        FROM production_runs AS run
        WHERE run.status IN ('RUNNING', 'HOLD', 'COMPLETED') AND run.idempotency_key IS NOT NULL
          AND NOT EXISTS (SELECT FROM run_step_executions AS step WHERE step.run_id = run.id)
          AND EXISTS (SELECT FROM audit_events AS event WHERE event.entity_id = run.id AND event.command = 'start_run')
        """,
        _RUN,
    ),
    Question(
        "production_runs",
        """
        SELECT run.id::text AS row,
               'pinned to ' || coalesce('version ' || version.id || ', which is ' || version.status, 'no version')
               AS problem,
               'a version that is or was PUBLISHED' AS expected
        FROM production_runs AS run LEFT JOIN flow_versions AS version ON version.id = run.flow_version_id
        WHERE run.status <> 'IDLE' AND version.status IS DISTINCT FROM 'PUBLISHED'
          AND version.status IS DISTINCT FROM 'DEPRECATED'
          AND EXISTS (SELECT FROM run_step_executions AS step WHERE step.run_id = run.id)
        """,
        "SELECT * FROM production_runs WHERE id = '{row}'",
    ),
    Question(
        "run_step_executions",
        """
        SELECT format('%s step %s', step.run_id, step.step_index) AS row,
               format('from %s to %s', step.started_at, coalesce(step.completed_at::text, 'now')) AS problem,
               format('an end not before the beginning, and neither before %s, when the run began', run.started_at)
               AS expected
        FROM run_step_executions AS step JOIN production_runs AS run ON run.id = step.run_id
        WHERE step.completed_at < step.started_at OR step.started_at < run.started_at
        """,
        "SELECT * FROM run_step_executions WHERE run_id = split_part('{row}', ' ', 1)::uuid ORDER BY step_index",
    ),
)
GENEALOGY: Final = (
    # A circle has a link that does not lead to a later step. There are few: descendants are followed from these alone.
    Question(
        "lot_genealogy",
        f"""
        WITH RECURSIVE no_step_on AS MATERIALIZED (
            SELECT link.id, link.parent_lot_id AS parent, link.child_lot_id AS child
            FROM lot_genealogy AS link JOIN lots AS above ON above.id = link.parent_lot_id
                 JOIN lots AS below ON below.id = link.child_lot_id
            WHERE (above.step_index < below.step_index) IS NOT TRUE
        ), way (start, lot) AS (
            SELECT child, child FROM no_step_on
            UNION
            SELECT way.start, link.child_lot_id
            FROM way JOIN lot_genealogy AS link ON link.parent_lot_id = way.lot
        )
        SELECT link.id::text AS row,
               format('lot %s descends from lot %s, which is made of it', link.parent_lot_id, link.child_lot_id)
               AS problem,
               'no circle' AS expected
        FROM no_step_on JOIN lot_genealogy AS link ON link.id = no_step_on.id
             JOIN way ON way.start = no_step_on.child AND way.lot = no_step_on.parent
        WHERE {_GUARDED}
        """,
        "SELECT * FROM lot_genealogy WHERE id = '{row}'",
    ),
    Question(
        "lot_genealogy",
        f"""
        SELECT link.id::text AS row,
               format('%s kg of a %s lot of step %s go into a %s lot of step %s',
                      coalesce(link.quantity_used_kg::text, 'unknown'), above.lot_type, above.step_index,
                      below.lot_type, below.step_index) AS problem,
               'more than 0 kg, of a lot of an earlier step and the same SKU, into a lot that is not RAW' AS expected
        FROM lot_genealogy AS link JOIN lots AS above ON above.id = link.parent_lot_id
             JOIN lots AS below ON below.id = link.child_lot_id
        WHERE (above.step_index >= below.step_index OR below.lot_type = 'RAW'
               OR (link.quantity_used_kg > 0 AND link.quantity_used_kg <> 'NaN') IS NOT TRUE
               OR {_SKU.format(lot="above")} <> {_SKU.format(lot="below")})
          AND {_GUARDED}
        """,
        "SELECT * FROM lot_genealogy WHERE id = '{row}'",
    ),
    Question(
        "lot_genealogy",
        """
        SELECT child.id::text AS row, 'a pallet is made of lots of two SKUs' AS problem, 'one SKU' AS expected
        FROM lots AS child JOIN lot_genealogy AS link ON link.child_lot_id = child.id
             JOIN lots AS parent ON parent.id = link.parent_lot_id
        WHERE child.lot_type = 'PAL'
        GROUP BY child.id
        HAVING count(DISTINCT parent.sku_type) > 1
           AND bool_or(EXISTS (SELECT FROM audit_events AS event WHERE event.entity_id = link.id
                               AND event.entity = 'lot_genealogy' AND event.operation = 'INSERT'))
        """,
        _LOT,
    ),
    Question(
        "lots",
        f"""
        SELECT lot.id::text AS row,
               format('%s kg were taken of %s kg', taken.kg, coalesce(lot.weight_kg::text, 'unknown')) AS problem,
               'not more than the lot weighs' AS expected
        FROM (SELECT parent_lot_id, sum(quantity_used_kg) AS kg FROM lot_genealogy GROUP BY 1) AS taken
             JOIN lots AS lot ON lot.id = taken.parent_lot_id
        WHERE taken.kg > coalesce(lot.weight_kg, 0)
          AND EXISTS (SELECT FROM lot_genealogy AS link WHERE link.parent_lot_id = lot.id AND {_GUARDED})
        """,
        _LOT,
    ),
)
LOTS: Final = (
    Question(
        "lots",
        """
        SELECT lot.id::text AS row,
               format('a %s lot of SKU %s', lot.lot_type, coalesce(lot.sku_type, 'none')) AS problem,
               'the SKU that its type says' AS expected
        FROM lots AS lot
        WHERE lot.lot_type::text ~ '^(SKW|FRZ|FG)(15|30)$'
          AND lot.sku_type IS DISTINCT FROM right(lot.lot_type::text, 2)
        """,
        "SELECT * FROM lots WHERE id = '{row}'",
    ),
    Question(
        "lots",
        """
        SELECT lot.id::text AS row, 'the lot is CONSUMED, and nothing was made of it' AS problem,
               'a link to a lot that was made of it' AS expected
        FROM lots AS lot
        WHERE lot.status = 'CONSUMED' AND NOT EXISTS (SELECT FROM lot_genealogy WHERE parent_lot_id = lot.id)
          AND EXISTS (SELECT FROM audit_events AS event WHERE event.entity_id = lot.id AND event.entity = 'lots'
                      AND event.after ->> 'status' = 'CONSUMED')
        """,
        _LOT,
    ),
)
QUESTIONS: Final = (*RUNS, *GENEALOGY, *LOTS)
