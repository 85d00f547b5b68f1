-- What a new lot may be, what of a lot stays, and how it moves and ends.
--
-- New lots:
--     guard_lots_insert               a lot begins CREATED or QUARANTINE
--     guard_lots_finished_run         none is added to a run that is COMPLETED, ABORTED or ARCHIVED, nor given to it later
--     guard_lots_legacy_type          none is of a legacy type (SKW, FRZ, FG), nor becomes of one; those that are there stay
--                                     readable
-- New lots, and those where it changes; what is wrong in an older row hinders nobody:
--     guard_lots_sku                  a ...15 lot has SKU 15, a ...30 lot has SKU 30
--     guard_lots_weight               a weight, where there is one, is a number above zero (numeric takes NaN)
-- What stays:
--     guard_lots_identity             id and lot_code never change; lot_type and production_run_id are given once, to a lot of
--                                     an older system that has none
--     guard_lots_frozen               neither do step_index, weight_kg, sku_type and supplier_id of a lot that is
--                                     CONSUMED, FINISHED or REJECTED, or becomes so in the same UPDATE; nor is a lot that is
--                                     FINISHED or REJECTED given a type or a run
--     guard_lots_step                 neither does step_index, once it is set: by it quality control holds the run
--     guard_lots_linked               the SKU stays once a parent or child is known: what may be made of what was judged by it.
--                                     Step, type and, with the type, SKU that a lot is given then fit its parents and children
--     guard_lot_genealogy_site        so does the site of the run that a lot is given
--     guard_lots_taken                the weight does not drop below what was taken from the lot
-- Moves and ends:
--     guard_lots_move                 legal moves only; RELEASED to FINISHED is for SHIP lots, which have no child
--     guard_lots_released             a lot is RELEASED by a PASS of the same transaction, or from HOLD by the command
--                                     resolve_hold
--     guard_lots_reason               HOLD and REJECTED say why: 10 characters at least, not counting spaces around
--     guard_lots_consumed             a lot is CONSUMED by a child that its genealogy names
--     guard_lots_unfinished_children  a CONSUMED lot is FINISHED once every child is FINISHED or REJECTED
--     guard_lots_delete               only a CREATED lot is deleted
--     guard_lots_truncate             the table is never truncated
--
-- New lots are looked at once they are written: an upsert of a lot that is there is an UPDATE, or nothing. Functions that
-- read other tables run with their owner's rights, so that whoever may write lots need not read those.
--
-- enable_seqscan: plans are cached, and the first may be made while tables are empty; look-ups shall stay look-ups.

-- guard_lots_insert, guard_lots_move. The type before the change counts: a lot does not become a shipment in order
-- to be finished.
CREATE FUNCTION guard_lot() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'Lot % cannot begin %: a lot begins CREATED or QUARANTINE.', NEW.id, NEW.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_insert';
    END IF;

    IF NOT (CASE OLD.status
        WHEN 'CREATED' THEN NEW.status = 'QUARANTINE'
        WHEN 'QUARANTINE' THEN NEW.status IN ('RELEASED', 'HOLD', 'REJECTED')
        WHEN 'RELEASED' THEN NEW.status IN ('HOLD', 'CONSUMED')
                             OR (NEW.status = 'FINISHED' AND OLD.lot_type IS NOT DISTINCT FROM 'SHIP')
        WHEN 'HOLD' THEN NEW.status IN ('RELEASED', 'REJECTED')
        WHEN 'CONSUMED' THEN NEW.status = 'FINISHED'
        ELSE false
    END) THEN
        RAISE EXCEPTION 'Lot % (%) cannot go from % to %.', OLD.id, OLD.lot_type, OLD.status, NEW.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_move';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER trg_lots_insert
AFTER INSERT ON lots
FOR EACH ROW WHEN (NEW.status NOT IN ('CREATED', 'QUARANTINE')) EXECUTE FUNCTION guard_lot();

