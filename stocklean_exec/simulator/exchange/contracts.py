"""The contracts of a venue, and the search for a client's contract.

Pure. Contract ids of three symbols are captured ones; every other id is stated in the quotes or a function of the
symbol, the currency and for a further listing the exchange, so that two venues, or one venue after a restart,
agree.

A contract is found by its id, or by symbol, and by currency, exchange, primary exchange and security type where
given. Several may fit: contract details list them all, while an order or a market data request is ambiguous, as in
TWS. What is given together with an id must agree with it, else nothing is found (error 200). Whether a real TWS
ignores a contradiction is not known, so a client that depends on it should not pass.

Quotes are multiples of ``min_tick``, in the unit of the quotes. The prices of orders are multiples of the step at
their own level (:func:`tick_at`), which grows with the price in some markets; the steps are available as market
rules, as in TWS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from stocklean_exec.simulator.exchange.currency_pairs import pair_tick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stocklean_exec.simulator.protocol.requests import ContractSpec
    from stocklean_exec.simulator.scenarios.listings import Listing

__all__ = [
    "EXCHANGES",
    "Catalogue",
    "Contract",
    "contract_id",
    "listed_contract",
    "make_contract",
    "market_rule",
    "on_tick",
    "price_steps",
    "tick_at",
]

EXCHANGES = "SMART,AMEX,NYSE,CBOE,CHX,ARCA,NASDAQ,BATS,EDGEA,BYX,IEX,EDGX,PEARL,NYSENAT,LTSE,MEMX,ISLAND"
"""Exchanges to which a stock order may be routed. The captured list is longer; executions have ISLAND."""
_MARKET_RULES = {26: ((0.0, 0.01),), 635: ((0.0, 0.0001), (1.0, 0.01))}
"""Price steps by rule id: (from this price on, step). 26 is the rule of US stocks in the captures."""
# Contract ids in public captures of a gateway; any other is derived from the symbol.
_CAPTURED_IDS = {"AAPL": 265598, "TSLA": 76792991, "AMZN": 3691937}
_RULE_IDS = {0.01: 26, 0.0001: 635}
# A choice, above the ids of real rules: the rule of any other step has this id plus its number of millionths.
_FIRST_RULE = 1_000_000
# A choice, above those: the first id of a rule of several steps, which is derived from them.
_FIRST_LADDER, _LADDERS = 1_500_000_000, 500_000_000
_MILLION = 1_000_000
_US_CURRENCY = "USD"
# Where shares of a currency are listed if the quotes do not say it: the exchange codes of TWS.
_LISTED_ON = {
    "USD": "NASDAQ",
    "GBP": "LSE",
    "EUR": "IBIS",
    "CHF": "EBS",
    "CAD": "TSE",
    "JPY": "TSEJ",
    "HKD": "SEHK",
    "AUD": "ASX",
    "SGD": "SGX",
    "SEK": "SFB",
}
_ETFS = {"SPY", "QQQ", "IWM", "TLT", "GLD", "EFA", "AGG", "VTI", "LQD", "HYG", "DIA"}


@dataclass(frozen=True, slots=True)
class Contract:
    """One tradable contract. ``min_tick`` is the step of its quotes, in their unit.

    A quote divided by ``price_magnifier`` is money: London's pence have the magnifier 100 and the currency GBP.
    """

    con_id: int
    symbol: str
    sec_type: str = "STK"
    exchange: str = "SMART"
    primary_exchange: str = "NASDAQ"
    currency: str = "USD"
    trading_class: str = "NMS"
    min_tick: float = 0.01
    long_name: str = ""
    stock_type: str = "COMMON"
    price_magnifier: int = 1
    min_size: float = 0.0001
    """Smallest order, shares. The default and that of the step are captured for a US stock."""
    size_increment: float = 0.0001
    """Step of order sizes: 100 in a market of board lots."""
    valid_exchanges: str = EXCHANGES
    is_listing_stated: bool = False
    """Whether the quotes state the primary exchange; else any exchange that a client names as such is accepted."""
    listing: str = ""
    price_steps: tuple[tuple[float, float], ...] = ()
    """Steps of order prices: (from this price on, step). Empty: those of the known rule of :attr:`min_tick`."""

    @property
    def key(self) -> str:
        """Key of its quote: the symbol, or that of a further listing of the symbol."""
        return self.listing or self.symbol

    @property
    def local_symbol(self) -> str:
        """Its symbol at the exchange."""
        return self.key if self.is_pair else self.symbol

    @property
    def is_pair(self) -> bool:
        """Whether it is a pair of currencies."""
        return self.sec_type == "CASH"

    @property
    def suggested_size(self) -> float:
        """A round lot: the board lot, or 100 shares as captured for a US stock. Advice, not a rule."""
        return self.size_increment if self.size_increment > 1 else 100.0

    @property
    def market_rule(self) -> int:
        """The id of the rule that its price steps come from."""
        if self.price_steps:
            digest = sha256(repr(self.price_steps).encode()).digest()
            return _FIRST_LADDER + int.from_bytes(digest[:4], "big") % _LADDERS
        return _RULE_IDS.get(self.min_tick, _FIRST_RULE + round(self.min_tick * _MILLION))

    def money(self, price: float) -> float:
        """A price of its quotes in its currency."""
        return price / self.price_magnifier if self.price_magnifier != 1 else price


def price_steps(contract: Contract) -> tuple[tuple[float, float], ...]:
    """The steps of order prices of a contract, as its market rule has them."""
    return contract.price_steps or market_rule(contract.market_rule)


def tick_at(contract: Contract, price: float) -> float:
    """The step that an order price of this level is a multiple of, in the unit of the quotes.

    Examples
    --------
    A US stock below a dollar is priced in hundredths of a cent, from a dollar on in cents:

    >>> penny = Contract(7, "ABC", min_tick=0.0001)
    >>> tick_at(penny, 0.9999), tick_at(penny, 1.0)
    (0.0001, 0.01)
    """
    steps = [step for low, step in price_steps(contract) if low <= price + 1e-9]
    return steps[-1] if steps else contract.min_tick


def market_rule(rule_id: int) -> tuple[tuple[float, float], ...]:
    """The steps of a market rule: (from this price on, step); empty for an unknown one, and for a contract's own.

    Examples
    --------
    >>> market_rule(26), market_rule(Contract(7, "ABC", min_tick=0.5).market_rule), market_rule(1)
    (((0.0, 0.01),), ((0.0, 0.5),), ())
    """
    if _FIRST_RULE < rule_id < _FIRST_LADDER:
        return ((0.0, (rule_id - _FIRST_RULE) / _MILLION),)
    return _MARKET_RULES.get(rule_id, ())


def contract_id(symbol: str, currency: str = "USD", listing: str = "") -> int:
    """The id of a contract: captured where known, else a number of eight or nine digits derived from its names.

    ``listing`` is the exchange of a further listing of the symbol.

    Examples
    --------
    >>> contract_id("AAPL"), contract_id("SPY") == contract_id("SPY"), contract_id("SPY") > 10_000_000
    (265598, True, True)
    """
    if currency == _US_CURRENCY and symbol in _CAPTURED_IDS and not listing:
        return _CAPTURED_IDS[symbol]
    digest = sha256("/".join(filter(None, (symbol, currency, listing))).encode()).digest()
    return 10_000_000 + int.from_bytes(digest[:4], "big") % 700_000_000


def make_contract(symbol: str, *, currency: str = "USD", min_tick: float = 0.01, con_id: int = 0) -> Contract:
    """A stock on SMART with default attributes."""
    fund = symbol in _ETFS
    return Contract(
        con_id or contract_id(symbol, currency),
        symbol,
        currency=currency,
        primary_exchange="ARCA" if fund else "NASDAQ",
        trading_class=symbol if fund else "NMS",
        min_tick=min_tick,
        long_name=f"{symbol} {'ETF' if fund else 'INC'}",
        stock_type="ETF" if fund else "COMMON",
    )


def listed_contract(one: Listing) -> Contract:
    """The contract of a listing: what it does not state has the default of a US stock, or of its currency.

    Examples
    --------
    >>> from stocklean_exec.simulator.scenarios.listings import read_listings
    >>> (row,) = read_listings({"ABC": {"last": 805.0, "currency": "GBP", "price_magnifier": 100}})
    >>> found = listed_contract(row)
    >>> found.primary_exchange, found.valid_exchanges, found.money(805.0)
    ('LSE', 'SMART,LSE', 8.05)
    """
    if one.sec_type == "CASH":
        return _pair_contract(one)
    further = one.primary_exchange if one.key != one.symbol else ""
    con_id = one.con_id or contract_id(one.symbol, one.currency, further)
    contract = make_contract(one.symbol, currency=one.currency, con_id=con_id)
    exchange = one.primary_exchange or _LISTED_ON.get(one.currency, "SMART")
    if one.currency != _US_CURRENCY:
        routes = ",".join(dict.fromkeys(("SMART", exchange)))
        contract = replace(contract, primary_exchange=exchange, trading_class=one.symbol, valid_exchanges=routes)
    elif one.primary_exchange:
        routes = EXCHANGES if exchange in EXCHANGES.split(",") else f"{EXCHANGES},{exchange}"
        contract = replace(contract, primary_exchange=exchange, valid_exchanges=routes)
    return replace(
        contract,
        min_tick=_first_number(
            one.min_tick, min((step for _, step in one.price_steps), default=contract.min_tick)
        ),
        price_steps=one.price_steps,
        price_magnifier=one.price_magnifier,
        min_size=_first_number(one.min_size, one.size_increment, contract.min_size),
        size_increment=_first_number(one.size_increment, contract.size_increment),
        is_listing_stated=bool(one.primary_exchange),
        listing=one.key if one.key != one.symbol else "",
    )


def _pair_contract(one: Listing) -> Contract:
    return Contract(
        one.con_id or contract_id(one.key, one.currency),
        one.symbol,
        "CASH",
        "IDEALPRO",
        primary_exchange="",
        currency=one.currency,
        trading_class=one.key,
        min_tick=pair_tick(one.currency) if math.isnan(one.min_tick) else one.min_tick,
        long_name=one.key,
        stock_type="",
        min_size=1.0,
        size_increment=1.0,
        valid_exchanges="IDEALPRO",
        listing=one.key,
    )


def _first_number(*candidates: float) -> float:
    return next(one for one in candidates if not math.isnan(one))


def on_tick(price: float, tick: float) -> bool:
    """Whether ``price`` is a multiple of ``tick``.

    Examples
    --------
    >>> on_tick(10.01, 0.01), on_tick(10.015, 0.01), on_tick(0.1 + 0.2, 0.01)
    (True, False, True)
    """
    steps = price / tick
    return math.isfinite(steps) and abs(steps - round(steps)) < 1e-6 * max(1.0, abs(steps) * 1e-6)


class Catalogue:
    """All contracts of a venue.

    Parameters
    ----------
    contracts : in any order; the last one with an id wins

    Examples
    --------
    >>> from stocklean_exec.simulator.protocol.requests import ContractSpec
    >>> catalogue = Catalogue([make_contract("SPY")])
    >>> [found.symbol for found in catalogue.find(ContractSpec(symbol="SPY", exchange="SMART"))]
    ['SPY']
    >>> catalogue.find(ContractSpec(symbol="NOPE"))
    []
    """

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self.by_id: dict[int, Contract] = {}
        self._by_key: dict[str, Contract] = {}
        for one in contracts:
            self.by_id[one.con_id] = self._by_key[one.key] = one

    def add(self, contract: Contract) -> None:
        """Add ``contract``, unless its id is known."""
        if contract.con_id not in self.by_id:
            self.by_id[contract.con_id] = self._by_key[contract.key] = contract

    def by_key(self, key: str | int) -> Contract | None:
        """The contract with this key, or for a number with this id."""
        if isinstance(key, int):
            return self.by_id.get(key)
        return self._by_key.get(key)

    def rule(self, rule_id: int) -> tuple[tuple[float, float], ...]:
        """The steps of a market rule, known or of a contract; empty for an unknown one."""
        own = (one.price_steps for one in self.by_id.values() if one.price_steps and one.market_rule == rule_id)
        return market_rule(rule_id) or next(own, ())

    def find(self, spec: ContractSpec) -> list[Contract]:
        """All contracts that match ``spec``."""
        if spec.con_id:
            known = self.by_id.get(spec.con_id)
            return [known] if known is not None and _fits(known, spec) else []
        if not spec.symbol and not spec.local_symbol:
            return []
        return [one for one in self.by_id.values() if _fits(one, spec)]

    def matching(self, pattern: str, most: int = 16) -> list[Contract]:
        """Contracts whose symbol starts with ``pattern``, then those whose name contains it; at most ``most``."""
        wanted = pattern.strip().upper()
        if not wanted:
            return []
        heads = [one for one in self.by_id.values() if one.symbol.startswith(wanted)]
        names = [one for one in self.by_id.values() if wanted in one.long_name.upper() and one not in heads]
        return sorted(heads, key=lambda one: (len(one.symbol), one.symbol))[:most] + names[: most - len(heads)]


def _fits(one: Contract, spec: ContractSpec) -> bool:
    return (
        (not spec.symbol or spec.symbol.upper() == one.symbol.upper())
        and (not spec.sec_type or spec.sec_type.upper() == one.sec_type)
        and (not spec.currency or spec.currency.upper() == one.currency)
        and (not spec.local_symbol or spec.local_symbol.upper() == one.local_symbol.upper())
        and _routes(one, spec.exchange.upper())
        and (not spec.primary_exchange or _first_part(spec.primary_exchange.upper()) in _listing_names(one))
    )


def _routes(one: Contract, exchange: str) -> bool:
    return not exchange or exchange == one.primary_exchange or exchange in one.valid_exchanges.split(",")


def _first_part(exchange: str) -> str:
    # TWS API documentation, "Contracts": of a primary exchange with a period, the part before it counts.
    return exchange.partition(".")[0]


def _listing_names(one: Contract) -> set[str]:
    if one.is_listing_stated:
        return {_first_part(one.primary_exchange)} | ({"ISLAND"} if one.primary_exchange == "NASDAQ" else set())
    # A listing exchange that the quotes do not state is made up, so any that a client names is accepted.
    return {one.primary_exchange, *one.valid_exchanges.split(",")} - {"SMART"}
