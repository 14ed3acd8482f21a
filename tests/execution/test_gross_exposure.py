"""Gross exposure when orders are sent. Expected ratios are computed by hand, beside each case."""

import asyncio
import math

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import HaltedError
from stocklean_exec.execution import runner
from stocklean_exec.execution.gross_exposure import GrossExposure, GrossLimit, _left, read_exposure
from stocklean_exec.execution.run_state import RunState
from stocklean_exec.execution.send_gate import OrderRefusedError, SendBudget, SendGate

NAN = math.nan


def ticket(side, quantity, symbol="A", number=1, price=NAN, **more):
    name = f"r-{symbol}-{side}-{number}"
    terms = (side, float(quantity), "MKT", NAN, "DAY", more.pop("currency", "USD"), "STK", "SMART", "DU1")
    return Ticket(name, "r", symbol, *terms, reference_price=price, **more)


def exposure(limit=1.0, nav=1_000.0, values=None, shares=None, **working):
    values = {"A": 10.0, "B": 20.0} if values is None else values
    return GrossExposure(GrossLimit(limit), nav, values, shares or {}, **working)


def code(found, order):
    return (found.refusal(order) or (None,))[0]


@pytest.mark.parametrize(
    ("shares", "order", "refused"),
    [
        ({}, ("BUY", 100), None),  # 100 x 10 is all of NAV
        ({}, ("BUY", 101), "max_gross"),
        ({}, ("SELL", 100), None),  # a short counts as much as a long
        ({}, ("SELL", 101), "max_gross"),
        ({"B": -30.0}, ("BUY", 40), None),  # 600 + 400
        ({"B": -30.0}, ("BUY", 41), "max_gross"),
        ({"A": 100.0, "B": 30.0}, ("SELL", 200), None),  # short 100: over the limit as before
        ({"A": 100.0, "B": 30.0}, ("SELL", 201), "max_gross"),
        ({"A": 100.0, "B": 30.0}, ("SELL", 1), None),  # lowers it
        ({"A": -100.0, "B": 30.0}, ("BUY", 1), None),
    ],
)
def test_an_order_that_raises_gross_exposure_over_the_limit_is_refused(shares, order, refused):
    assert code(exposure(shares=shares), ticket(*order)) == refused


def test_the_plans_own_exposure_has_the_room_of_the_check_and_a_number_has_none():
    plan = GrossExposure(GrossLimit.of(sx.Limits(), plan_gross=1.0), 1_000.0, {"A": 10.0}, {})
    assert [code(plan, ticket("BUY", shares)) for shares in (101, 101.1)] == [None, "max_gross"]
    assert GrossLimit.of(sx.Limits(), plan_gross=NAN) is None
    tight = sx.Limits(max_gross=1.2).tightened(sx.Limits(max_gross=0.5))
    assert GrossLimit.of(tight, plan_gross=2.0).ratio == 0.5


def test_what_the_run_has_sent_counts_until_it_ends_unfilled():
    found = exposure()
    first, second = ticket("BUY", 60), ticket("BUY", 41, number=2)
    found.count(first)
    assert code(found, second) == "max_gross"  # 600 + 410
    found.release(first.client_order_id, 59.0)
    assert code(found, second) is None  # 590 + 410
    sold = exposure(shares={"A": 100.0})
    sold.count(ticket("SELL", 50))
    assert code(sold, ticket("BUY", 25, "B")) is None  # 500 + 500
    sold.release("r-A-SELL-1", 0.0)  # rejected
    assert code(sold, ticket("BUY", 1, "B")) == "max_gross"


def test_an_order_that_was_partly_filled_when_the_holdings_were_read_counts_once():
    found = exposure(shares={"A": 40.0})
    found.count(ticket("BUY", 60), filled=40.0)
    assert code(found, ticket("BUY", 20, "B")) is None  # 600 + 400
    assert code(found, ticket("BUY", 21, "B")) == "max_gross"
    found.release("r-A-BUY-1", 50.0)
    assert code(found, ticket("BUY", 25, "B")) is None  # 500 + 500
    assert code(found, ticket("BUY", 26, "B")) == "max_gross"


def test_working_orders_of_others_count_where_they_raise_exposure():
    buying = exposure(shares={"A": 50.0}, buys={"A": 40.0})
    assert code(buying, ticket("BUY", 5, "B")) is None  # 900 + 100
    assert code(buying, ticket("BUY", 6, "B")) == "max_gross"
    selling = exposure(shares={"A": 90.0}, sells={"A": 90.0})  # may never fill
    assert code(selling, ticket("BUY", 6, "B")) == "max_gross"


