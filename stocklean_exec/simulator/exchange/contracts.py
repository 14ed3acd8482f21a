"""The stocks and funds of a venue, and the search for a client's contract.

Pure. Contract ids of three symbols are captured ones; every other id is a function of the symbol alone, so that
two venues, or one venue after a restart, agree.

A contract is found by its id, or by symbol, and by currency, exchange and security type where given. Prices are
multiples of ``min_tick``; the tick sizes are also available as market rules, as in TWS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stocklean_exec.simulator.protocol.requests import ContractSpec

__all__ = ["EXCHANGES", "MARKET_RULES", "ORDER_TYPES", "Catalogue", "Contract", "contract_id", "on_tick"]

EXCHANGES = "SMART,AMEX,NYSE,CBOE,CHX,ARCA,NASDAQ,BATS,EDGEA,BYX,IEX,EDGX,PEARL,NYSENAT,LTSE,MEMX,ISLAND"
"""Exchanges to which a stock order may be routed. The captured list is longer; executions carry ISLAND."""
ORDER_TYPES = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALGO,ALLOC,AON,AVGCOST,BASKET,COND,CONDORDER,DAY,DEACT,DIS,GAT,GTC,GTD,GTT,HID,IOC,"
    "LMT,LOC,MIDPX,MKT,MOC,NONALGO,OCA,OPG,PRICECHK,SCALE,SIZECHK,SMARTSTG,STP,STPLMT,WHATIF"
)
MARKET_RULES = {26: ((0.0, 0.01),), 635: ((0.0, 0.0001), (1.0, 0.01))}
"""Price steps by rule id: (from this price on, step). 26 is the rule of US stocks in the captures."""
# Contract ids in public captures of a gateway; any other is derived from the symbol.
_CAPTURED_IDS = {"AAPL": 265598, "TSLA": 76792991, "AMZN": 3691937}
_STOCK_TYPES = {"STK", ""}
_ETFS = {"SPY", "QQQ", "IWM", "TLT", "GLD", "EFA", "AGG", "VTI", "LQD", "HYG", "DIA"}


@dataclass(frozen=True, slots=True)
class Contract:
    """One tradable stock or fund. ``min_tick`` is the price step in its currency."""

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

    @property
    def market_rule(self) -> int:
        """The id of the rule that :attr:`min_tick` comes from."""
        return 26 if self.min_tick >= 0.01 else 635  # noqa: PLR2004 - a cent


def contract_id(symbol: str, currency: str = "USD") -> int:
    """The id of a symbol: captured where known, else a number of eight or nine digits derived from the symbol.

    Examples
    --------
    >>> contract_id("AAPL"), contract_id("SPY") == contract_id("SPY"), contract_id("SPY") > 10_000_000
    (265598, True, True)
    """
    if currency == "USD" and symbol in _CAPTURED_IDS:
        return _CAPTURED_IDS[symbol]
    digest = sha256(f"{symbol}/{currency}".encode()).digest()
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
        self.by_id = {one.con_id: one for one in contracts}

    def add(self, contract: Contract) -> None:
        """Add ``contract``."""
        self.by_id[contract.con_id] = contract

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
        and (spec.sec_type.upper() in _STOCK_TYPES or spec.sec_type.upper() == one.sec_type)
        and (not spec.currency or spec.currency.upper() == one.currency)
        and (not spec.local_symbol or spec.local_symbol.upper() == one.symbol.upper())
        and _routes(one, spec.exchange.upper())
        and (not spec.primary_exchange or spec.primary_exchange.upper() in _listing_names(one))
    )


def _routes(one: Contract, exchange: str) -> bool:
    return not exchange or exchange == one.primary_exchange or exchange in EXCHANGES.split(",")


def _listing_names(one: Contract) -> set[str]:
    # The listing exchange of a simulated stock is made up, so any listing that a client names is accepted.
    return {one.primary_exchange, *EXCHANGES.split(",")} - {"SMART"}
