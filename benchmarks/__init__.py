"""`runworker bench`: how fast runworker is beside others that do the same on the same servers, and whether it did it.

program.py      which candidates and parts there are, for the quick and for the full run
rounds.py       measures candidates side by side, round after round
candidates.py   what every candidate can do
testbed.py      servers, databases and a plant of the benchmark's own
workload.py     the commands that all candidates work on, and whether the database says that all were done
messages.py     messages as a stock Celery client writes them, many at once
queue_candidates.py    take messages from Redis: stock Celery's no-op and ORM task, runworker
engine_candidates.py   work without a broker: runworker's engine, pgbench
peer_candidates.py     DBOS and Procrastinate, in environments of their own
latency.py, memory.py, history.py, profiles.py      what is more than a rate
children.py, usage.py    processes, and what they use
bench_result.py, figures.py, charts.py, pages.py    what came of it; medians, ratios; drawings; docs/performance.md

failover.py     a measurement of its own: what a failover of PostgreSQL costs, for docs/failover.md
takeover.py     another: what a plant notices while its database is migrated

Programs that run as processes of their own: stock_worker.py (on stock_app.py), engine_process.py, peers/.
"""