CREATE TRIGGER trg_lots_update
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION guard_lot();

-- guard_lots_finished_run. What a run made is its batch record; once the run is over, that stands. The run is
-- locked, so that it does not end at the same moment.
CREATE FUNCTION guard_lot_of_finished_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    SELECT run_code, status INTO run
    FROM public.production_runs WHERE id = NEW.production_run_id FOR SHARE;
    IF run.status IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN
        RAISE EXCEPTION 'Lot % (%) cannot be added to run %, which is %.',
            NEW.id, NEW.lot_code, run.run_code, run.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_finished_run';
    END IF;
    RETURN NEW;
END;
$$;

REVOKE EXECUTE ON FUNCTION guard_lot_of_finished_run() FROM PUBLIC;

CREATE TRIGGER trg_lots_insert_finished_run
AFTER INSERT ON lots
FOR EACH ROW WHEN (NEW.production_run_id IS NOT NULL) EXECUTE FUNCTION guard_lot_of_finished_run();

-- guard_lots_legacy_type, guard_lots_sku, guard_lots_weight.
CREATE FUNCTION guard_lot_values() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (TG_OP = 'INSERT' OR NEW.lot_type IS DISTINCT FROM OLD.lot_type) AND NEW.lot_type IN ('SKW', 'FRZ', 'FG') THEN
        RAISE EXCEPTION 'Lot % cannot be of type %: it is a legacy type, say %15 or %30.',
            NEW.id, NEW.lot_type, NEW.lot_type, NEW.lot_type
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_legacy_type';
    END IF;

    IF (TG_OP = 'INSERT' OR (NEW.lot_type, NEW.sku_type) IS DISTINCT FROM (OLD.lot_type, OLD.sku_type))
       AND NEW.sku_type IS DISTINCT FROM coalesce(public.sku_of_lot_type(NEW.lot_type), NEW.sku_type) THEN
        RAISE EXCEPTION 'Lot % is of type % and cannot have SKU %: its SKU is %.',
            NEW.id, NEW.lot_type, coalesce(NEW.sku_type, 'none'), public.sku_of_lot_type(NEW.lot_type)
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_sku';
    END IF;

    IF (TG_OP = 'INSERT' OR NEW.weight_kg IS DISTINCT FROM OLD.weight_kg)
       AND (NEW.weight_kg <= 0 OR NEW.weight_kg = 'NaN') THEN
        RAISE EXCEPTION 'Lot % cannot weigh % kg: a weight is a number above zero.', NEW.id, NEW.weight_kg
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_weight';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER trg_lots_insert_values
AFTER INSERT ON lots
FOR EACH ROW WHEN (
    NEW.lot_type IN ('SKW', 'FRZ', 'FG')
    OR NEW.sku_type IS DISTINCT FROM coalesce(sku_of_lot_type(NEW.lot_type), NEW.sku_type)
    OR NEW.weight_kg <= 0 OR NEW.weight_kg = 'NaN'
)
EXECUTE FUNCTION guard_lot_values();

CREATE TRIGGER trg_lots_update_values
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (
    (NEW.lot_type, NEW.sku_type, NEW.weight_kg) IS DISTINCT FROM (OLD.lot_type, OLD.sku_type, OLD.weight_kg)
)
EXECUTE FUNCTION guard_lot_values();

-- guard_lots_identity, guard_lots_frozen, guard_lots_step, guard_lots_linked, guard_lots_taken. The identity stays from the first
-- moment on, and not only once the plant has registered the lot: codes are printed and runs are locked by it. A
-- CREATED lot that is wrong is deleted and made anew.
CREATE FUNCTION guard_lot_core() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    closed text[] := ARRAY['FINISHED', 'REJECTED'];
    taken_kg numeric;
