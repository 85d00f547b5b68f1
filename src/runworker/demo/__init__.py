"""The demo: whole lives of production runs, shuffled and repeated, through workers of which one is killed.

scenario.py  which commands, and what each has to come to
delivery.py  in which order and how often they are sent, and over which queue
trial.py     sends them, kills a worker on the way and waits for the end
evidence.py  reads the database back
proof.py     holds the one against the other
report.py    says how it went
watch.py, progress.py, ending.py  what is decided so far, what a person sees of it, and how ctrl-C ends it
"""

from runworker.demo.ending import Ending
from runworker.demo.progress import Progress
from runworker.demo.report import Report
from runworker.demo.trial import Order, Surroundings, perform

__all__ = ["Ending", "Order", "Progress", "Report", "Surroundings", "perform"]
