-- A small plant, one row or more in every table. Ids are md5 of a name, so that tests can say who they mean.
INSERT INTO users (id, email, role) VALUES (md5('admin')::uuid, 'admin@plant.example', 'ADMIN');
INSERT INTO scenarios (id, name) VALUES (md5('scenario')::uuid, '{"en": "Standard"}');
INSERT INTO streams (id, scenario_id, stream_key, name)
VALUES (md5('stream')::uuid, md5('scenario')::uuid, 'A', '{"en": "Line A"}');
INSERT INTO qc_gates (id, scenario_id, gate_number, name, gate_type)
VALUES (md5('gate')::uuid, md5('scenario')::uuid, 1, '{"en": "Receipt"}', 'BLOCKING');
INSERT INTO phases (id, scenario_id, stream_id, qc_gate_id, phase_number, name)
VALUES (md5('phase')::uuid, md5('scenario')::uuid, md5('stream')::uuid, md5('gate')::uuid, 1, '{"en": "Receipt"}');
INSERT INTO suppliers (id, code, name) VALUES (md5('supplier')::uuid, 'FARM', 'A farm');

INSERT INTO flow_definitions (id, name, created_by) VALUES
    (md5('flow')::uuid, '{"en": "Skewers"}', md5('admin')::uuid),
    (md5('other flow')::uuid, '{"en": "Trimmings"}', NULL);
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema, created_by) VALUES
    (md5('deprecated')::uuid, md5('flow')::uuid, 1, 'DEPRECATED', '{"nodes": []}', md5('admin')::uuid),
    (md5('published')::uuid, md5('flow')::uuid, 2, 'PUBLISHED', '{"nodes": []}', md5('admin')::uuid),
    (md5('review')::uuid, md5('flow')::uuid, 3, 'REVIEW', '{"nodes": []}', md5('admin')::uuid),
    (md5('draft')::uuid, md5('flow')::uuid, 4, 'DRAFT', '{"nodes": []}', md5('admin')::uuid);

-- An older system's run has neither pin, key nor steps; it is waited for by a plan of the steps 0, 1 and 4. Every other's
-- plan has the steps 0, 1, 3 and 10.
INSERT INTO flow_definitions (id, name) VALUES (md5('old flow')::uuid, '{"en": "Mixes"}');
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
VALUES (md5('old plan')::uuid, md5('old flow')::uuid, 1, 'PUBLISHED',
        '{"nodes": [{"data": {"stepIndex": 0}}, {"data": {"stepIndex": 1}}, {"data": {"stepIndex": 4}}]}');
ALTER TABLE production_runs DISABLE TRIGGER USER;
INSERT INTO production_runs (id, run_code, status) VALUES (md5('legacy')::uuid, 'legacy', 'RUNNING');
ALTER TABLE production_runs ENABLE TRIGGER USER;
INSERT INTO production_runs (id, run_code, flow_version_id, scenario_id, operator_id, started_by, status,
                             idempotency_key)
SELECT md5(name)::uuid, name, md5('published')::uuid, md5('scenario')::uuid, md5('admin')::uuid, md5('admin')::uuid,
       CASE name WHEN 'idle' THEN 'IDLE' ELSE 'RUNNING' END, md5(name || ' key')::uuid
FROM unnest(ARRAY['idle', 'running', 'at last step', 'held', 'completed', 'aborted', 'archived']) AS name;
INSERT INTO run_step_executions (id, run_id, step_index, node_id, status, operator_id)
SELECT md5(run.run_code || ' ' || step)::uuid, run.id, step, 'node-' || step,
       CASE WHEN step IN (0, 1, 3, 10) THEN 'PENDING' ELSE 'SKIPPED' END, md5('admin')::uuid
FROM production_runs AS run, generate_series(0, 10) AS step
WHERE run.idempotency_key IS NOT NULL;

UPDATE production_runs SET current_step_index = 1 WHERE status = 'RUNNING' AND idempotency_key IS NOT NULL;
UPDATE production_runs SET current_step_index = 3 WHERE run_code IN ('at last step', 'completed', 'archived');
UPDATE production_runs SET current_step_index = 10 WHERE run_code IN ('at last step', 'completed', 'archived');
SET CONSTRAINTS ex_run_step_executions_one_in_progress DEFERRED;
UPDATE run_step_executions AS step SET status = 'IN_PROGRESS', started_at = now()
FROM production_runs AS run
WHERE run.id = run_id AND run.status = 'RUNNING' AND step.status = 'PENDING' AND step_index <= current_step_index;
UPDATE run_step_executions AS step SET status = 'COMPLETED', completed_at = now()
FROM production_runs AS run
WHERE run.id = run_id AND step.status = 'IN_PROGRESS'
  AND (step_index < current_step_index OR run_code IN ('completed', 'archived'));
SET CONSTRAINTS ex_run_step_executions_one_in_progress IMMEDIATE;
UPDATE run_step_executions SET status = 'SKIPPED' WHERE run_id = md5('aborted')::uuid AND status <> 'COMPLETED';