def test_what_has_no_price_is_unknown_and_named():
    lost = exposure(shares={"X": 1.0, "A": 50.0})
    assert code(lost, ticket("SELL", 10)) is None
    why, text = lost.refusal(ticket("BUY", 1))
    assert why == "gross_unknown"
    assert "UNKNOWN: no price or exchange rate of X" in text
    assert code(lost, ticket("BUY", 51)) == "max_gross"  # what has a price is over it alone
    plan = GrossExposure(GrossLimit(1.0, is_named=False), 1_000.0, {"A": 10.0}, {"X": 1.0})
    assert code(plan, ticket("BUY", 1)) is None  # as in the check
    assert code(plan, ticket("BUY", 101)) == "max_gross"


def test_what_has_no_price_and_no_shares_either_is_no_doubt():
    assert code(exposure(shares={"X": 0.0, "A": 50.0}), ticket("BUY", 1)) is None


def test_an_order_without_a_price_now_counts_at_that_of_its_plan():
    new = exposure()
    assert code(new, ticket("BUY", 10, "X", price=80.0, fx_rate=1.25)) is None  # 10 x 80 x 1.25 is NAV
    assert code(new, ticket("BUY", 11, "X", price=80.0, fx_rate=1.25)) == "max_gross"
    assert code(new, ticket("BUY", 1, "X")) == "gross_unknown"


@pytest.mark.parametrize(("nav", "refused"), [(NAN, "gross_unknown"), (0.0, "max_gross"), (-5.0, "max_gross")])
def test_without_a_nav_above_zero_nothing_may_be_raised(nav, refused):
    assert code(exposure(nav=nav, shares={"A": 5.0}), ticket("BUY", 1)) == refused
    assert code(exposure(nav=nav, shares={"A": 5.0}), ticket("SELL", 1)) is None


def test_orders_that_lower_exposure_go_first_where_another_sequence_breaks_the_limit():
    full = exposure(shares={"A": 50.0, "B": -25.0})
    opens, covers = ticket("SELL", 10, "C", price=10.0), ticket("BUY", 5, "B")
    assert set(full.refusals([opens, covers])) == {"r-C-SELL-1"}
    assert full.sequence([opens, covers]) == [covers, opens]
    assert full.refusals([covers, opens]) == {}
    assert exposure().sequence([opens, covers]) == [opens, covers]


# -- with a broker -------------------------------------------------------------------------------------------

MARKET = pd.DataFrame(
    {
        "symbol": ["SPY", "SAP", "TLT"],
        "last": [100.0, 50.0, 10.0],
        "currency": ["USD", "EUR", "USD"],
        "quoted_at": pd.Timestamp("2026-11-23T15:00Z"),
    }
)


class Account(MockBroker):
    """A mock filler whose market, rate of the euro and working orders of others are set."""

    moved: float = 1.0
    rate: float = 1.0
    others: tuple = ()

    def quotes(self, symbols=None):
        found = super().quotes(symbols)
        return found.assign(last=found["last"] * self.moved)

    def account_figures(self):
        figures = super().account_figures()
        return figures._replace(currencies={"USD": (figures.cash, 1.0), "EUR": (0.0, self.rate)}, nav=10_000.0)

    def open_orders(self):
        others = pd.DataFrame(list(self.others), columns=["symbol", "side", "quantity"])
        others = others.assign(client_order_id="", filled_quantity=0.0, limit_price=1.0)
        return pd.concat([super().open_orders(), others], ignore_index=True)


def read(broker, *queue, limit=1.0):
    async def run():
        with sx.open_blotter() as blotter:
            record = RunState("r", blotter, {order.client_order_id: order.quantity for order in queue})
            quotes = await broker.fetch_quotes([order.symbol for order in queue])
            return await read_exposure(broker, record, queue, {}, GrossLimit(limit), quotes)

    return asyncio.run(run())


