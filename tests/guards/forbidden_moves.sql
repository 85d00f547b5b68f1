-- What the domain reference forbids and no table of states shows. `-- <entity>: <move>`; the last statement is refused.

-- flow version: a second version of a flow is PUBLISHED
UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = md5('review')::uuid;

-- flow version: the graph of a PUBLISHED one changes
UPDATE flow_versions SET graph_schema = '{}' WHERE id = md5('published')::uuid;

-- flow version: its number changes while it is deprecated
UPDATE flow_versions SET status = 'DEPRECATED', version_num = 99 WHERE id = md5('published')::uuid;

-- flow version: its owner changes while it is deprecated
UPDATE flow_versions SET status = 'DEPRECATED', flow_definition_id = md5('other flow')::uuid
WHERE id = md5('published')::uuid;

-- flow version: its publication data change while it is deprecated
UPDATE flow_versions SET status = 'DEPRECATED', published_at = now() WHERE id = md5('published')::uuid;

-- flow version: a DEPRECATED one is edited
UPDATE flow_versions SET graph_schema = '{}' WHERE id = md5('deprecated')::uuid;

-- flow version: a PUBLISHED one is deleted
DELETE FROM flow_versions WHERE id = md5('published')::uuid;

-- flow version: a DEPRECATED one is deleted
DELETE FROM flow_versions WHERE id = md5('deprecated')::uuid;

-- flow version: all are truncated away
TRUNCATE flow_versions CASCADE;

-- run: starts on a version that is not PUBLISHED
INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('draft')::uuid, 'RUNNING');

-- run: begins COMPLETED
INSERT INTO production_runs (run_code, flow_version_id, status, completed_at, ended_at)
VALUES ('new', md5('published')::uuid, 'COMPLETED', now(), now());

-- run: is pinned to another version
UPDATE production_runs SET flow_version_id = md5('deprecated')::uuid WHERE run_code = 'running';

-- run: is unpinned
UPDATE production_runs SET flow_version_id = NULL WHERE run_code = 'running';

-- run: advances past a planned step
UPDATE production_runs SET current_step_index = 10 WHERE run_code = 'running';

-- run: advances to a step that its plan leaves out
UPDATE production_runs SET current_step_index = 2 WHERE run_code = 'running';

-- run: advances on HOLD
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'held';

-- run: advances while a lot of its step is on HOLD
INSERT INTO lots (lot_code, status, step_index, production_run_id)
VALUES ('new', 'QUARANTINE', 1, md5('running')::uuid);
UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'new';
UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running';

-- run: completes while a lot of its step is on HOLD
INSERT INTO lots (lot_code, status, step_index, production_run_id)
VALUES ('new', 'QUARANTINE', 10, md5('at last step')::uuid);
UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'new';
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now()
WHERE run_code = 'at last step';

-- run: completes before its last planned step
UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now() WHERE run_code = 'running';

-- run: goes back behind a live lot
UPDATE production_runs SET current_step_index = 0 WHERE run_code = 'running';

-- run: a COMPLETED one changes
UPDATE production_runs SET daily_target_kg = 1 WHERE run_code = 'completed';

-- run: a reason has nine characters
UPDATE production_runs SET status = 'HOLD', status_reason = 'no reason' WHERE run_code = 'running';

-- run: one that has begun is deleted
DELETE FROM production_runs WHERE run_code = 'aborted';

-- step: two are IN_PROGRESS at once
UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 3')::uuid;

-- step: is IN_PROGRESS and nobody says since when
UPDATE run_step_executions SET status = 'IN_PROGRESS' WHERE id = md5('idle 0')::uuid;

-- step: one of a COMPLETED run goes back
UPDATE run_step_executions SET status = 'PENDING', started_at = NULL, completed_at = NULL
WHERE id = md5('completed 3')::uuid;

-- step: one of a run that has begun is deleted
DELETE FROM run_step_executions WHERE id = md5('running 3')::uuid;

-- lot: begins RELEASED
INSERT INTO lots (lot_code, status) VALUES ('new', 'RELEASED');

-- lot: is added to a run that is COMPLETED
INSERT INTO lots (lot_code, lot_type, status, step_index, production_run_id)
VALUES ('new', 'RAW', 'QUARANTINE', 1, md5('completed')::uuid);

-- lot: is registered with a legacy type
INSERT INTO lots (lot_code, lot_type) VALUES ('new', 'SKW');

-- lot: a 15 lot has SKU 30
INSERT INTO lots (lot_code, lot_type, sku_type) VALUES ('new', 'FRZ15', '30');

-- lot: weighs nothing
INSERT INTO lots (lot_code, weight_kg) VALUES ('new', 0);

-- lot: has the code of another
INSERT INTO lots (lot_code) VALUES ('RAW-1');

-- lot: is CONSUMED and no lot was made of it
UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'SKW30-2';

-- lot: is FINISHED before its child
UPDATE lots SET status = 'FINISHED' WHERE lot_code = 'consumed';

