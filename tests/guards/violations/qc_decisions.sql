-- refused: ck_qc_decisions_decision
INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('raw lot')::uuid, 'MAYBE');

-- refused: guard_qc_decisions_kept (another decision)
UPDATE qc_decisions SET decision = 'FAIL' WHERE id = md5('decision')::uuid;

-- refused: guard_qc_decisions_kept (another temperature)
UPDATE qc_decisions SET temperature_c = 3.9 WHERE id = md5('decision')::uuid;

-- refused: guard_qc_decisions_kept (deleted)
DELETE FROM qc_decisions WHERE id = md5('decision')::uuid;

-- refused: guard_qc_decisions_notes (none)
INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('raw lot')::uuid, 'FAIL');

-- refused: guard_qc_decisions_notes (ten blanks)
INSERT INTO qc_decisions (lot_id, decision, notes) VALUES (md5('raw lot')::uuid, 'HOLD', '          ');

-- refused: guard_qc_decisions_truncate
TRUNCATE qc_decisions;
