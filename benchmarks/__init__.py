"""`runworker bench`: how fast runworker is beside others that do the same on the same servers, and whether it did it.

program.py      which contenders and parts there are, for the quick and for the full run
contest.py      measures contenders side by side, round after round
contenders.py   what every contender can do
ground.py       servers, databases and a plant of the benchmark's own
workload.py     the commands that all contenders work on, and whether the database says that all were done
messages.py     messages as a stock Celery client writes them, many at once
queues.py       contenders that take messages from Redis: stock Celery's no-op and ORM task, runworker
engines.py      contenders without a broker: runworker's engine, pgbench
others.py       DBOS and Procrastinate, in environments of their own
latency.py, memory.py, history.py, profiles.py    what is more than a rate
children.py, usage.py                processes, and what they use
outcome.py, figures.py, charts.py, pages.py      all that came of it; medians and ratios; drawings; docs/performance.md

Programs that run as processes of their own: stock_worker.py (on stock_app.py), engine_process.py, peers/.
"""
