"""HTML out of nested calls: `tag("td", text)`. Text is escaped wherever it comes from; only `Html` is taken as it is.

Two pages of tables need no template language, and calls are checked by mypy.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final

VOID: Final = frozenset({"meta", "br"})


class Html(str):
    """Text that is HTML already, made by `tag` or `joined` only."""

    __slots__ = ()


Content = str | Html | int | None


def tag(element: str, /, *content: Content, **attributes: str | int | None) -> Html:
    """An element. Attribute names: `class_` is class, `stroke_width` is stroke-width; None leaves one out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Html(f"<{element}{written}>")
    return Html(f"<{element}{written}>{joined(content)}</{element}>")


def joined(content: Iterable[Content]) -> Html:
    """One piece of HTML of several pieces of HTML or text."""
    pieces = (each if isinstance(each, Html) else escape(str(each)) for each in content if each is not None)
    return Html("".join(pieces))


def table(columns: Sequence[str], rows: Iterable[Sequence[Content]], *, caption: str, empty: str) -> Html:
    """A table; columns whose name ends in "kg" or "°C" hold figures. `empty` is said where there is no row."""
    body = [
        tag("tr", *(tag("td", cell, class_=_figures(column)) for column, cell in zip(columns, row, strict=True)))
        for row in rows
    ]
    if not body:
        return tag("p", empty, class_="none")
    head = tag("tr", *(tag("th", column, scope="col", class_=_figures(column)) for column in columns))
    return tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))


def definitions(pairs: Iterable[tuple[str, Content]]) -> Html:
    """A list of names and values; pairs without a value are left out."""
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value not in (None, ""))
    )


def page(title: str, *content: Content) -> Html:
    """A whole document that loads nothing and runs nothing, whatever stands in it."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content_="default-src 'none'; style-src 'unsafe-inline'"),
        tag("meta", name_="viewport", content_="width=device-width, initial-scale=1"),
        tag("title", title),
        Html(f"<style>{_style()}</style>"),
    )
    return Html("<!doctype html>\n" + tag("html", head, tag("body", tag("main", *content)), lang="en") + "\n")


@cache
def _style() -> str:
    return files("runworker.batch_records").joinpath("page.css").read_text("utf-8")


def _figures(column: str) -> str | None:
    return "figures" if column.endswith(("kg", "°C")) else None
