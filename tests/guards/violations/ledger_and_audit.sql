-- refused: ck_commands_status
INSERT INTO commands (idempotency_key, command, payload, status) VALUES (gen_random_uuid(), 'hold_run', '{}', 'LOST');

-- refused: ck_commands_decided (decided, no verdict)
UPDATE commands SET status = 'APPLIED', decided_at = now() WHERE status = 'QUEUED';

-- refused: ck_commands_decided (decided, nobody says when)
UPDATE commands SET status = 'REJECTED', verdict = '{}' WHERE status = 'QUEUED';

-- refused: ck_commands_decided (not decided, with a time)
UPDATE commands SET decided_at = now() WHERE status = 'QUEUED';

-- refused: ck_commands_waiting (waiting for ever)
UPDATE commands SET status = 'WAITING' WHERE status = 'QUEUED';

-- refused: ck_commands_waiting (decided and still waiting)
UPDATE commands SET status = 'APPLIED', verdict = '{}', decided_at = now() WHERE status = 'WAITING';

-- refused: guard_commands_identity (of one that waits)
UPDATE commands SET idempotency_key = gen_random_uuid() WHERE status = 'WAITING';

-- refused: guard_commands_identity (of a decided one)
UPDATE commands SET idempotency_key = gen_random_uuid() WHERE status = 'APPLIED';

-- refused: guard_commands_decided (verdict)
UPDATE commands SET verdict = '{"status": "REJECTED"}' WHERE status = 'APPLIED';

-- refused: guard_commands_decided (payload)
UPDATE commands SET payload = '{"reason": "another"}' WHERE status = 'EXPIRED';

-- refused: guard_commands_decided (state)
UPDATE commands SET status = 'APPLIED' WHERE status = 'REJECTED';

-- refused: guard_commands_move (EXPIRED, though it never waited)
UPDATE commands SET status = 'EXPIRED', verdict = '{}', decided_at = now() WHERE status = 'QUEUED';

-- refused: guard_commands_move (back to QUEUED)
UPDATE commands SET status = 'QUEUED', expires_at = NULL WHERE status = 'WAITING';

-- refused: guard_commands_kept (for less than a day)
SELECT prune_commands('23 hours 59 minutes', 10);

-- refused: guard_commands_kept (nobody says how long)
SELECT prune_commands(NULL, 10);

-- refused: guard_commands_payload (too large)
INSERT INTO commands (idempotency_key, command, payload)
VALUES (gen_random_uuid(), 'hold_run', jsonb_build_object('reason', repeat('x', 1048576)));

-- refused: guard_commands_payload (nested too deep)
INSERT INTO commands (idempotency_key, command, payload)
VALUES (gen_random_uuid(), 'hold_run', (repeat('[', 66) || repeat(']', 66))::jsonb);

-- refused: guard_commands_payload (of one that is there)
UPDATE commands SET payload = (repeat('[', 66) || repeat(']', 66))::jsonb WHERE status = 'QUEUED';

-- refused: guard_commands_reused (another payload)
SELECT enqueue_command('hold_run', '{"reason": "another"}', idempotency_key) FROM commands WHERE status = 'QUEUED';

-- refused: guard_commands_reused (another command)
SELECT enqueue_command('start_run', payload, idempotency_key) FROM commands WHERE status = 'APPLIED';

-- refused: guard_commands_truncate
TRUNCATE commands;

-- refused: uq_dead_letters_body_sha256
INSERT INTO dead_letters (body_sha256, raw_body, code, error) VALUES ('\x01', 'again', 'MALFORMED_MESSAGE', 'again');

-- refused: guard_dead_letters_kept (raw body)
UPDATE dead_letters SET raw_body = 'improved';

-- refused: guard_dead_letters_kept (first seen)
UPDATE dead_letters SET first_seen_at = now() - interval '1 day', times = times + 1;

-- refused: guard_dead_letters_truncate
TRUNCATE dead_letters;

-- refused: ck_dead_letters_discarded (nobody says why)
UPDATE dead_letters SET discarded_at = now(), discarded_by = md5('admin')::uuid;

