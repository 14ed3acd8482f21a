"""A compact HTML card, the repr of objects in a notebook. Pure text: every value goes through :func:`html.escape`.

Each object makes its card from what it knows without asking a broker, and the same for the same state, so that it
can stand in a notebook that is compared with its stored output. Account numbers are masked by whoever has them.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["card"]

_BOX = (
    "display:inline-block;min-width:18em;max-width:60em;border:1px solid #8886;border-radius:6px;padding:8px 12px;"
    "margin:2px 0;font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45"
)
_CHIP = (
    "display:inline-block;border-radius:4px;padding:0 6px;margin-left:6px;font-weight:600;color:#fff;background:"
)
_CHIP_COLOURS = {"LIVE": "#b3261e", "PAPER": "#1f6f43", "MOCK": "#4a5a6a", "HALTED": "#b3261e"}
_CELL = "text-align:left;padding:1px 12px 1px 0;vertical-align:top;border:0;background:none"
_NUMBER = "text-align:right;padding:1px 12px 1px 0;border:0;background:none;font-variant-numeric:tabular-nums"
_TABLE = '<table style="border-collapse:collapse;margin:4px 0 0">'
_ROW = '<tr style="background:none">'


def card(
    title: object,
    chips: Iterable[str] = (),
    facts: Iterable[tuple[object, object]] = (),
    table: tuple[Sequence[str], Iterable[Sequence[object]]] | None = None,
    note: str = "",
) -> str:
    """Make a card of plain values: a title with chips, facts by name, a small table, and a note below.

    Examples
    --------
    >>> "&lt;b&gt;" in card("<b>", facts=[("a", "<script>")]), "<script>" in card("<b>", facts=[("a", "<script>")])
    (True, False)
    """
    badges = "".join(
        f'<span style="{_CHIP}{_CHIP_COLOURS.get(chip, "#4a5a6a")}">{escape(chip)}</span>'
        for chip in chips
        if chip
    )
    parts = [f'<div style="{_BOX}"><div><b>{escape(str(title))}</b>{badges}</div>']
    rows = "".join(
        f'{_ROW}<td style="{_CELL};opacity:.75">{escape(str(name))}</td>'
        f'<td style="{_CELL}">{escape(str(value))}</td></tr>'
        for name, value in facts
    )
    if rows:
        parts.append(f"{_TABLE}<tbody>{rows}</tbody></table>")
    if table is not None:
        parts.append(_table(*table))
    if note:
        parts.append(f'<div style="opacity:.75;margin-top:4px">{escape(note)}</div>')
    return "".join([*parts, "</div>"])


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(
        f'<th scope="col" style="{_NUMBER if place else _CELL};font-weight:600">{escape(name)}</th>'
        for place, name in enumerate(heads)
    )
    body = "".join(
        '<tr style="background:none">'
        + "".join(
            f'<td style="{_NUMBER if place else _CELL}">{escape(str(value))}</td>'
            for place, value in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"{_TABLE}<thead>{_ROW}{head}</tr></thead><tbody>{body}</tbody></table>"
