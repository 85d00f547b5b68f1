-- The rules of the plant, each broken by hand. A section begins with the rule as the table "Who keeps which rule" of
-- docs/database.md has it; its last statement, or the commit after it, breaks the rule.

-- rule: a version is submitted and approved with a valid plan
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid;
UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = md5('review')::uuid

-- rule: a flow has one PUBLISHED version
UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = md5('review')::uuid

-- rule: a PUBLISHED version changes in nothing but its end, a DEPRECATED one not at all
UPDATE flow_versions SET status = 'DEPRECATED', graph_schema = '{}' WHERE id = md5('published')::uuid

-- rule: what was reviewed is what is published
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid;
UPDATE flow_versions SET status = 'PUBLISHED', graph_schema = '{}' WHERE id = md5('review')::uuid

-- rule: no version is deprecated by hand while unfinished runs are pinned to it
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid

-- rule: a run is pinned to a PUBLISHED version
INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', md5('draft')::uuid)

-- rule: the pin never changes
UPDATE production_runs SET flow_version_id = NULL WHERE run_code = 'running'

-- rule: a run of an older system is adopted once, at a step of the plan that it is pinned to
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 3, status_reason = 'cut-over day'
WHERE run_code = 'legacy'

-- rule: runs, steps, lots and versions make legal moves only
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'rejected'

-- rule: a run goes to its next planned step, one after the other
UPDATE production_runs SET current_step_index = 10 WHERE run_code = 'running'

-- rule: a run and its eleven steps agree
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'

-- rule: a step of the plan is skipped by an abort only
UPDATE run_step_executions SET status = 'SKIPPED' WHERE id = md5('running 3')::uuid

-- rule: no step is left while one of its lots is on HOLD
UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'RAW-1';
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'

-- rule: no gate is passed while one of its lots is in QUARANTINE
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running';
UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now() WHERE id = md5('running 1')::uuid;
UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 3')::uuid

-- rule: a run does not go back behind live lots
UPDATE production_runs SET current_step_index = 0, status_reason = 'belt is torn' WHERE run_code = 'running'

-- rule: a run is COMPLETED at its last planned step, with none open
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now() WHERE run_code = 'at last step'

-- rule: a finished run changes by archiving only
UPDATE production_runs SET daily_target_kg = 1 WHERE run_code = 'completed'

-- rule: a run is archived once its retention has passed
UPDATE production_runs SET status = 'ARCHIVED' WHERE run_code = 'completed'

-- rule: a hold, an abort, a way back, a resumption and an adoption have a reason
UPDATE production_runs SET status = 'HOLD', status_reason = '          ' WHERE run_code = 'running'

-- rule: HOLD, FAIL and a rejection have a reason
UPDATE lots SET status = 'HOLD' WHERE lot_code = 'RAW-1'

-- rule: who issues a command has the role for it
UPDATE production_runs SET status = 'HOLD', status_reason = 'belt is torn', command_key = md5('APPLIED')::uuid
WHERE run_code = 'running'

-- rule: a lot is registered while its run is RUNNING
INSERT INTO lots (lot_code, lot_type, step_index, production_run_id) VALUES ('new', 'RAW', 1, md5('held')::uuid)

-- rule: none is added to a finished run
INSERT INTO lots (lot_code, lot_type, step_index, production_run_id) VALUES ('new', 'RAW', 1, md5('completed')::uuid)

-- rule: a lot is of a type that its step makes
INSERT INTO lots (lot_code, lot_type, step_index, production_run_id) VALUES ('new', 'SHIP', 1, md5('running')::uuid)

-- rule: no lot is of a legacy type
INSERT INTO lots (lot_code, lot_type) VALUES ('new', 'SKW')

-- rule: codes are spelled as the plant spells them
INSERT INTO lots (lot_code) VALUES ('whatever')

-- rule: codes are used once
INSERT INTO lots (lot_code) VALUES ('RAW-1')

-- rule: a lot is given its type and its run once
UPDATE lots SET lot_type = 'DEB' WHERE lot_code = 'RAW-1'

-- rule: a lot is given its step once
UPDATE lots SET step_index = NULL WHERE lot_code = 'RAW-1'

-- rule: a lot that is not RAW has parents
INSERT INTO lots (lot_code, lot_type, step_index, production_run_id) VALUES ('new', 'DEB', 2, md5('running')::uuid)

-- rule: a RAW lot has none
INSERT INTO lots (id, lot_code, lot_type) VALUES (md5('new')::uuid, 'new', 'RAW');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('new')::uuid, 1)

-- rule: a parent is RELEASED
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('raw lot')::uuid, md5('DEB-2')::uuid, 1)

-- rule: a parent is of an earlier step
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('MIX-2')::uuid, md5('DEB-2')::uuid, 1)

-- rule: parent and child are of one site, and nothing leaves an ARCHIVED run
INSERT INTO lots (id, lot_code, lot_type, step_index) VALUES (md5('new')::uuid, 'new', 'DEB', 2);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('put away')::uuid, md5('new')::uuid, 1)

-- rule: no more is taken from a lot than it weighs
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 100)

-- rule: SKUs are not mixed
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('PAL-2')::uuid, 1)

-- rule: no lot descends from itself
INSERT INTO lots (id, lot_code, weight_kg, status)
SELECT md5(code)::uuid, code, 10, 'QUARANTINE' FROM unnest(ARRAY['a', 'b']) AS code;
UPDATE lots SET status = 'RELEASED' WHERE lot_code IN ('a', 'b');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('a')::uuid, md5('b')::uuid, 1), (md5('b')::uuid, md5('a')::uuid, 1)

-- rule: a CONSUMED, FINISHED or REJECTED lot takes nothing more
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('finished')::uuid, 1)

-- rule: a lot is RELEASED by a decision
UPDATE lots SET status = 'RELEASED' WHERE status = 'QUARANTINE'

-- rule: a lot of a control point is RELEASED with a reading within its limits
INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('raw lot')::uuid, 'PASS');
UPDATE lots SET status = 'RELEASED', temperature_c = 30 WHERE lot_code = 'RAW-1'

-- rule: a lot is CONSUMED by a child, and FINISHED after its children
UPDATE lots SET status = 'FINISHED' WHERE lot_code = 'consumed'

-- rule: links and decisions stay as they were written
DELETE FROM qc_decisions

-- rule: a command takes effect once
INSERT INTO commands (idempotency_key, command, payload) VALUES (md5('APPLIED')::uuid, 'hold_run', '{}')

-- rule: what was decided stays decided
UPDATE commands SET status = 'REJECTED' WHERE status = 'APPLIED'

-- rule: audit events and seals are only added
UPDATE audit_seals SET events = 3

-- rule: an audit event leaves the table once it is archived and later ones tell of its row
DELETE FROM audit_events
