"""Which servers a process talks to: those its settings name, else the embedded ones that run for this user."""

from pydantic import SecretStr

from runworker.config import Settings
from runworker.embedded import ServerUrls, find_running


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
    return _lacks_database(settings) or settings.broker_url is None


def filled(settings: Settings, urls: ServerUrls) -> Settings:
    """`settings`, with the URLs they leave open taken from `urls`."""
    found: dict[str, SecretStr] = {}
    if _lacks_database(settings):
        found["database_url"] = SecretStr(urls.database_url)
        found["migration_url"] = SecretStr(urls.admin_database_url)
    if settings.broker_url is None:
        found["broker_url"] = SecretStr(urls.broker_url)
    return settings.model_copy(update=found)


def _lacks_database(settings: Settings) -> bool:
    # One of the two alone is an answer as well: the worker's and the owner's URL must never name different databases.
    return settings.database_url is None and settings.migration_url is None
