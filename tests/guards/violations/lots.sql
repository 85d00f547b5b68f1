-- refused: ck_lots_step_index_range
INSERT INTO lots (lot_code, step_index) VALUES ('new', 11);

-- refused: ck_lots_status (behind its guard)
ALTER TABLE lots DISABLE TRIGGER USER;
INSERT INTO lots (lot_code, status) VALUES ('new', 'LOST');

-- refused: ck_lots_sku_type
INSERT INTO lots (lot_code, sku_type) VALUES ('new', '45');

-- refused: uq_lots_lot_code
INSERT INTO lots (lot_code) VALUES ('RAW-1');

-- refused: ck_lots_status_reason
UPDATE lots SET status_reason = repeat('x', 701) WHERE lot_code = 'RAW-1';

-- refused: guard_lots_insert
INSERT INTO lots (lot_code, status) VALUES ('new', 'RELEASED');

-- refused: guard_lots_finished_run (COMPLETED)
INSERT INTO lots (lot_code, production_run_id) VALUES ('new', md5('completed')::uuid);

-- refused: guard_lots_finished_run (ABORTED)
INSERT INTO lots (lot_code, production_run_id) VALUES ('new', md5('aborted')::uuid);

-- refused: guard_lots_finished_run (ARCHIVED)
INSERT INTO lots (lot_code, production_run_id) VALUES ('new', md5('archived')::uuid);

-- refused: guard_lots_finished_run (a lot without a run, given to a COMPLETED one)
INSERT INTO lots (lot_code) VALUES ('new');
UPDATE lots SET production_run_id = md5('completed')::uuid WHERE lot_code = 'new';

-- refused: guard_lots_move
UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_move (RELEASED to FINISHED, no shipment)
UPDATE lots SET status = 'FINISHED' WHERE lot_code = 'RAW-2';

-- refused: guard_lots_move (made a shipment in order to be finished)
UPDATE lots SET status = 'FINISHED', lot_type = 'SHIP' WHERE lot_code = 'RAW-2';

-- refused: guard_lots_consumed
UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'SKW30-2';

-- refused: guard_lots_unfinished_children
UPDATE lots SET status = 'FINISHED' WHERE lot_code = 'consumed';

-- refused: guard_lots_legacy_type (SKW)
INSERT INTO lots (lot_code, lot_type) VALUES ('new', 'SKW');

-- refused: guard_lots_legacy_type (FRZ)
INSERT INTO lots (lot_code, lot_type) VALUES ('new', 'FRZ');

-- refused: guard_lots_legacy_type (FG)
INSERT INTO lots (lot_code, lot_type) VALUES ('new', 'FG');

-- refused: guard_lots_legacy_type (given later)
INSERT INTO lots (lot_code) VALUES ('new');
UPDATE lots SET lot_type = 'FG' WHERE lot_code = 'new';

-- refused: guard_lots_sku (the other)
INSERT INTO lots (lot_code, lot_type, sku_type) VALUES ('new', 'SKW15', '30');

-- refused: guard_lots_sku (none)
INSERT INTO lots (lot_code, lot_type) VALUES ('new', 'FG30');

-- refused: guard_lots_sku (changed)
INSERT INTO lots (lot_code, lot_type, sku_type) VALUES ('new', 'FG30', '30');
UPDATE lots SET sku_type = '15' WHERE lot_code = 'new';

-- refused: guard_lots_sku (a type given later, against its SKU)
INSERT INTO lots (lot_code, sku_type) VALUES ('new', '30');
UPDATE lots SET lot_type = 'FG15' WHERE lot_code = 'new';

-- refused: guard_lots_sku (a type given later, without its SKU)
INSERT INTO lots (lot_code) VALUES ('new');
UPDATE lots SET lot_type = 'FG15' WHERE lot_code = 'new';

-- refused: guard_lots_weight (none)
INSERT INTO lots (lot_code, weight_kg) VALUES ('new', 0);

-- refused: guard_lots_weight (below zero)
INSERT INTO lots (lot_code, weight_kg) VALUES ('new', -1);

-- refused: guard_lots_weight (no number)
UPDATE lots SET weight_kg = 'NaN' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_identity (code)
UPDATE lots SET lot_code = 'renamed' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_identity (id)
UPDATE lots SET id = gen_random_uuid() WHERE lot_code = 'RAW-1';

-- refused: guard_lots_identity (type)
UPDATE lots SET lot_type = 'DEB' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_identity (run)
UPDATE lots SET production_run_id = md5('held')::uuid WHERE lot_code = 'RAW-1';

