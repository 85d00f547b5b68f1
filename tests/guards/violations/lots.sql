-- refused: ck_lots_step_index_range
INSERT INTO lots (lot_code, step_index) VALUES ('new', 11);

-- refused: ck_lots_status (behind its guard)
ALTER TABLE lots DISABLE TRIGGER USER;
INSERT INTO lots (lot_code, status) VALUES ('new', 'LOST');

-- refused: ck_lots_sku_type
INSERT INTO lots (lot_code, sku_type) VALUES ('new', '45');

-- refused: uq_lots_lot_code
INSERT INTO lots (lot_code) VALUES ('RAW-1');

-- refused: guard_lots_insert
INSERT INTO lots (lot_code, status) VALUES ('new', 'RELEASED');

-- refused: guard_lots_move
UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_move (RELEASED to FINISHED, no shipment)
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'RAW-1';
UPDATE lots SET status = 'FINISHED' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_move (made a shipment in order to be finished)
UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'RAW-1';
UPDATE lots SET status = 'FINISHED', lot_type = 'SHIP' WHERE lot_code = 'RAW-1';

-- refused: guard_lots_truncate
TRUNCATE lots CASCADE;

-- refused: guard_lot_genealogy_truncate
TRUNCATE lot_genealogy;

-- refused: guard_qc_decisions_truncate
TRUNCATE qc_decisions;

-- refused: ck_qc_decisions_decision
INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('raw lot')::uuid, 'MAYBE');

-- refused: uq_suppliers_code
INSERT INTO suppliers (code, name) VALUES ('FARM', 'Another farm');
