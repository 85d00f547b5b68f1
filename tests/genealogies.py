"""Genealogies of any shape, written in SQL past the guards, as an older system may have left them."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Engine, create_engine, text

Parentage = tuple[int, int, Decimal | None]
"""Numbers of parent and child, and kilograms."""


def code_of(number: int) -> str:
    return f"LOT-{number:06}"


def id_of(number: int) -> UUID:
    return UUID(int=number + 1)


class Genealogies:
    """Lots by number in one database: lot 0 has the code LOT-000000, and each weighs 100 kg."""

    def __init__(self, url: str) -> None:
        self.database: Engine = create_engine(url)

    def write(self, lots: int, links: Sequence[Parentage], *, first: int = 0, raw: Sequence[int] = ()) -> None:
        """Write lots first, first + 1 and so on, and links between any, in place of all that is there before lot 0.

        raw: numbers of those that suppliers brought.
        """
        numbers = range(first, first + lots)
        with self.database.begin() as connection:
            for table in ("lots", "lot_genealogy"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            if first == 0:
                connection.execute(text("DELETE FROM lot_genealogy"))
                connection.execute(text("DELETE FROM lots"))
            connection.execute(
                text(
                    "INSERT INTO lots (id, lot_code, status, weight_kg, lot_type) SELECT id, code, 'RELEASED', 100,"
                    " CASE WHEN id = ANY (CAST(:raw AS uuid[])) THEN CAST('RAW' AS lot_type) END"
                    " FROM unnest(CAST(:ids AS uuid[]), CAST(:codes AS text[])) AS lot (id, code)"
                ),
                {
                    "ids": [id_of(number) for number in numbers],
                    "codes": [code_of(number) for number in numbers],
                    "raw": [id_of(number) for number in raw],
                },
            )
            connection.execute(
                text(
                    "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg) SELECT * FROM"
                    " unnest(CAST(:parents AS uuid[]), CAST(:children AS uuid[]), CAST(:kgs AS numeric[]))"
                ),
                {
                    "parents": [id_of(parent) for parent, _, _ in links],
                    "children": [id_of(child) for _, child, _ in links],
                    "kgs": [kg for _, _, kg in links],
                },
            )
            for table in ("lots", "lot_genealogy"):
                connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