BEGIN
    IF (NEW.id, NEW.lot_code) IS DISTINCT FROM (OLD.id, OLD.lot_code)
       OR OLD.lot_type IS NOT NULL AND NEW.lot_type IS DISTINCT FROM OLD.lot_type
       OR OLD.production_run_id IS NOT NULL AND NEW.production_run_id IS DISTINCT FROM OLD.production_run_id THEN
        RAISE EXCEPTION 'Lot % (%): id and lot_code never change, lot_type and production_run_id are given once.',
            OLD.id, OLD.lot_code
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_identity';
    END IF;

    IF (NEW.step_index, NEW.weight_kg, NEW.sku_type, NEW.supplier_id)
       IS DISTINCT FROM (OLD.step_index, OLD.weight_kg, OLD.sku_type, OLD.supplier_id) THEN
        closed := closed || 'CONSUMED'::text;
    END IF;
    IF OLD.status = ANY (closed) OR NEW.status = ANY (closed) THEN
        RAISE EXCEPTION 'Lot % (%) is %: step_index, weight_kg, sku_type and supplier_id stay as they are, and so do type and'
            ' run once it is FINISHED or REJECTED.', OLD.id, OLD.lot_code, NEW.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_frozen';
    END IF;

    IF NEW.step_index IS DISTINCT FROM OLD.step_index AND OLD.step_index IS NOT NULL THEN
        RAISE EXCEPTION 'Lot % (%) is of step %: a lot is given its step once.', OLD.id, OLD.lot_code, OLD.step_index
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_step';
    END IF;

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    -- A SKU that comes with the type that names it is looked at once both are written (trg_lots_updated_adopted).
    IF NEW.sku_type IS DISTINCT FROM OLD.sku_type
       AND (OLD.sku_type IS NULL AND OLD.lot_type IS NULL
            AND NEW.sku_type = public.sku_of_lot_type(NEW.lot_type)) IS NOT TRUE AND (
        EXISTS (SELECT FROM public.lot_genealogy WHERE parent_lot_id = OLD.id)
        OR EXISTS (SELECT FROM public.lot_genealogy WHERE child_lot_id = OLD.id)
    ) THEN
        RAISE EXCEPTION 'Lot % (%) has parents or children: its sku_type stays as it is.', OLD.id, OLD.lot_code
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_linked';
    END IF;

    IF NEW.step_index IS DISTINCT FROM OLD.step_index THEN
        PERFORM public.search_alone();
        IF EXISTS (
            SELECT FROM public.lot_genealogy AS link JOIN public.lots AS parent ON parent.id = link.parent_lot_id
            WHERE link.child_lot_id = OLD.id AND parent.step_index >= NEW.step_index
        ) OR EXISTS (
            SELECT FROM public.lot_genealogy AS link JOIN public.lots AS child ON child.id = link.child_lot_id
            WHERE link.parent_lot_id = OLD.id AND child.step_index <= NEW.step_index
        ) THEN
            RAISE EXCEPTION 'Lot % (%) cannot be of step %: its parents are of earlier steps, and its children of later ones.',
                OLD.id, OLD.lot_code, NEW.step_index
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_linked';
        END IF;
    END IF;

    IF NEW.weight_kg IS DISTINCT FROM OLD.weight_kg THEN
        SELECT sum(quantity_used_kg) INTO taken_kg FROM public.lot_genealogy WHERE parent_lot_id = OLD.id;
        IF taken_kg > coalesce(NEW.weight_kg, 0) THEN
            RAISE EXCEPTION 'Lot % (%) cannot weigh % kg: % kg have been taken from it.',
                OLD.id, OLD.lot_code, coalesce(NEW.weight_kg::text, 'unknown'), taken_kg
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_taken';
        END IF;
    END IF;
    RETURN NEW;
END;
$$;

REVOKE EXECUTE ON FUNCTION guard_lot_core() FROM PUBLIC;

