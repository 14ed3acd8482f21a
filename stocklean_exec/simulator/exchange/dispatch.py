"""Maps each request to its handler. An unsupported request gets an error, never silence.

Error codes are those of IB's list for the service, such as 162 for history and 354 for market data; 321 where none
fits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.simulator.exchange.account_service import AccountService
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.exchange.market_data_service import MarketDataService
    from stocklean_exec.simulator.exchange.order_amendments import OrderAmendments
    from stocklean_exec.simulator.exchange.order_queries import OrderQueries
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.requests import Request

__all__ = ["handlers", "refusal_of"]

Handler = "Callable[[Connection, Request], None]"

_SUBSCRIPTION = "Requested market data requires additional subscription for API."
# Codes and texts as in public captures and logs of TWS; texts that end in "known here" are of this simulator.
_REFUSALS: dict[str, tuple[int, str]] = {
    "reqMktDepth": (354, "Requested market data is not subscribed."),
    "reqRealTimeBars": (10089, _SUBSCRIPTION),
    "reqTickByTickData": (10189, "Failed to request tick-by-tick market_data. No market data permissions"),
    "reqFundamentalData": (430, "The fundamentals data for the security specified is not available."),
    "reqHistoricalTicks": (162, "Historical Market Data Service error message:no ticks are known here"),
    "reqHistogramData": (162, "Historical Market Data Service error message:no histogram is known here"),
    "reqScannerSubscription": (162, "Historical Market Data Service error message:no scanner is known here"),
    "reqScannerParameters": (162, "Historical Market Data Service error message:no scanner is known here"),
    "requestFA": (
        321,
        "Error validating request.-'bn' : cause - FA data operations ignored for non FA customers.",
    ),
    "replaceFA": (
        321,
        "Error validating request.-'bo' : cause - FA data operations ignored for non FA customers.",
    ),
    "reqNewsArticle": (10276, "News feed is not allowed."),
    "reqHistoricalNews": (10276, "News feed is not allowed."),
}
_NO_ANSWER = frozenset(
    {"reqNewsBulletins", "cancelNewsBulletins", "setServerLogLevel", "cancelHistoricalData", "cancelMktDepth"}
    | {"cancelRealTimeBars", "cancelTickByTickData", "cancelScannerSubscription", "cancelHistogramData"}
    | {"cancelHeadTimeStamp", "cancelFundamentalData", "cancelPositionsMulti", "unsubscribeFromGroupEvents"}
    | {
        "cancelCalculateImpliedVolatility",
        "cancelCalculateOptionPrice",
        "cancelWshMetaData",
        "cancelWshEventData",
    }
)
"""Requests that TWS does not answer: settings, and cancels of subscriptions that do not exist."""


def refusal_of(kind: str) -> tuple[int, str]:
    """Error code and text for an unsupported request.

    Examples
    --------
    >>> refusal_of("reqScannerParameters")[0], refusal_of("exerciseOptions")[0]
    (162, 321)
    """
    default = (321, f"Error validating request.-'cx' : cause - {kind} is not supported by this simulator")
    return _REFUSALS.get(kind, default)


def handlers(
    context: VenueContext,
    accounts: AccountService,
    queries: OrderQueries,
    market_data: MarketDataService,
    amendments: OrderAmendments,
) -> dict[str, Callable[[Connection, Request], None]]:
    """Handlers of all supported requests, by request name."""
    supported: dict[str, Callable[[Connection, Request], None]] = {
        "cancelOrder": amendments.cancel,
        "reqGlobalCancel": lambda _, __: amendments.cancel_all(),
        "reqOpenOrders": queries.open_orders,
        "reqAllOpenOrders": queries.all_open_orders,
        "reqAutoOpenOrders": queries.auto_open_orders,
        "reqCompletedOrders": queries.completed_orders,
        "reqExecutions": queries.executions,
        "reqPositions": accounts.positions,
        "cancelPositions": accounts.cancel_positions,
        "reqPositionsMulti": accounts.positions_multi,
        "reqAccountUpdates": accounts.account_updates,
        "reqAccountUpdatesMulti": accounts.updates_multi,
        "cancelAccountUpdatesMulti": accounts.cancel_updates_multi,
        "reqAccountSummary": accounts.summary,
        "cancelAccountSummary": accounts.cancel_summary,
        "reqPnL": accounts.pnl,
        "cancelPnL": accounts.cancel_pnl,
        "reqPnLSingle": accounts.pnl_single,
        "cancelPnLSingle": accounts.cancel_pnl_single,
        "reqContractDetails": market_data.contract_details,
        "reqMatchingSymbols": market_data.matching_symbols,
        "reqMarketRule": market_data.market_rule,
        "reqMktData": market_data.market_data,
        "cancelMktData": market_data.cancel_market_data,
        "reqMarketDataType": market_data.market_data_type,
        "reqHistoricalData": market_data.historical_data,
        "reqHeadTimeStamp": market_data.head_timestamp,
        "reqIds": lambda session, _: context.send_next_id(session),
        "reqManagedAccts": lambda session, _: context.send_accounts(session),
        "reqCurrentTime": lambda session, _: _current_time(context, session),
        "reqFamilyCodes": lambda session, _: _family_codes(context, session),
    }
    silent = dict.fromkeys(_NO_ANSWER, _nothing)
    return supported | dict(_EMPTY) | silent


def _nothing(_: Connection, __: Request) -> None:
    return None


def _current_time(context: VenueContext, session: Connection) -> None:
    session.send("currentTime", {"time": math.floor(context.clock.now())})


def _family_codes(context: VenueContext, session: Connection) -> None:
    session.send("familyCodes", {"families": [{"account": name} for name in context.ledger.visible]})


def _empty(kind: str) -> Callable[[Connection, Request], None]:
    def answer(session: Connection, request: Request) -> None:
        session.send(kind, {"reqId": request.req_id})

    return answer


_EMPTY = {
    "reqUserInfo": _empty("userInfo"),
    "reqSecDefOptParams": _empty("optionParametersEnd"),
    "reqSoftDollarTiers": _empty("softDollarTiers"),
    "reqMktDepthExchanges": _empty("depthExchanges"),
    "reqSmartComponents": _empty("smartComponents"),
    "reqNewsProviders": _empty("newsProviders"),
}
"""Requests with an empty answer: the simulator has no such data."""
