"""The card of a run: its state, and what it has done so far, in a notebook. Pure text, as all cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stocklean_exec.schema.html_card import card

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["run_card"]

_MESSAGES = 5  # the latest messages are shown, and the rest is counted


def run_card(head: Mapping[str, Any], told: Mapping[str, Any], note: str = "") -> str:
    """Return the card of a run: state, counts by status, what is filled and what it costs so far.

    Parameters
    ----------
    head : of :meth:`~stocklean_exec.Run.head`
    told : everything of :meth:`~stocklean_exec.execution.run_monitor.RunMonitor.update`
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
        ("orders", f"{told['ended']} of {told['orders']} ended"),
        ("shares", f"{told['filled_quantity']:,.10g} of {told['quantity']:,.10g} filled"),
        ("notional filled", f"{told['notional']:,.2f}"),
    ]
    if told["commission"] is not None:
        entries.append(("commission", f"{told['commission']:,.2f}"))
    if told["slippage_bps"] is not None:
        cost = f"{told['slippage_cost']:,.2f} ({told['slippage_bps']:,.2f} bps)"
        entries.append(("slippage against arrival", cost))
    entries += [(name, head[name]) for name in ("note", "halted", "fault") if head.get(name)]
    words = [
        " ".join(str(row[name]) for name in ("what", "client_order_id", "code", "text") if row[name])
        for row in told["messages"][-_MESSAGES:]
    ]
    entries += [("" if place else "messages", text) for place, text in enumerate(words)]
    if len(told["messages"]) > _MESSAGES:
        entries.append(("", f"and {len(told['messages']) - _MESSAGES} before these"))
    chips = [head["badge"], head["state"], "HALTED" if head.get("halted") else ""]
    table = (["status", "orders"], list(told["counts"].items())) if told["counts"] else None
    return card(f"Run {head['run']}", chips, entries, table, note)
