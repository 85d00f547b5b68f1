"""A command that ends its process, for workers that are told to include this module."""

import os
from typing import Any, Final

from runworker import handlers
from runworker.commands.runs import HoldRun

POISON: Final = "this reason ends whoever reads it"

_judge = handlers._HANDLERS[HoldRun]


def _die_of_poison(command: Any, facts: Any) -> Any:
    if command.reason == POISON:
        os._exit(1)
    return _judge(command, facts)


handlers._HANDLERS[HoldRun] = _die_of_poison
