"""Procrastinate: a job for each command, a queue for each process, eight jobs at a time.

Run by the interpreter of its own environment. Knows nothing of runworker; speaks with the benchmark by words and lines.
Jobs are deferred before the time is taken; then a worker runs until its queue is empty.
"""

import asyncio
import json
import os
import sys

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from psycopg_pool import AsyncConnectionPool

CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "8"))
URL = os.environ["BENCH_DATABASE_URL"]
ADVANCE = """
    WITH fresh AS (
        INSERT INTO bench_commands (idempotency_key, run_id, step) VALUES (%s, %s, %s)
        ON CONFLICT DO NOTHING RETURNING run_id, step
    )
    UPDATE bench_runs SET step = greatest(bench_runs.step, fresh.step) FROM fresh WHERE bench_runs.id = fresh.run_id
"""
app = App(connector=PsycopgConnector(conninfo=URL, min_size=CONCURRENCY, max_size=CONCURRENCY + 2))
pool = AsyncConnectionPool(URL, min_size=CONCURRENCY, max_size=CONCURRENCY, kwargs={"autocommit": True}, open=False)


@app.task(name="advance")
async def advance(key: str, run_id: str, step: int) -> None:
    """Write one command."""
    async with pool.connection() as connection:
        await connection.execute(ADVANCE, (key, run_id, step))


async def main() -> None:
    """Serve until stdin ends."""
    number = os.environ["BENCH_NUMBER"]
    queue = f"bench-{number}"
    async with app.open_async(), pool:
        if number == "0":
            await ensure_schema()
        say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            jobs = [
                {"key": each["idempotency_key"], "run_id": each["run_id"], "step": each["to_step_index"]}
                for each in json.loads(line)
            ]
            await advance.configure(queue=queue).batch_defer_async(*jobs)
            say("laid")
            await asyncio.to_thread(sys.stdin.readline)
            await app.run_worker_async(
                queues=[queue], wait=False, concurrency=CONCURRENCY, install_signal_handlers=False
            )
            say("done")
    os._exit(0)


async def ensure_schema() -> None:
    """Procrastinate's tables, unless an earlier round made them."""
    try:
        await app.schema_manager.apply_schema_async()
    except ConnectorException:
        if not await app.check_connection_async():
            raise


def say(word: str) -> None:
    """Tell the benchmark."""
    os.write(1, f"{word}\n".encode())


if __name__ == "__main__":
    asyncio.run(main())
