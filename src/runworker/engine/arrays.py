"""Rows handed to a statement as one array a column, in PostgreSQL's binary format.

A statement's text does not depend on how many rows it is given: it is compiled and prepared once. psycopg would write
each element as text, in Python; packing bytes takes a fifth of the time.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from struct import Struct
from typing import Any, ClassVar, Final
from uuid import UUID

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import BigInteger, DateTime, Integer, LargeBinary, String, Text, Uuid, bindparam, cast, column, func
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.types import TypeEngine, UserDefinedType

_HEADER: Final = Struct(">iiIii")
_LENGTH: Final = Struct(">i")
_INTEGER: Final = Struct(">ii")
_MICROSECONDS: Final = Struct(">iq")
_NULL: Final = _LENGTH.pack(-1)
_SIXTEEN: Final = _LENGTH.pack(16)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Array(list[Any]):
    """Values of one column, None among them, as an array of one dimension."""

    element_oid: ClassVar[int]
    """PostgreSQL's number of the element's type, the same in every installation."""

    @staticmethod
    def packed(value: Any) -> bytes:
        """One element that is not NULL, behind its length."""
        raise AssertionError("every kind of array says how it packs its elements")


class Uuids(Array):
    """uuid[] of UUIDs."""

    element_oid = 2950

    @staticmethod
    def packed(value: UUID) -> bytes:
        """Sixteen bytes."""
        return _SIXTEEN + value.bytes


class Texts(Array):
    """text[] of strings."""

    element_oid = 25

    @staticmethod
    def packed(value: str) -> bytes:
        """UTF-8. Raises UnicodeEncodeError for half a surrogate pair."""
        data = value.encode()
        return _LENGTH.pack(len(data)) + data


class Integers(Array):
    """int4[] of integers."""

    element_oid = 23

    @staticmethod
    def packed(value: int) -> bytes:
        """Four bytes. Raises struct.error past 32 bits."""
        return _INTEGER.pack(4, value)


class Longs(Array):
    """int8[] of integers."""

    element_oid = 20

    @staticmethod
    def packed(value: int) -> bytes:
        """Eight bytes. Raises struct.error past 64 bits."""
        return _MICROSECONDS.pack(8, value)


class Times(Array):
    """timestamptz[] of aware datetimes."""

    element_oid = 1184

    @staticmethod
    def packed(value: datetime) -> bytes:
        """Microseconds since 2000."""
        since = value - _EPOCH
        return _MICROSECONDS.pack(8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


class Blobs(Array):
    """bytea[] of bytes."""

    element_oid = 17

    @staticmethod
    def packed(value: bytes) -> bytes:
        """The bytes themselves."""
        return _LENGTH.pack(len(value)) + value


_ARRAY_OIDS: Final[Mapping[type[Array], int]] = {
    Uuids: 2951, Texts: 1009, Integers: 1007, Longs: 1016, Times: 1185, Blobs: 1001,
}  # fmt: skip


def _dumper(kind: type[Array]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = _ARRAY_OIDS[kind]

        def dump(self, obj: Any) -> Buffer:
            packed = kind.packed
            elements = [_NULL if value is None else packed(value) for value in obj]
            return _HEADER.pack(1, 1, kind.element_oid, len(elements), 1) + b"".join(elements)

    return ArrayDumper


for _kind in _ARRAY_OIDS:
    psycopg.adapters.register_dumper(_kind, _dumper(_kind))


class _SaysItself(UserDefinedType[Array]):
    """Keeps SQLAlchemy from taking a parameter for what it is compared with, and writing it once more."""

    cache_ok = True


def array(name: str) -> BindParameter[Any]:
    """A parameter to be given as an `Array`, which says itself of what type it is."""
    return bindparam(name, type_=_SaysItself())


def any_of(name: str) -> Any:
    """The right side of `column = ANY (…)`, whose values are to be given as an `Array`."""
    return func.any(array(name))


class Given:
    """Rows that a statement takes, one array a column.

    rows: what the statement selects from. c: its columns, in the types that were asked for. What has no kind of array
    travels as text: documents and decimals, and lists, for an array cannot hold others of different lengths.
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
)


def _kind_of(type_: TypeEngine[Any]) -> type[Array]:
    return next((kind for known, kind in _KINDS if isinstance(type_, known)), Texts)


def _travels_as_text(type_: TypeEngine[Any]) -> bool:
    # An Enum is a String to SQLAlchemy, and a type of its own to PostgreSQL.
    return _kind_of(type_) is Texts and type(type_) not in (String, Text)
