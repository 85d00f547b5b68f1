"""DBOS: a workflow for each run, a step for each command, eight workflows at a time.

Run by the interpreter of its own environment. Knows nothing of runworker; speaks with the benchmark by words and lines.
DBOS writes what each step returned before the next one begins, which is what makes it durable.
"""

import json
import os
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS
from psycopg_pool import ConnectionPool

CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "8"))
URL = os.environ["BENCH_DATABASE_URL"]
ADVANCE = """
    WITH fresh AS (
        INSERT INTO bench_commands (idempotency_key, run_id, step) VALUES (%s, %s, %s)
        ON CONFLICT DO NOTHING RETURNING run_id, step
    )
    UPDATE bench_runs SET step = fresh.step FROM fresh WHERE bench_runs.id = fresh.run_id
"""
pool = ConnectionPool(URL, min_size=CONCURRENCY, max_size=CONCURRENCY, kwargs={"autocommit": True}, open=False)


@DBOS.step()
def advance(key: str, run_id: str, step: int) -> int:
    """Write one command."""
    with pool.connection() as connection:
        connection.execute(ADVANCE, (key, run_id, step))
    return step


@DBOS.workflow()
def life(run_id: str, commands: list[list]) -> None:
    """All commands of a run."""
    for key, step in commands:
        advance(key, run_id, step)


def main() -> None:
    """Serve until stdin ends."""
    number = os.environ["BENCH_NUMBER"]
    DBOS(
        config={
            "name": "bench",
            "system_database_url": URL,
            "executor_id": number,
            "log_level": "ERROR",
            "application_version": "1",
        }
    )
    DBOS.launch()
    pool.open(wait=True)
    say("ready")
    threads = ThreadPoolExecutor(CONCURRENCY)
    while line := sys.stdin.readline():
        lives = defaultdict(list)
        for command in json.loads(line):
            lives[command["run_id"]].append([command["idempotency_key"], command["to_step_index"]])
        say("laid")
        sys.stdin.readline()
        for future in [threads.submit(life, run, commands) for run, commands in lives.items()]:
            future.result()
        say("done")
    os._exit(0)


def say(word: str) -> None:
    """Tell the benchmark."""
    os.write(1, f"{word}\n".encode())


if __name__ == "__main__":
    main()
