-- refused: guard_lot_genealogy_itself
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('RAW-2')::uuid, 1);

-- refused: guard_lot_genealogy_released (QUARANTINE)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('raw lot')::uuid, md5('DEB-2')::uuid, 1);

-- refused: guard_lot_genealogy_released (HOLD)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('on hold')::uuid, md5('MIX-2')::uuid, 1);

-- refused: guard_lot_genealogy_released (REJECTED)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('rejected')::uuid, md5('DEB-2')::uuid, 1);

-- refused: guard_lot_genealogy_released (CONSUMED)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('consumed')::uuid, md5('DEB-2')::uuid, 1);

-- refused: guard_lot_genealogy_closed (CONSUMED)
UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'DEB-2';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 1);

-- refused: guard_lot_genealogy_closed (FINISHED)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('finished')::uuid, 1);

-- refused: guard_lot_genealogy_closed (REJECTED)
UPDATE lots SET status = 'REJECTED', status_reason = 'smells of smoke' WHERE lot_code = 'on hold';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('on hold')::uuid, 1);

-- refused: guard_lot_genealogy_raw
INSERT INTO lots (id, lot_code, lot_type) VALUES (md5('new')::uuid, 'new', 'RAW');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('new')::uuid, 1);

-- refused: guard_lot_genealogy_step (a later one)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('MIX-2')::uuid, md5('DEB-2')::uuid, 1);

-- refused: guard_lot_genealogy_step (the same)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('DEB-2')::uuid, md5('boned lot')::uuid, 1);

-- refused: guard_lot_genealogy_sku (30 into 15)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('FRZ15-2')::uuid, 1);

-- refused: guard_lot_genealogy_sku (30 onto a pallet of 15)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('PAL-2')::uuid, 1);

-- refused: guard_lot_genealogy_sku (both onto a pallet that names none, in one statement)
INSERT INTO lots (id, lot_code, lot_type, step_index) VALUES (md5('new')::uuid, 'new', 'PAL', 9);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW15-2')::uuid, md5('new')::uuid, 1), (md5('SKW30-2')::uuid, md5('new')::uuid, 1);

-- refused: guard_lot_genealogy_sku (30 into a shipment of 15)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW30-2')::uuid, md5('SHIP-2')::uuid, 1);

-- refused: guard_lot_genealogy_sku (into meat)
INSERT INTO lots (id, lot_code, lot_type) VALUES (md5('new')::uuid, 'new', 'MIX');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW15-2')::uuid, md5('new')::uuid, 1);

-- refused: guard_lot_genealogy_sku (15 through a lot that tells none into 30)
INSERT INTO lots (id, lot_code, lot_type, weight_kg, status) VALUES
    (md5('silent')::uuid, 'silent', NULL, 10, 'QUARANTINE'), (md5('new')::uuid, 'new', 'PAL', 10, 'QUARANTINE');
UPDATE lots SET sku_type = '30' WHERE lot_code = 'new';
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'silent';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW15-2')::uuid, md5('silent')::uuid, 1);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('silent')::uuid, md5('new')::uuid, 1);

-- refused: guard_lot_genealogy_sku (the same, the other link first)
INSERT INTO lots (id, lot_code, lot_type, weight_kg, status) VALUES
    (md5('silent')::uuid, 'silent', NULL, 10, 'QUARANTINE'), (md5('new')::uuid, 'new', 'PAL', 10, 'QUARANTINE');
UPDATE lots SET sku_type = '30' WHERE lot_code = 'new';
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'silent';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('silent')::uuid, md5('new')::uuid, 1);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW15-2')::uuid, md5('silent')::uuid, 1);

-- refused: guard_lot_genealogy_sku (both into a lot that tells none, through two others)
INSERT INTO lots (id, lot_code, weight_kg, status)
SELECT md5(code)::uuid, code, 10, 'QUARANTINE' FROM unnest(ARRAY['a', 'b', 'c']) AS code;
UPDATE lots SET status = 'RELEASED' WHERE lot_code IN ('a', 'b');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('SKW15-2')::uuid, md5('a')::uuid, 1), (md5('SKW30-2')::uuid, md5('b')::uuid, 1),
       (md5('a')::uuid, md5('c')::uuid, 1);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('b')::uuid, md5('c')::uuid, 1);

-- refused: guard_lot_genealogy_quantity (more than is left)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 7.51);

-- refused: guard_lot_genealogy_quantity (more than is left, in two rows of one statement)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 4), (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 3.51);

-- refused: guard_lot_genealogy_quantity (zero)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 0);

-- refused: guard_lot_genealogy_quantity (below zero)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, -1);

-- refused: guard_lot_genealogy_quantity (no number)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 'NaN');

-- refused: guard_lot_genealogy_quantity (unknown)
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id) VALUES (md5('RAW-2')::uuid, md5('DEB-2')::uuid);

-- refused: guard_lot_genealogy_quantity (of a lot that was never weighed)
INSERT INTO lots (id, lot_code, status) VALUES (md5('new')::uuid, 'new', 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('new')::uuid, md5('DEB-2')::uuid, 1);

-- refused: guard_lot_genealogy_site
INSERT INTO production_runs (id, run_code, flow_version_id) VALUES
    (md5('buda')::uuid, 'RUN-20260124-BUDA-0001', md5('published')::uuid),
    (md5('pest')::uuid, 'RUN-20260124-PEST-12345', md5('published')::uuid);
INSERT INTO lots (id, lot_code, lot_type, status, step_index, weight_kg, production_run_id) VALUES
    (md5('at buda')::uuid, 'at buda', 'RAW', 'QUARANTINE', 1, 10, md5('buda')::uuid),
    (md5('at pest')::uuid, 'at pest', 'DEB', 'QUARANTINE', 2, 10, md5('pest')::uuid);
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'at buda';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('at buda')::uuid, md5('at pest')::uuid, 1);

