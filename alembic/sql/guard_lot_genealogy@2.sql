-- What is made of what follows the plant's rules, and stays.
--
--     guard_lot_genealogy_finished    a lot of a run that is COMPLETED, ABORTED or ARCHIVED takes nothing more
--     guard_lot_genealogy_itself      a lot is not its own parent
--     guard_lot_genealogy_released    material is taken from a RELEASED lot
--     guard_lot_genealogy_closed      nothing goes into a CONSUMED, FINISHED or REJECTED lot
--     guard_lot_genealogy_raw         a RAW lot has no parents
--     guard_lot_genealogy_step        a parent is of an earlier step than its child, where both are known
--     guard_lot_genealogy_sku         a child with a SKU takes material of that SKU or of none; the material of one
--                                     without is of one SKU, unless it is a shipment, and so is what is made of it;
--                                     lots of types before skewering take none. Material has the SKU of the lots it
--                                     came from, through lots that tell none
--     guard_lot_genealogy_quantity    the quantity is above zero, and all that was taken not above the parent's weight
--     guard_lot_genealogy_archived    material is not taken out of an ARCHIVED run
--     guard_lot_genealogy_site        parent and child are of one plant site: their runs' codes tell it, or their own
--                                     where they have no run, or the lots around one that tells nothing
--     guard_lot_genealogy_cycle       a lot does not descend from itself, however long the way
--     guard_lot_genealogy_kept        a link neither changes nor goes
--     guard_lot_genealogy_truncate    the table is never truncated
--
-- Links that are there already are not looked at: an older system's may break these rules.
--
-- A link is looked at once it is written: an upsert of one that is there writes none. The functions run with their owner's
-- rights, so that whoever may add links need not read lots and runs.
--
-- enable_seqscan: plans are cached, and the first may be made while tables are empty; look-ups shall stay look-ups.

-- guard_lot_genealogy_finished. The run is locked, so that it does not end at the same moment; before any lot, as
-- the worker does. Triggers go by name: this one is before trg_lot_genealogy_insert, which locks lots.
CREATE FUNCTION guard_lot_link_finished() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    run record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    SELECT run_code, status INTO run
    FROM public.production_runs
    WHERE id = (SELECT production_run_id FROM public.lots WHERE id = NEW.child_lot_id) FOR SHARE;
    IF run.status IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN
        RAISE EXCEPTION 'Lot % of run %, which is %, cannot be made of lot % as well.',
            NEW.child_lot_id, run.run_code, run.status, NEW.parent_lot_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_finished';
    END IF;
    RETURN NEW;
END;
$$;

REVOKE EXECUTE ON FUNCTION guard_lot_link_finished() FROM PUBLIC;

CREATE TRIGGER trg_lot_genealogy_finished
AFTER INSERT ON lot_genealogy
FOR EACH ROW EXECUTE FUNCTION guard_lot_link_finished();

-- What one lot tells of its site itself. is_silent: it has no run, and a code that tells none.
CREATE FUNCTION site_of_lot(lot uuid) RETURNS TABLE (id uuid, site text, is_silent boolean)
LANGUAGE sql STABLE AS $$
    SELECT found.id, told.site, found.production_run_id IS NULL AND told.site IS NULL
    FROM public.lots AS found
    LEFT JOIN public.production_runs AS run ON run.id = found.production_run_id,
    LATERAL (
        SELECT CASE WHEN found.production_run_id IS NULL
                    THEN substring(found.lot_code FROM '^[A-Z0-9]+-\d{8}-([A-Z]{4})-\d{4,}$')
                    ELSE substring(run.run_code FROM '^RUN-\d{8}-([A-Z]{4})-\d{4,}$') END
    ) AS told (site)
    WHERE found.id = lot
$$;

-- The sites that meet by a link: of parent and child or, where one tells none, of the lots that it came from and that were
-- made of it, through others that tell none.
CREATE FUNCTION sites_that_meet(parent uuid, child uuid) RETURNS TABLE (site text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE below (id, site, is_silent) AS (
        SELECT told.* FROM public.site_of_lot(child) AS told
        UNION
        SELECT told.*
        FROM below JOIN public.lot_genealogy AS link ON link.parent_lot_id = below.id,
        LATERAL public.site_of_lot(link.child_lot_id) AS told
        WHERE below.is_silent
    ), above (id, site, is_silent) AS (
        SELECT told.*
        FROM (SELECT parent UNION SELECT below.id FROM below WHERE below.is_silent) AS seed (id),
        LATERAL public.site_of_lot(seed.id) AS told
        UNION
        SELECT told.*
        FROM above JOIN public.lot_genealogy AS link ON link.child_lot_id = above.id,
        LATERAL public.site_of_lot(link.parent_lot_id) AS told
        WHERE above.is_silent
    )
    SELECT above.site FROM above WHERE above.site IS NOT NULL
    UNION
    SELECT below.site FROM below WHERE below.site IS NOT NULL
$$;

-- Lots that share no row may be joined by others in between, so that searches are one at a time.
CREATE FUNCTION search_alone() RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('guard_lot_genealogy_cycle', 0))
$$;

