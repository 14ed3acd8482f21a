"""Market data requests: contract details, quotes, history, time.

A snapshot always ends with tickSnapshotEnd. Without a subscription the answer is an error; where delayed data is
allowed, delayed tick types replace the live ones, as in TWS.

Source: TWS API documentation, "Market data types", "Tick types", "Historical bars"; captured snapshots.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from stocklean_exec.fill_model import unit_interval
from stocklean_exec.simulator.clock import computer_time, local_time, parse_instant
from stocklean_exec.simulator.exchange.order_terms import permitted_tokens
from stocklean_exec.simulator.exchange.order_validation import NO_DEFINITION, no_single_contract
from stocklean_exec.simulator.scenarios.quotes import sample_history

if TYPE_CHECKING:
    from stocklean_exec.fill_model import Quote
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.requests import Request

__all__ = ["MarketDataService"]

# Tick types of the TWS API ("Available Tick Types").
_LIVE = {"bid": 1, "ask": 2, "last": 4, "high": 6, "low": 7, "close": 9, "open": 14}
_LIVE_SIZES = {"bid": 0, "ask": 3, "last": 5, "volume": 8}
_DELAYED = {"bid": 66, "ask": 67, "last": 68, "high": 72, "low": 73, "close": 75, "open": 76}
_DELAYED_SIZES = {"bid": 69, "ask": 70, "last": 71, "volume": 74}
_LAST_TIME, _HALTED = (45, 88), (49, 90)  # live, delayed
_SIDES = frozenset({"bid", "ask"})
# A choice, sent for a side without a size: fills are unlimited there, and 0 would mean an empty side.
_UNSTATED_SIZE = 1e6
_MAX_BARS = 3_000  # a choice: daily bars of twelve years
_DAYS = {"D": 1, "W": 5, "M": 21, "Y": 252}  # trading days per unit of a duration
_SHARE_DECIMALS, _PAIR_DECIMALS = 2, 5  # of prices in the history
_SATURDAY = 5  # as date.weekday counts


class MarketDataService:
    """Answers market data requests of one venue."""

    def __init__(self, context: VenueContext) -> None:
        self._context = context
        self._history: dict[str, list[tuple[str, float]]] | None = None

    # instruments

    def contract_details(self, session: Connection, request: Request) -> None:
        """ReqContractDetails: all matches, then contractDetailsEnd; error 200 when there is none."""
        found = self._context.catalogue.find(request["contract"])
        if not found:
            session.error(request.req_id, 200, NO_DEFINITION)
            return
        requested = request["contract"].exchange
        for contract in found:
            session.send("contractDetails", self._details(contract, request.req_id, requested))
        session.send("contractDetailsEnd", {"reqId": request.req_id})

    def _details(self, contract: Contract, req_id: int, exchange: str) -> dict[str, Any]:
        trading, liquid = self._context.calendar.trading_hours(self._context.clock.now())
        return {
            "reqId": req_id,
            "symbol": contract.symbol,
            "secType": contract.sec_type,
            "exchange": exchange or contract.exchange,
            "currency": contract.currency,
            "localSymbol": contract.local_symbol,
            "marketName": contract.trading_class,
            "tradingClass": contract.trading_class,
            "conId": contract.con_id,
            "minTick": contract.min_tick,
            "orderTypes": permitted_tokens(contract, exchange),
            "validExchanges": contract.valid_exchanges,
            "priceMagnifier": contract.price_magnifier,
            "longName": contract.long_name,
            "primaryExchange": contract.primary_exchange,
            "industry": "Simulated",
            "category": "Simulated",
            "subcategory": "Simulated",
            "tradingHours": trading,
            "liquidHours": liquid,
            "marketRuleIds": ",".join([str(contract.market_rule)] * len(contract.valid_exchanges.split(","))),
            "stockType": contract.stock_type,
            "sizeMinTick": contract.min_size if contract.min_size >= 1 else None,
            "minSize": contract.min_size,
            "sizeIncrement": contract.size_increment,
            "suggestedSizeIncrement": contract.suggested_size,
        }

    def matching_symbols(self, session: Connection, request: Request) -> None:
        """ReqMatchingSymbols."""
        found = [
            {
                "conId": one.con_id,
                "symbol": one.symbol,
                "secType": one.sec_type,
                "primaryExchange": one.primary_exchange,
                "currency": one.currency,
                "description": one.long_name,
            }
            for one in self._context.catalogue.matching(request["pattern"])
        ]
        session.send("symbolSamples", {"reqId": request.req_id, "contracts": found})

    def market_rule(self, session: Connection, request: Request) -> None:
        """ReqMarketRule."""
        steps = self._context.catalogue.rule(request["ruleId"])
        if not steps:
            session.error(-1, 321, "Error validating request.-'cg' : cause - Unknown market rule")
            return
        increments = [{"lowEdge": low, "increment": step} for low, step in steps]
        session.send("marketRule", {"ruleId": request["ruleId"], "increments": increments})

    # quotes

    def market_data(self, session: Connection, request: Request) -> None:
        """ReqMktData: a stream, or a snapshot with tickSnapshotEnd."""
        req_id = request.req_id
        found = self._context.catalogue.find(request["contract"])
        if req_id in session.subs.tickers:
            session.error(req_id, 102, "Duplicate ticker ID.")
        elif len(found) != 1:
            session.error(req_id, 200, no_single_contract(request["contract"], found))
        elif self._is_permitted(session, req_id):
            contract = found[0]
            if not request["snapshot"]:
                session.subs.tickers[req_id] = contract
            self._open_ticker(session, req_id, contract)
            if request["snapshot"]:
                session.send("tickSnapshotEnd", {"reqId": req_id}, {"symbol": contract.symbol})

    def _is_permitted(self, session: Connection, req_id: int) -> bool:
        kind = self._context.switches.market_data
        if kind == "none":
            session.error(req_id, 354, "Requested market data is not subscribed.")
        elif kind == "delayed" and session.subs.ticker_data < 3:  # noqa: PLR2004 - 3 and 4 are delayed
            subscription = "Requested market data requires additional subscription for API."
            session.error(req_id, 10089, f"{subscription} Delayed market data is available.")
        else:
            if kind == "forced_delayed":
                text = "Requested market data is not subscribed. Displaying delayed market data."
                session.error(req_id, 10167, text)
            return True
        return False

    def _is_delayed(self) -> bool:
        return self._context.switches.market_data in {"delayed", "forced_delayed"}

    def _open_ticker(self, session: Connection, req_id: int, contract: Contract) -> None:
        attributes = {"symbol": contract.symbol}
        kind = 3 if self._is_delayed() else 1
        session.send("marketDataType", {"reqId": req_id, "type": kind}, attributes)
        parameters = {"reqId": req_id, "minTick": contract.min_tick, "bboExchange": "9c0001"}
        session.send("tickReqParams", parameters, attributes)
        self.send_quote(session, req_id, contract, self._context.market[contract.key])

    def send_quote(self, session: Connection, req_id: int, contract: Contract, quote: Quote) -> None:
        """Send a quote as ticks."""
        prices, sizes = (_DELAYED, _DELAYED_SIZES) if self._is_delayed() else (_LIVE, _LIVE_SIZES)
        last_size = 100.0 if quote.last > 0 else math.nan
        known = {"bid": quote.bid_size, "ask": quote.ask_size, "last": last_size}
        attributes = {"symbol": contract.symbol}
        for name in ("bid", "ask", "last", "close"):
            price, size = getattr(quote, name), known.get(name, math.nan)
            if price > 0:
                values = {"reqId": req_id, "tickType": prices[name], "price": price}
                if name in _SIDES and math.isnan(size):
                    size = _UNSTATED_SIZE
                values["size"] = size if size > 0 else 0.0
                session.send("tickPrice", values, attributes)
            if size >= 0:
                session.send("tickSize", {"reqId": req_id, "tickType": sizes[name], "size": size}, attributes)

        self._send_state(session, req_id, contract)

    def _send_state(self, session: Connection, req_id: int, contract: Contract) -> None:
        """Send the time of the last trade and whether trading is halted, where the quotes state them.

        A quote of nothing but a last trade is the market of this moment, unless it states another time: of the
        client's moment, which compares it with its own clock, also where the venue's is set to another day.
        """
        market, delayed, attributes = self._context.market, self._is_delayed(), {"symbol": contract.symbol}
        quote, last_times = market[contract.key], market.last_times
        is_last_alone = quote.last > 0 and not (quote.bid > 0 or quote.ask > 0)
        if is_last_alone:
            last_times = {contract.key: computer_time()} | last_times
        for kind, states, (live_tick, delayed_tick) in (
            ("tickString", last_times, _LAST_TIME),
            ("tickGeneric", market.halted, _HALTED),
        ):
            if contract.key in states:
                value = str(math.floor(states[contract.key]))
                tick = delayed_tick if delayed else live_tick
                session.send(kind, {"reqId": req_id, "tickType": tick, "value": value}, attributes)

    def market_moved(self, symbol: str) -> None:
        """Send the new quote to every stream of the listing ``symbol``."""
        if not self._context.link:
            return
        quote = self._context.market[symbol]
        for session in list(self._context.sessions.values()):
            for req_id, contract in list(session.subs.tickers.items()):
                if contract.key == symbol:
                    self.send_quote(session, req_id, contract, quote)

    def cancel_market_data(self, session: Connection, request: Request) -> None:
        """CancelMktData."""
        if session.subs.tickers.pop(request.req_id, None) is None:
            session.error(request.req_id, 300, f"Can't find EId with tickerId:{request.req_id}")

    def market_data_type(self, session: Connection, request: Request) -> None:
        """ReqMarketDataType."""
        if request["type"] not in {1, 2, 3, 4}:
            session.error(-1, 321, "Error validating request.-'cc' : cause - Invalid market data type")
            return
        session.subs.ticker_data = request["type"]

    # history

    def historical_data(self, session: Connection, request: Request) -> None:
        """ReqHistoricalData: daily bars."""
        found = self._context.catalogue.find(request["contract"])
        if len(found) != 1:
            session.error(request.req_id, 200, no_single_contract(request["contract"], found))
            return
        if request["barSize"].strip().lower() not in {"1 day", "1d"}:
            self._no_history(session, request.req_id, "only daily bars are known here")
            return
        bars = self._bars(found[0], request)
        if not bars:
            self._no_history(session, request.req_id, "HMDS query returned no data")
            return
        ends = {"start": f"{bars[0]['date']}  00:00:00", "end": f"{bars[-1]['date']}  23:59:59"}
        session.send("historicalData", {"reqId": request.req_id, "bars": bars} | ends)

    def _no_history(self, session: Connection, req_id: int, reason: str) -> None:
        session.error(req_id, 162, f"Historical Market Data Service error message:{reason}")

    def _bars(self, contract: Contract, request: Request) -> list[dict[str, Any]]:
        zone = self._context.switches.time_zone
        try:
            requested = request["end"]
            end = local_time(parse_instant(requested, zone) if requested else self._context.clock.now(), zone)
            count, unit = request["duration"].split()
            days = min(int(count) * _DAYS[unit.upper()], _MAX_BARS)
        except (ValueError, KeyError, OverflowError):
            return []
        closes = self._closes(contract, end.date(), days)
        return [self._bar(contract, day, close) for day, close in closes]

    def _closes(self, contract: Contract, end: date, days: int) -> list[tuple[str, float]]:
        if self._history is None:
            self._history = sample_history()
        last = f"{end:%Y%m%d}"
        sampled = self._history.get(contract.key, []) if contract.currency == "USD" else []
        known = [one for one in sampled if one[0] <= last]
        if known or days <= 0:
            return known[-days:] if days > 0 else []
        return self._synthetic_closes(contract, end, days)

    def _synthetic_closes(self, contract: Contract, end: date, days: int) -> list[tuple[str, float]]:
        """A seeded random walk that ends at the symbol's close."""
        closes: list[tuple[str, float]] = []
        symbol, decimals = contract.key, _decimals(contract)
        close, day = self._context.price_of(symbol), end
        while len(closes) < days:
            if day.weekday() < _SATURDAY:
                closes.append((f"{day:%Y%m%d}", max(round(close, decimals), 0.1**decimals)))
                close *= 1 + 0.02 * (unit_interval(self._context.seed, symbol, day) - 0.5)
            day -= timedelta(days=1)
        return closes[::-1]

    def _bar(self, contract: Contract, day: str, close: float) -> dict[str, Any]:
        up, down, at = (
            unit_interval(self._context.seed, contract.key, day, name) for name in ("up", "down", "open")
        )
        high, low = close * (1 + up / 100), close * (1 - down / 100)
        first = low + (high - low) * at
        volume = 1_000_000 + int(9_000_000 * up)
        prices = {"open": first, "high": high, "low": low, "close": close, "wap": (high + low + close) / 3}
        rounded = {name: round(price, _decimals(contract)) for name, price in prices.items()}
        return rounded | {"date": day, "volume": volume, "count": volume // 100}

    def head_timestamp(self, session: Connection, request: Request) -> None:
        """ReqHeadTimeStamp: the first day of history."""
        found = self._context.catalogue.find(request["contract"])
        if len(found) != 1:
            session.error(request.req_id, 200, no_single_contract(request["contract"], found))
            return
        session.send("headTimestamp", {"reqId": request.req_id, "time": "20180102  14:30:00"})


def _decimals(contract: Contract) -> int:
    return _PAIR_DECIMALS if contract.is_pair else _SHARE_DECIMALS
