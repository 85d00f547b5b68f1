"""Functions are held against the tables they name, for a branch that no test enters too.

PL/pgSQL looks at a statement when it first runs it. `plpgsql_check` looks at all of them; where a server does not offer
it, functions are at least compiled, with every warning an error.
"""

import psycopg
import pytest

FUNCTIONS = """
    SELECT proc.oid, proc.oid::regprocedure::text, pg_get_functiondef(proc.oid), proc.prosrc,
           coalesce('search_path=pg_catalog, pg_temp' = ANY (proc.proconfig), false)
    FROM pg_proc AS proc JOIN pg_language AS language ON language.oid = proc.prolang
    WHERE proc.pronamespace = 'public'::regnamespace AND lanname = 'plpgsql'
"""
# A trigger's function is looked at once a table, for OLD and NEW are that table's rows.
COMPLAINTS = """
    SELECT proc.oid::regprocedure::text, tgrelid::regclass::text, said
    FROM pg_proc AS proc
    JOIN pg_language AS language ON language.oid = proc.prolang
    LEFT JOIN pg_trigger ON tgfoid = proc.oid AND NOT tgisinternal,
    plpgsql_check_function(proc.oid::regprocedure, coalesce(tgrelid, 0)::regclass, fatal_errors => false,
                           security_warnings => true, oldtable => tgoldtable, newtable => tgnewtable) AS said
    WHERE proc.pronamespace = 'public'::regnamespace AND lanname = 'plpgsql'
"""
MISTAKEN = """
    CREATE FUNCTION mistaken() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.status = 'never' THEN
            PERFORM no_such_column FROM public.lots;
        END IF;
        RETURN NEW;
    END;
    $$;
    CREATE TRIGGER mistaken BEFORE UPDATE ON lots FOR EACH ROW EXECUTE FUNCTION mistaken()
"""
SHADOWING = """
    CREATE FUNCTION mistaken() RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        lot record;
    BEGIN
        DECLARE
            lot record;
        BEGIN
        END;
    END;
    $$
"""


def test_plpgsql_check_finds_nothing(connection: psycopg.Connection) -> None:
    if connection.execute("SELECT FROM pg_available_extensions WHERE name = 'plpgsql_check'").rowcount == 0:
        pytest.skip("this server does not offer plpgsql_check")
    connection.execute("CREATE EXTENSION IF NOT EXISTS plpgsql_check")

    assert connection.execute(COMPLAINTS).fetchall() == []
    connection.execute(MISTAKEN)
    assert {function for function, _, _ in connection.execute(COMPLAINTS)} == {"mistaken()"}, "it would find a mistake"


def test_every_function_compiles_without_a_warning(connection: psycopg.Connection) -> None:
    functions = connection.execute(FUNCTIONS).fetchall()
    connection.execute("SET LOCAL check_function_bodies = on; SET LOCAL plpgsql.extra_errors = 'all'")

    for _, _, definition, _, _ in functions:
        connection.execute(definition)

    assert len(functions) > 40
    with pytest.raises(psycopg.errors.DuplicateAlias):
        connection.execute(SHADOWING)


def test_what_has_no_search_path_is_called_by_what_has_one(connection: psycopg.Connection) -> None:
    functions = connection.execute(FUNCTIONS).fetchall()
    without = {name.partition("(")[0] for _, name, _, _, has_one in functions if not has_one}

    for function in without:
        callers = {has_one for _, _, _, source, has_one in functions if f"public.{function}(" in source}
        assert callers == {True}, function
