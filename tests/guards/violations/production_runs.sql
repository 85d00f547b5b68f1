-- refused: ck_production_runs_status (behind its guard)
ALTER TABLE production_runs DISABLE TRIGGER trg_production_runs_guard;
UPDATE production_runs SET status = 'ACTIVE' WHERE run_code = 'running';

-- refused: ck_production_runs_step_index (behind its guard, above)
ALTER TABLE production_runs DISABLE TRIGGER trg_production_runs_guard;
UPDATE production_runs SET current_step_index = 11 WHERE run_code = 'running';

-- refused: ck_production_runs_step_index (behind its guard, below)
ALTER TABLE production_runs DISABLE TRIGGER trg_production_runs_guard;
UPDATE production_runs SET current_step_index = -1 WHERE run_code = 'held';

-- refused: ck_production_runs_times (RUNNING and ended)
UPDATE production_runs SET ended_at = now() WHERE run_code = 'running';

-- refused: ck_production_runs_times (HOLD and completed)
UPDATE production_runs SET status = 'HOLD', status_reason = 'belt is torn', completed_at = now() WHERE run_code = 'running';

-- refused: ck_production_runs_times (COMPLETED, nobody says when)
UPDATE production_runs SET status = 'COMPLETED', ended_at = now() WHERE run_code = 'at last step';

-- refused: ck_production_runs_times (COMPLETED, no end)
UPDATE production_runs SET status = 'COMPLETED', completed_at = now() WHERE run_code = 'at last step';

-- refused: ck_production_runs_times (ABORTED, no end)
UPDATE production_runs SET status = 'ABORTED', status_reason = 'power failure' WHERE run_code = 'running';

-- refused: ck_production_runs_times (ABORTED and completed)
UPDATE production_runs SET status = 'ABORTED', status_reason = 'power failure', completed_at = now(), ended_at = now()
WHERE run_code = 'running';

-- refused: ck_production_runs_times (ARCHIVED, no end, behind its guard)
ALTER TABLE production_runs DISABLE TRIGGER trg_production_runs_guard;
UPDATE production_runs SET status = 'ARCHIVED' WHERE run_code = 'idle';

-- refused: ck_production_runs_status_reason (too short)
UPDATE production_runs SET status_reason = 'because' WHERE run_code = 'running';

-- refused: ck_production_runs_status_reason (too long)
UPDATE production_runs SET status_reason = repeat('x', 501) WHERE run_code = 'running';

-- refused: uq_production_runs_run_code
INSERT INTO production_runs (run_code, flow_version_id) VALUES ('running', md5('published')::uuid);

-- refused: uq_production_runs_idempotency_key
INSERT INTO production_runs (run_code, flow_version_id, idempotency_key)
VALUES ('new', md5('published')::uuid, md5('running key')::uuid);

-- refused: guard_production_runs_insert (COMPLETED)
INSERT INTO production_runs (run_code, flow_version_id, status, completed_at, ended_at)
VALUES ('new', md5('published')::uuid, 'COMPLETED', now(), now());

-- refused: guard_production_runs_insert (on HOLD)
INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('published')::uuid, 'HOLD');

-- refused: guard_production_runs_insert (at step 1)
INSERT INTO production_runs (run_code, flow_version_id, status, current_step_index)
VALUES ('new', md5('published')::uuid, 'RUNNING', 1);

-- refused: guard_production_runs_pin (none)
INSERT INTO production_runs (run_code) VALUES ('new');

-- refused: guard_production_runs_pin (a DRAFT)
INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('draft')::uuid, 'RUNNING');

-- refused: guard_production_runs_pin (a version in REVIEW)
INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('review')::uuid, 'RUNNING');

-- refused: guard_production_runs_pin (a DEPRECATED version)
INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('deprecated')::uuid, 'RUNNING');

-- refused: guard_production_runs_pin (a legacy run, to a DRAFT)
ALTER TABLE production_runs DISABLE TRIGGER USER;
UPDATE production_runs SET flow_version_id = NULL WHERE run_code = 'running';
ALTER TABLE production_runs ENABLE TRIGGER USER;
UPDATE production_runs SET flow_version_id = md5('draft')::uuid WHERE run_code = 'running';

-- refused: guard_production_runs_pin (started after its version was withdrawn)
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid;
UPDATE production_runs SET status = 'RUNNING' WHERE run_code = 'idle';