-- Pallets and shipments inherit their SKU from what they take in. While the lot is open, a SHIP lot may lose its
-- SKU, when it takes the other one in, and a PAL lot without one may get that of its parents; neither may change in
-- the same UPDATE in any other way. The condition lets these two pass.
CREATE TRIGGER trg_lots_update_core
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (
    (NEW.id, NEW.lot_code, NEW.lot_type, NEW.production_run_id, NEW.step_index, NEW.weight_kg, NEW.supplier_id,
     NEW.sku_type)
    IS DISTINCT FROM
    (OLD.id, OLD.lot_code, OLD.lot_type, OLD.production_run_id, OLD.step_index, OLD.weight_kg, OLD.supplier_id,
     OLD.sku_type)
    -- IS TRUE: the type of an older lot may be unknown.
    AND NOT ((
        NOT (
            (NEW.id, NEW.lot_code, NEW.lot_type, NEW.production_run_id, NEW.step_index, NEW.weight_kg, NEW.supplier_id)
            IS DISTINCT FROM
            (OLD.id, OLD.lot_code, OLD.lot_type, OLD.production_run_id, OLD.step_index, OLD.weight_kg, OLD.supplier_id)
        )
        AND NEW.status = OLD.status AND OLD.status NOT IN ('CONSUMED', 'FINISHED', 'REJECTED')
        AND (OLD.lot_type = 'SHIP' AND NEW.sku_type IS NULL OR OLD.lot_type = 'PAL' AND OLD.sku_type IS NULL)
    ) IS TRUE)
)
EXECUTE FUNCTION guard_lot_core();

