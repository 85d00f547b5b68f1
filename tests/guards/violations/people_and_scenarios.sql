-- refused: ck_users_role
INSERT INTO users (email, role) VALUES ('new@plant.example', 'KING');

-- refused: uq_users_email
INSERT INTO users (email, role) VALUES ('admin@plant.example', 'VIEWER');

-- refused: guard_users_truncate
TRUNCATE users CASCADE;

-- refused: ck_streams_stream_key
INSERT INTO streams (scenario_id, stream_key, name) VALUES (md5('scenario')::uuid, 'D', '{}');

-- refused: ck_qc_gates_gate_type
INSERT INTO qc_gates (scenario_id, gate_number, name, gate_type) VALUES (md5('scenario')::uuid, 2, '{}', 'OPEN');
