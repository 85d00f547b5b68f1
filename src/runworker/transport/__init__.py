"""A Redis transport for kombu that loses nothing: `runworker-redis://`, `runworker-rediss://`, `runworker-sentinel://`.

Same keys and formats as kombu's own, any Celery client or worker beside it. The differences, and the reasons for them:
docs/decisions/reliable-transport.md.
"""

from runworker.transport.envelopes import AMONG_MANY, DEATHS, UNREADABLE, after_death, deaths_of, is_deeper
from runworker.transport.schemes import register, reliable
from runworker.transport.versions import require_tested_kombu

register()

__all__ = [
    "AMONG_MANY",
    "DEATHS",
    "UNREADABLE",
    "after_death",
    "deaths_of",
    "is_deeper",
    "reliable",
    "require_tested_kombu",
]
