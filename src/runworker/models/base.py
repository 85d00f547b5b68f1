"""The base of all tables: the metadata, its naming convention and the column types that recur."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, MetaData, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMING_CONVENTION = {
    "ix": "idx_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraint names are an interface: the engine translates them into rejection codes."""

CHANGED_OFTEN = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"}
"""Storage of tables that change with every command: room for HOT updates is made often, and plans keep up."""

GROWING = {"autovacuum_vacuum_insert_scale_factor": "0.05"}
"""Storage of tables that only grow: rows are frozen some at a time, and not all at once one day."""


class Base(DeclarativeBase):
    """Declarative base of all tables. Times are timestamptz in UTC, documents are JSONB."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        str: Text,
    }


UuidKey = Annotated[UUID, mapped_column(primary_key=True, default=uuid4, server_default=text("gen_random_uuid()"))]
CreatedAt = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]


def one_of(column: str, values: Iterable[str]) -> str:
    """Text of a CHECK that keeps `column` within an enum. IN lets NULL through: the column says NOT NULL itself."""
    listed = ",".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"
