"""An upstream of the plainest kind: Celery and JSON, and not a line of runworker. Started by test_plain_celery.

Arguments: the broker's URL, a user and a PUBLISHED flow version. Prints what the workers answer, as one line of JSON.
"""

import json
import sys
from uuid import uuid4

from celery import Celery

SECONDS = 120


def main(broker: str, user: str, version: str) -> None:
    app = Celery("upstream", broker=broker, backend=broker)
    run = str(uuid4())

    start = app.send_task(
        "runworker.start_run", kwargs={"idempotency_key": run, "issued_by": user, "flow_version_id": version}
    )
    advance = app.send_task(
        "runworker.advance_step",
        kwargs={"idempotency_key": str(uuid4()), "issued_by": user, "run_id": run, "to_step_index": 1},
    )
    answers = [start.get(timeout=SECONDS), advance.get(timeout=SECONDS)]
    print(json.dumps({"answers": answers, "modules": sorted(sys.modules)}))  # noqa: T201 - what its starter reads
    app.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
