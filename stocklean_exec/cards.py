"""Compact HTML cards of the objects that a user meets. Pure text: every value goes through :func:`html.escape`.

A card asks nobody: it shows what its object knows without a question to a broker, and reads the same for the same
state, so that it can stand in a notebook that is compared with its stored output. Account numbers are masked.
"""

from __future__ import annotations

import re
from dataclasses import fields
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from stocklean_exec.account_ids import mask_account
from stocklean_exec.errors import BlotterClosedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from stocklean_exec.blotter_reader import BlotterReader
    from stocklean_exec.broker import Broker
    from stocklean_exec.limits import Limits

__all__ = ["blotter_card", "broker_card", "card", "limits_card", "run_card", "summary_card"]

_CSS = (resources.files("stocklean_exec") / "static" / "card.css").read_text("utf-8")
_RULES = {
    name: re.sub(r"\s*([:;,])\s*", r"\1", declarations).strip().rstrip(";")
    for name, declarations in re.findall(r"^\.([\w-]+) {([^}]*)}", _CSS, re.MULTILINE)
}
"""Declarations of ``static/card.css`` by class, as short as an attribute wants them."""

_RUNS = 5  # a card shows the latest runs, and counts the rest
_MESSAGES = 5  # likewise messages


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
    badges = "".join(f"<span {_style('chip', _colour(chip))}>{escape(chip)}</span>" for chip in chips if chip)
    parts = [f"<div {_style('box')}><div><b>{escape(str(title))}</b>{badges}</div>"]
    rows = "".join(
        f"<tr {_style('row')}><td {_style('cell', 'dim')}>{escape(str(name))}</td>"
        f"<td {_style('cell')}>{escape(str(value))}</td></tr>"
        for name, value in facts
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

    JupyterLab shows a notebook that somebody else has run without its ``<style>`` elements, but with attributes.
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


def broker_card(broker: Broker, *, show_account: bool = False) -> str:
    """Return the card of a broker: kind, account, address, and why it cannot send, if it cannot.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> "MOCK" in broker_card(sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000))
    True
    """
    account = broker.account if show_account else mask_account(broker.account)
    facts = [("account", account), ("address", broker.address.split("?", maxsplit=1)[0])]
    if broker.fault:
        facts.append(("cannot send", broker.fault))
    return card(type(broker).__name__, [broker.mode.upper()], facts)


def blotter_card(blotter: BlotterReader) -> str:
    """Return the card of a blotter: what is in it, its latest runs, and the halt in force.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> with sx.open_blotter() as blotter:
    ...     blotter.halt("lunch")
    ...     "HALTED" in blotter_card(blotter)
    True
    """
    title = repr(blotter)[1:].rsplit(": ", maxsplit=1)[0]  # "<Blotter paper.duckdb: 2 runs, ...>"
    try:
        runs = blotter.runs()
        counts = [("orders", len(blotter.orders())), ("fills", len(blotter.fills()))]
    except BlotterClosedError:
        return card(title, ["closed"])
    halted = getattr(blotter, "halted", None)  # a snapshot does not know
    facts: list[tuple[object, object]] = [("runs", len(runs)), *counts]
    if halted is not None:
        facts.append(("halted", halted))
    latest = runs.tail(_RUNS).iloc[::-1]
    rows = [
        [run, mode, status, mask_account(account if isinstance(account, str) else None)]
        for run, mode, status, account in latest[["run_id", "mode", "status", "account"]].itertuples(index=False)
    ]
    note = f"and {len(runs) - _RUNS} earlier runs" if len(runs) > _RUNS else ""
    table = (["run", "mode", "status", "account"], rows) if rows else None
    return card(title, ["HALTED"] if halted is not None else [], facts, table, note)


def run_card(head: Mapping[str, Any], told: Mapping[str, Any], note: str = "") -> str:
    """Return the card of a run: state, counts by status, what is filled and what it costs so far.

    Parameters
    ----------
    head : of :meth:`~stocklean_exec.run_handle.Run.head`
    told : everything of :meth:`~stocklean_exec.live_model.LiveModel.update`
    note : a line below

    Examples
    --------
    >>> import pandas as pd
    >>> from stocklean_exec.live_model import LiveModel
    >>> row = {"client_order_id": "r-SPY-BUY", "symbol": "SPY", "side": "BUY", "quantity": 10.0}
    >>> head = {"run": "r", "badge": "PAPER", "account": "DU***567", "state": "working"}
    >>> "0 of 10" in run_card(head, LiveModel("r", pd.DataFrame([row])).update())
    True
    """
    facts: list[tuple[object, object]] = [
        ("account", head["account"]),
        ("orders", f"{told['ended']} of {told['orders']} ended"),
        ("shares", f"{told['filled_quantity']:,.10g} of {told['quantity']:,.10g} filled"),
        ("notional filled", f"{told['notional']:,.2f}"),
    ]
    if told["commission"] is not None:
        facts.append(("commission", f"{told['commission']:,.2f}"))
    if told["slippage_bps"] is not None:
        cost = f"{told['slippage_cost']:,.2f} ({told['slippage_bps']:,.2f} bps)"
        facts.append(("slippage against arrival", cost))
    facts += [(name, head[name]) for name in ("note", "halted", "fault") if head.get(name)]
    words = [
        " ".join(str(row[name]) for name in ("what", "client_order_id", "code", "text") if row[name])
        for row in told["messages"][-_MESSAGES:]
    ]
    facts += [("" if place else "messages", text) for place, text in enumerate(words)]
    if len(told["messages"]) > _MESSAGES:
        facts.append(("", f"and {len(told['messages']) - _MESSAGES} before these"))
    chips = [head["badge"], head["state"], "HALTED" if head.get("halted") else ""]
    table = (["status", "orders"], list(told["counts"].items())) if told["counts"] else None
    return card(f"Run {head['run']}", chips, facts, table, note)


def limits_card(limits: Limits) -> str:
    """Return the card of limits: those in force, and which are switched off.

    Examples
    --------
    >>> from stocklean_exec.limits import Limits
    >>> "250,000" in limits_card(Limits(max_order_notional=250_000))
    True
    """
    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    restricted = values.pop("restricted")
    off = [name for name, value in values.items() if value is None]
    facts: list[tuple[object, object]] = [
        (name, value if isinstance(value, bool) else f"{value:,.10g}")
        for name, value in values.items()
        if value is not None
    ]
    facts.append(("restricted", ", ".join(sorted(restricted)) or "none"))
    return card("Limits", facts=facts, note=f"off: {', '.join(off)}" if off else "")


def summary_card(summary: pd.Series[float]) -> str:
    """Return the card of a :func:`~stocklean_exec.summary.plan_summary`; show it with ``IPython.display.HTML``.

    Examples
    --------
    >>> import pandas as pd
    >>> "12,345.60" in summary_card(pd.Series({"nav": 12345.6}, name="run-1"))
    True
    """
    facts = [(name, f"{value:,.2f}") for name, value in summary.items()]
    return card("Plan" if summary.name is None else f"Plan {summary.name}", facts=facts)
