"""Verification of the whole database: what a careless or hostile hand did to it, found by what else PostgreSQL keeps.

    archives  files of archived events are those that were made, and what is left of them in the table as they have it
    trail     seals, ids, and which events there are
    state     every row is as its last event says, and every event begins where the one before ended
    ledger    payloads, verdicts and effects agree
    rules     runs, steps, pins, times, genealogy, kilograms and SKUs agree
    schema    tables, constraints, triggers, functions and rights are those of this release

A look is a list of questions; a question is a statement that returns what is not as it should be. Whoever can change
everything, consistently and back to the beginning, leaves nothing to be found here: that is what a head that is kept
elsewhere is for.
"""

from runworker.verification.anchors import Anchor, anchor_of
from runworker.verification.discrepancies import Discrepancy
from runworker.verification.verify import HeadFound, VerificationReport, examine, look_at

__all__ = ["Anchor", "Discrepancy", "HeadFound", "VerificationReport", "anchor_of", "examine", "look_at"]
