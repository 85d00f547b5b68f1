"""Rows handed to a statement as one array a column, in PostgreSQL's binary format.

A statement's text does not depend on how many rows it is given: it is compiled and prepared once. psycopg would write
each element as text, in Python; packing bytes takes a fifth of the time.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, ClassVar, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.types import TypeEngine, UserDefinedType

_HEADER: Final = Struct(">iiIii")
_LENGTH: Final = Struct(">i")
_INTEGER: Final = Struct(">ii")
_LONG: Final = Struct(">iq")
_NULL: Final = _LENGTH.pack(-1)
_SIXTEEN: Final = _LENGTH.pack(16)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH.pack(len(data)) + data


class Array(list[Any]):
    """Values of one column, None among them, as an array of one dimension."""

    oid: ClassVar[int]
    element_oid: ClassVar[int]
    """PostgreSQL's numbers of the types, the same in every installation."""

    def packed(self) -> list[bytes]:
        """Every element behind its length."""
        raise AssertionError("every kind of array says how it packs its elements")


class Uuids(Array):
    """uuid[] of UUIDs."""

    oid, element_oid = 2951, 2950

    def packed(self) -> list[bytes]:
        """Sixteen bytes each."""
        return [_NULL if value is None else _SIXTEEN + value.int.to_bytes(16) for value in self]


class Texts(Array):
    """text[] of strings."""

    oid, element_oid = 1009, 25

    def packed(self) -> list[bytes]:
        """UTF-8. Raises UnicodeEncodeError for half a surrogate pair."""
        return [_NULL if value is None else _text(value) for value in self]


class Decimals(Texts):
    """text[] of decimal numbers, which the statement casts."""

    def packed(self) -> list[bytes]:
        """As they are printed."""
        return [_NULL if value is None else _text(str(value)) for value in self]


class Documents(Texts):
    """text[] of JSON documents, which the statement casts."""

    def packed(self) -> list[bytes]:
        """As JSON."""
        return [_NULL if value is None else _text(json.dumps(value)) for value in self]


class UuidLists(Texts):
    """text[] of lists of UUIDs, which the statement casts: an array cannot hold others of different lengths."""

    def packed(self) -> list[bytes]:
        """As PostgreSQL writes an array; an empty list is NULL."""
        return [_text("{" + ",".join(map(str, ids)) + "}") if ids else _NULL for ids in self]


class Integers(Array):
    """int4[] of integers."""

    oid, element_oid = 1007, 23

    def packed(self) -> list[bytes]:
        """Four bytes each. Raises struct.error past 32 bits."""
        return [_NULL if value is None else _INTEGER.pack(4, value) for value in self]


class Longs(Array):
    """int8[] of integers."""

    oid, element_oid = 1016, 20

    def packed(self) -> list[bytes]:
        """Eight bytes each. Raises struct.error past 64 bits."""
        return [_NULL if value is None else _LONG.pack(8, value) for value in self]


class Times(Array):
    """timestamptz[] of aware datetimes."""

    oid, element_oid = 1185, 1184

    def packed(self) -> list[bytes]:
        """Microseconds since 2000."""
        return [_NULL if value is None else _LONG.pack(8, (value - _EPOCH) // _MICROSECOND) for value in self]


class Blobs(Array):
    """bytea[] of bytes."""

    oid, element_oid = 1001, 17

    def packed(self) -> list[bytes]:
        """The bytes themselves."""
        return [_NULL if value is None else _LENGTH.pack(len(value)) + value for value in self]


def _dumper(kind: type[Array]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = kind.oid

        def dump(self, obj: Any) -> Buffer:
            return _HEADER.pack(1, 1, kind.element_oid, len(obj), 1) + b"".join(obj.packed())

    return ArrayDumper


for _kind in (Uuids, Texts, Decimals, Documents, UuidLists, Integers, Longs, Times, Blobs):
    psycopg.adapters.register_dumper(_kind, _dumper(_kind))


class _SelfTyped(UserDefinedType[Array]):
    """Keeps SQLAlchemy from taking a parameter for what it is compared with, and writing it once more."""

    cache_ok = True


def array(name: str) -> BindParameter[Any]:
    """A parameter to be given as an `Array`, which says itself of what type it is."""
    return bindparam(name, type_=_SelfTyped())


def any_of(name: str) -> Any:
    """The right side of `column = ANY (…)`, whose values are to be given as an `Array`."""
    return func.any(array(name))


class RowParameters:
    """Rows that a statement takes, one array a column.

    rows: what the statement selects from. c: its columns, in the types that were asked for. Values without a kind of
    array of their own travel as text: documents, decimals and lists.
    """

    def __init__(self, **columns: TypeEngine[Any]) -> None:
        self._kinds = {name: _kind_of(type_) for name, type_ in columns.items()}
        self.rows = (
            func.unnest(*(array(f"each_{name}") for name in columns))
            .table_valued(*(column(name, type_) for name, type_ in columns.items()), name="given")
            .render_derived()
        )
        self.c: dict[str, ColumnElement[Any]] = {
            name: cast(self.rows.c[name], type_) if _travels_as_text(type_) else self.rows.c[name]
            for name, type_ in columns.items()
        }

    def parameters(self, rows: Sequence[Sequence[Any]]) -> dict[str, Array]:
        """Parameters for at least one row, each a value for every column in their order."""
        return {
            f"each_{name}": kind(values)
            for (name, kind), values in zip(self._kinds.items(), zip(*rows, strict=True), strict=True)
        }


_KINDS: Final[Sequence[tuple[type[TypeEngine[Any]], type[Array]]]] = (
    (Uuid, Uuids),
    (BigInteger, Longs),
    (Integer, Integers),
    (DateTime, Times),
    (LargeBinary, Blobs),
    (Numeric, Decimals),
    (JSONB, Documents),
    (ARRAY, UuidLists),
)


def _kind_of(type_: TypeEngine[Any]) -> type[Array]:
    return next((kind for known, kind in _KINDS if isinstance(type_, known)), Texts)


def _travels_as_text(type_: TypeEngine[Any]) -> bool:
    # An Enum is a String to SQLAlchemy, and a type of its own to PostgreSQL.
    return issubclass(_kind_of(type_), Texts) and type(type_) not in (String, Text)
