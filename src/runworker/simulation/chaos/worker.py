"""What a worker of chaos imports: `celery worker --include` of it makes faults happen within."""

from runworker.simulation.chaos.inside import obey

obey()
