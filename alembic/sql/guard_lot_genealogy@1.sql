-- What is made of what follows the plant's rules, and stays.
--
--     guard_lot_genealogy_finished    a lot of a run that is COMPLETED, ABORTED or ARCHIVED takes nothing more
--     guard_lot_genealogy_itself      a lot is not its own parent
--     guard_lot_genealogy_released    material is taken from a RELEASED lot
--     guard_lot_genealogy_raw         a RAW lot has no parents
--     guard_lot_genealogy_step        a parent is of an earlier step than its child, where both are known
--     guard_lot_genealogy_sku         a child with a SKU takes parents of that SKU or of none; the parents of one
--                                     without share one SKU, unless it is a shipment
--     guard_lot_genealogy_quantity    the quantity is above zero, and all that was taken not above the parent's weight
--     guard_lot_genealogy_archived    material is not taken out of an ARCHIVED run
--     guard_lot_genealogy_site        parent and child are of one plant site, where both run codes tell
--     guard_lot_genealogy_cycle       a lot does not descend from itself, however long the way
--     guard_lot_genealogy_kept        a link neither changes nor goes
--     guard_lot_genealogy_truncate    the table is never truncated
--
-- Links that are there already are not looked at: an older system's may break these rules.
--
-- enable_seqscan: plans are cached, and the first may be made while tables are empty; look-ups shall stay look-ups.

-- guard_lot_genealogy_finished. The run is locked, so that it does not end at the same moment; before any lot, as
-- the worker does. Triggers go by name: this one is before trg_lot_genealogy_insert, which locks lots.
CREATE FUNCTION guard_lot_link_finished() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    run record;
BEGIN
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

CREATE TRIGGER trg_lot_genealogy_finished
BEFORE INSERT ON lot_genealogy
FOR EACH ROW EXECUTE FUNCTION guard_lot_link_finished();

-- guard_lot_genealogy_archived, guard_lot_genealogy_site. The function has no search_path of its own, as the next
-- one has none: the guard that calls them has set it.
CREATE FUNCTION guard_lot_link_places(parent uuid, child uuid, parent_run uuid, child_run uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    site CONSTANT text := '^RUN-\d{8}-([A-Z]{4})-\d{4,}$';
    home record;
    here record;
BEGIN
    SELECT run_code, status INTO home FROM public.production_runs WHERE id = parent_run;
    SELECT run_code INTO here FROM public.production_runs WHERE id = child_run;
    IF home.status = 'ARCHIVED' THEN
        RAISE EXCEPTION 'Lot % cannot be made of lot %: that one belongs to run %, which is ARCHIVED.',
            child, parent, home.run_code
            USING ERRCODE = '23514', TABLE = 'lot_genealogy', CONSTRAINT = 'guard_lot_genealogy_archived';
    END IF;
    -- NULL, and so no refusal, where one of the codes tells no site.
    IF substring(home.run_code from site) <> substring(here.run_code from site) THEN
        RAISE EXCEPTION 'Lot % of run % cannot be made of lot % of run %: they are of different plant sites.',
            child, here.run_code, parent, home.run_code
            USING ERRCODE = '23514', TABLE = 'lot_genealogy', CONSTRAINT = 'guard_lot_genealogy_site';
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
    PERFORM pg_advisory_xact_lock(hashtextextended('guard_lot_genealogy_cycle', 0));
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

-- All others. The parent is locked, so that two sessions never take the same kilograms, and the child, so that
-- neither's step, SKU or state changes meanwhile; whoever comes second sees what the first has done, under READ
-- COMMITTED, which is the worker's isolation level and the default. A lot that does not exist is left to the foreign
-- key.
CREATE FUNCTION guard_lot_link() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    parent record;
    child record;
    taken_kg numeric;
    other_sku text;
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
    SELECT lot_type, step_index, production_run_id AS run_id,
           coalesce(sku_type, public.sku_of_lot_type(lot_type)) AS sku
    INTO child FROM public.lots WHERE id = NEW.child_lot_id FOR SHARE;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;

    IF parent.status <> 'RELEASED' THEN
        RAISE EXCEPTION 'Lot % cannot be made of lot %, which is %: only RELEASED lots are used.',
            NEW.child_lot_id, NEW.parent_lot_id, parent.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_released';
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

    IF parent.sku IS NOT NULL AND (child.sku IS NOT NULL OR child.lot_type IS DISTINCT FROM 'SHIP') THEN
        other_sku := child.sku;
        IF other_sku IS NULL THEN
            SELECT coalesce(lot.sku_type, public.sku_of_lot_type(lot.lot_type)) INTO other_sku
            FROM public.lot_genealogy AS link JOIN public.lots AS lot ON lot.id = link.parent_lot_id
            WHERE link.child_lot_id = NEW.child_lot_id
              AND coalesce(lot.sku_type, public.sku_of_lot_type(lot.lot_type)) <> parent.sku
            LIMIT 1;
        END IF;
        IF other_sku <> parent.sku THEN
            RAISE EXCEPTION 'Lot % (%) is of SKU % and cannot be made of lot % of SKU %.',
                NEW.child_lot_id, child.lot_type, other_sku, NEW.parent_lot_id, parent.sku
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_sku';
        END IF;
    END IF;

    SELECT coalesce(sum(quantity_used_kg), 0) INTO taken_kg
    FROM public.lot_genealogy WHERE parent_lot_id = NEW.parent_lot_id;
    IF NEW.quantity_used_kg IS NULL OR NEW.quantity_used_kg <= 0 OR NEW.quantity_used_kg = 'NaN'
       OR taken_kg + NEW.quantity_used_kg > coalesce(parent.weight_kg, 0) THEN
        RAISE EXCEPTION '% kg cannot be taken from lot %, which weighs % kg: % kg are taken already, and a'
            ' quantity is above zero.',
            coalesce(NEW.quantity_used_kg::text, 'Unknown'), NEW.parent_lot_id,
            coalesce(parent.weight_kg::text, 'unknown'), taken_kg
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_quantity';
    END IF;

    IF parent.run_id <> child.run_id THEN
        PERFORM public.guard_lot_link_places(
            NEW.parent_lot_id, NEW.child_lot_id, parent.run_id, child.run_id);
    END IF;
    PERFORM public.guard_lot_link_cycle(NEW.parent_lot_id, NEW.child_lot_id);
    RETURN NEW;
END;
$$;

CREATE TRIGGER trg_lot_genealogy_insert
BEFORE INSERT ON lot_genealogy
FOR EACH ROW EXECUTE FUNCTION guard_lot_link();

CREATE TRIGGER guard_lot_genealogy_kept
BEFORE UPDATE OR DELETE ON lot_genealogy
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER guard_lot_genealogy_truncate
BEFORE TRUNCATE ON lot_genealogy
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