def test_holdings_and_working_orders_count_at_the_prices_and_rates_of_now():
    held = pd.DataFrame({"symbol": ["SAP", "TLT"], "quantity": [60.0, 100.0], "currency": ["EUR", "USD"]})
    broker = Account(MARKET, cash=6_000.0, positions=held, fx={"EUR": 1.0})
    broker.rate, broker.others = 1.2, (("TLT", "BUY", 40.0),)
    found = read(broker, ticket("BUY", 50, "SPY"))
    # 60 SAP at 50 EUR and 1.2 are 3,600; TLT, once the other order has filled, 1,400: 5,000 of 10,000
    assert code(found, ticket("BUY", 50, "SPY")) is None
    assert code(found, ticket("BUY", 51, "SPY")) == "max_gross"
    broker.moved = 1.1  # 5,500, and a share of SPY is 110: room for 40.9
    found = read(broker, ticket("BUY", 40, "SPY"))
    assert code(found, ticket("BUY", 40, "SPY")) is None
    assert code(found, ticket("BUY", 41, "SPY")) == "max_gross"


def test_of_a_working_order_that_is_filled_nothing_is_left():
    columns = {"name": ["A", "B", "A"], "side": "BUY", "quantity": [40.0, 5.0, 30.0]}
    working = pd.DataFrame(columns | {"filled_quantity": [10.0, 7.0, 30.0]})  # 2 of B were filled too much
    assert _left(working, "BUY") == {"A": 30.0, "B": 0.0}
    assert _left(working, "SELL") == {}


def test_nothing_is_read_where_no_order_raises_exposure():
    broker = Account(MARKET, cash=0.0, positions={"SPY": 100.0})
    assert read(broker, ticket("SELL", 10, "SPY"), limit=0.0) is None


def test_two_sales_that_are_a_short_together_are_compared_with_the_limit():
    both = [ticket("SELL", 60, "SPY"), ticket("SELL", 150, "SPY", number=2)]
    held = exposure(shares={"SPY": 100.0})
    assert [held.is_raised_by([one]) for one in both] == [False, False]  # 40 long, 50 short
    assert held.is_raised_by(both)  # 40 long, and then 110 short
    broker = Account(MARKET, cash=0.0, positions={"SPY": 100.0})
    assert read(broker, *both, limit=0.0) is not None
    assert read(broker, both[0], limit=0.0) is None


def plan_of(targets, limits, run_id="r", held=None, **options):
    quotes = MARKET.iloc[[0, 2]]
    orders = sx.plan_orders(targets, held, quotes, nav=10_000, run_id=run_id, reserve=0, **options)
    checked = sx.check_orders(orders, limits, positions=held, quotes=quotes, cash=10_000.0, nav=10_000)
    review = sx.review_orders(checked)
    review.approve_all(by="ann")
    return review.result()


@pytest.mark.slow
@pytest.mark.parametrize("funding", ["fills", "margin"])
def test_a_run_refuses_the_order_that_a_market_higher_than_its_plan_brings_over_the_limit(funding):
    plan = plan_of({"SPY": 0.4, "TLT": 0.4}, sx.Limits(max_gross=0.85))
    with sx.open_blotter() as blotter:
        broker = Account(MARKET, cash=10_000.0, fx={"EUR": 1.0})
        broker.moved = 1.08  # within the collar: 0.8 becomes 0.864
        states = sx.submit_orders(plan, broker, blotter, funding=funding).set_index("symbol")
        assert sorted(states["status"]) == ["FILLED", "REJECTED"]
        assert states["reason"].dropna().tolist() == ["max_gross"]
        (why,) = blotter.events("r").query("kind == 'refused'")["message"]
    assert "would bring gross exposure to 86.40% of NAV, over 85.00%" in why


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "status"), [(-1.0, "REJECTED"), (3600.0, "FILLED")])
def test_what_others_do_while_a_run_is_sent_counts_once_the_market_is_old(monkeypatch, seconds, status):
    class Hand(Account):
        send_window = 1

        async def place(self, ticket):
            await super().place(ticket)
            self.others = (("TLT", "BUY", 1.0),)  # by hand, after the first order of the run

    monkeypatch.setattr(runner, "_MARKET_SECONDS", seconds)
    monkeypatch.setattr(runner, "_MARKET_PART", math.inf)
    plan = plan_of({"SPY": 0.4, "TLT": 0.4}, sx.Limits(max_gross=0.8))
    with sx.open_blotter() as blotter:
        broker = Hand(MARKET, cash=10_000.0, fx={"EUR": 1.0})
        states = sx.submit_orders(plan, broker, blotter, funding="margin").set_index("symbol")
        assert states.loc[["SPY", "TLT"], "status"].tolist() == ["FILLED", status]