-- guard_lot_genealogy_archived, guard_lot_genealogy_site. The function has no search_path of its own, as the next
-- ones have none: the guard that calls them has set it.
CREATE FUNCTION guard_lot_link_places(parent uuid, child uuid, parent_run uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    home record;
    sites text[];
BEGIN
    SELECT run_code, status INTO home FROM public.production_runs WHERE id = parent_run;
    IF home.status = 'ARCHIVED' THEN
        RAISE EXCEPTION 'Lot % cannot be made of lot %: that one belongs to run %, which is ARCHIVED.',
            child, parent, home.run_code
            USING ERRCODE = '23514', TABLE = 'lot_genealogy', CONSTRAINT = 'guard_lot_genealogy_archived';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(ARRAY[parent, child]) AS linked (id), LATERAL public.site_of_lot(linked.id) AS told
        WHERE told.is_silent
    ) THEN
        PERFORM public.search_alone();
    END IF;
    SELECT array_agg(site) INTO sites FROM public.sites_that_meet(parent, child);
    IF cardinality(sites) > 1 THEN
        RAISE EXCEPTION 'Lot % cannot be made of lot %: they are of different plant sites, %.',
            child, parent, array_to_string(sites, ' and ')
            USING ERRCODE = '23514', TABLE = 'lot_genealogy', CONSTRAINT = 'guard_lot_genealogy_site';
    END IF;
END;
$$;

