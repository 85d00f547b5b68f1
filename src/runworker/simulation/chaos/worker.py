"""What a worker of chaos imports: `celery worker --include` of it makes the ordered faults happen within."""

import os

from runworker.simulation.chaos.inside import ORDERS, obey

if ORDERS in os.environ:
    obey()
