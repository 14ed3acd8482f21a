"""Which contract of TWS an instrument means, and how that contract is quoted and traded. Pure.

A contract number (``con_id``) decides alone: what TWS has under it must then be the symbol, currency, type and
listing that were asked for. Without a number the symbol must fit exactly one contract.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stocklean_exec.calendars.markets import exchange_name
from stocklean_exec.schema.price_steps import steps_at, write_steps
from stocklean_exec.schema.prices import round_to_tick

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Instrument", "Listing", "Refusal", "choose"]

_NO_DEFINITION = 200  # TWS's message number for a contract that it does not know
_SHOWN = 8  # candidates in one text: a choice
_OLD_NAMES = {"ISLAND": "NASDAQ"}  # IBKR API documentation, "Contracts": the exchange was renamed
_NOISE = 1e-9  # of a lot: floating-point noise


class Instrument(NamedTuple):
    """What a symbol is looked up by; ``con_id`` 0 and an empty ``primary_exchange`` are not given."""

    symbol: str
    sec_type: str = "STK"
    exchange: str = "SMART"
    currency: str = "USD"
    primary_exchange: str = ""
    con_id: int = 0


class Refusal(NamedTuple):
    """Why TWS did not give what was asked for: its message number (0 for silence), text, and our reason code."""

    code: int
    text: str
    reason: str = "unknown_instrument"

    @property
    def detail(self) -> str:
        """Text for the user, with TWS's message number."""
        return f"{self.text} ({self.code})"


@dataclass(frozen=True, slots=True)
class Listing:
    """A contract that TWS has.

    ``magnifier`` is how many units of its quotes are one unit of its currency (100 for pence); ``min_tick`` its
    smallest price step, in the unit of its quotes; ``min_size`` and ``size_increment`` in shares. NaN is unknown.
    ``hours`` and ``time_zone`` are TWS's texts of its trading hours, as of ``read_at``.
    ``rule_id`` is TWS's number of its price steps at this exchange, 0 for none, and ``price_steps`` these steps by
    price level, in the unit of its quotes; empty if unknown.
    ``order_types`` is what it takes, of :data:`~stocklean_exec.schema.order_terms.PERMISSIONS`; empty if unknown.
    """

    contract: Any
    magnifier: float = 1.0
    min_tick: float = math.nan
    min_size: float = math.nan
    size_increment: float = math.nan
    hours: str = ""
    time_zone: str = ""
    read_at: datetime | None = None
    order_types: tuple[str, ...] = ()
    rule_id: int = 0
    price_steps: tuple[tuple[float, float], ...] = ()

    @property
    def primary_exchange(self) -> str:
        """Exchange where it is listed, as TWS names it now."""
        return listing_name(self.contract.primaryExchange or "")

    @property
    def lot(self) -> float:
        """Shares that orders are multiples of; NaN where whole shares or less can be traded."""
        return self.size_increment if self.size_increment > 1 else math.nan

    def in_currency(self, price: float) -> float:
        """Price of TWS in the contract's currency.

        Examples
        --------
        >>> Listing(None, magnifier=100).in_currency(4293.9999)
        42.939999
        """
        return price if self.magnifier == 1 else round(price / self.magnifier, 8)

    @property
    def steps_in_currency(self) -> str:
        """Price steps as text, in the contract's currency; empty if unknown.

        Examples
        --------
        >>> Listing(None, magnifier=100, price_steps=((0.0, 0.5), (500.0, 1.0))).steps_in_currency
        '0:0.005;5:0.01'
        """
        return write_steps([(low / self.magnifier, step / self.magnifier) for low, step in self.price_steps])

    def on_wire(self, limit: float, *, buy: bool) -> float:
        """Limit price, in the contract's currency, as TWS takes it: on a tick, never beyond the limit.

        Examples
        --------
        >>> Listing(None, magnifier=100, min_tick=0.5).on_wire(53.257, buy=True)
        5325.5
        >>> Listing(None).on_wire(53.257, buy=True)
        53.257
        """
        if self.magnifier == 1 or math.isnan(limit):
            return limit  # as approved: TWS refuses what is off its ticks
        price = np.array([limit * self.magnifier])
        tick = steps_at(price, [write_steps(self.price_steps)])[0] if self.price_steps else self.min_tick
        if tick > 0:
            return float(round_to_tick(price, [tick], [buy])[0])
        return round(float(price[0]), 6)

    def aux_on_wire(self, price: float, *, buy: bool, is_trigger: bool) -> float:
        """Auxiliary price, in the contract's currency, as TWS takes it; a trigger is on a tick, and no earlier.

        Examples
        --------
        >>> pence = Listing(None, magnifier=100, min_tick=0.5)
        >>> pence.aux_on_wire(53.257, buy=True, is_trigger=True)
        5326.0
        >>> pence.aux_on_wire(0.05, buy=True, is_trigger=False)
        5.0
        """
        if is_trigger:
            return self.on_wire(price, buy=not buy)
        return price if self.magnifier == 1 or math.isnan(price) else round(price * self.magnifier, 6)

    def size_problem(self, quantity: float) -> str:
        """Why an order of so many shares breaks the contract's lots; empty where it does not.

        Sizes below one share are left to TWS: whether parts of a share can be traded is the account's permission.

        Examples
        --------
        >>> Listing(None, size_increment=100).size_problem(137)
        'orders are multiples of 100 shares at TWS, and this one is for 137'
        >>> Listing(None, size_increment=100).size_problem(200)
        ''
        """
        if self.min_size >= 1 and quantity < self.min_size:
            return f"orders are for at least {self.min_size:g} shares at TWS, and this one is for {quantity:g}"
        lot = self.size_increment
        if lot >= 1 and abs(math.remainder(quantity, lot)) > _NOISE * lot:
            return (
                f"orders are multiples of {self.size_increment:g} shares at TWS, and this one is for {quantity:g}"
            )
        return ""


