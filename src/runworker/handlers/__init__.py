"""Use cases, pure: they read facts and return outcomes, or say `Rejected` or `NotYet`."""

from runworker.codes import Code
from runworker.commands import Command
from runworker.errors import Rejected
from runworker.handlers.adoption import ADOPTION_HANDLERS
from runworker.handlers.facts import Facts, Outcome
from runworker.handlers.flows import FLOW_HANDLERS
from runworker.handlers.lots import LOT_HANDLERS
from runworker.handlers.runs import RUN_HANDLERS

_HANDLERS = {**RUN_HANDLERS, **LOT_HANDLERS, **FLOW_HANDLERS, **ADOPTION_HANDLERS}


def handle(command: Command, facts: Facts) -> Outcome:
    """Judge one command against the facts.

    Returns the outcome. Raises Rejected where a rule says no and NotYet where the command comes before its turn.
    The user's role is judged first: a stranger learns nothing of the plant's state.
    """
    role = facts.users.get(command.issued_by)
    if role is None:
        raise Rejected(Code.UNKNOWN_USER, f"issued_by {command.issued_by} names no user")
    if role not in command.roles:
        raise Rejected(
            Code.ROLE_NOT_ALLOWED,
            f"{command.name} may be issued by {', '.join(sorted(command.roles))}, not by {role}",
        )
    return _HANDLERS[type(command)](command, facts)