-- lot: goes from RELEASED to FINISHED by becoming a shipment
UPDATE lots SET status = 'FINISHED', lot_type = 'SHIP' WHERE lot_code = 'RAW-2';

-- lot: gets another code
UPDATE lots SET lot_code = 'RAW-9' WHERE lot_code = 'RAW-1';

-- lot: goes to another run
UPDATE lots SET production_run_id = md5('held')::uuid WHERE lot_code = 'RAW-1';

-- lot: a CONSUMED one gets another weight
UPDATE lots SET weight_kg = 11 WHERE lot_code = 'consumed';

-- lot: a FINISHED one gets another SKU
UPDATE lots SET sku_type = '30' WHERE lot_code = 'finished';

-- lot: a REJECTED one gets another supplier
UPDATE lots SET supplier_id = md5('supplier')::uuid WHERE lot_code = 'rejected';

-- lot: gets another SKU after lots were made of it
UPDATE lots SET sku_type = NULL WHERE lot_code = 'PAL-2';

-- lot: weighs less than was taken from it
UPDATE lots SET weight_kg = 1 WHERE lot_code = 'RAW-2';

-- lot: one that was registered is deleted
DELETE FROM lots WHERE lot_code = 'RAW-1';

-- genealogy: a lot is made of itself
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('RAW-2')::uuid, 1);

-- genealogy: a lot of a COMPLETED run takes more material
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('packed')::uuid, 1);

-- genealogy: a lot is made of one in QUARANTINE
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('raw lot')::uuid, md5('DEB-2')::uuid, 1);

-- genealogy: a lot is made of one on HOLD
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('on hold')::uuid, md5('MIX-2')::uuid, 1);

-- genealogy: a RAW lot has a parent
INSERT INTO lots (id, lot_code, lot_type) VALUES (md5('new')::uuid, 'new', 'RAW');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('new')::uuid, 1);

-- genealogy: a parent is of a later step
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('MIX-2')::uuid, md5('DEB-2')::uuid, 1);

-- genealogy: 30 goes into 15
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('FRZ15-2')::uuid, 1);

-- genealogy: a pallet holds both SKUs
INSERT INTO lots (id, lot_code, lot_type, step_index) VALUES (md5('new')::uuid, 'new', 'PAL', 9);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW15-2')::uuid, md5('new')::uuid, 1), (md5('SKW30-2')::uuid, md5('new')::uuid, 1);

-- genealogy: more is taken than is left
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 7.51);

-- genealogy: nothing is taken
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 0);

-- genealogy: a parent is at another plant site
INSERT INTO production_runs (id, run_code, flow_version_id) VALUES
    (md5('buda')::uuid, 'RUN-20260124-BUDA-0001', md5('published')::uuid),
    (md5('pest')::uuid, 'RUN-20260124-PEST-0001', md5('published')::uuid);
INSERT INTO lots (id, lot_code, lot_type, status, step_index, weight_kg, production_run_id) VALUES
    (md5('at buda')::uuid, 'at buda', 'RAW', 'QUARANTINE', 1, 10, md5('buda')::uuid),
    (md5('at pest')::uuid, 'at pest', 'DEB', 'QUARANTINE', 2, 10, md5('pest')::uuid);
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'at buda';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('at buda')::uuid, md5('at pest')::uuid, 1);

-- genealogy: a parent belongs to an ARCHIVED run
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('put away')::uuid, md5('DEB-2')::uuid, 1);

-- genealogy: a lot descends from itself, a thousand lots on
INSERT INTO lots (id, lot_code, lot_type, sku_type, status, weight_kg)
SELECT md5('chain ' || n)::uuid, 'PAL-20260124-BUDA-' || 1000 + n, 'PAL', '15', 'QUARANTINE', 10
FROM generate_series(1, 1000) AS n;
UPDATE lots SET status = 'RELEASED' WHERE lot_code LIKE 'PAL-20260124-BUDA-%';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
SELECT md5('chain ' || n)::uuid, md5('chain ' || n + 1)::uuid, 1 FROM generate_series(1, 999) AS n;
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('chain 1000')::uuid, md5('chain 1')::uuid, 1);

-- genealogy: a link changes
UPDATE lot_genealogy SET quantity_used_kg = 1 WHERE id = md5('link')::uuid;

-- genealogy: a link is deleted
DELETE FROM lot_genealogy WHERE id = md5('link')::uuid;

-- quality decision: changes
UPDATE qc_decisions SET decision = 'FAIL' WHERE id = md5('decision')::uuid;

-- quality decision: is deleted
DELETE FROM qc_decisions WHERE id = md5('decision')::uuid;

-- quality decision: all are truncated away
TRUNCATE qc_decisions;

-- audit event: changes
UPDATE audit_events SET actor = NULL;

-- audit event: is deleted
DELETE FROM audit_events;

-- audit event: all are truncated away
TRUNCATE audit_events;
