"""Shares that a cash account must not sell yet; the days are from the calendar."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.execution.settlement import free_riding


class Purchases:
    """A record of purchases with unsettled money."""

    def __init__(self, *rows):
        self.rows, self.since = [(*row, "", "")[:5] for row in rows], None

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
        (datetime(2026, 11, 27, 20, tzinfo=UTC), 11, True),  # from midnight in New York, sixteen days before
        (datetime(2026, 11, 30, 4, 59, tzinfo=UTC), 13, True),  # still Sunday in New York
        (datetime(2026, 11, 30, 5, 0, tzinfo=UTC), 14, False),
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


def test_a_market_of_unknown_holidays_is_said_so():
    record = Purchases(("D05", "SGD", BOUGHT))
    found = free_riding([order("SELL", "D05")], record, "DU1", datetime(2026, 11, 30, 16, tzinfo=UTC))
    # Two business days after Friday are Tuesday, and three more Friday.
    assert "from 2026-12-04 on" in found["r-D05-SELL"][1]
    assert "holidays of that market are not known" in found["r-D05-SELL"][1]


def test_the_day_is_that_of_the_market_where_the_shares_are_listed():
    monday = datetime(2026, 11, 30, 15, tzinfo=UTC)
    record = Purchases(("CSPX", "USD", monday, "SMART", "LSEETF"), ("SPY", "USD", monday, "SMART", "ARCA"))
    found = free_riding([order("SELL", "CSPX"), order("SELL", "SPY")], record, "DU1", monday)
    assert "from 2026-12-02 on" in found["r-CSPX-SELL"][1]
    assert "from 2026-12-01 on" in found["r-SPY-SELL"][1]
    routed = Purchases(("CSPX", "USD", monday, "LSEETF", ""))  # straight to its exchange
    assert "from 2026-12-02 on" in free_riding([order("SELL", "CSPX")], routed, "DU1", monday)["r-CSPX-SELL"][1]
