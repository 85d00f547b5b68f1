"""Which servers a process talks to: those its settings name, else the embedded ones that run for this user."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pydantic import SecretStr

from runworker.config import Settings
from runworker.embedded import EmbeddedServers, RunningServer, ServerUrls, find_running, grant_worker_role
from runworker.errors import ConfigurationError


def resolved(settings: Settings) -> Settings:
    """`settings`, with the URLs they leave open taken from the running embedded servers.

    Servers that a setting names are never looked for. Where none run, what is open stays open, and who needs it says
    so. Raises ServerError when servers are there and do not answer.
    """
    if not lacks_servers(settings):
        return settings
    urls = find_running(settings.data_dir)
    return settings if urls is None else filled(settings, urls)


def lacks_servers(settings: Settings) -> bool:
    """Whether the settings leave PostgreSQL or the broker open."""
    return lacks_database(settings) or settings.broker_url is None


def filled(settings: Settings, urls: ServerUrls) -> Settings:
    """`settings`, with the URLs they leave open taken from `urls`."""
    found: dict[str, SecretStr] = {}
    if lacks_database(settings):
        found["database_url"] = SecretStr(urls.database_url)
        found["migration_url"] = SecretStr(urls.admin_database_url)
    if settings.broker_url is None:
        found["broker_url"] = SecretStr(urls.broker_url)
    return settings.model_copy(update=found)


def lacks_database(settings: Settings) -> bool:
    """Whether the settings leave PostgreSQL open."""
    # One of the two alone is an answer as well: the worker's and the owner's URL must never name different databases.
    return settings.database_url is None and settings.migration_url is None


def owner_url(settings: Settings) -> str:
    """The URL of the tables' owner, password included. Raises ConfigurationError where no database is known."""
    url = settings.migration_url or settings.database_url
    if url is None:
        raise ConfigurationError(
            "No database: set RUNWORKER_MIGRATION_URL (the tables' owner) or RUNWORKER_DATABASE_URL, for example "
            "postgresql://owner@localhost/runworker, or start embedded servers with `runworker up`."
        )
    return url.get_secret_value()


def as_owner(settings: Settings) -> Settings:
    """`settings` for the tables' owner, who migrates and imports, in place of the worker. Raises as `owner_url`."""
    return settings.model_copy(update={"database_url": SecretStr(owner_url(settings)), "database_role": None})


def migrate(settings: Settings, *, embedded: bool, revision: str = "head") -> None:
    """Bring the database up to `revision`.

    embedded: the database is an embedded one, whose worker's login gets its role as well; in any other that is the
    administrator's to say. Raises as `migrations.upgrade` and `owner_url` do.
    """
    from runworker.migrations import upgrade  # noqa: PLC0415 - every worker imports this module, and none Alembic

    url = owner_url(settings)
    upgrade(url, revision)
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
