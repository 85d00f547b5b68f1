-- refused: ck_run_step_executions_status (behind its guard)
ALTER TABLE run_step_executions DISABLE TRIGGER USER;
UPDATE run_step_executions SET status = 'FAILED' WHERE id = md5('running 3')::uuid;

-- refused: ck_run_step_executions_step_index
INSERT INTO run_step_executions (run_id, step_index, node_id) VALUES (md5('idle')::uuid, 11, 'node-11');

-- refused: ck_run_step_executions_times (PENDING and started)
UPDATE run_step_executions SET started_at = now() WHERE id = md5('running 3')::uuid;

-- refused: ck_run_step_executions_times (IN_PROGRESS, not started)
UPDATE run_step_executions SET status = 'IN_PROGRESS' WHERE id = md5('idle 0')::uuid;

-- refused: ck_run_step_executions_times (COMPLETED, nobody says when)
UPDATE run_step_executions SET status = 'COMPLETED' WHERE id = md5('running 1')::uuid;

-- refused: ck_run_step_executions_times (SKIPPED and completed)
UPDATE run_step_executions SET status = 'SKIPPED', completed_at = now() WHERE id = md5('running 1')::uuid;

-- refused: uq_run_step_executions_run_step
INSERT INTO run_step_executions (run_id, step_index, node_id) VALUES (md5('running')::uuid, 3, 'node-3');

-- refused: ex_run_step_executions_one_in_progress
UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 3')::uuid;

-- refused: ex_run_step_executions_one_in_progress (deferred, and still so at the end)
SET CONSTRAINTS ex_run_step_executions_one_in_progress DEFERRED;
UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 3')::uuid;
SET CONSTRAINTS ex_run_step_executions_one_in_progress IMMEDIATE;

-- refused: guard_run_step_executions_insert
INSERT INTO production_runs (id, run_code, flow_version_id) VALUES (md5('new')::uuid, 'new', md5('published')::uuid);
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)
VALUES (md5('new')::uuid, 0, 'node-0', 'COMPLETED', now(), now());

-- refused: guard_run_step_executions_insert (COMPLETED, of a legacy run that was not adopted)
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)
VALUES (md5('legacy')::uuid, 0, 'node-0', 'COMPLETED', now(), now());

-- refused: guard_run_step_executions_insert (COMPLETED, where a legacy run is adopted)
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 4, status_reason = 'cut-over day'
WHERE run_code = 'legacy';
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)
VALUES (md5('legacy')::uuid, 4, 'node-4', 'COMPLETED', now(), now());

-- refused: guard_run_step_executions_identity (index)
UPDATE run_step_executions SET step_index = 4 WHERE id = md5('running 3')::uuid;

-- refused: guard_run_step_executions_identity (node, in a legal move)
UPDATE run_step_executions SET node_id = 'other', status = 'SKIPPED' WHERE id = md5('running 3')::uuid;

-- refused: guard_run_step_executions_identity (run)
UPDATE run_step_executions SET run_id = md5('idle')::uuid WHERE id = md5('running 3')::uuid;

-- refused: guard_run_step_executions_identity (id)
UPDATE run_step_executions SET id = gen_random_uuid() WHERE id = md5('running 3')::uuid;

-- refused: guard_run_step_executions_move
UPDATE run_step_executions SET status = 'PENDING' WHERE id = md5('running 2')::uuid;

-- refused: guard_run_step_executions_finished (back)
UPDATE run_step_executions SET status = 'PENDING', started_at = NULL, completed_at = NULL
WHERE id = md5('completed 3')::uuid;

-- refused: guard_run_step_executions_finished (edited)
UPDATE run_step_executions SET completed_at = completed_at - interval '1 day' WHERE id = md5('archived 0')::uuid;

