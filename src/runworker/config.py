"""Settings: one frozen class, `RUNWORKER_` variables, checked as a whole before anything starts.

Sources, first wins: arguments, environment, `.env`, files in a secrets directory (`RUNWORKER_SECRETS_DIR`, or
`/run/secrets` where it exists; a file is named as the variable, in lower case). Nothing is read at import.
"""

import difflib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from runworker.errors import ConfigurationError
from runworker.urls import broker_url, database_url, masked
from runworker.wire import SILENCE_SECONDS

PREFIX = "RUNWORKER_"

CELERY_SERVERS = (
    "CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND",
)  # fmt: skip
"""Variables by which Celery lets itself be told of other servers than its application names."""
_SECRETS_DIRECTORY = PREFIX + "SECRETS_DIR"


def _url(read: Callable[[str], str]) -> AfterValidator:
    """Bring a URL to the one spelling that all who use it take. Raises ValueError, with no secret in it."""
    return AfterValidator(lambda value: SecretStr(read(value.get_secret_value())))


DatabaseUrl = Annotated[SecretStr, _url(database_url)]
BrokerUrl = Annotated[SecretStr, _url(broker_url)]


class Settings(BaseSettings):
    """Settings of a runworker process. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        dotenv_filtering="match_prefix",  # docker compose and others keep their own variables in that file
        frozen=True,
        extra="forbid",
        validate_default=True,
    )

    database_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL for the worker; without it the running embedded servers are used"
    )
    migration_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL as the tables' owner, for migrations and imports; default: database_url"
    )
    broker_url: BrokerUrl | None = Field(
        None, description="Redis or Valkey; without it the running embedded servers are used"
    )
    result_backend_url: BrokerUrl | None = Field(None, description="where verdicts are put; default: broker_url")
    sentinel_master: str = Field(
        "mymaster", min_length=1, max_length=100, description="what Sentinel calls the server; for sentinel:// URLs"
    )
    reliable_transport: bool = Field(
        True, description="take messages in one step that cannot lose any; false: kombu's own transport"
    )
    data_dir: Path | None = Field(
        None, description="directory of the embedded servers; default: the user's data directory"
    )
    queue: str = Field(
        "celery",
        min_length=1,
        max_length=100,
        description="queue of commands; the default is every Celery client's own",
    )
    database_role: str | None = Field(
        "runworker_worker",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="role the worker takes on after connecting, where it may; owns nothing",
    )
    default_site_code: str = Field(
        "MAIN", pattern=r"^[A-Z]{4}$", description="site of runs that are started without site_code"
    )
    quarantine_after: int = Field(
        5, ge=2, le=100, description="processes that a command may end, alone in each, before dead_letters keeps it"
    )
    batch_size: int = Field(
        100, ge=1, le=500, description="commands of waiting messages applied in one transaction; 1: each by itself"
    )
    wait_seconds: int = Field(300, ge=1, le=86_400, description="how long a command may wait for its turn")
    retry_seconds: float = Field(10, ge=0, le=300, description="how long passing database errors are retried in place")
    archive_after_days: int = Field(30, ge=0, le=36_500, description="how long finished runs are kept before archiving")
    ledger_keep_days: int = Field(
        90, ge=1, le=36_500, description="how long decided commands are kept; those of a run until it is archived, too"
    )
    broker_timeout_seconds: float = Field(
        5, ge=1, le=15, description="longest wait for an answer of Redis, or for a connection to it"
    )
    connect_timeout_seconds: int = Field(5, ge=1, le=60, description="how long one connection attempt may take")
    silence_timeout_seconds: int = Field(
        SILENCE_SECONDS, ge=3, le=600, description="after how long a silent wire to PostgreSQL is taken for cut"
    )
    statement_timeout_seconds: int = Field(15, ge=1, le=600, description="longest statement the worker lets run")
    lock_timeout_seconds: int = Field(
        2, ge=1, le=600, description="longest wait for a row lock, until a batch is taken apart to find what is locked"
    )
    pool_size: int = Field(5, ge=1, le=100, description="database connections kept by one worker process")
    pool_mode: Literal["session", "transaction", "transaction-prepared"] = Field(
        "session", description="of the PgBouncer in front of PostgreSQL; session: the same, or none"
    )
    visibility_timeout_seconds: int = Field(
        60, ge=5, le=3600, description="after which a dead worker's messages are delivered again, where it had no lease"
    )
    result_expires_seconds: int = Field(3600, ge=60, le=604_800, description="how long results stay in Redis")
    sweep_seconds: float = Field(
        5, ge=0.1, le=3600, description="how often overdue and upstream-queued commands are looked for"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe event that is logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console where a person watches, JSON elsewhere"
    )

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read all sources. Raises ConfigurationError naming every wrong setting at once, with no secret in it."""
        directory = os.environ.get(_SECRETS_DIRECTORY, "/run/secrets")
        problems = _unknown_variables(cls)
        if _SECRETS_DIRECTORY in os.environ and not Path(directory).is_dir():
            problems.append(f"{_SECRETS_DIRECTORY}: {directory} is no directory")
        try:
            settings = cls(_secrets_dir=directory if Path(directory).is_dir() else None, **overrides)
        except ValidationError as error:
            problems += [_sentence(detail) for detail in error.errors(include_url=False, include_input=False)]
        if problems:
            raise ConfigurationError("Wrong settings:\n" + "\n".join(f"  {line}" for line in problems))
        return settings

    def shown(self) -> dict[str, Any]:
        """Every setting by name, passwords masked."""
        return {
            name: masked(value.get_secret_value()) if isinstance(value, SecretStr) else value
            for name, value in ((name, getattr(self, name)) for name in type(self).model_fields)
        }


def _unknown_variables(cls: type[Settings]) -> list[str]:
    known = {PREFIX + name.upper() for name in cls.model_fields} | {_SECRETS_DIRECTORY}
    return [
        f"{name}: no such setting"
        + "".join(f"; did you mean {near}?" for near in difflib.get_close_matches(name, known, 1))
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known
    ]


def _sentence(detail: Any) -> str:
    name = "_".join(str(part) for part in detail["loc"][:1])
    variable = name if name.lower().startswith(PREFIX.lower()) else PREFIX + name
    return f"{variable.upper()}: {detail['msg'].removeprefix('Value error, ')}"


@cache
def current() -> Settings:
    """The settings of this process, read at the first call."""
    return Settings.load()