-- refused: fk_production_runs_flow_version (no such version)
INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', gen_random_uuid());

-- refused: guard_production_runs_repin (to another version)
UPDATE production_runs SET flow_version_id = md5('deprecated')::uuid WHERE run_code = 'running';

-- refused: guard_production_runs_repin (unpinned)
UPDATE production_runs SET flow_version_id = NULL WHERE run_code = 'running';

-- refused: guard_production_runs_repin (a legacy run, a second time)
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 4, status_reason = 'cut-over day'
WHERE run_code = 'legacy';
UPDATE production_runs SET flow_version_id = md5('published')::uuid WHERE run_code = 'legacy';

-- refused: guard_production_runs_adoption (at a step that the plan has not)
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 3, status_reason = 'cut-over day'
WHERE run_code = 'legacy';

-- refused: guard_production_runs_adoption (together with a state)
UPDATE production_runs SET flow_version_id = md5('old plan')::uuid, status = 'HOLD', status_reason = 'cut-over day'
WHERE run_code = 'legacy';

-- refused: guard_production_runs_adoption (a run that has steps)
ALTER TABLE production_runs DISABLE TRIGGER USER;
UPDATE production_runs SET flow_version_id = NULL WHERE run_code = 'running';
ALTER TABLE production_runs ENABLE TRIGGER USER;
UPDATE production_runs SET flow_version_id = md5('old plan')::uuid, status_reason = 'cut-over day'
WHERE run_code = 'running';

-- refused: guard_production_runs_identity (run_code)
UPDATE production_runs SET run_code = 'renamed' WHERE run_code = 'running';

-- refused: guard_production_runs_identity (id)
UPDATE production_runs SET id = gen_random_uuid() WHERE run_code = 'running';

-- refused: guard_production_runs_identity (idempotency_key)
UPDATE production_runs SET idempotency_key = NULL WHERE run_code = 'running';

-- refused: guard_production_runs_move
UPDATE production_runs SET status = 'RUNNING' WHERE run_code = 'aborted';

-- refused: guard_production_runs_read_only (a COMPLETED run's summary)
UPDATE production_runs SET summary = '{}' WHERE run_code = 'completed';

-- refused: guard_production_runs_read_only (a reason, without archiving)
UPDATE production_runs SET status_reason = 'thought of it later' WHERE run_code = 'aborted';

-- refused: guard_production_runs_read_only (more than the state, while archiving)
UPDATE production_runs SET status = 'ARCHIVED', ended_at = ended_at - interval '1 day' WHERE run_code = 'completed';

-- refused: guard_production_runs_read_only (an ARCHIVED run)
UPDATE production_runs SET daily_target_kg = 1 WHERE run_code = 'archived';

-- refused: guard_production_runs_read_only (an ARCHIVED run's reason)
UPDATE production_runs SET status_reason = 'thought of it later' WHERE run_code = 'archived';

-- refused: guard_production_runs_step (past a planned one)
UPDATE production_runs SET current_step_index = 10 WHERE run_code = 'running';

-- refused: guard_production_runs_step (to a SKIPPED one)
UPDATE production_runs SET current_step_index = 2 WHERE run_code = 'running';

-- refused: guard_production_runs_step (beyond the last)
UPDATE production_runs SET current_step_index = 11 WHERE run_code = 'at last step';

-- refused: guard_production_runs_step (forward on HOLD)
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'held';

-- refused: guard_production_runs_step (back to a SKIPPED one)
UPDATE production_runs SET current_step_index = 2 WHERE run_code = 'at last step';

-- refused: guard_production_runs_step (while IDLE)
UPDATE production_runs SET current_step_index = 1 WHERE run_code = 'idle';

-- refused: guard_production_runs_step (together with the state)
UPDATE production_runs SET current_step_index = 3, status = 'HOLD' WHERE run_code = 'running';

-- refused: guard_production_runs_step (together with the state, where either alone is legal)
UPDATE production_runs SET current_step_index = 3, status = 'RUNNING' WHERE run_code = 'held';

-- refused: guard_production_runs_unfinished (planned steps are left)
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now() WHERE run_code = 'running';

-- refused: guard_production_runs_unfinished (no steps at all)
INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('published')::uuid, 'RUNNING');
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now() WHERE run_code = 'new';

-- refused: guard_production_runs_steps (it moves, they do not)
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (it begins without any)
INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('published')::uuid, 'RUNNING');
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (an IDLE one starts without any)
INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', md5('published')::uuid);
UPDATE production_runs SET status = 'RUNNING' WHERE run_code = 'new';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (it begins with one)
INSERT INTO production_runs (id, run_code, flow_version_id, status)
VALUES (md5('new')::uuid, 'new', md5('published')::uuid, 'RUNNING');
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at)
VALUES (md5('new')::uuid, 0, 'node-0', 'IN_PROGRESS', now());
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (a legacy run is adopted without any)
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 4, status_reason = 'cut-over day'
WHERE run_code = 'legacy';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (a legacy run is adopted, and its steps are those of another place)
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 4, status_reason = 'cut-over day'
WHERE run_code = 'legacy';
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at)
SELECT md5('legacy')::uuid, step, 'node', CASE step WHEN 0 THEN 'IN_PROGRESS' WHEN 1 THEN 'PENDING' WHEN 4 THEN 'PENDING'
       ELSE 'SKIPPED' END, CASE step WHEN 0 THEN now() END
