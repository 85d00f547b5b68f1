"""What `runworker verify` expects of the schema is what the migrations make."""

from tests.schema_file import FILE, what_it_should_be

from runworker.verification.catalogue import Thing
from runworker.verification.definitions import plain
from runworker.verification.schema import expected


def test_the_file_is_what_the_migrations_make(empty_database_url: str) -> None:
    assert what_it_should_be(empty_database_url) == FILE.read_text(encoding="utf-8"), "run `make schema`"


def test_every_kind_of_thing_is_in_it() -> None:
    kinds = {thing.kind for thing in expected().things}
    assert kinds == {"table", "column", "constraint", "index", "trigger", "function", "type", "right"}
    assert Thing("right", "audit_events", "SELECT to runworker_worker", "SELECT") in expected().things


def test_a_dump_and_a_restore_change_nothing_in_a_definition() -> None:
    made = "CHECK (((a)::text = ANY ((ARRAY['x'::character varying, 'y (z'::character varying])::text[])))"
    restored = "CHECK (((a)::text = ANY (ARRAY[('x'::character varying)::text, ('y (z'::character varying)::text])))"
    assert plain(made) == plain(restored) == "CHECK (a = ANY ARRAY['x', 'y (z'])"
    assert plain("CHECK (((a OR b) OR (c)))") == plain("CHECK ((a OR b OR c))")
    assert plain("CHECK ((a OR b) AND c)") != plain("CHECK (a OR (b AND c))")
    assert plain("CHECK ((char_length(a) > 1))") == "CHECK (char_length(a) > 1)"
