"""Messages that cannot be read: kept with their raw body, acknowledged, and no harm to worker or neighbours."""

from collections.abc import Sequence

import pytest
from tests.crew import PREFORK, THREADS, Crew, eventually
from tests.envelopes import Item
from tests.malformed import MALFORMED, ODD_BUT_SOUND

from runworker.codes import Code

pytestmark = pytest.mark.timeout(120)


def assert_kept(crew: Crew, item: Item, code: Code) -> None:
    """In dead_letters once, with its raw body; its sender, where there is one to be told, was told."""
    letter = crew.letter(item.body)
    assert (letter.code, letter.times) == (code, 1)
    assert letter.error
    crew.wait_until_idle()
    if item.task_id is not None:
        told = eventually(lambda: crew.stored_result(item.task_id), "a verdict on the unreadable message")
        assert (told["status"], told["code"], told["message"]) == ("REJECTED", code, letter.error)


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_read_is_kept_and_nothing_else_suffers(shared_crew: Crew, name: str) -> None:
    make, code = MALFORMED[name]
    fields = shared_crew.plant.fields("start_run")
    item = make(fields)
    before = shared_crew.send("start_run")
    shared_crew.push(item.content)
    after = shared_crew.send("start_run")
    assert [shared_crew.verdict(neighbour)["status"] for neighbour in (before, after)] == ["APPLIED", "APPLIED"]
    assert_kept(shared_crew, item, code)
    assert not shared_crew.plant.sql(
        "SELECT FROM commands WHERE idempotency_key = :key", key=fields["idempotency_key"]
    ), "it never enters the ledger"
    assert [worker.exit_code for worker in shared_crew.workers] == [None]


@pytest.mark.parametrize("name", ODD_BUT_SOUND)
def test_what_can_be_read_is_applied_however_odd(shared_crew: Crew, name: str) -> None:
    fields = shared_crew.plant.fields("start_run")
    shared_crew.push(ODD_BUT_SOUND[name](fields).content)
    shared_crew.applied(fields["idempotency_key"])
    shared_crew.wait_until_idle()
    assert [worker.exit_code for worker in shared_crew.workers] == [None]


@pytest.mark.parametrize("pool", [PREFORK, THREADS], ids=["prefork", "threads"])
def test_all_of_them_at_once_harm_no_pool(crew: Crew, pool: Sequence[str]) -> None:
    worker = crew.hire(pool)
    neighbours, items = [], []
    for make, code in MALFORMED.values():
        item = make(crew.plant.fields("start_run"))
        items.append((item, code))
        crew.push(item.content)
        neighbours.append(crew.send("start_run"))
    for neighbour in neighbours:
        assert crew.verdict(neighbour)["status"] == "APPLIED"
    for item, code in items:
        assert_kept(crew, item, code)
    assert worker.exit_code is None


def test_the_same_item_again_counts_up(shared_crew: Crew) -> None:
    for times in (1, 2, 3):
        shared_crew.push(b"the same nonsense")
        assert shared_crew.letter(b"the same nonsense", times=times).times == times
    assert shared_crew.letter(b"the same nonsense").headers == {"queue": "celery"}