-- refused: ck_dead_letters_discarded (nobody says who)
UPDATE dead_letters SET discarded_at = now(), discard_reason = 'the sender is mended';

-- refused: ck_dead_letters_discarded (a reason and no discard)
UPDATE dead_letters SET discard_reason = 'the sender is mended';

-- refused: ck_dead_letters_reasons (ten blanks)
UPDATE dead_letters SET discarded_at = now(), discarded_by = md5('admin')::uuid, discard_reason = repeat(' ', 10);

-- refused: ck_dead_letters_reasons (too long)
UPDATE dead_letters SET replayed_at = now(), replay_reason = repeat('x', 501);

-- refused: guard_audit_events_append_only (UPDATE)
UPDATE audit_events SET actor = md5('admin')::uuid;

-- refused: guard_audit_events_kept (not archived)
DELETE FROM audit_events;

-- refused: guard_audit_events_kept (nothing archived tells the rest)
INSERT INTO audit_archives (month, first_seal_id, last_seal_id, first_event_id, last_event_id, events, file_name, sha256)
SELECT '2026-01-01', id, id, first_event_id, last_event_id, events, 'audit-2026-01.jsonl.gz', '\x01' FROM audit_seals;
UPDATE users SET role = 'VIEWER' WHERE id = (SELECT entity_id FROM audit_events ORDER BY id LIMIT 1);
DELETE FROM audit_events WHERE id <= (SELECT last_event_id FROM audit_archives);

-- refused: guard_audit_events_append_only (TRUNCATE)
TRUNCATE audit_events;

-- refused: guard_audit_seals_append_only (UPDATE)
UPDATE audit_seals SET events = 3;

-- refused: guard_audit_seals_append_only (DELETE)
DELETE FROM audit_seals;

-- refused: guard_audit_seals_append_only (TRUNCATE)
TRUNCATE audit_seals;

-- refused: guard_audit_seals_chain (far ahead)
INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)
VALUES (3, 9000000000, 2, '\x01', '\x02');

-- refused: guard_audit_seals_chain (of another chain)
INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)
VALUES (3, 4, 2, '\x02', '\x03');

-- refused: guard_audit_seals_chain (one event left out)
INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)
VALUES (4, 5, 2, '\x01', '\x02');

-- refused: guard_audit_seals_chain (it says more than there is)
INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)
VALUES (3, 4, 3, '\x01', '\x02');

-- refused: uq_audit_seals_last_event_id
INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)
VALUES (1, 2, 2, '\x00', '\x01');

-- refused: guard_audit_archives_append_only (UPDATE)
UPDATE audit_archives SET sha256 = '\x02';

-- refused: guard_audit_archives_append_only (DELETE)
DELETE FROM audit_archives;

-- refused: guard_audit_archives_append_only (TRUNCATE)
TRUNCATE audit_archives;

-- refused: guard_audit_archives_chain (events that no seal covers)
INSERT INTO audit_archives (month, first_seal_id, last_seal_id, first_event_id, last_event_id, events, file_name, sha256)
SELECT '2026-01-01', id, id, first_event_id, last_event_id + 1, events + 1, 'a', '\x01' FROM audit_seals;

-- refused: guard_audit_archives_chain (more seals than there are)
INSERT INTO audit_archives (month, first_seal_id, last_seal_id, first_event_id, last_event_id, events, file_name, sha256)
SELECT '2026-01-01', id, id + 1, first_event_id, last_event_id, events, 'a', '\x01' FROM audit_seals;

-- refused: guard_audit_archives_chain (no month)
INSERT INTO audit_archives (month, first_seal_id, last_seal_id, first_event_id, last_event_id, events, file_name, sha256)
SELECT '2026-01-02', id, id, first_event_id, last_event_id, events, 'a', '\x01' FROM audit_seals;

-- refused: uq_audit_archives_first_seal_id
INSERT INTO audit_archives (month, first_seal_id, last_seal_id, first_event_id, last_event_id, events, file_name, sha256)
SELECT month, id, id, first_event_id, last_event_id, events, 'a', '\x01'
FROM audit_seals, (VALUES (date '2026-01-01'), ('2026-02-01')) AS of (month);
