"""runworker's engine without a broker. Run as a module, with settings in the environment.

Reads commands as a JSON list on one line of stdin, parses them, says `laid`, and applies them at the next line, a batch
at a time. Says `done` when all are committed. BENCH_PROFILE names a file for Python's profile of that.
"""

import cProfile
import json
import os
import sys
from contextlib import nullcontext

from benchmarks.workload import BATCH
from runworker.commands import parse
from runworker.config import Settings
from runworker.engine import Engine
from runworker.logs import configure_logging


def main() -> None:
    """Serve until stdin ends."""
    settings = Settings.load()
    configure_logging(settings)
    engine = Engine(settings)
    _say("ready")
    while line := sys.stdin.readline():
        commands = [parse("advance_step", fields) for fields in json.loads(line)]
        _say("laid")
        sys.stdin.readline()
        profile = os.environ.get("BENCH_PROFILE")
        with cProfile.Profile() if profile else nullcontext() as profiler:
            for first in range(0, len(commands), BATCH):
                engine.apply(commands[first : first + BATCH])
        if profiler is not None:
            profiler.dump_stats(str(profile))
        _say("done")


def _say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


if __name__ == "__main__":
    main()
