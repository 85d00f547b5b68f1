"""The kilograms of a run, as JSON types and as a table."""

from dataclasses import asdict
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from runworker.canonical import CANONICAL_STEPS
from runworker.cli.output import print_wide
from runworker.cli.reporting import show, tell
from runworker.safe_text import printable
from runworker.tracing import MassBalance

COLUMNS: Final = ("step", "lots", "used_kg", "made_kg", "gained_kg", "lost_kg", "rejected_kg", "left_kg")


def show_balance(found: MassBalance) -> None:
    """Write a balance to stdout, and to stderr what was never weighed."""
    facts = balance_facts(found)
    show({name: value for name, value in facts.items() if isinstance(value, str)}, as_json=False)
    table = Table(*COLUMNS, box=box.SIMPLE_HEAD)
    for step in facts["steps"]:
        table.add_row(_step_name(step["step_index"]), *(str(step[name]) for name in COLUMNS[1:]))
    print_wide(table)
    for left in facts["left_on"]:
        print_wide(Text(f"{left['left_kg']} kg left of {printable(left['lot'])}"))
    if found.unweighed:
        tell(f"{len(found.unweighed)} lots were never weighed and count as 0 kg: {', '.join(found.unweighed)}")


def balance_facts(found: MassBalance) -> dict[str, Any]:
    """A balance as JSON types: kilograms as text, so that no digit is lost."""
    figures = {name: str(value) for name, value in asdict(found).items() if name.endswith("_kg")}
    steps = [
        {name: str(value) if name.endswith("_kg") else value for name, value in asdict(step).items()}
        for step in found.steps
    ]
    left = [{"lot": code, "left_kg": str(kilograms)} for code, kilograms in found.left_on]
    return {
        **figures,
        "error_kg": str(found.error_kg),
        "steps": steps,
        "left_on": left,
        "unweighed": list(found.unweighed),
    }


def _step_name(index: int | None) -> str:
    return "none" if index is None else f"{index} {CANONICAL_STEPS[index].name}"
