"""Logs: events with a stable name and their facts as fields, on stderr. stdout belongs to results.

Everything takes one way out, the standard library's included: a line of JSON where no person watches, aligned text
where one does. Tracebacks carry no local variables, and no password that stands in a URL gets out, whoever logged it.
"""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from structlog.typing import Processor, WrappedLogger

from runworker.config import Settings
from runworker.safe_text import printable, without_passwords

_EVERYONE: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    # Formatted here and not by a renderer: structlog's own console tracebacks show local variables.
    structlog.processors.format_exc_info,
]


def configure_logging(settings: Settings) -> None:
    """Send what structlog and the standard library log to stderr, as `log_level` and `log_format` say.

    May be called again, with other settings too; the last call holds.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_EVERYONE,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Not cached: loggers made before a second call would go on as the first one said.
        cache_logger_on_first_use=False,
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_EVERYONE,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        )
    )
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, _Stderr)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    # Its environment tells each step itself, in a sentence for whoever waits for the migration.
    logging.getLogger("alembic").setLevel("WARNING")
    logging.captureWarnings(True)


class _Stderr(logging.Handler):
    """Writes to whatever sys.stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # a log line that cannot be written must not end the work it tells of
            self.handleError(record)


class _Masked:
    """A renderer whose whole line is searched for passwords, field names and tracebacks included."""

    def __init__(self, renderer: Processor) -> None:
        self._renderer = renderer

    def __call__(self, logger: WrappedLogger, name: str, event: MutableMapping[str, Any]) -> str:
        return without_passwords(str(self._renderer(logger, name, event)))


def _renderers(settings: Settings) -> list[Processor]:
    watched = sys.stderr.isatty()
    if settings.log_format == "json" or (settings.log_format == "auto" and not watched):
        return [_Masked(structlog.processors.JSONRenderer())]
    console = structlog.dev.ConsoleRenderer(
        colors=watched and not os.environ.get("NO_COLOR"), exception_formatter=structlog.dev.plain_traceback
    )
    return [_all_printable, _Masked(console)]


def _all_printable(_logger: WrappedLogger, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