-- refused: guard_run_step_executions_run (they move, it does not)
UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now() WHERE id = md5('running 1')::uuid;
UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 3')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_run (back)
UPDATE run_step_executions SET status = 'PENDING', started_at = NULL WHERE id = md5('held 1')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_run (back, together with a change of the run that concerns no step)
UPDATE production_runs SET summary = '{}' WHERE run_code = 'at last step';
UPDATE run_step_executions SET status = 'PENDING', started_at = NULL, completed_at = NULL
WHERE id = md5('at last step 3')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_run (back, while the run goes on)
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running';
UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now() WHERE id = md5('running 1')::uuid;
UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 3')::uuid;
UPDATE run_step_executions SET status = 'PENDING', started_at = NULL, completed_at = NULL
WHERE id = md5('running 0')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_run (a few given to an older system's run)
ALTER TABLE run_step_executions DISABLE TRIGGER USER;
DELETE FROM run_step_executions WHERE run_id = md5('running')::uuid;
ALTER TABLE run_step_executions ENABLE TRIGGER USER;
INSERT INTO run_step_executions (run_id, step_index, node_id) VALUES (md5('running')::uuid, 10, 'node-10');
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_run (all eleven, without a pin)
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at)
SELECT md5('legacy')::uuid, step, 'node', CASE step WHEN 0 THEN 'IN_PROGRESS' ELSE 'SKIPPED' END,
       CASE step WHEN 0 THEN now() END
FROM generate_series(0, 10) AS step;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_skipped (of a legacy run that is adopted beyond it)
UPDATE production_runs
SET flow_version_id = md5('old plan')::uuid, current_step_index = 4, status_reason = 'cut-over day'
WHERE run_code = 'legacy';
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)
SELECT md5('legacy')::uuid, step, 'node', CASE step WHEN 0 THEN 'COMPLETED' WHEN 4 THEN 'IN_PROGRESS' ELSE 'SKIPPED' END,
       CASE WHEN step IN (0, 4) THEN now() END, CASE step WHEN 0 THEN now() END
FROM generate_series(0, 10) AS step;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_skipped (PENDING, past it)
UPDATE run_step_executions SET status = 'SKIPPED' WHERE id = md5('running 3')::uuid;
UPDATE production_runs SET current_step_index = 10 WHERE run_code = 'running';
UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now() WHERE id = md5('running 1')::uuid;
UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 10')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_skipped (IN_PROGRESS)
UPDATE run_step_executions SET status = 'SKIPPED' WHERE id = md5('running 1')::uuid;
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_skipped (to complete the run where it stands)
UPDATE run_step_executions SET status = 'SKIPPED' WHERE run_id = md5('running')::uuid AND status = 'PENDING';
UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now() WHERE id = md5('running 1')::uuid;
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now() WHERE run_code = 'running';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_skipped (from the beginning, its graph says the index)
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
VALUES (md5('drawn')::uuid, md5('other flow')::uuid, 1, 'PUBLISHED',
        '{"nodes": [{"type": "start", "data": {"stepIndex": 0}}, {"type": "process", "data": {"stepIndex": 7}}]}');
INSERT INTO production_runs (id, run_code, flow_version_id) VALUES (md5('new')::uuid, 'new', md5('drawn')::uuid);
INSERT INTO run_step_executions (run_id, step_index, node_id, status)
VALUES (md5('new')::uuid, 7, 'skipped', 'SKIPPED');
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_skipped (from the beginning, its graph is a chain)
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
VALUES (md5('drawn')::uuid, md5('other flow')::uuid, 1, 'PUBLISHED',
        '{"nodes": [{"type": "group"}, {"type": "start"}, {"type": "process"}, {"type": "end"}]}');
INSERT INTO production_runs (id, run_code, flow_version_id) VALUES (md5('new')::uuid, 'new', md5('drawn')::uuid);
INSERT INTO run_step_executions (run_id, step_index, node_id, status)
VALUES (md5('new')::uuid, 2, 'skipped', 'SKIPPED');
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_added
ALTER TABLE run_step_executions DISABLE TRIGGER USER;
DELETE FROM run_step_executions WHERE run_id = md5('aborted')::uuid;
ALTER TABLE run_step_executions ENABLE TRIGGER USER;
INSERT INTO run_step_executions (run_id, step_index, node_id) VALUES (md5('aborted')::uuid, 10, 'node-10');
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_run_step_executions_delete
DELETE FROM run_step_executions WHERE id = md5('running 3')::uuid;

-- refused: guard_run_step_executions_truncate
TRUNCATE run_step_executions;