-- refused: guard_lots_identity (run, before the plant has registered the lot)
UPDATE lots SET production_run_id = NULL WHERE lot_code = 'DEB-1';

-- refused: guard_lots_identity (type, given a second time)
INSERT INTO lots (lot_code) VALUES ('new');
UPDATE lots SET lot_type = 'RAW' WHERE lot_code = 'new';
UPDATE lots SET lot_type = 'DEB' WHERE lot_code = 'new';

-- refused: guard_lots_identity (run, given a second time)
INSERT INTO lots (lot_code) VALUES ('new');
UPDATE lots SET production_run_id = md5('running')::uuid WHERE lot_code = 'new';
UPDATE lots SET production_run_id = md5('held')::uuid WHERE lot_code = 'new';

-- refused: guard_lots_frozen (run of a REJECTED lot)
INSERT INTO lots (lot_code, status) VALUES ('new', 'QUARANTINE');
UPDATE lots SET status = 'REJECTED', status_reason = 'smells of smoke' WHERE lot_code = 'new';
UPDATE lots SET production_run_id = md5('running')::uuid WHERE lot_code = 'new';

-- refused: guard_lots_frozen (type of a REJECTED lot)
INSERT INTO lots (lot_code, status) VALUES ('new', 'QUARANTINE');
UPDATE lots SET status = 'REJECTED', status_reason = 'smells of smoke' WHERE lot_code = 'new';
UPDATE lots SET lot_type = 'RAW' WHERE lot_code = 'new';

-- refused: guard_lots_frozen (weight of a CONSUMED lot)
UPDATE lots SET weight_kg = 11 WHERE lot_code = 'consumed';

-- refused: guard_lots_frozen (step of a FINISHED lot)
UPDATE lots SET step_index = 9 WHERE lot_code = 'finished';

-- refused: guard_lots_frozen (SKU of a FINISHED lot)
UPDATE lots SET sku_type = '15' WHERE lot_code = 'finished';

-- refused: guard_lots_frozen (supplier of a REJECTED lot)
UPDATE lots SET supplier_id = md5('supplier')::uuid WHERE lot_code = 'rejected';

-- refused: guard_lots_frozen (weight, while it is REJECTED)
UPDATE lots SET status = 'REJECTED', status_reason = 'smells of smoke', weight_kg = 11 WHERE lot_code = 'on hold';

-- refused: guard_lots_step (another)
UPDATE lots SET step_index = 2 WHERE lot_code = 'RAW-1';

-- refused: guard_lots_step (none any more, so that no HOLD keeps the run)
UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke', step_index = NULL WHERE lot_code = 'RAW-1';

-- refused: guard_lots_linked (step of a parent that had none)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('new')::uuid, md5('DEB-2')::uuid, 1);
UPDATE lots SET step_index = 9 WHERE lot_code = 'new';

-- refused: guard_lots_linked (step of a child that had none)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('DEB-2')::uuid, md5('new')::uuid, 1);
UPDATE lots SET step_index = 2 WHERE lot_code = 'new';

-- refused: guard_lots_linked (RAW, a lot with a parent)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('new')::uuid, 1);
UPDATE lots SET lot_type = 'RAW' WHERE lot_code = 'new';

-- refused: guard_lots_linked (SHIP, a lot with a child)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('new')::uuid, md5('DEB-2')::uuid, 1);
UPDATE lots SET lot_type = 'SHIP' WHERE lot_code = 'new';

-- refused: guard_lots_linked (MIX, a lot with material of a SKU)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('new')::uuid, 1);
UPDATE lots SET lot_type = 'MIX' WHERE lot_code = 'new';

-- refused: guard_lots_linked (FRZ15, a lot with material of the other SKU, which comes through one that tells none)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('silent')::uuid, 'silent', 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'silent';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('silent')::uuid, 1);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('silent')::uuid, md5('new')::uuid, 1);
UPDATE lots SET lot_type = 'FRZ15', sku_type = '15' WHERE lot_code = 'new';

-- refused: guard_lots_linked (SKW15, a lot that went into a mix)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('new')::uuid, md5('MIX-2')::uuid, 1);
UPDATE lots SET lot_type = 'SKW15', sku_type = '15' WHERE lot_code = 'new';

-- refused: guard_lot_genealogy_sku (SKW15, a lot that went into one of the other SKU)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('new')::uuid, md5('SKW30-2')::uuid, 1);
UPDATE lots SET lot_type = 'SKW15', sku_type = '15' WHERE lot_code = 'new';