-- refused: guard_lot_genealogy_site (neither has a run, and their codes tell)
INSERT INTO lots (id, lot_code, weight_kg, status) VALUES
    (md5('a')::uuid, 'RAW-20260124-BUDA-0001', 10, 'QUARANTINE'), (md5('b')::uuid, 'MIXLOT-20260124-PEST-0001', 10, 'QUARANTINE');
UPDATE lots SET status = 'RELEASED' WHERE id = md5('a')::uuid;
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('a')::uuid, md5('b')::uuid, 1);

-- refused: guard_lot_genealogy_site (through a lot that tells none)
INSERT INTO production_runs (id, run_code, flow_version_id)
VALUES (md5('pest')::uuid, 'RUN-20260124-PEST-12345', md5('published')::uuid);
INSERT INTO lots (id, lot_code, weight_kg, status, production_run_id) VALUES
    (md5('a')::uuid, 'RAW-20260124-BUDA-0001', 10, 'QUARANTINE', NULL),
    (md5('silent')::uuid, 'silent', 10, 'QUARANTINE', NULL), (md5('b')::uuid, 'b', 10, 'QUARANTINE', md5('pest')::uuid);
UPDATE lots SET status = 'RELEASED' WHERE id IN (md5('a')::uuid, md5('silent')::uuid);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('silent')::uuid, md5('b')::uuid, 1);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('a')::uuid, md5('silent')::uuid, 1);

-- refused: guard_lot_genealogy_archived (into a lot without a run)
INSERT INTO lots (id, lot_code, lot_type, step_index) VALUES (md5('new')::uuid, 'new', 'DEB', 2);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('put away')::uuid, md5('new')::uuid, 1);

-- refused: guard_lot_genealogy_archived
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('put away')::uuid, md5('DEB-2')::uuid, 1);

-- refused: guard_lot_genealogy_finished
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('RAW-2')::uuid, md5('packed')::uuid, 1);

-- refused: guard_lot_genealogy_cycle (two lots whose steps nobody knows)
INSERT INTO lots (id, lot_code, status, weight_kg)
SELECT md5(code)::uuid, code, 'QUARANTINE', 10 FROM unnest(ARRAY['a', 'b']) AS code;
UPDATE lots SET status = 'RELEASED' WHERE lot_code IN ('a', 'b');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('a')::uuid, md5('b')::uuid, 1);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('b')::uuid, md5('a')::uuid, 1);

-- refused: guard_lot_genealogy_cycle (two lots, in one statement)
INSERT INTO lots (id, lot_code, status, weight_kg)
SELECT md5(code)::uuid, code, 'QUARANTINE', 10 FROM unnest(ARRAY['a', 'b']) AS code;
UPDATE lots SET status = 'RELEASED' WHERE lot_code IN ('a', 'b');
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('a')::uuid, md5('b')::uuid, 1), (md5('b')::uuid, md5('a')::uuid, 1);

-- refused: guard_lot_genealogy_cycle (a thousand lots long)
INSERT INTO lots (id, lot_code, lot_type, sku_type, status, weight_kg)
SELECT md5('chain ' || n)::uuid, 'PAL-20260124-BUDA-' || 1000 + n, 'PAL', '15', 'QUARANTINE', 10
FROM generate_series(1, 1000) AS n;
UPDATE lots SET status = 'RELEASED' WHERE lot_code LIKE 'PAL-20260124-BUDA-%';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
SELECT md5('chain ' || n)::uuid, md5('chain ' || n + 1)::uuid, 1 FROM generate_series(1, 999) AS n;
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('chain 1000')::uuid, md5('chain 1')::uuid, 1);

-- refused: guard_lot_genealogy_cycle (by way of one lot whose step nobody knows, the last link between known steps)
INSERT INTO lots (id, lot_code, status, weight_kg) VALUES (md5('unknown')::uuid, 'unknown', 'QUARANTINE', 10);
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'unknown';
INSERT INTO lots (id, lot_code, lot_type, step_index, status, weight_kg)
VALUES (md5('new mix')::uuid, 'new mix', 'MIX', 4, 'QUARANTINE', 10);
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new mix';
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('new mix')::uuid, md5('unknown')::uuid, 1), (md5('unknown')::uuid, md5('DEB-2')::uuid, 1);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('DEB-2')::uuid, md5('new mix')::uuid, 1);

-- refused: guard_lot_genealogy_cycle (found among older rows that go in a circle themselves)
INSERT INTO lots (id, lot_code, status, weight_kg)
SELECT md5(code)::uuid, code, 'QUARANTINE', 10 FROM unnest(ARRAY['a', 'b', 'c']) AS code;
UPDATE lots SET status = 'RELEASED' WHERE lot_code IN ('a', 'b', 'c');
ALTER TABLE lot_genealogy DISABLE TRIGGER trg_lot_genealogy_insert;
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('a')::uuid, md5('b')::uuid, 1), (md5('b')::uuid, md5('a')::uuid, 1), (md5('a')::uuid, md5('c')::uuid, 1);
ALTER TABLE lot_genealogy ENABLE TRIGGER trg_lot_genealogy_insert;
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('c')::uuid, md5('b')::uuid, 1);

-- refused: guard_lot_genealogy_kept (another quantity)
UPDATE lot_genealogy SET quantity_used_kg = 1 WHERE id = md5('link')::uuid;

-- refused: guard_lot_genealogy_kept (deleted)
DELETE FROM lot_genealogy WHERE id = md5('link')::uuid;

-- refused: guard_lot_genealogy_truncate
TRUNCATE lot_genealogy;
