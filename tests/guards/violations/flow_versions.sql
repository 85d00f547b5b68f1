-- refused: ck_flow_versions_status
INSERT INTO flow_versions (flow_definition_id, version_num, status, graph_schema)
VALUES (md5('flow')::uuid, 9, 'ARCHIVED', '{}');

-- refused: uq_flow_versions_definition_version
INSERT INTO flow_versions (flow_definition_id, version_num, graph_schema) VALUES (md5('flow')::uuid, 2, '{}');

-- refused: uq_flow_versions_one_published (inserted)
INSERT INTO flow_versions (flow_definition_id, version_num, status, graph_schema)
VALUES (md5('flow')::uuid, 9, 'PUBLISHED', '{}');

-- refused: uq_flow_versions_one_published (approved)
UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = md5('review')::uuid;

-- refused: uq_flow_versions_one_published (moved to a flow that has one)
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
VALUES (md5('other')::uuid, md5('other flow')::uuid, 1, 'DRAFT', '{}');
UPDATE flow_versions SET flow_definition_id = md5('flow')::uuid, version_num = 9 WHERE id = md5('other')::uuid;
UPDATE flow_versions SET status = 'REVIEW' WHERE id = md5('other')::uuid;
UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = md5('other')::uuid;

-- refused: guard_flow_versions_immutable (graph of a PUBLISHED version)
UPDATE flow_versions SET graph_schema = '{"nodes": [{"id": "test"}]}' WHERE status = 'PUBLISHED';

-- refused: guard_flow_versions_immutable (graph, while it is deprecated)
UPDATE flow_versions SET status = 'DEPRECATED', graph_schema = '{}' WHERE id = md5('published')::uuid;

-- refused: guard_flow_versions_immutable (number, while it is deprecated)
UPDATE flow_versions SET status = 'DEPRECATED', version_num = 99 WHERE id = md5('published')::uuid;

-- refused: guard_flow_versions_immutable (owner, while it is deprecated)
UPDATE flow_versions SET status = 'DEPRECATED', flow_definition_id = md5('other flow')::uuid
WHERE id = md5('published')::uuid;

-- refused: guard_flow_versions_immutable (publication, while it is deprecated)
UPDATE flow_versions SET status = 'DEPRECATED', published_at = now(), published_by = md5('admin')::uuid
WHERE id = md5('published')::uuid;

-- refused: guard_flow_versions_immutable (back to DRAFT)
UPDATE flow_versions SET status = 'DRAFT' WHERE id = md5('published')::uuid;

-- refused: guard_flow_versions_immutable (an UPDATE that changes nothing)
UPDATE flow_versions SET version_num = version_num WHERE id = md5('published')::uuid;

-- refused: guard_flow_versions_immutable (graph of a DEPRECATED version)
UPDATE flow_versions SET graph_schema = '{}' WHERE id = md5('deprecated')::uuid;

-- refused: guard_flow_versions_immutable (a DEPRECATED version published again)
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid;
UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = md5('deprecated')::uuid;

-- refused: guard_flow_versions_move
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid;
UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = md5('draft')::uuid;

-- refused: guard_flow_versions_kept (PUBLISHED)
DELETE FROM flow_versions WHERE id = md5('published')::uuid;

-- refused: guard_flow_versions_kept (DEPRECATED)
DELETE FROM flow_versions WHERE id = md5('deprecated')::uuid;

-- refused: guard_flow_versions_truncate
TRUNCATE flow_versions CASCADE;

-- refused: guard_flow_versions_truncate (by way of what it refers to)
ALTER TABLE flow_definitions DISABLE TRIGGER guard_flow_definitions_truncate;
TRUNCATE flow_definitions CASCADE;

-- refused: guard_flow_definitions_truncate
TRUNCATE flow_definitions CASCADE;

-- refused: guard_flow_versions_reviewed (its graph)
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid;
UPDATE flow_versions SET status = 'PUBLISHED', graph_schema = '{"nodes": [{}]}' WHERE id = md5('review')::uuid;

-- refused: guard_flow_versions_reviewed (its number)
UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid;
UPDATE flow_versions SET status = 'PUBLISHED', version_num = 9 WHERE id = md5('review')::uuid;

-- refused: guard_flow_versions_reviewed (its graph, before it is published)
UPDATE flow_versions SET graph_schema = '{"nodes": [{}]}' WHERE id = md5('review')::uuid;