-- The SKUs of a lot's material: its own, or those of the material of its parents where it has none. Lots of the types
-- before skewering hold none.
CREATE FUNCTION skus_within(lot uuid) RETURNS TABLE (sku text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE above (id, sku, lot_type) AS (
        SELECT id, coalesce(sku_type, public.sku_of_lot_type(lot_type)), lot_type FROM public.lots WHERE id = lot
        UNION
        SELECT parent.id, coalesce(parent.sku_type, public.sku_of_lot_type(parent.lot_type)), parent.lot_type
        FROM above
        JOIN public.lot_genealogy AS link ON link.child_lot_id = above.id
        JOIN public.lots AS parent ON parent.id = link.parent_lot_id
        WHERE above.sku IS NULL AND (above.lot_type IN ('RAW', 'DEB', 'BULK', 'MIX')) IS NOT TRUE
    )
    SELECT DISTINCT above.sku FROM above WHERE above.sku IS NOT NULL
$$;

-- guard_lots_linked, for a pallet that gets its SKU.
CREATE FUNCTION guard_lot_pallet_sku() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    other text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    SELECT sku INTO other FROM public.skus_within(NEW.id) WHERE sku <> NEW.sku_type LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Pallet % (%) cannot have SKU %: it holds material of SKU %.',
            NEW.id, NEW.lot_code, NEW.sku_type, other
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_linked';
    END IF;
    RETURN NEW;
END;
$$;
REVOKE EXECUTE ON FUNCTION guard_lot_pallet_sku() FROM PUBLIC;

CREATE TRIGGER trg_lots_update_pallet_sku
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (OLD.lot_type = 'PAL' AND OLD.sku_type IS NULL AND NEW.sku_type IS NOT NULL)
EXECUTE FUNCTION guard_lot_pallet_sku();

-- guard_lots_finished_run, for a lot of an older system that is given its run. The run is locked: a lot that is on HOLD
-- must not come to a step that the run is leaving.
CREATE TRIGGER trg_lots_update_run
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (OLD.production_run_id IS NULL AND NEW.production_run_id IS NOT NULL)
EXECUTE FUNCTION guard_lot_of_finished_run();

-- guard_lots_linked and guard_lot_genealogy_site, for a lot of an older system that is given its type or its run. What a
-- run's code tells as well as the lot's own code told is nothing new.
CREATE FUNCTION guard_lot_adopted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    before_skewering CONSTANT text[] := ARRAY['RAW', 'DEB', 'BULK', 'MIX'];
    parents bigint;
    skus text[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    PERFORM public.search_alone();
    IF NEW.lot_type IS DISTINCT FROM OLD.lot_type THEN
        SELECT count(DISTINCT link.parent_lot_id), array_agg(DISTINCT within.sku) FILTER (WHERE within.sku IS NOT NULL)
        INTO parents, skus
        FROM public.lot_genealogy AS link LEFT JOIN LATERAL public.skus_within(link.parent_lot_id) AS within ON true
        WHERE link.child_lot_id = NEW.id;
        IF (CASE WHEN NEW.lot_type = 'RAW' THEN parents > 0
                 WHEN NEW.lot_type = 'SHIP' THEN EXISTS (SELECT FROM public.lot_genealogy WHERE parent_lot_id = NEW.id)
                 WHEN NEW.lot_type::text = ANY (before_skewering) THEN skus IS NOT NULL
                 ELSE cardinality(skus) > 1 OR NEW.sku_type <> ALL (skus) END)
           OR NEW.sku_type IS NOT NULL AND EXISTS (
               SELECT FROM public.lot_genealogy AS link JOIN public.lots AS child ON child.id = link.child_lot_id
               WHERE link.parent_lot_id = NEW.id AND child.lot_type::text = ANY (before_skewering)
           ) THEN
            RAISE EXCEPTION 'Lot % (%) cannot be of type %: that does not fit what it is made of (parents: %, SKU: %),'
                ' or what was made of it.',
                NEW.id, NEW.lot_code, NEW.lot_type, parents, coalesce(array_to_string(skus, ' and '), 'none')
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_linked';
        END IF;
        PERFORM public.guard_lot_link_skus(NEW.id, child_lot_id) FROM public.lot_genealogy WHERE parent_lot_id = NEW.id;
    END IF;

    IF NEW.production_run_id IS DISTINCT FROM OLD.production_run_id AND EXISTS (
        SELECT FROM public.lot_genealogy AS link, LATERAL public.site_of_lot(NEW.id) AS told
        WHERE NEW.id IN (link.parent_lot_id, link.child_lot_id)
          AND told.site IS DISTINCT FROM substring(NEW.lot_code FROM '^[A-Z0-9]+-\d{8}-([A-Z]{4})-\d{4,}$')
          AND (SELECT count(*) FROM public.sites_that_meet(link.parent_lot_id, link.child_lot_id)) > 1
    ) THEN
        RAISE EXCEPTION 'Lot % (%) cannot be of run %: a parent or child of it is of another plant site.',
            NEW.id, NEW.lot_code, NEW.production_run_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_site';
    END IF;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION guard_lot_adopted() FROM PUBLIC;

CREATE TRIGGER trg_lots_updated_adopted
AFTER UPDATE ON lots
FOR EACH ROW WHEN (
    OLD.lot_type IS NULL AND NEW.lot_type IS NOT NULL
    OR OLD.production_run_id IS NULL AND NEW.production_run_id IS NOT NULL
)
EXECUTE FUNCTION guard_lot_adopted();

-- A lot that goes on HOLD locks its run, which must not leave the step meanwhile (guard_production_runs_quality).
CREATE FUNCTION lock_run_of_lot() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    PERFORM FROM public.production_runs WHERE id = NEW.production_run_id FOR SHARE;
    RETURN NEW;
END;
$$;

REVOKE EXECUTE ON FUNCTION lock_run_of_lot() FROM PUBLIC;

CREATE TRIGGER trg_lots_update_hold
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (NEW.status = 'HOLD' AND OLD.status <> 'HOLD') EXECUTE FUNCTION lock_run_of_lot();

-- guard_lots_reason.
CREATE FUNCTION guard_lot_reason() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'Lot % (%) becomes % for no reason: say why in status_reason, in 10 characters at least.',
        NEW.id, NEW.lot_code, NEW.status
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_reason';
END;
$$;

CREATE TRIGGER trg_lots_update_reason
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (
    NEW.status IN ('HOLD', 'REJECTED') AND NEW.status <> OLD.status
    AND coalesce(char_length(btrim(NEW.status_reason, E' \t\n\r')), 0) < 10
)
EXECUTE FUNCTION guard_lot_reason();

-- guard_lots_released. At commit: a decision may be written before its lot or after it.
CREATE FUNCTION guard_lot_released() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.qc_decisions AS decision
        WHERE decision.lot_id = NEW.id AND decision.decision = 'PASS' AND public.is_of_this_transaction(decision.xmin)
    ) THEN
        RETURN NULL;
    END IF;
    IF OLD.status = 'HOLD' AND EXISTS (
        SELECT FROM public.commands AS resolved
        WHERE resolved.idempotency_key = NEW.command_key AND resolved.command = 'resolve_hold'
          AND resolved.lot_id = NEW.id AND public.is_of_this_transaction(resolved.xmin)
    ) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'Lot % (%) cannot go from % to RELEASED without the decision: write its PASS into qc_decisions in the'
        ' same transaction, or send the command.', NEW.id, NEW.lot_code, OLD.status
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_released';
END;
$$;
REVOKE EXECUTE ON FUNCTION guard_lot_released() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER trg_lots_updated_released
AFTER UPDATE ON lots
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.status = 'RELEASED' AND OLD.status <> 'RELEASED') EXECUTE FUNCTION guard_lot_released();

