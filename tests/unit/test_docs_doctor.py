"""The page on the doctor names each finding, and which of them keep workers from work."""

import re
from itertools import chain
from pathlib import Path

from tests.unit.documents import rows, section

from runworker import doctor, readiness
from runworker.cli.doctor import SETTINGS
from runworker.doctor.rights import OF_READINESS

PAGE = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
LISTED = [row[0] for row in rows(section(PAGE, "## What it looks at"))]
OF_BROKER = {"broker-away", "broker-refuses", "broker-evicts"}


def test_each_finding_is_listed_once() -> None:
    names = [SETTINGS, *chain.from_iterable(check.names for check in doctor.all_checks())]
    assert sorted(name.strip("` *") for name in LISTED) == sorted(names)


def test_those_that_keep_workers_from_work_have_a_star() -> None:
    starred = {name.strip("` *") for name in LISTED if name.endswith("*")}
    assert starred == {*OF_READINESS, *OF_BROKER, "postgresql-away"}
    source = "".join(path.read_text() for path in Path(readiness.__file__).parent.glob("*.py"))
    assert set(re.findall(r'Blocker\(\s*"([a-z-]+)"', source)) | OF_BROKER == starred