UPDATE production_runs SET status = 'HOLD', status_reason = 'belt is torn' WHERE run_code = 'held';
INSERT INTO lots (id, lot_code, lot_type, status, step_index, production_run_id, weight_kg) VALUES
    (md5('packed')::uuid, 'packed', 'SHIP', 'QUARANTINE', 10, md5('completed')::uuid, 10),
    (md5('put away')::uuid, 'put away', 'RAW', 'QUARANTINE', 1, md5('archived')::uuid, 10);
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now()
WHERE run_code IN ('completed', 'archived');
UPDATE production_runs SET status = 'ABORTED', ended_at = now(), status_reason = 'power failure'
WHERE run_code = 'aborted';
UPDATE production_runs SET status = 'ARCHIVED' WHERE run_code = 'archived';

INSERT INTO lots (id, lot_code, lot_type, status, step_index, production_run_id, phase_id, operator_id, supplier_id,
                  weight_kg)
VALUES
    (md5('raw lot')::uuid, 'RAW-1', 'RAW', 'QUARANTINE', 1, md5('running')::uuid, md5('phase')::uuid,
     md5('admin')::uuid, md5('supplier')::uuid, 10),
    (md5('boned lot')::uuid, 'DEB-1', 'DEB', 'CREATED', 2, md5('running')::uuid, NULL, NULL, NULL, NULL);

-- One chain from receipt to shipment, 2.5 of the 10 kg of each RELEASED parent taken, and one lot in each end state.
INSERT INTO lots (id, lot_code, lot_type, status, step_index, production_run_id, weight_kg, sku_type)
SELECT md5(code)::uuid, code, type::lot_type, 'QUARANTINE', step, md5(run)::uuid, 10, sku
FROM (VALUES ('RAW-2', 'RAW', 1, NULL, 'running'), ('DEB-2', 'DEB', 2, NULL, 'running'),
             ('MIX-2', 'MIX', 4, NULL, 'running'), ('SKW15-2', 'SKW15', 5, '15', 'running'),
             ('SKW30-2', 'SKW30', 5, '30', 'running'), ('FRZ15-2', 'FRZ15', 7, '15', 'running'),
             ('PAL-2', 'PAL', 9, '15', 'running'), ('SHIP-2', 'SHIP', 10, '15', 'running'),
             ('consumed', 'RAW', 1, NULL, 'running'), ('finished', 'SHIP', 10, NULL, 'running'),
             ('rejected', 'RAW', 1, NULL, 'running'), ('on hold', 'DEB', 2, NULL, 'running')) AS lot (code, type, step, sku, run);
UPDATE lots SET status = 'RELEASED'
WHERE lot_code LIKE '%-2' AND lot_code <> 'SHIP-2' OR lot_code IN ('consumed', 'finished', 'put away');
UPDATE lots SET status = 'REJECTED', status_reason = 'it smelled of smoke' WHERE lot_code = 'rejected';
INSERT INTO qc_decisions (lot_id, decision) SELECT id, 'PASS' FROM lots WHERE status = 'RELEASED';
UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'on hold';
INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('link')::uuid, md5('RAW-2')::uuid, md5('boned lot')::uuid, 2.5);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
SELECT md5(parent)::uuid, md5(child)::uuid, kg
FROM (VALUES ('DEB-2', 'MIX-2', 2.5), ('MIX-2', 'SKW15-2', 2.5), ('SKW15-2', 'FRZ15-2', 2.5), ('FRZ15-2', 'PAL-2', 2.5),
             ('PAL-2', 'SHIP-2', 2.5), ('consumed', 'DEB-2', 10)) AS link (parent, child, kg);
UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'consumed';
UPDATE lots SET status = 'FINISHED' WHERE lot_code = 'finished';
INSERT INTO qc_decisions (id, lot_id, qc_gate_id, operator_id, decision)
VALUES (md5('decision')::uuid, md5('raw lot')::uuid, md5('gate')::uuid, md5('admin')::uuid, 'PASS');

INSERT INTO commands (idempotency_key, command, payload, issued_by, status, verdict, decided_at, expires_at)
SELECT md5(status)::uuid, 'hold_run', '{}', md5('admin')::uuid, status,
       CASE WHEN status IN ('APPLIED', 'REJECTED', 'EXPIRED') THEN '{}'::jsonb END,
       CASE WHEN status IN ('APPLIED', 'REJECTED', 'EXPIRED') THEN now() END,
       CASE WHEN status = 'WAITING' THEN now() END
FROM unnest(ARRAY['QUEUED', 'WAITING', 'APPLIED', 'REJECTED', 'EXPIRED']) AS status;
INSERT INTO dead_letters (body_sha256, raw_body, code, error) VALUES ('\x01', 'no JSON', 'MALFORMED_MESSAGE', 'no JSON');
INSERT INTO code_counters (prefix, site_code, day, last_number) VALUES ('RUN', 'BUDA', '2026-01-24', 1);
INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)
SELECT min(id), max(id), count(*), decode(repeat('00', 32), 'hex'), '\x01'
FROM (SELECT id FROM audit_events ORDER BY id LIMIT 2) AS event;
