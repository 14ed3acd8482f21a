"""Events for what crosses between strategies: part of the record of an approved plan, before anything is sent.

They are recorded in the transaction of the plan itself, so that a run has all of them or none, however often it is
submitted or resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import BrokerError, InputError, Problem
from stocklean_exec.execution.arrival_quotes import ArrivalQuote, quotes_by_symbol
from stocklean_exec.strategies.attribution import crossed_inside, divisions_of, planned_crossings, read_crosses
from stocklean_exec.strategies.division import CROSSES, STRATEGY_QUANTITIES, beyond_strategies, write_quantities

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from stocklean_exec.brokers.base import Broker

__all__ = ["check_strategies", "crossing_events"]


def check_strategies(approved: pd.DataFrame) -> None:
    """Refuse approved orders that strategies do not want: of more shares than all of them, or of the other side.

    Raises
    ------
    InputError
        With every such order.
    """
    if STRATEGY_QUANTITIES not in approved.columns:
        return
    chosen = approved[approved["approved"]]
    divisions_of(chosen)
    columns = ["client_order_id", "symbol", STRATEGY_QUANTITIES, "quantity"]
    problems = [
        Problem("beyond_strategies", f"{name}: {text}", symbol=symbol)
        for name, symbol, quantities, quantity in chosen[columns].itertuples(index=False)
        if (text := beyond_strategies(quantities, quantity))
    ]
    if problems:
        raise InputError("orders", problems)


async def crossing_events(
    approved: pd.DataFrame, run_id: str, stamp: datetime, account: str, broker: Broker | None = None
) -> list[OrderEvent]:
    """Return one event for each symbol of which an approved plan lets shares pass between strategies.

    They pass at the mid of the broker's quote now, which is their arrival. Where that has not two sides, or there
    is none, as for a plan that is exported as a file, they pass at the decision price, and so where the order
    has a limit: the plan has held that price against the limits of both sides.
    """
    planned = crossed_inside(approved.attrs.get(CROSSES)) if approved.empty else planned_crossings(approved)
    if planned.empty:
        return []
    signed = planned["quantity"].where(planned["side"] == "BUY", -planned["quantity"])
    market = await _market(broker, planned["symbol"].unique().tolist())
    limited, events = _limited(approved), []
    for symbol, rows in planned.assign(quantity=signed).groupby("symbol", sort=False):
        quantities = dict(zip(rows["strategy"].tolist(), rows["quantity"].tolist(), strict=True))
        quote = market.get(str(symbol), ArrivalQuote())
        currency, decided = rows["currency"].iloc[0], float(rows["price"].iloc[0])
        events.append(
            OrderEvent(
                "crossed",
                run_id,
                occurred_at=stamp,
                message=write_quantities(quantities),
                symbol=str(symbol),
                quantity=sum(shares for shares in quantities.values() if shares > 0),
                price=decided if symbol in limited else (_mid(quote) or decided),
                account=account,
                commission=0.0,
                commission_currency=currency if isinstance(currency, str) else None,
                bid=quote.bid,
                ask=quote.ask,
                last=quote.last,
                quoted_at=quote.quoted_at,
                data_type=quote.data_type,
            )
        )
    return events


def _limited(approved: pd.DataFrame) -> set[str]:
    """Symbols whose orders have a limit, or would have had one."""
    if approved.empty:
        texts = [approved.attrs.get(CROSSES)]
    else:
        texts = approved[CROSSES].head(1).tolist() if CROSSES in approved.columns else []
    inside = {symbol for text in texts for symbol, one in read_crosses(text).items() if one.get("limited")}
    return inside | set(approved.loc[approved["limit_price"].notna(), "symbol"])


async def _market(broker: Broker | None, symbols: list[str]) -> dict[str, ArrivalQuote]:
    if broker is None:
        return {}
    try:
        return quotes_by_symbol(await broker.fetch_quotes(symbols))
    except BrokerError:  # the decision prices are on record; if nothing can be sent either, the sending says so
        return {}


def _mid(quote: ArrivalQuote) -> float | None:
    if quote.bid is None or quote.ask is None or not 0 < quote.bid <= quote.ask:
        return None
    return (quote.bid + quote.ask) / 2
