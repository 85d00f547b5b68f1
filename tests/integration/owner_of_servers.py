"""A program that owns embedded servers, for tests to interrupt and to kill. Run by path.

Arguments: the data directory, or none for the user's own. Prints one line of JSON once the servers are there, then
waits. On ctrl-C it proves that its servers are still at its service, and ends them.
"""

import json
import os
import signal
import sys
from pathlib import Path

from runworker.embedded import EmbeddedServers
from runworker.embedded.postgres import connect


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with EmbeddedServers(directory, durable=False) as servers:
        record = json.loads((servers.directory / "servers.json").read_text())
        told = {"owned": servers.owned, "uid": os.geteuid(), "directory": str(servers.directory)}
        try:
            print(json.dumps(record | told), flush=True)  # noqa: T201 - the test reads it
            signal.pause()
        except KeyboardInterrupt:
            with connect(servers.urls.database_url) as connection:
                connection.execute("SELECT 1")
            print("served to the end", flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
