-- What an older system left, at the baseline: every legacy state and lot type, and what people forget to note.
INSERT INTO users (id, email, role) VALUES (md5('legacy user')::uuid, 'legacy@plant.example', 'MANAGER');
INSERT INTO scenarios (id, name) VALUES (md5('legacy scenario')::uuid, '{"en": "Legacy"}');
INSERT INTO streams (scenario_id, stream_key, name) VALUES (md5('legacy scenario')::uuid, 'B', '{}');
INSERT INTO qc_gates (id, scenario_id, gate_number, name, gate_type)
VALUES (md5('legacy gate')::uuid, md5('legacy scenario')::uuid, 1, '{}', 'INFO');
INSERT INTO phases (id, scenario_id, qc_gate_id, phase_number, name)
VALUES (md5('legacy phase')::uuid, md5('legacy scenario')::uuid, md5('legacy gate')::uuid, 1, '{}');

INSERT INTO flow_definitions (id, name) SELECT md5(name)::uuid, '{}' FROM unnest(ARRAY['flow A', 'flow B']) AS name;
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
SELECT md5(flow || ' ' || number)::uuid, md5(flow)::uuid, number, status, '{"nodes": []}'
FROM (VALUES ('flow A', 1, 'ARCHIVED'), ('flow A', 2, 'PUBLISHED'), ('flow A', 3, 'PUBLISHED'), ('flow A', 4, 'DRAFT'),
             ('flow B', 1, 'PUBLISHED')) AS version (flow, number, status);

INSERT INTO production_runs (id, run_code, scenario_id, operator_id, status, started_at, ended_at, summary)
SELECT md5(code)::uuid, code, md5('legacy scenario')::uuid, md5('legacy user')::uuid, status,
       timestamptz '2025-06-01 06:00+00', ended_at::timestamptz, summary::jsonb
FROM (VALUES ('old active', 'ACTIVE', NULL, NULL),
             ('old active, yet ended', 'ACTIVE', '2025-06-01 14:00+00', '{"note": "?"}'),
             ('old cancelled', 'CANCELLED', '2025-06-01 14:00+00', NULL),
             ('old cancelled, nobody knows when', 'CANCELLED', NULL, NULL),
             ('old completed', 'COMPLETED', '2025-06-01 14:00+00', '{"kg": 12}'),
             ('old completed, nobody knows when', 'COMPLETED', NULL, NULL)) AS run (code, status, ended_at, summary);

INSERT INTO lots (id, lot_code, lot_type, production_run_id, phase_id, weight_kg, metadata)
SELECT md5(code)::uuid, code, type::lot_type, md5(run)::uuid, md5('legacy phase')::uuid, kg, metadata::jsonb
FROM (VALUES ('done with its run', 'RAW', 'old completed', 10, '{}'),
             ('failed at last', 'DEB', 'old active', 10, '{}'),
             ('held', 'MIX', 'old active', 10, '{"colour": "red"}'),
             ('held though its run is over', 'SHIP', 'old completed', 10, '{}'),
             ('used up', 'BULK', 'old active', 10, '{}'),
             ('used, nobody knows how much', 'FG', 'old active', 10, '{}'),
             ('used in part', 'PAL', 'old active', 10, '{}'),
             ('passed', 'SKW', 'old active', NULL, '{}'),
             ('never looked at', 'FRZ', 'old cancelled', 10, '{}'),
             ('of no type or run', NULL, NULL, NULL, '["an", "array"]')) AS lot (code, type, run, kg, metadata);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
SELECT md5(parent)::uuid, md5('passed')::uuid, kg
FROM (VALUES ('used up', 4), ('used up', 6), ('used, nobody knows how much', NULL), ('used in part', 4))
     AS link (parent, kg);
INSERT INTO qc_decisions (lot_id, qc_gate_id, decision, decided_at)
SELECT md5(lot)::uuid, md5('legacy gate')::uuid, decision, timestamptz '2025-06-01 07:00+00' + hours * interval '1 hour'
FROM (VALUES ('failed at last', 'FAIL', 2), ('failed at last', 'PASS', 1), ('held', 'PASS', 1), ('held', 'HOLD', 2),
             ('held though its run is over', 'HOLD', 1), ('used up', 'PASS', 1), ('used in part', 'PASS', 1),
             ('passed', 'HOLD', 1), ('passed', 'PASS', 2)) AS decision (lot, decision, hours);