def choose(instrument: Instrument, found: list[Listing] | Refusal) -> Listing | Refusal:
    """Choose the one contract that is meant, or say why none or several fit."""
    if isinstance(found, Refusal):
        if not instrument.con_id or not found.code:
            return found
        return Refusal(found.code, f"contract {instrument.con_id}: {found.text}", "contract_mismatch")
    if instrument.con_id:
        return _by_number(instrument, found)
    fitting = {
        one.contract.conId: one
        for one in found
        if one.contract.secType == instrument.sec_type
        and one.contract.currency == instrument.currency
        and (not instrument.primary_exchange or one.primary_exchange == listing_name(instrument.primary_exchange))
    }
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    what = f"{instrument.sec_type} {instrument.symbol} in {instrument.currency}"
    if not fitting:
        where = f" listed at {instrument.primary_exchange}" if instrument.primary_exchange else ""
        return Refusal(_NO_DEFINITION, f"TWS knows no {what}{where}{_candidates(instrument, found)}")
    names = _names(list(fitting.values()))
    text = f"{instrument.symbol} is ambiguous at TWS: {names}; give con_id or primary_exchange"
    return Refusal(_NO_DEFINITION, text, "ambiguous_instrument")


def _by_number(instrument: Instrument, found: list[Listing]) -> Listing | Refusal:
    """What TWS has under a contract number, if it is what was asked for."""
    known = {one.contract.conId: one for one in found}
    if set(known) != {instrument.con_id}:
        text = f"TWS has no contract {instrument.con_id} (con_id of {instrument.symbol})"
        return Refusal(_NO_DEFINITION, text, "contract_mismatch")
    one = known[instrument.con_id]
    contract = one.contract
    asked = [
        (instrument.symbol, contract.symbol),
        (instrument.currency, contract.currency),
        (instrument.sec_type, contract.secType),
    ]
    if instrument.primary_exchange:
        asked.append((listing_name(instrument.primary_exchange), one.primary_exchange))
    wanted, has = (" ".join(texts) for texts in zip(*asked, strict=True))
    if wanted == has:
        return one
    text = f"contract {instrument.con_id} is {has} at TWS, and {instrument.symbol} was asked for as {wanted}"
    return Refusal(_NO_DEFINITION, text, "contract_mismatch")


def listing_name(exchange: str) -> str:
    """Name of a primary exchange as contracts have it: without what follows a period, and not an old name.

    Examples
    --------
    >>> listing_name("ENEXT.BE"), listing_name("ISLAND"), listing_name("OSE.JPN")
    ('ENEXT', 'NASDAQ', 'OSE.JPN')
    """
    name = exchange_name(exchange)
    return _OLD_NAMES.get(name, name)


def _candidates(instrument: Instrument, found: list[Listing]) -> str:
    """Contracts of the symbol that do not fit."""
    others = {one.contract.conId: one for one in found if one.contract.secType == instrument.sec_type}
    return f"; it has {_names(list(others.values()), currency=True)}" if others else ""


def _names(found: list[Listing], *, currency: bool = False) -> str:
    names = [
        " ".join(
            [
                one.contract.primaryExchange or one.contract.exchange,
                *([one.contract.currency] if currency else []),
                str(one.contract.conId),
            ]
        )
        for one in found
    ]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