@pytest.mark.slow
def test_a_resumed_run_counts_what_it_sent_before():
    plan = plan_of({"SPY": 0.4, "TLT": 0.4}, sx.Limits(max_gross=0.8))
    with sx.open_blotter() as blotter:
        broker = Account(MARKET, cash=10_000.0, fx={"EUR": 1.0})
        blotter.halt("look")
        with pytest.raises(HaltedError):
            sx.submit_orders(plan, broker, blotter)
        blotter.clear_halt("looked")
        broker.others = (("TLT", "BUY", 1.0),)
        states = sx.resume("r", broker, blotter).set_index("symbol")
        assert states["status"].value_counts().to_dict() == {"FILLED": 1, "REJECTED": 1}


@pytest.mark.slow
@pytest.mark.parametrize("address", ["mock://", "sim://?seed=7"])
@pytest.mark.parametrize("funding", ["margin", "fills"])
def test_by_default_a_plan_that_did_not_see_a_holding_stays_within_its_own_exposure(address, funding):
    quotes, bought = {"OLD": 50.0, "NEW": 20.0}, {"NEW": 0.6}
    with sx.connect(address, quotes=quotes, positions={"OLD": 100.0}, cash=5_000.0) as broker:
        orders = sx.plan_orders(bought, None, broker.quotes(bought), nav=10_000.0, run_id="r", reserve=0)
        review = sx.review_orders(sx.check_orders(orders, quotes=broker.quotes(bought), cash=10_000.0))
        review.approve_all(by="ann")
        with sx.open_blotter() as blotter:
            states = sx.submit_orders(review.result(), broker, blotter, funding=funding, timeout=2)
            if funding == "margin":  # OLD is 5,000, and 300 x 20 would make it 11,000 of 10,000
                assert states[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "max_gross"]]
            else:  # the cash pays for fewer
                assert states["status"].tolist() == ["FILLED"] or states["reason"].tolist() == ["not_funded"]
                assert 240 < states["filled_quantity"].item() <= 250


@pytest.mark.slow
def test_a_sale_that_is_rejected_makes_no_room_for_a_buy():
    class OneByOne(MockBroker):
        send_window = 1

    held = {"SPY": 100.0}
    plan = plan_of({"SPY": 0.5, "TLT": 0.5}, sx.Limits(max_gross=1.0, min_cash_after=None), held=held)
    for action, expected in (("reject", ["REJECTED", "REJECTED"]), ("fill", ["FILLED", "FILLED"])):
        steps = pd.DataFrame([{"symbol": "SPY", "action": action, "quantity": 50.0 if action == "fill" else NAN}])
        broker = OneByOne(MARKET, positions=held, cash=0.0, fx={"EUR": 1.0}, fill_plan=steps)
        with sx.open_blotter() as blotter:
            states = sx.submit_orders(plan, broker, blotter, funding="margin").set_index("symbol")
            assert states.loc[["SPY", "TLT"], "status"].tolist() == expected
            assert (states.loc["TLT", "reason"] == "max_gross") == (action == "reject")


@pytest.mark.slow
def test_a_short_is_opened_after_the_order_that_makes_room_for_it():
    held = {"SPY": 50.0, "SAP": -50.0}  # 5,000 and 2,500 of 10,000
    quotes = MARKET.assign(currency="USD")
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["TLT", "SAP"],
            "side": ["SELL", "BUY"],
            "quantity": [250.0, 50.0],
            "order_type": "MKT",
        }
    )
    limits = sx.Limits(max_gross=0.75, allow_short=True)
    review = sx.review_orders(sx.check_orders(orders, limits, positions=held, quotes=quotes, cash=7_500.0))
    assert review.approve_all(by="ann") == 2
    with sx.open_blotter() as blotter:
        broker = MockBroker(quotes, positions=held, cash=7_500.0)
        states = sx.submit_orders(review.result(), broker, blotter, funding="margin")
        assert states["status"].tolist() == ["FILLED", "FILLED"]


def test_the_gate_compares_each_order_and_counts_those_that_pass():
    budget = SendBudget({"r-A-BUY-1": 1, "r-A-BUY-2": 1, "r-A-BUY-3": 1}, {})
    gate = SendGate(Account(MARKET), 0, lambda: None, budget, lambda: 0.0, exposure())
    with gate.open(ticket("BUY", 60)):
        pass
    with (
        pytest.raises(OrderRefusedError, match=r"101\.00% of NAV") as caught,
        gate.open(ticket("BUY", 41, number=2)),
    ):
        pass
    assert caught.value.code == "max_gross"
    assert budget.may_send("r-A-BUY-2")
    with gate.open(ticket("BUY", 40, number=3)):
        pass
