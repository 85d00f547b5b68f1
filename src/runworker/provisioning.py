"""Servers made ready for work: started where settings leave them open, their database brought to this release's tables.

Apart from `servers`, because every worker asks there, and none needs Alembic or starts anything.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from runworker import grants
from runworker.config import Settings
from runworker.embedded import EmbeddedServers, RunningServer, grant_worker_role
from runworker.migrations import upgrade
from runworker.servers import filled, lacks_database, lacks_servers, owner_url


def migrate(settings: Settings, *, embedded: bool, revision: str = "head") -> None:
    """Bring the database up to `revision`; at the newest, give roles and rights back that a restore has lost.

    embedded: the database is an embedded one, whose worker's login gets its role as well; in any other that is the
    administrator's to say. Raises as `migrations.upgrade` and `owner_url` do.
    """
    url = owner_url(settings)
    upgrade(url, revision)
    grants.repair(url)
    if embedded:
        grant_worker_role(url)


@contextmanager
def ready_servers(given: Settings) -> Iterator[tuple[Settings, Sequence[RunningServer]]]:
    """Settings with both URLs, the database migrated: what settings leave open is started, and ends with the block.

    The second value is what was started, for who wants to see whether it still runs.

    Servers that are named, or that run already, are used as they are and left running. Call it from the main thread.
    Raises ServerError where one cannot be started, and as `migrate` does.
    """
    with ExitStack() as stack:
        settings = given
        started: Sequence[RunningServer] = ()
        if lacks_servers(given):
            embedded = stack.enter_context(EmbeddedServers(given.data_dir))
            settings, started = filled(given, embedded.urls), embedded.running
        migrate(settings, embedded=lacks_database(given))
        yield settings, started