FROM generate_series(0, 10) AS step;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (it starts and none does)
UPDATE production_runs SET status = 'RUNNING' WHERE run_code = 'idle';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (it goes back, and a later one stays COMPLETED)
UPDATE production_runs SET current_step_index = 1, status_reason = 'belt is torn' WHERE run_code = 'at last step';
UPDATE run_step_executions SET status = 'PENDING', started_at = NULL WHERE id = md5('at last step 10')::uuid;
UPDATE run_step_executions SET status = 'IN_PROGRESS', completed_at = NULL WHERE id = md5('at last step 1')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_steps (together with a change of the run that concerns no step)
UPDATE production_runs SET summary = '{}' WHERE run_code = 'running';
UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now() WHERE id = md5('running 1')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_open_steps (COMPLETED)
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now()
WHERE run_code = 'at last step';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_open_steps (ABORTED)
UPDATE production_runs SET status = 'ABORTED', ended_at = now(), status_reason = 'power failure'
WHERE run_code = 'running';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_production_runs_quality (advanced)
INSERT INTO lots (lot_code, status, step_index, production_run_id)
VALUES ('new', 'QUARANTINE', 1, md5('running')::uuid);
UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'new';
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running';

-- refused: guard_production_runs_quality (completed)
INSERT INTO lots (lot_code, status, step_index, production_run_id)
VALUES ('new', 'QUARANTINE', 10, md5('at last step')::uuid);
UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'new';
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now()
WHERE run_code = 'at last step';

-- refused: guard_production_runs_live_lots
UPDATE production_runs SET current_step_index = 0 WHERE run_code = 'running';

-- refused: guard_production_runs_live_lots (a legacy run is adopted behind one)
INSERT INTO lots (lot_code, step_index, production_run_id) VALUES ('new', 7, md5('legacy')::uuid);
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 4, status_reason = 'cut-over day'
WHERE run_code = 'legacy';

-- refused: guard_production_runs_live_lots (a legacy run is adopted at its beginning)
INSERT INTO lots (lot_code, step_index, production_run_id) VALUES ('new', 1, md5('legacy')::uuid);
UPDATE production_runs SET flow_version_id = md5('old plan')::uuid, status_reason = 'cut-over day'
WHERE run_code = 'legacy';

-- refused: guard_production_runs_reason (adopted)
UPDATE production_runs SET flow_version_id = md5('old plan')::uuid WHERE run_code = 'legacy';

-- refused: guard_production_runs_reason (HOLD)
UPDATE production_runs SET status = 'HOLD' WHERE run_code = 'running';

-- refused: guard_production_runs_reason (HOLD, ten blanks)
UPDATE production_runs SET status = 'HOLD', status_reason = '          ' WHERE run_code = 'running';

-- refused: guard_production_runs_reason (ABORTED)
UPDATE production_runs SET status = 'ABORTED', ended_at = now(), status_reason = NULL WHERE run_code = 'held';

-- refused: guard_production_runs_reason (resumed)
UPDATE production_runs SET status = 'RUNNING', status_reason = NULL WHERE run_code = 'held';

-- refused: guard_production_runs_reason (a way back)
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'at last step';

-- refused: guard_production_runs_delete
DELETE FROM production_runs WHERE run_code = 'completed';

-- refused: guard_production_runs_truncate
TRUNCATE production_runs CASCADE;
