"""Which servers a process talks to: those its settings name, else the embedded ones that run for this user."""

from pydantic import SecretStr

from runworker.config import Settings
from runworker.embedded.finding import ServerUrls, find_running
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
