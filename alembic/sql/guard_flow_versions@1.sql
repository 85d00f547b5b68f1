-- What was reviewed is what is published. The other guards of flow versions stand in the revision
-- 20260124_flow_version_immutable.
--
--     guard_flow_versions_reviewed    graph, number and flow stay while a version is in REVIEW, and when it is published

CREATE FUNCTION guard_flow_version_reviewed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'Flow version % is in REVIEW and not changed: what was reviewed goes into force. Make it a DRAFT'
        ' again, and submit it anew.', OLD.id
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_flow_versions_reviewed';
END;
$$;

CREATE TRIGGER trg_flow_versions_reviewed
BEFORE UPDATE ON flow_versions
FOR EACH ROW WHEN (
    OLD.status = 'REVIEW' AND NEW.status IN ('REVIEW', 'PUBLISHED')
    AND (NEW.graph_schema, NEW.version_num, NEW.flow_definition_id)
        IS DISTINCT FROM (OLD.graph_schema, OLD.version_num, OLD.flow_definition_id)
)
EXECUTE FUNCTION guard_flow_version_reviewed();
