"""Settlement days, and shares that a cash account must not sell yet; the days are from the calendar."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.execution.settlement import free_riding, settlement_day


@pytest.mark.parametrize(
    ("traded_on", "currency", "settles"),
    [
        pytest.param(date(2026, 11, 23), "USD", date(2026, 11, 24), id="Monday, one day"),
        pytest.param(date(2026, 11, 27), "CAD", date(2026, 11, 30), id="Friday, over the weekend"),
        pytest.param(date(2026, 11, 26), "EUR", date(2026, 11, 30), id="Thursday, two days over the weekend"),
        pytest.param(date(2026, 11, 28), "USD", date(2026, 11, 30), id="Saturday"),
        pytest.param(date(2026, 11, 24), "JPY", date(2026, 11, 26), id="Tuesday, two days"),
    ],
)
def test_a_trade_settles_after_the_days_of_its_market(traded_on, currency, settles):
    assert settlement_day(traded_on, currency) == settles


class Purchases:
    """A record of purchases with unsettled money."""

    def __init__(self, *rows):
        self.rows, self.since = rows, None

    def bought_unsettled(self, account, since):
        assert account == "DU1"
        self.since = since
        return self.rows


def order(side, symbol):
    terms = ("r", symbol, side, 1.0, "MKT", math.nan, "DAY", "USD", "STK", "SMART", "DU1")
    return Ticket(f"r-{symbol}-{side}", *terms)


BOUGHT = datetime(2026, 11, 27, 15, tzinfo=UTC)  # a Friday in New York


@pytest.mark.parametrize(
    ("now", "since", "refused"),
    [
        (datetime(2026, 11, 27, 20, tzinfo=UTC), 21, True),  # from midnight in New York, six days before
        (datetime(2026, 11, 30, 4, 59, tzinfo=UTC), 23, True),  # still Sunday in New York
        (datetime(2026, 11, 30, 5, 0, tzinfo=UTC), 24, False),
    ],
)
def test_only_the_sale_of_what_has_not_settled_is_refused(now, since, refused):
    record = Purchases(("SPY", "USD", BOUGHT))
    orders = [order("SELL", "SPY"), order("BUY", "SPY"), order("SELL", "TLT")]
    found = free_riding(orders, record, "DU1", now)
    assert list(found) == (["r-SPY-SELL"] if refused else [])
    if refused:
        code, text = found["r-SPY-SELL"]
        assert code == "free_riding"
        assert "from 2026-11-30 on" in text
    assert record.since == datetime(2026, 11, since, 5, tzinfo=UTC)


def test_the_latest_purchase_counts():
    friday, tuesday = (datetime(2026, 11, day, 15, tzinfo=UTC) for day in (20, 24))
    record = Purchases(("SPY", "USD", tuesday), ("SPY", "USD", friday))
    found = free_riding([order("SELL", "SPY")], record, "DU1", datetime(2026, 11, 24, 16, tzinfo=UTC))
    assert "from 2026-11-25 on" in found["r-SPY-SELL"][1]
