"""What passes between strategies is recorded with the plan, once, at the mid of then."""

import asyncio
import math
from datetime import UTC, datetime

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import BrokerError, InputError
from stocklean_exec.execution.arrival_quotes import ArrivalQuote
from stocklean_exec.execution.crossings import _mid, check_strategies, crossing_events

NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
MARKET = pd.DataFrame(
    {
        "symbol": ["SPY", "TLT", "GLD"],
        "bid": [399.5, 90.0, None],
        "ask": [400.0, 89.0, 201.0],  # TLT's quote is crossed, GLD's has one side
        "last": [399.75, 89.5, 200.0],
        "currency": "USD",
        "quoted_at": pd.Timestamp("2026-11-23 16:59", tz="UTC"),
    }
)


@pytest.fixture
def broker():
    return sx.connect("mock://", quotes=MARKET, cash=100_000)


def approved_of(*rows):
    columns = ["symbol", "side", "quantity", "strategy_quantities", "approved"]
    frame = pd.DataFrame(rows, columns=columns)
    more = {"run_id": "r", "decision_price": 50.0, "currency": "USD", "status": "NEW", "limit_price": math.nan}
    return frame.assign(client_order_id=frame["symbol"], **more)


def events_of(approved, broker):
    return asyncio.run(crossing_events(approved, "r", NOON, broker.account, broker))


def test_shares_cross_at_the_mid_of_the_quote_when_the_plan_is_recorded(broker):
    (event,) = events_of(approved_of(("SPY", "BUY", 60.0, '{"A": 100, "B": -40}', True)), broker)
    assert (event.kind, event.run_id, event.symbol, event.occurred_at) == ("crossed", "r", "SPY", NOON)
    assert (event.quantity, event.price, event.bid, event.ask, event.last) == (40.0, 399.75, 399.5, 400.0, 399.75)
    assert (event.commission, event.commission_currency, event.account) == (0.0, "USD", broker.account)
    assert event.message == '{"A": 40.0, "B": -40.0}'
    assert event.client_order_id is None


@pytest.mark.parametrize("symbol", ["TLT", "GLD"])
def test_without_two_sides_they_cross_at_the_decision_price(symbol, broker):
    (event,) = events_of(approved_of((symbol, "BUY", 60.0, '{"A": 100, "B": -40}', True)), broker)
    assert event.price == 50.0


@pytest.mark.parametrize(
    ("bid", "ask", "mid"),
    [(400.0, 400.0, 400.0), (399.5, 400.0, 399.75), (400.5, 400.0, None), (0.0, 1.0, None), (None, 1.0, None)],
)
def test_a_mid_needs_two_sides_that_are_not_crossed(bid, ask, mid):
    assert _mid(ArrivalQuote(bid=bid, ask=ask)) == mid


def test_events_are_in_the_sequence_of_the_plan(broker):
    rows = [(name, "BUY", 60.0, '{"A": 100, "B": -40}', True) for name in ("TLT", "SPY", "GLD")]
    assert [event.symbol for event in events_of(approved_of(*rows), broker)] == ["TLT", "SPY", "GLD"]


def test_where_the_order_has_a_limit_they_cross_at_the_decision_price(broker):
    approved = approved_of(("SPY", "BUY", 60.0, '{"A": 100, "B": -40}', True)).assign(limit_price=55.0)
    (event,) = events_of(approved, broker)
    assert (event.price, event.bid) == (50.0, 399.5)


def test_without_quotes_they_cross_at_the_decision_price(broker, monkeypatch):
    async def refuse(_):
        raise BrokerError("no market data")

    monkeypatch.setattr(broker, "fetch_quotes", refuse)
    (event,) = events_of(approved_of(("SPY", "BUY", 60.0, '{"A": 100, "B": -40}', True)), broker)
    assert (event.price, event.bid) == (50.0, None)


def test_an_order_of_more_than_its_strategies_want_is_refused_and_one_of_less_is_not():
    rows = [("SPY", "SELL", 61.0, '{"A": -100, "B": 40}', True), ("TLT", "BUY", 3.0, '{"A": 20}', True)]
    with pytest.raises(InputError, match="strategies want 60 shares") as caught:
        check_strategies(approved_of(*rows))
    assert [(one.code, one.symbol) for one in caught.value.problems] == [("beyond_strategies", "SPY")]
    check_strategies(approved_of((*rows[0][:4], False), rows[1]))
    check_strategies(approved_of(*rows).drop(columns="strategy_quantities"))


def test_an_order_of_the_other_side_than_its_strategies_want_is_refused():
    with pytest.raises(InputError, match="which is not a BUY"):
        check_strategies(approved_of(("SPY", "BUY", 60.0, '{"A": -100, "B": 40}', True)))


def test_nothing_crosses_that_is_not_approved_or_of_one_side(broker, monkeypatch):
    monkeypatch.setattr(broker, "fetch_quotes", None)  # and nothing is asked
    rows = [("SPY", "BUY", 60.0, '{"A": 100, "B": -40}', False), ("TLT", "BUY", 3.0, '{"A": 2, "B": 1}', True)]
    assert events_of(approved_of(*rows), broker) == []


def test_a_plan_without_orders_has_what_crosses_in_its_attributes(broker):
    plan = approved_of()
    plan.attrs["strategy_crosses"] = (
        '{"SPY": {"quantities": {"A": 5.0, "B": -5.0}, "price": 398.0, "currency": "USD"}}'
    )
    (event,) = events_of(plan, broker)
    assert (event.symbol, event.quantity, event.price) == ("SPY", 5.0, 399.75)
    plan.attrs["strategy_crosses"] = plan.attrs["strategy_crosses"].replace('"USD"', '"USD", "limited": true')
    (event,) = events_of(plan, broker)
    assert event.price == 398.0
