"""All checks, in the order in which they are made."""

from typing import Final

from runworker.doctor import broker, celery_settings, plant, postgres, queues, rights, sessions
from runworker.doctor.examination import Group
from runworker.doctor.findings import DoctorCheck

GROUPS: Final = (
    Group(None, (celery_settings.environment, celery_settings.settings, celery_settings.version)),
    Group(
        postgres.reachable,
        (
            postgres.version,
            rights.readiness,
            rights.revision,
            rights.login,
            rights.others,
            postgres.durability,
            postgres.isolation,
            postgres.vacuum,
            sessions.connections,
            sessions.locks,
            sessions.sessions,
            postgres.disk,
            postgres.clock,
            plant.waiting,
            plant.queued,
            plant.letters,
            plant.seals,
            plant.sequences,
        ),
    ),
    Group(
        broker.reachable,
        (
            broker.version,
            broker.policy,
            broker.replica,
            broker.persistence,
            broker.memory,
            broker.disk,
            broker.clock,
            broker.results,
            queues.workers,
            queues.unacked,
            queues.unreadable,
            queues.shared,
            queues.settings_of_workers,
        ),
    ),
)
WITHOUT_BROKER: Final = GROUPS[:-1]


def all_checks() -> list[DoctorCheck]:
    """Each check of all groups."""
    return [each for group in GROUPS for each in ((group.opening,) if group.opening else ()) + tuple(group.checks)]
