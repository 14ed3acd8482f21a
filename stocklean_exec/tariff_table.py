"""The table of tariffs in force: which :class:`~stocklean_exec.fees.Tariff` holds for an order.

The shipped table, ``data/tariffs.csv``, has dated rows for each market. A row holds from its day until the next
row of its market; before its first row a market has that row. The table can be replaced for the process: see
:func:`stocklean_exec.use_tariffs`. This module uses the standard library alone, because the simulator uses it.
"""

from __future__ import annotations

import csv
from datetime import date
from importlib import resources
from typing import TYPE_CHECKING, Any

from stocklean_exec.fees import Tariff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["NUMBERS", "TEXTS", "TariffTable", "in_force", "replace_table", "tariff_for", "tariff_from"]

TEXTS = ("market", "currency", "effective_from", "exchanges", "primary_exchanges", "source", "note")
"""Text columns of a table of tariffs."""

NUMBERS = (
    "per_share",
    "rate_of_value",
    "minimum",
    "fractional_minimum",
    "maximum",
    "maximum_rate",
    "buy_per_share",
    "buy_per_share_cap",
    "buy_rate",
    "sell_per_share",
    "sell_per_share_cap",
    "sell_rate",
    "order_levy",
    "order_levy_above",
)
"""Number columns of a table of tariffs; an empty cell means no charge, no cap or no maximum."""

_CAUTIOUS_RATE = 0.01
"""Fraction of value for a currency without a tariff, where no tariff has a rate of value: a stated choice, the
maximum of the US schedule."""


def tariff_from(record: Mapping[str, Any]) -> Tariff:
    """Make one tariff from the cells of a row; None is an empty cell.

    ``effective_from`` is a date, ``exchanges`` and ``primary_exchanges`` are codes with spaces between. An empty
    ``fractional_minimum`` is the minimum.

    Examples
    --------
    >>> tariff_from({"market": "XETRA", "currency": "EUR", "rate_of_value": 0.0005, "minimum": 3.0}).minimum
    3.0
    """
    values = {name: value for name, value in record.items() if value is not None}
    values.setdefault("fractional_minimum", values.get("minimum", 0.0))
    for name in ("exchanges", "primary_exchanges"):
        values[name] = tuple(str(values.get(name, "")).upper().split())
    return Tariff(**values)


class TariffTable:
    """Dated tariffs of all markets.

    Examples
    --------
    >>> table = TariffTable([Tariff("US", "USD", minimum=1.0), Tariff("US", "USD", date(2030, 1, 1), minimum=2.0)])
    >>> [table.find("USD", on=day).minimum for day in (date(2029, 12, 31), date(2030, 1, 1), None)]
    [1.0, 2.0, 2.0]
    """

    def __init__(self, rows: Iterable[Tariff]) -> None:
        self.rows = tuple(rows)
        self._by_day: dict[date | None, dict[tuple[str, str, str], Tariff]] = {}
        self._dearest: dict[tuple[str, date | None], Tariff] = {}
        self._changes = sorted({row.effective_from for row in self.rows})

    def on(self, day: date | None = None) -> list[Tariff]:
        """Tariff of each market on ``day``: its latest row that is not after it. None is after every row."""
        found: dict[tuple[str, str], Tariff] = {}
        for row in sorted(self.rows, key=lambda one: one.effective_from):
            key = (row.market, row.currency)
            if key not in found or day is None or row.effective_from <= day:
                found[key] = row
        return list(found.values())

    def find(
        self, currency: str, exchange: str = "SMART", primary_exchange: str = "", on: date | None = None
    ) -> Tariff | None:
        """Tariff of an order; None if the table has none for its currency.

        An order that is sent to a venue directly has the tariff that lists its ``exchange``; else one that lists
        its primary exchange; else that of its currency.

        Parameters
        ----------
        currency : of the order
        exchange : of the order; ``SMART`` where it is routed
        primary_exchange : the listing, if it is known
        on : the day of the order; None for the latest rows
        """
        known = self._index(on)
        directed = exchange if exchange != "SMART" else ""
        for place, code in (("exchange", directed), ("primary", primary_exchange), ("primary", directed)):
            if code and (currency, place, code) in known:
                return known[currency, place, code]
        return known.get((currency, "", ""))

    def dearest(self, currency: str, on: date | None = None) -> Tariff:
        """Estimate for a currency without a tariff: the highest rates of value of all markets, levies included.

        No minimum is known in such a currency, so a small order may cost more than this.
        """
        key = (currency, self._last_change(on))
        if key not in self._dearest:
            rows = self.on(on)
            self._dearest[key] = Tariff(
                "unknown",
                currency,
                rate_of_value=max((row.rate_of_value for row in rows), default=0.0) or _CAUTIOUS_RATE,
                buy_rate=max((row.buy_rate for row in rows), default=0.0),
                sell_rate=max((row.sell_rate for row in rows), default=0.0),
            )
        return self._dearest[key]

    def _last_change(self, on: date | None) -> date | None:
        """Last day, not after ``on``, on which a row begins to hold: the same tariffs hold since then."""
        return None if on is None else max((day for day in self._changes if day <= on), default=date.min)

    def _index(self, on: date | None) -> dict[tuple[str, str, str], Tariff]:
        day = self._last_change(on)
        if day not in self._by_day:
            index: dict[tuple[str, str, str], Tariff] = {}
            for row in self.on(on):
                index.update({(row.currency, "exchange", code): row for code in row.exchanges})
                index.update({(row.currency, "primary", code): row for code in row.primary_exchanges})
                if not row.exchanges and not row.primary_exchanges:
                    index[row.currency, "", ""] = row
            self._by_day[day] = index
        return self._by_day[day]


_replaced: list[TariffTable] = []  # the table of a caller, if any
_shipped: list[TariffTable] = []  # read on first use


def in_force() -> TariffTable:
    """Return the table in force: the caller's, else the shipped one."""
    if _replaced:
        return _replaced[0]
    if not _shipped:
        with (resources.files("stocklean_exec") / "data" / "tariffs.csv").open(encoding="utf-8") as stream:
            _shipped.append(TariffTable(tariff_from(_cells(record)) for record in csv.DictReader(stream)))
    return _shipped[0]


def replace_table(table: TariffTable | None) -> None:
    """Use ``table`` from now on in this process; None for the shipped one."""
    _replaced[:] = [] if table is None else [table]


def tariff_for(
    currency: str, exchange: str = "SMART", primary_exchange: str = "", on: date | None = None
) -> Tariff:
    """Tariff in force for an order; for a currency without one the estimate of :meth:`TariffTable.dearest`.

    Examples
    --------
    >>> tariff_for("EUR").cost("BUY", 100, 4_000.0), tariff_for("EUR").cost("BUY", 100, 20_000.0)
    (3.0, 10.0)
    """
    table = in_force()
    return table.find(currency, exchange, primary_exchange, on) or table.dearest(currency, on)


def _cells(record: Mapping[str, str]) -> dict[str, Any]:
    """Cells of the shipped file as :func:`tariff_from` takes them."""
    cells: dict[str, Any] = {name: text for name, text in record.items() if text and name in TEXTS}
    cells |= {name: float(text) for name, text in record.items() if text and name in NUMBERS}
    return cells | {"effective_from": date.fromisoformat(record["effective_from"])}
