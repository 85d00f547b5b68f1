"""The demo: whole lives of production runs, shuffled and repeated, through workers of which one is killed.

performance.py  all of the demo, one part after the other
scenario.py     which commands are sent
script.py       a command, and what it has to come to
delivery.py     in which order and how often they are sent, and over which queue
trial.py        sends them, kills a worker on the way and waits for the end
evidence.py     reads the database back
proof.py        holds the one against the other
report.py       says how it went
watch.py, progress.py, ending.py  what is decided so far, what a person sees of it, and how ctrl-C ends it
day/            the same with a plant's day: several flows, lots, quality control
"""

from runworker.demo.day.performance import DayOrder, perform_day
from runworker.demo.ending import Ending
from runworker.demo.performance import Order, perform
from runworker.demo.progress import Progress
from runworker.demo.report import Report
from runworker.demo.trial import Surroundings

__all__ = ["DayOrder", "Ending", "Order", "Progress", "Report", "Surroundings", "perform", "perform_day"]
