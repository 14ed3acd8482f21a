"""Instruments and quotes at TWS: contracts are qualified before use, quotes are snapshots with a time limit.

What TWS does not answer in time, or has no permission to show, gives no quote; nothing waits forever. Where
live data is not subscribed, delayed data is requested, and the quotes say so (``data_type`` 3). Prices are in
the instrument's currency (pounds, where TWS quotes in pence), sizes in shares, times in UTC. No client library: it
works through a connection that has the few methods named in :class:`MarketConnection`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from stocklean_exec.brokers.ib.instruments import Instrument, Listing, Refusal, choose
from stocklean_exec.brokers.ib.quote_times import Answer, halted, prices_of, time_of
from stocklean_exec.brokers.ib.translate import DELAYED_DATA_CODES, NO_DATA_CODES
from stocklean_exec.errors import BrokerError
from stocklean_exec.schema.missing_quotes import MissingQuote, with_missing_quotes
from stocklean_exec.schema.order_terms import ORDER_PERMISSIONS
from stocklean_exec.schema.price_steps import PRICE_STEPS
from stocklean_exec.schema.tables import QUOTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

__all__ = ["MarketConnection", "MarketDataService"]

_MORE = {
    "data_type": "Int64",
    "time_source": "str",
    "halted": "boolean",
    "con_id": "Int64",
    "primary_exchange": "str",
    "lot_size": "float64",
    PRICE_STEPS: "str",
    ORDER_PERMISSIONS: "str",
}
"""Columns in addition to those of every quotes table, and their dtypes."""
_HOURS_LAST = timedelta(hours=12)
"""How old the hours of a contract may be, as TWS gave them: a choice. TWS lists six days, and may change them."""
_AT_ONCE = 40  # requests in flight: a choice below the 45 messages a second of the pacer


class MarketConnection(Protocol):
    """What the service needs of a connection."""

    async def contract_details(self, instrument: Instrument) -> list[Listing] | Refusal:
        """Contracts that fit an instrument."""

    async def price_steps(self, rule_id: int) -> tuple[tuple[float, float], ...]:
        """Price levels and steps of a market rule; empty where TWS does not report them."""

    async def snapshot(self, contract: Any) -> Answer | Refusal:  # noqa: ANN401 - the client's contract
        """One quote."""

    async def use_delayed_data(self) -> None:
        """From now on delayed data where there is no live data."""


class MarketDataService:
    """Looks up instruments and quotes over one connection at a time."""

    def __init__(self) -> None:
        self._listings: dict[Instrument, Listing] = {}
        self._instruments: dict[str, Instrument] = {}
        self._rules: dict[int, tuple[tuple[float, float], ...]] = {}
        self._is_delayed = False

    def forget_connection(self) -> None:
        """A new connection starts: delayed data has not been requested on it."""
        self._is_delayed = False

    def name(self, instruments: Iterable[Instrument]) -> None:
        """Keep which instrument each symbol means."""
        for instrument in instruments:
            self._instruments[instrument.symbol] = instrument

    def instrument(self, symbol: str) -> Instrument:
        """The instrument that a symbol means: as last named, else a US stock."""
        return self._instruments.get(symbol, Instrument(symbol))

    def symbols(self) -> list[str]:
        """Symbols that have been looked up, without currency pairs."""
        return [one.symbol for one in self._listings if one.sec_type != "CASH"]

    def listing(self, instrument: Instrument) -> Listing | None:
        """The contract of a qualified instrument, and how it trades; None for any other."""
        return self._listings.get(instrument)

    async def qualify(
        self,
        connection: MarketConnection,
        instruments: Sequence[Instrument],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> dict[Instrument, Refusal]:
        """Look up the contracts that are not known yet; return those that TWS does not have, with its reason.

        ``on_progress`` is called with the numbers done and wanted.
        """
        wanted = [one for one in dict.fromkeys(instruments) if one not in self._listings]
        gate, done = asyncio.Semaphore(_AT_ONCE), 0

        async def look_up(one: Instrument) -> Refusal | None:
            nonlocal done
            async with gate:
                found = await connection.contract_details(one)
            done += 1
            if on_progress is not None:
                on_progress(done, len(wanted))
            listing = choose(one, found)
            if isinstance(listing, Refusal):
                return listing
            self._listings[one] = listing
            return None

        refused = await asyncio.gather(*map(look_up, wanted))
        await self._read_rules(connection, wanted)
        return {one: why for one, why in zip(wanted, refused, strict=True) if why is not None}

    async def _read_rules(self, connection: MarketConnection, instruments: Sequence[Instrument]) -> None:
        """Ask for the price steps of new contracts; a market has one set of them for thousands."""
        listings = {one: self._listings[one] for one in instruments if one in self._listings}
        for rule_id in dict.fromkeys(one.rule_id for one in listings.values()):
            if rule_id and rule_id not in self._rules:
                self._rules[rule_id] = await connection.price_steps(rule_id)
        for one, listing in listings.items():
            self._listings[one] = replace(listing, price_steps=self._rules.get(listing.rule_id, ()))

    async def hours(
        self, connection: MarketConnection, instruments: Sequence[Instrument], now: datetime
    ) -> dict[Instrument, Listing]:
        """Contracts with their trading hours, as TWS has them now; those that it does not know are missing."""
        await self.qualify(connection, instruments)
        known = {one: self._listings[one] for one in instruments if one in self._listings}
        old = [one for one, listing in known.items() if listing.read_at and now - listing.read_at > _HOURS_LAST]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def look_up(one: Instrument) -> None:
            async with gate:
                found = choose(one, await connection.contract_details(one))
            if isinstance(found, Listing):  # else what was reported before stays: it covers six days
                steps = self._rules.get(found.rule_id, ())
                self._listings[one] = known[one] = replace(found, price_steps=steps)

        await asyncio.gather(*map(look_up, old))
        return known

    async def quotes(
        self,
        connection: MarketConnection,
        instruments: Sequence[Instrument],
        *,
        strict: bool,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> pd.DataFrame:
        """Quotes of ``instruments``, each by a snapshot.

        Those without an answer have no row; the reason is noted with the table
        (:func:`~stocklean_exec.schema.missing_quotes.missing_quotes`).

        Parameters
        ----------
        strict : raise when there are none at all for lack of a subscription
        on_progress : called with the numbers of snapshots done and wanted

        Raises
        ------
        BrokerError
            No market data, live or delayed, for any of them.
        """
        refused: dict[Instrument, Refusal] = await self.qualify(connection, instruments)
        wanted = [one for one in dict.fromkeys(instruments) if one in self._listings]
        answers = await self._snapshots(connection, wanted, on_progress)
        lacking = [one for one in wanted if _is_delayed_case(answers[one])]
        if lacking and not self._is_delayed:
            await connection.use_delayed_data()
            self._is_delayed = True
            answers |= await self._snapshots(connection, lacking)
        refusals = [answer for answer in answers.values() if isinstance(answer, Refusal)]
        if strict and refusals and len(refusals) == len(wanted) and refusals[0].code in NO_DATA_CODES:
            raise BrokerError(
                f"TWS has no market data for {', '.join(one.symbol for one in wanted[:5])}: "
                f"{refusals[0].text} ({refusals[0].code}). Subscribe in Client Portal > Settings > Market Data, "
                "enable delayed data there, or pass quotes of your own"
            )
        quoted = {one: answer for one, answer in answers.items() if isinstance(answer, Answer)}
        silent = {one: answer for one, answer in answers.items() if isinstance(answer, Refusal)}
        missing = {one: why._replace(reason="no_market_data") for one, why in silent.items()} | refused
        notes = {one.symbol: MissingQuote(why.reason, why.detail) for one, why in missing.items()}
        return with_missing_quotes(_frame(quoted, self._listings), notes)

    async def _snapshots(
        self,
        connection: MarketConnection,
        instruments: Sequence[Instrument],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> dict[Instrument, Answer | Refusal]:
        gate, done = asyncio.Semaphore(_AT_ONCE), 0

        async def ask(one: Instrument) -> Answer | Refusal:
            nonlocal done
            async with gate:
                answer = await connection.snapshot(self._listings[one].contract)
            done += 1
            if on_progress is not None:
                on_progress(done, len(instruments))
            return answer

        return dict(zip(instruments, await asyncio.gather(*map(ask, instruments)), strict=True))


def _frame(answers: dict[Instrument, Answer], listings: Mapping[Instrument, Listing]) -> pd.DataFrame:
    rows = [_row(one, answer, listings[one]) for one, answer in answers.items()]
    return QUOTES.conform(pd.DataFrame(rows, columns=[*QUOTES.names, *_MORE])).astype(_MORE)


def _row(one: Instrument, answer: Answer, listing: Listing) -> dict[str, object]:
    """One quote, in the currency of the contract and not in the unit of TWS's quotes."""
    prices, (quoted_at, source) = prices_of(answer), time_of(answer)
    return {
        "symbol": one.symbol,
        "bid": listing.in_currency(prices.bid),
        "ask": listing.in_currency(prices.ask),
        "last": listing.in_currency(prices.last),
        "close": listing.in_currency(prices.close),
        "bid_size": prices.bid_size,
        "ask_size": prices.ask_size,
        "currency": one.currency,
        "quoted_at": quoted_at,
        "data_type": answer.data_type,
        "time_source": source,
        "halted": halted(answer),
        "con_id": listing.contract.conId,
        "primary_exchange": listing.primary_exchange or None,
        "lot_size": listing.lot,
        PRICE_STEPS: listing.steps_in_currency or None,
        ORDER_PERMISSIONS: " ".join(listing.order_types) or None,
    }


def _is_delayed_case(answer: Answer | Refusal) -> bool:
    return isinstance(answer, Refusal) and answer.code in DELAYED_DATA_CODES
