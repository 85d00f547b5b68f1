"""A plant's day: several flows, runs in parallel, lots through all eleven steps, and what goes wrong.

scenario.py   which runs there are, what befalls them, and how their flows change meanwhile
shift.py      one run's way through the plant, with incidents.py and the figures of trade.py
author.py     writes the commands of a run and its lots, over moves.py
book.py       what the script says of lots
cast.py       people, suppliers and flows
evidence.py   reads lots, genealogy and decisions back
proof.py      holds the one against the other, with balance.py for the kilograms
"""