-- guard_lots_consumed, guard_lots_unfinished_children. One statement may finish a whole run. Its rows come in any
-- order, so children are looked at after the statement, when they are as it leaves them.
CREATE FUNCTION guard_lot_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    open_child record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    IF NEW.status = 'CONSUMED' THEN
        IF NOT EXISTS (SELECT FROM public.lot_genealogy WHERE parent_lot_id = NEW.id) THEN
            RAISE EXCEPTION 'Lot % (%) cannot be CONSUMED: no lot was made of it.', NEW.id, NEW.lot_code
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_consumed';
        END IF;
        RETURN NEW;
    END IF;

    SELECT lot.id, lot.lot_code, lot.status INTO open_child
    FROM public.lot_genealogy AS link JOIN public.lots AS lot ON lot.id = link.child_lot_id
    WHERE link.parent_lot_id = NEW.id AND lot.status NOT IN ('FINISHED', 'REJECTED')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Lot % (%) cannot be FINISHED before its child % (%), which is %.',
            NEW.id, NEW.lot_code, open_child.id, open_child.lot_code, open_child.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_unfinished_children';
    END IF;
    RETURN NULL;
END;
$$;

REVOKE EXECUTE ON FUNCTION guard_lot_end() FROM PUBLIC;

CREATE TRIGGER trg_lots_update_consumed
BEFORE UPDATE ON lots
FOR EACH ROW WHEN (NEW.status = 'CONSUMED' AND OLD.status <> 'CONSUMED') EXECUTE FUNCTION guard_lot_end();

CREATE TRIGGER trg_lots_updated_finished
AFTER UPDATE ON lots
FOR EACH ROW WHEN (NEW.status = 'FINISHED' AND OLD.status = 'CONSUMED') EXECUTE FUNCTION guard_lot_end();

-- guard_lots_delete.
CREATE FUNCTION guard_lot_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'Lot % (%) is % and cannot be deleted: only a CREATED lot can.',
        OLD.id, OLD.lot_code, OLD.status
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_delete';
END;
$$;

CREATE TRIGGER trg_lots_delete
BEFORE DELETE ON lots
FOR EACH ROW WHEN (OLD.status <> 'CREATED') EXECUTE FUNCTION guard_lot_delete();

CREATE TRIGGER guard_lots_truncate
BEFORE TRUNCATE ON lots
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
