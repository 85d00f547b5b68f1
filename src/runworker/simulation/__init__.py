"""Scenarios of a plant: built, delivered with duplicates and in disorder, and proved against the database.

What is shared by demo, benchmark and tests, in the order in which it happens:

scenario.py        a scenario as data: commands with their order, and what has to come of them, of runs and of lots
master_data.py     people, suppliers and flows that a scenario needs
builder.py, run_builder.py    write a scenario: as a whole, and one run with its lots
run_lives.py       whole lives of runs without lots
day/               a plant's day: several flows, runs in parallel, lots through all eleven steps, and what goes wrong
delivery.py        in which order and how often commands are sent, as data
own_queue.py       a queue in the broker that is nobody else's
execution.py, progress_poller.py    send, kill a worker on the way, and wait for the end
database_state.py  reads the database back
proof.py, lot_proof.py, mass_balance.py    hold the one against the other
report.py, demo.py    the figures, and the demo as a whole
"""

from runworker.simulation.day import WHOLE_DAY, DaySize
from runworker.simulation.demo import DemoRequest, run_demo
from runworker.simulation.execution import DemoContext
from runworker.simulation.report import Report

__all__ = ["WHOLE_DAY", "DaySize", "DemoContext", "DemoRequest", "Report", "run_demo"]
