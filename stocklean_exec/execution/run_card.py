"""The card of a run in a notebook: its state and progress. Pure text, like all cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stocklean_exec.schema.html_card import card

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["run_card"]

_MESSAGES = 5  # a stated choice: the latest messages are shown, the others are counted


def run_card(head: Mapping[str, Any], update: Mapping[str, Any], note: str = "") -> str:
    """Return the card of a run: state, counts by status, filled shares and costs so far.

    Parameters
    ----------
    head : from :meth:`~stocklean_exec.Run.head`
    update : a complete update from :meth:`~stocklean_exec.execution.run_monitor.RunMonitor.update`
    note : a line below

    Examples
    --------
    >>> import pandas as pd
    >>> from stocklean_exec.execution.run_monitor import RunMonitor
    >>> row = {"client_order_id": "r-SPY-BUY", "symbol": "SPY", "side": "BUY", "quantity": 10.0}
    >>> head = {"run": "r", "badge": "PAPER", "account": "DU***567", "state": "working"}
    >>> "0 of 10" in run_card(head, RunMonitor("r", pd.DataFrame([row])).update())
    True
    """
    entries: list[tuple[object, object]] = [
        ("account", head["account"]),
        ("orders", f"{update['ended']} of {update['orders']} ended"),
        ("shares", f"{update['filled_quantity']:,.10g} of {update['quantity']:,.10g} filled"),
        ("notional filled", f"{update['notional']:,.2f}"),
    ]
    if update["commission"] is not None:
        entries.append(("commission", f"{update['commission']:,.2f}"))
    if update["slippage_bps"] is not None:
        cost = f"{update['slippage_cost']:,.2f} ({update['slippage_bps']:,.2f} bps)"
        entries.append(("slippage against arrival", cost))
    entries += [(name, head[name]) for name in ("note", "halted", "fault") if head.get(name)]
    words = [
        " ".join(str(row[name]) for name in ("what", "client_order_id", "code", "text") if row[name])
        for row in update["messages"][-_MESSAGES:]
    ]
    entries += [("" if place else "messages", text) for place, text in enumerate(words)]
    if len(update["messages"]) > _MESSAGES:
        entries.append(("", f"and {len(update['messages']) - _MESSAGES} earlier ones"))
    chips = [head["badge"], head["state"], "HALTED" if head.get("halted") else ""]
    table = (["status", "orders"], list(update["counts"].items())) if update["counts"] else None
    return card(f"Run {head['run']}", chips, entries, table, note)
