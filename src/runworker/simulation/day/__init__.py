"""A plant's day: several flows, runs in parallel, lots through all eleven steps, and what goes wrong.

plan.py       which runs there are, what befalls them, and how their flows change meanwhile
stations.py   one run's way through the plant, with incidents.py and the figures of materials.py
"""

from runworker.simulation.day.plan import DAY_DATA, WHOLE_DAY, DaySize, build_day

__all__ = ["DAY_DATA", "WHOLE_DAY", "DaySize", "build_day"]
