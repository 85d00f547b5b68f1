"""What most commands begin with: settings, logs, and the servers that they name."""

from runworker.config import Settings
from runworker.logs import configure_logging
from runworker.servers import resolved


def read_settings() -> Settings:
    """Settings as they are given, with logging set up by them. Raises ConfigurationError with all that is wrong."""
    settings = Settings.load()
    configure_logging(settings)
    return settings


def find_servers() -> Settings:
    """Settings with the URLs of running embedded servers where none are given."""
    return resolved(read_settings())
