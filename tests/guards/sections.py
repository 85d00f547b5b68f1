"""Raw SQL that the database must refuse, read from `violations/*.sql`.

A section begins with `-- refused: <name>`, the name of the constraint or guard that refuses it, and may say more in
brackets. Its last statement is the one refused; those before it prepare the ground.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(r"^-- refused: (?P<name>\w+)(?: \((?P<case>[^)]*)\))?$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """One violation. table: file it stands in; name: what refuses it; statements: SQL, the last one refused."""

    table: str
    name: str
    case: str
    statements: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.case}" if self.case else self.name


def _read(path: Path) -> list[Section]:
    text = path.read_text()
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    return [
        Section(
            path.stem,
            header["name"],
            header["case"] or "",
            tuple(statement for statement in text[header.end() : end].split(";\n") if statement.strip()),
        )
        for header, end in zip(headers, ends, strict=True)
    ]


SECTIONS = [section for path in sorted(Path(__file__).with_name("violations").glob("*.sql")) for section in _read(path)]