-- guard_lot_genealogy_sku, where one of the two tells no SKU: what comes down to the child must fit what is in it and
-- in what was made of it.
CREATE FUNCTION guard_lot_link_skus(parent uuid, child uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    coming text[];
    there text[];
BEGIN
    PERFORM public.search_alone();
    SELECT array_agg(sku) INTO coming FROM public.skus_within(parent);
    IF coming IS NULL THEN
        RETURN;
    END IF;
    WITH RECURSIVE below (id, sku, is_open) AS (
        SELECT id, coalesce(sku_type, public.sku_of_lot_type(lot_type)),
               coalesce(sku_type, public.sku_of_lot_type(lot_type)) IS NULL AND lot_type IS DISTINCT FROM 'SHIP'
        FROM public.lots WHERE id = child
        UNION
        SELECT made.id, coalesce(made.sku_type, public.sku_of_lot_type(made.lot_type)),
               coalesce(made.sku_type, public.sku_of_lot_type(made.lot_type)) IS NULL
        FROM below
        JOIN public.lot_genealogy AS link ON link.parent_lot_id = below.id
        JOIN public.lots AS made ON made.id = link.child_lot_id AND made.lot_type IS DISTINCT FROM 'SHIP'
        WHERE below.is_open
    )
    SELECT array_agg(DISTINCT met.sku) INTO there
    FROM (
        SELECT below.sku FROM below WHERE below.sku IS NOT NULL
        UNION
        SELECT within.sku FROM below, LATERAL public.skus_within(below.id) AS within WHERE below.is_open
    ) AS met;
    IF cardinality(ARRAY(SELECT unnest(coming) UNION SELECT unnest(there))) > 1 THEN
        RAISE EXCEPTION 'Lot % cannot be made of lot %, whose material is of SKU %: SKU % is in it, or in what was made'
            ' of it.', child, parent, array_to_string(coming, ' and '), array_to_string(there, ' and ')
            USING ERRCODE = '23514', TABLE = 'lot_genealogy', CONSTRAINT = 'guard_lot_genealogy_sku';
    END IF;
END;
$$;

-- guard_lot_genealogy_cycle. Only a link from a lot with parents to a lot with children can close a cycle: a child
-- just registered has none, and nothing is searched. Two links that close one together lock no row in common, so
-- searches are one at a time; whoever comes second sees what the first has written.
CREATE FUNCTION guard_lot_link_cycle(parent uuid, child uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (EXISTS (SELECT FROM public.lot_genealogy WHERE parent_lot_id = child)
            AND EXISTS (SELECT FROM public.lot_genealogy WHERE child_lot_id = parent)) THEN
        RETURN;
    END IF;
    PERFORM public.search_alone();
    -- UNION leaves out what was found before: the search ends even among older rows that go in a circle.
    IF EXISTS (
        WITH RECURSIVE descendant (id) AS (
            SELECT child
            UNION
            SELECT link.child_lot_id
            FROM descendant JOIN public.lot_genealogy AS link ON link.parent_lot_id = descendant.id
        )
        SELECT FROM descendant WHERE id = parent
    ) THEN
        RAISE EXCEPTION 'Lot % cannot be made of lot %, which descends from it.', child, parent
            USING ERRCODE = '23514', TABLE = 'lot_genealogy', CONSTRAINT = 'guard_lot_genealogy_cycle';
    END IF;
END;
$$;

-- All others. The parent is locked, so that two sessions never take the same kilograms, and the child, so that two never
-- put different SKUs into it and neither's step, SKU or state changes meanwhile; whoever comes second sees what the first
-- has done. A lot that does not exist is left to the foreign key.
CREATE FUNCTION guard_lot_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    parent record;
    child record;
    taken_kg numeric;
BEGIN
    IF NEW.parent_lot_id = NEW.child_lot_id THEN
        RAISE EXCEPTION 'Lot % cannot be made of itself.', NEW.child_lot_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_itself';
    END IF;

    SELECT lot_type, status, step_index, weight_kg, production_run_id AS run_id,
           coalesce(sku_type, public.sku_of_lot_type(lot_type)) AS sku
    INTO parent FROM public.lots WHERE id = NEW.parent_lot_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    SELECT lot_type, status, step_index, production_run_id AS run_id,
           coalesce(sku_type, public.sku_of_lot_type(lot_type)) AS sku
    INTO child FROM public.lots WHERE id = NEW.child_lot_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;

    IF parent.status <> 'RELEASED' THEN
        RAISE EXCEPTION 'Lot % cannot be made of lot %, which is %: only RELEASED lots are used.',
            NEW.child_lot_id, NEW.parent_lot_id, parent.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_released';
    END IF;

    IF child.status IN ('CONSUMED', 'FINISHED', 'REJECTED') THEN
        RAISE EXCEPTION 'Lot %, which is %, takes no more material; lot % was given.',
            NEW.child_lot_id, child.status, NEW.parent_lot_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_closed';
    END IF;

    IF child.lot_type = 'RAW' THEN
        RAISE EXCEPTION 'Lot % is RAW and has no parents; lot % was given.', NEW.child_lot_id, NEW.parent_lot_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_raw';
    END IF;

    IF parent.step_index >= child.step_index THEN
        RAISE EXCEPTION 'Lot % of step % cannot be made of lot % of step %: a parent is of an earlier step.',
            NEW.child_lot_id, child.step_index, NEW.parent_lot_id, parent.step_index
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_step';
    END IF;

    IF parent.sku <> child.sku OR parent.sku IS NOT NULL AND child.lot_type IN ('DEB', 'BULK', 'MIX') THEN
        RAISE EXCEPTION 'Lot % (%) is of SKU % and cannot be made of lot % of SKU %.',
            NEW.child_lot_id, child.lot_type, coalesce(child.sku, 'none'), NEW.parent_lot_id, parent.sku
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_sku';
    END IF;
    -- IS NOT TRUE: an older lot's type may be unknown.
    IF (parent.sku IS NULL OR child.sku IS NULL) AND (child.sku IS NOT NULL OR child.lot_type IS DISTINCT FROM 'SHIP')
       AND (parent.lot_type IN ('RAW', 'DEB', 'BULK', 'MIX')) IS NOT TRUE THEN
        PERFORM public.guard_lot_link_skus(NEW.parent_lot_id, NEW.child_lot_id);
    END IF;

    SELECT coalesce(sum(quantity_used_kg), 0) INTO taken_kg
    FROM public.lot_genealogy WHERE parent_lot_id = NEW.parent_lot_id;
    IF NEW.quantity_used_kg IS NULL OR NEW.quantity_used_kg <= 0 OR NEW.quantity_used_kg = 'NaN'
       OR taken_kg > coalesce(parent.weight_kg, 0) THEN
        RAISE EXCEPTION '% kg cannot be taken from lot %, which weighs % kg: % kg are taken otherwise, and a'
            ' quantity is above zero.',
            coalesce(NEW.quantity_used_kg::text, 'Unknown'), NEW.parent_lot_id,
            coalesce(parent.weight_kg::text, 'unknown'), taken_kg - coalesce(NEW.quantity_used_kg, 0)
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_quantity';
    END IF;

    -- NULL, and so looked at, where one of them has no run.
    IF (parent.run_id = child.run_id) IS NOT TRUE THEN
        PERFORM public.guard_lot_link_places(NEW.parent_lot_id, NEW.child_lot_id, parent.run_id);
    END IF;
    PERFORM public.guard_lot_link_cycle(NEW.parent_lot_id, NEW.child_lot_id);
    RETURN NEW;
END;
$$;

REVOKE EXECUTE ON FUNCTION guard_lot_link() FROM PUBLIC;

CREATE TRIGGER trg_lot_genealogy_insert
AFTER INSERT ON lot_genealogy
FOR EACH ROW EXECUTE FUNCTION guard_lot_link();

-- guard_lot_genealogy_kept. An upsert that changes nothing passes.
CREATE FUNCTION guard_lot_link_kept() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: what it holds is kept as it was written.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_kept';
END;
$$;

CREATE TRIGGER trg_lot_genealogy_update
BEFORE UPDATE ON lot_genealogy
FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION guard_lot_link_kept();

CREATE TRIGGER trg_lot_genealogy_delete
BEFORE DELETE ON lot_genealogy
FOR EACH STATEMENT EXECUTE FUNCTION guard_lot_link_kept();

CREATE TRIGGER guard_lot_genealogy_truncate
BEFORE TRUNCATE ON lot_genealogy
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