-- refused: guard_lot_genealogy_site (given to a run of another site than its child's)
INSERT INTO production_runs (id, run_code, flow_version_id) VALUES
    (md5('buda')::uuid, 'RUN-20260124-BUDA-0001', md5('published')::uuid),
    (md5('pest')::uuid, 'RUN-20260124-PEST-0001', md5('published')::uuid);
INSERT INTO lots (id, lot_code, production_run_id) VALUES (md5('at pest')::uuid, 'at pest', md5('pest')::uuid);
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('new')::uuid, md5('at pest')::uuid, 1);
UPDATE lots SET production_run_id = md5('buda')::uuid WHERE lot_code = 'new';

-- refused: guard_lots_linked (a SKU together with a type that names none)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('DEB-2')::uuid, md5('new')::uuid, 1);
UPDATE lots SET lot_type = 'MIX', sku_type = '15' WHERE lot_code = 'new';

-- refused: guard_lots_linked (SKU of a child)
UPDATE lots SET sku_type = '30' WHERE lot_code = 'SHIP-2';

-- refused: guard_lots_step (of a child, together with a SKU that it may lose)
UPDATE lots SET sku_type = NULL, step_index = 9 WHERE lot_code = 'SHIP-2';

-- refused: guard_lots_linked (SKU of a pallet that has one)
UPDATE lots SET sku_type = NULL WHERE lot_code = 'PAL-2';

-- refused: guard_lots_linked (SKU of a pallet that had none, against its parent)
INSERT INTO lots (id, lot_code, lot_type, step_index) VALUES (md5('new')::uuid, 'new', 'PAL', 9);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('new')::uuid, 1);
UPDATE lots SET sku_type = '15' WHERE lot_code = 'new';

-- refused: guard_lots_linked (SKU of a pallet that had none, against the parent of its parent)
INSERT INTO lots (id, lot_code, lot_type, step_index, weight_kg, status) VALUES
    (md5('new')::uuid, 'new', 'PAL', 9, 10, 'QUARANTINE'), (md5('silent')::uuid, 'silent', NULL, NULL, 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'silent';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('silent')::uuid, 1), (md5('silent')::uuid, md5('new')::uuid, 1);
UPDATE lots SET sku_type = '15' WHERE lot_code = 'new';

-- refused: guard_lots_released (a whole quarantine)
UPDATE lots SET status = 'RELEASED' WHERE status = 'QUARANTINE';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_lots_released (the decision on it was a HOLD)
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'RAW-1';
INSERT INTO qc_decisions (lot_id, decision, notes) VALUES (md5('raw lot')::uuid, 'HOLD', 'smells of smoke');
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_lots_released (the decision was on another lot)
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'RAW-1';
INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('on hold')::uuid, 'PASS');
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_lots_released (from HOLD)
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'on hold';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_lots_released (from HOLD, by a command of another transaction)
UPDATE lots SET status = 'RELEASED', command_key = md5('APPLIED')::uuid WHERE lot_code = 'on hold';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_lots_released (from HOLD, by another command)
INSERT INTO commands (idempotency_key, command, payload, lot_id, status, verdict, decided_at)
VALUES (md5('now')::uuid, 'consume_lot', '{}', md5('on hold')::uuid, 'APPLIED', '{}', now());
UPDATE lots SET status = 'RELEASED', command_key = md5('now')::uuid WHERE lot_code = 'on hold';
SET CONSTRAINTS ALL IMMEDIATE;

-- refused: guard_lots_reason (HOLD)
UPDATE lots SET status = 'HOLD' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_reason (ten blanks)
UPDATE lots SET status = 'REJECTED', status_reason = '          ' WHERE lot_code = 'on hold';

-- refused: guard_lots_taken
UPDATE lots SET weight_kg = 2.49 WHERE lot_code = 'RAW-2';

-- refused: guard_lots_taken (no weight)
UPDATE lots SET weight_kg = NULL WHERE lot_code = 'RAW-2';

-- refused: guard_lots_delete
DELETE FROM lots WHERE lot_code = 'RAW-1';

-- refused: guard_lots_delete (FINISHED)
DELETE FROM lots WHERE lot_code = 'finished';

-- refused: guard_lots_truncate
TRUNCATE lots CASCADE;

-- refused: uq_suppliers_code
INSERT INTO suppliers (code, name) VALUES ('FARM', 'Another farm');
