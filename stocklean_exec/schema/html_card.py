"""A compact HTML card, the repr of objects in a notebook. Pure text: every value goes through :func:`html.escape`.

Each object makes its card from its own state, without a request to a broker, and the same state gives the same
card, so that notebook outputs can be compared. The caller masks account numbers.
"""

from __future__ import annotations

import re
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["card"]

_CSS = (resources.files("stocklean_exec") / "static" / "card.css").read_text("utf-8")
_RULES = {
    name: re.sub(r"\s*([:;,])\s*", r"\1", declarations).strip().rstrip(";")
    for name, declarations in re.findall(r"^\.([\w-]+) {([^}]*)}", _CSS, re.MULTILINE)
}
"""Declarations of ``static/card.css`` by class, compacted for a style attribute."""


def card(
    title: object,
    chips: Iterable[str] = (),
    entries: Iterable[tuple[object, object]] = (),
    table: tuple[Sequence[str], Iterable[Sequence[object]]] | None = None,
    note: str = "",
) -> str:
    """Make a card of plain values: a title with chips, entries by name, a small table, and a note below.

    Examples
    --------
    >>> made = card("<b>", entries=[("a", "<script>")])
    >>> "&lt;b&gt;" in made, "<script>" in made
    (True, False)
    """
    badges = "".join(f"<span {_style('chip', _colour(chip))}>{escape(chip)}</span>" for chip in chips if chip)
    parts = [f"<div {_style('box')}><div><b>{escape(str(title))}</b>{badges}</div>"]
    rows = "".join(
        f"<tr {_style('row')}><td {_style('cell', 'dim')}>{escape(str(name))}</td>"
        f"<td {_style('cell')}>{escape(str(value))}</td></tr>"
        for name, value in entries
    )
    if rows:
        parts.append(f"<table {_style('table')}><tbody>{rows}</tbody></table>")
    if table is not None:
        parts.append(_table(*table))
    if note:
        parts.append(f"<div {_style('note')}>{escape(note)}</div>")
    return "".join([*parts, "</div>"])


def _style(*names: str) -> str:
    """Return the style attribute that gives an element these classes of ``static/card.css``.

    JupyterLab removes ``<style>`` elements from a notebook that is not trusted, but keeps style attributes.
    """
    return f'style="{escape(";".join(_RULES[name] for name in names))}"'


def _colour(chip: str) -> str:
    return f"chip-{chip}" if f"chip-{chip}" in _RULES else "chip-other"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(
        f'<th scope="col" {_style("number" if place else "cell", "head")}>{escape(name)}</th>'
        for place, name in enumerate(heads)
    )
    body = "".join(
        f"<tr {_style('row')}>"
        + "".join(
            f"<td {_style('number' if place else 'cell')}>{escape(str(value))}</td>"
            for place, value in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table {_style('table')}><thead><tr {_style('row')}>{head}</tr></thead><tbody>{body}</tbody></table>"
