"""Chaos: servers of its own, faults done to them, and a check of what became of every command.

In the order in which it happens:

plan.py, schedule.py    what is done, when, from the seed
site.py, cluster.py, proxy.py    servers of its own, and wires before them
fault.py, faults.py, broker_faults.py, postgres_faults.py, network_faults.py    what is done to servers
crew.py, inside.py, worker.py    workers: killed, stopped, replaced; faults inside of them
load.py, damage.py    what is sent
upstream.py, sender.py, listener.py, history.py    a client that sends, hears and asks, and what it knows
execution.py    all of it together
evidence.py, checker.py    what the database has, held against the history: lost, doubled, told wrongly
report.py    the figures, and all that speaks against them
"""

from runworker.simulation.chaos.execution import ChaosContext, chaos_on_own_servers, run_chaos
from runworker.simulation.chaos.plan import ChaosPlan
from runworker.simulation.chaos.report import ChaosReport

__all__ = ["ChaosContext", "ChaosPlan", "ChaosReport", "chaos_on_own_servers", "run_chaos"]
