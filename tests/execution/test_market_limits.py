"""Limits on prices, applied again to the market at sending."""

import math
from dataclasses import replace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import HaltedError
from stocklean_exec.execution.market_limits import arrival_prices, market_refusals
from stocklean_exec.schema.inputs import parse_quotes

NAN = math.nan
NOW = pd.Timestamp("2026-11-23T15:00:00Z")


def ticket(side="BUY", limit=NAN, planned=100.0, currency="USD"):
    kind = "MKT" if math.isnan(limit) else "LMT"
    terms = (side, 10.0, kind, limit, "DAY", currency, "STK", "SMART", "DU1")
    return Ticket("r-SPY", "r", "SPY", *terms, reference_price=planned)


def refused(order, limits=None, **market):
    quote = {"symbol": "SPY", "bid": NAN, "ask": NAN, "last": NAN, "close": NAN, "currency": "USD"}
    quotes = parse_quotes(pd.DataFrame([quote | {"quoted_at": NOW} | market]))
    found = market_refusals([order], arrival_prices(quotes, NOW), limits or sx.Limits())
    return found.get("r-SPY", (None, ""))[0]


@pytest.mark.parametrize(
    ("order", "market", "code"),
    [
        (ticket(), {"last": 110.0}, None),  # the collar is 10 %
        (ticket(), {"last": 110.1}, "price_moved"),
        (ticket("SELL"), {"last": 89.9}, "price_moved"),
        (
            ticket(),
            {"bid": 89.0, "ask": 91.0, "last": 120.0},
            None,
        ),  # the mid of 90 counts
        (ticket(), {"bid": 109.0, "ask": 113.0}, "price_moved"),
        (ticket(limit=104.0), {"last": 95.0}, None),
        (ticket(limit=105.0), {"last": 95.0}, "limit_collar"),  # 10.5 % above the market
        (ticket("SELL", limit=96.0), {"last": 107.0}, "limit_collar"),  # 10.3 % below it
        (ticket(limit=50.0), {"last": 95.0}, None),  # rests
        (ticket(planned=NAN), {"last": 500.0}, None),  # nothing to compare with
        (ticket(), {}, None),  # no price now
        (ticket(), {"close": 150.0}, None),  # a previous close is not the market
        (ticket(currency="EUR"), {"last": 150.0}, None),  # the quote is of another contract
    ],
)
def test_an_order_is_refused_if_the_market_moved_beyond_the_collar(order, market, code):
    assert refused(order, **market) == code
    assert refused(order, sx.Limits(price_collar=None), **market) is None


def test_a_symbol_that_is_not_quoted_at_sending_is_left_to_the_broker():
    assert market_refusals([ticket()], {}, sx.Limits()) == {}


@pytest.mark.parametrize(
    ("limit", "seconds", "code"),
    [
        (60.0, 60, None),
        (60.0, 61, "price_stale"),
        (60.0, None, "price_stale"),
        ("auto", 10_000, None),
        ("auto", None, None),
        (None, 10_000, None),
    ],
)
def test_a_named_age_of_quotes_holds_at_sending(limit, seconds, code):
    at = None if seconds is None else NOW - pd.Timedelta(seconds=seconds)
    assert refused(ticket(), sx.Limits(max_quote_age=limit), last=100.0, quoted_at=at) == code


@pytest.mark.slow
def test_a_run_that_waited_while_the_market_moved_sends_the_other_orders():
    class Moving(MockBroker):
        async def fetch_quotes(self, symbols):
            found = self.quotes(symbols)
            return found.assign(last=found["last"].where(found["symbol"] != "SPY", 80.0))

    market = {"SPY": 100.0, "TLT": 50.0}
    plan = sx.plan_orders({"SPY": 0.4, "TLT": 0.4}, None, market, nav=10_000, run_id="r")
    review = sx.review_orders(sx.check_orders(plan, quotes=market, cash=10_000))
    review.approve_all(by="ann")
    with sx.open_blotter() as blotter:
        broker = Moving(market, cash=10_000.0)
        blotter.halt("lunch")
        with pytest.raises(HaltedError):
            sx.submit_orders(review.result(), broker, blotter)
        blotter.clear_halt("back")
        states = sx.resume("r", broker, blotter).set_index("symbol")
        assert states["status"].to_dict() == {"SPY": "REJECTED", "TLT": "FILLED"}
        assert states.loc["SPY", "reason"] == "price_moved"
        (why,) = blotter.events("r").query("kind == 'refused'")["message"]
        assert "planned at 100, and the market is now 80, 20.0% away" in why


@pytest.mark.parametrize(
    ("limit", "code"),
    [(132.0, None), (132.2, "limit_collar")],  # 10 % beyond the trigger of 120, and more; the market is at 100
)
def test_the_limit_of_a_stop_is_held_against_its_trigger(limit, code):
    stop = replace(ticket(limit=limit), order_type="STP LMT", aux_price=120.0)
    assert refused(stop, last=100.0) == code
