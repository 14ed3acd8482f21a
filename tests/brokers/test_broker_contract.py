"""One suite for all brokers: the same run gives the same fills, positions, cash and events, mock or wire.

On a paper account, by hand: ``STOCKLEAN_PAPER=ib://127.0.0.1:4002?client_id=91 pytest -m paper``. It places one
limit order far from the market and cancels it.
"""

import asyncio
import os
import time
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.errors import BrokerError, InputError, OrderNotWorkingError
from stocklean_exec.schema.tables import POSITIONS, QUOTES

NAN = float("nan")
NOON = pd.Timestamp("2022-12-29 17:00", tz="UTC")
MARKET = pd.DataFrame(
    [
        ("SPY", 399.90, 400.10, 400.00, 398.00, 300.0, 300.0),
        ("TLT", 99.98, 100.02, 100.00, 101.00, 500.0, 200.0),
        ("KO", 62.60, 62.62, 62.61, 62.00, 1_000.0, 1_000.0),
        ("GE", 63.87, 63.89, 63.88, 63.00, 400.0, 400.0),
    ],
    columns=["symbol", "bid", "ask", "last", "close", "bid_size", "ask_size"],
).assign(currency="USD", quoted_at=NOON)
HELD = pd.DataFrame({"symbol": ["KO", "GE"], "quantity": [500.0, 900.0], "avg_cost": [60.0, 65.0]})
ORDERS = [
    ("KO", "SELL", 500.0, "MKT", NAN, "DAY"),  # all that is held
    ("GE", "SELL", 850.0, "MKT", NAN, "DAY"),  # 400 + 400 + 50
    ("TLT", "BUY", 450.0, "MKT", NAN, "DAY"),  # 200 + 200 + 50
    ("SPY", "BUY", 10.0, "LMT", 401.00, "DAY"),  # beyond the touch: filled there
]
FILLS = {  # by hand: the far touch, at most the size shown at a time
    "r-GE-SELL": [(400.0, 63.87), (400.0, 63.87), (50.0, 63.87)],
    "r-KO-SELL": [(500.0, 62.60)],
    "r-SPY-BUY": [(10.0, 400.10)],
    "r-TLT-BUY": [(200.0, 100.02), (200.0, 100.02), (50.0, 100.02)],
}
COMMISSIONS = {
    "r-GE-SELL": 4.25,
    "r-KO-SELL": 2.5,
    "r-SPY-BUY": 1.0,
    "r-TLT-BUY": 2.25,
}  # 0.005 a share, at least 1
CASH_AFTER = 100_000 + 500 * 62.60 + 850 * 63.87 - 450 * 100.02 - 10 * 400.10 - 10.0


@pytest.fixture(params=["mock", "sim"])
def broker(request):
    with sx.connect(f"{request.param}://?seed=7", quotes=MARKET, positions=HELD, cash=100_000.0) as opened:
        yield opened


@pytest.fixture
def blotter():
    with sx.open_blotter() as opened:
        yield opened


def approved_of(rows, quotes=MARKET, run_id="r"):
    columns = ["symbol", "side", "quantity", "order_type", "limit_price", "tif"]
    frame = pd.DataFrame(rows, columns=columns).assign(run_id=run_id)
    limits = sx.Limits(price_collar=None, min_cash_after=None, allow_short=True)
    review = sx.review_orders(sx.check_orders(frame, limits, quotes=quotes))
    review.approve_all(by="contract")
    return review.result()


def test_every_broker_returns_quotes_in_the_same_table(broker):
    quotes = broker.quotes(["TLT", "SPY", "NOPE"])
    assert tuple(quotes.columns[: len(QUOTES.names)]) == QUOTES.names
    shown = quotes.sort_values("symbol")[["symbol", "bid", "ask", "last", "close", "bid_size", "ask_size"]]
    assert shown.to_numpy().tolist() == [
        ["SPY", 399.90, 400.10, 400.00, 398.00, 300.0, 300.0],
        ["TLT", 99.98, 100.02, 100.00, 101.00, 500.0, 200.0],
    ]


def test_every_broker_returns_positions_in_the_same_table(broker):
    held = broker.positions()
    assert tuple(held.columns) == POSITIONS.names
    assert held[["symbol", "quantity", "avg_cost"]].to_numpy().tolist() == [
        ["GE", 900.0, 65.0],
        ["KO", 500.0, 60.0],
    ]
    assert broker.cash() == 100_000.0
    assert broker.nav() == pytest.approx(100_000 + 500 * 62.61 + 900 * 63.88)


@pytest.mark.slow
def test_the_state_of_the_account_has_all_that_planning_needs(broker, blotter):
    resting = approved_of([("SPY", "BUY", 5.0, "LMT", 380.0, "DAY")], run_id="before")
    sx.submit_orders(resting, broker, blotter, timeout=0.5)
    state = broker.account_state({"tlt": 0.3, "SPY": 0.2})
    # 100,000 + 500 x 62.61 + 900 x 63.88: nothing has been filled
    assert (state.account, state.base_currency) == (broker.account, "USD")
    assert (state.nav, state.cash) == (pytest.approx(188_797.0), 100_000.0)
    assert state.positions[["symbol", "quantity"]].to_numpy().tolist() == [["GE", 900.0], ["KO", 500.0]]
    assert sorted(state.quotes["symbol"]) == ["GE", "KO", "SPY", "TLT"]
    assert state.open_orders[["client_order_id", "quantity"]].to_numpy().tolist() == [["before-SPY-BUY", 5.0]]
    assert state.cash_by_currency.to_numpy().tolist() == [["USD", 100_000.0, 1.0]]
    assert state.rates == {}
    assert set(state.taken_at) == {"account", "positions", "quotes", "open_orders"}
    orders = sx.plan_orders({"TLT": 0.3, "SPY": 0.2}, state, run_id="r", unlisted="close", on_open_orders="net")
    checked = sx.check_orders(orders, None, state)
    assert checked["account"].tolist() == [broker.account] * 4
    assert set(checked["verdict"]) == {"pass"}


@pytest.mark.parametrize(
    "wanted",
    [["tlt"], ("TLT",), pd.DataFrame({"symbol": ["TLT"], "side": "BUY", "quantity": [5.0]}), {"TLT": 0.1}],
)
def test_the_state_has_quotes_of_symbols_or_orders_too(broker, wanted):
    assert sorted(broker.account_state(wanted).quotes["symbol"]) == ["GE", "KO", "TLT"]


async def _state_of(broker):
    return await broker.account_state_async({"TLT": 0.3})


@pytest.mark.slow
def test_the_state_can_be_awaited(broker):
    assert sorted(asyncio.run(_state_of(broker)).quotes["symbol"]) == ["GE", "KO", "TLT"]


@pytest.mark.slow
def test_every_broker_gives_the_same_fills_for_the_same_run(broker, blotter):
    states = sx.submit_orders(approved_of(ORDERS), broker, blotter).set_index("client_order_id")
    fills = blotter.fills("r").sort_values(["client_order_id", "exec_id"])
    found = {
        name: list(zip(part["quantity"], part["price"], strict=True))
        for name, part in fills.groupby("client_order_id")
    }
    assert found == FILLS
    assert fills.groupby("client_order_id")["commission"].sum().round(6).to_dict() == COMMISSIONS
    assert states["commission"].round(6).to_dict() == COMMISSIONS
    assert set(states["status"]) == {"FILLED"}
    assert fills["side"].tolist() == ["SELL"] * 4 + ["BUY"] * 4
    assert set(fills["liquidity"]) == {"removed"}
    assert set(fills["account"]) == {broker.account}
    assert fills["exec_id"].is_unique
    assert fills["perm_id"].nunique() == 4
    assert blotter.runs()["status"].tolist() == ["done"]
    assert broker.cash() == pytest.approx(CASH_AFTER)
    held = broker.positions().set_index("symbol")["quantity"].to_dict()
    assert held == {"GE": 50.0, "SPY": 10.0, "TLT": 450.0}


@pytest.mark.slow
def test_every_broker_reports_the_same_kinds_of_events(broker, blotter):
    sx.submit_orders(approved_of(ORDERS[2:3]), broker, blotter)
    events = blotter.events("r")
    of_order = events[events["client_order_id"] == "r-TLT-BUY"]
    assert of_order["kind"].tolist()[:2] == ["intent", "sending"]
    assert of_order["kind"].value_counts()[["execution", "commission"]].tolist() == [3, 3]
    assert [status for status in of_order["status"].dropna() if status != "SUBMITTED"] == ["FILLED"]
    first_status = of_order.loc[of_order["kind"] == "status", "status"].tolist()[0]
    assert first_status == "SUBMITTED"


@pytest.mark.slow
def test_the_same_run_again_sends_nothing(broker, blotter):
    approved = approved_of(ORDERS)
    first = sx.submit_orders(approved, broker, blotter)
    cash = broker.cash()
    second = sx.submit_orders(approved, broker, blotter)
    pd.testing.assert_frame_equal(first, second)
    assert broker.cash() == cash


@pytest.mark.slow
def test_a_resting_order_is_listed_and_cancelled(broker, blotter):
    approved = approved_of([("SPY", "BUY", 5.0, "LMT", 390.0, "DAY")])
    states = sx.submit_orders(approved, broker, blotter, timeout=0.2)
    assert states["status"].tolist() == ["SUBMITTED"]
    assert broker.open_orders().iloc[:, :7].to_numpy().tolist() == [
        ["r-SPY-BUY", "SPY", "BUY", 5.0, 0.0, "LMT", 390.0]
    ]
    broker.cancel("r-SPY-BUY")
    assert broker.open_orders().empty
    blotter.record([]).result(5)
    assert blotter.orders("r")[["status", "reason"]].to_numpy().tolist() == [["CANCELLED", "cancel_requested"]]


@pytest.mark.slow
def test_cancel_all_cancels_resting_orders(broker, blotter):
    approved = approved_of([("SPY", "BUY", 5.0, "LMT", 390.0, "DAY"), ("TLT", "BUY", 5.0, "LMT", 90.0, "GTC")])
    sx.submit_orders(approved, broker, blotter, timeout=0.2)
    broker.cancel_all()
    assert broker.open_orders().empty
    blotter.record([]).result(5)
    assert blotter.orders("r")["status"].tolist() == ["CANCELLED", "CANCELLED"]


@pytest.mark.slow
def test_an_immediate_order_that_cannot_trade_is_cancelled(broker, blotter):
    approved = approved_of([("SPY", "BUY", 5.0, "LMT", 390.0, "IOC")])
    assert sx.submit_orders(approved, broker, blotter, timeout=5)["status"].tolist() == ["CANCELLED"]


@pytest.mark.slow
def test_a_fill_or_kill_order_is_cancelled_or_refused_where_the_contract_takes_none(broker, blotter):
    approved = approved_of([("SPY", "BUY", 5.0, "LMT", 390.0, "FOK")])
    states = sx.submit_orders(approved, broker, blotter, timeout=5)
    # The list of what a stock takes at TWS has no FOK in any capture.
    wanted = ["CANCELLED", "fok_unfilled"] if broker.mode == "mock" else ["REJECTED", "order_type_not_permitted"]
    assert states[["status", "reason"]].to_numpy().tolist() == [wanted]


FAR = pd.Timestamp("2036-11-24 21:00", tz="UTC")
SPECIAL = [  # every order type and time in force that all brokers take, away from the market
    ("SPY", "BUY", 5.0, "STP", NAN, "GTC", 420.0, None, False),
    ("TLT", "SELL", 5.0, "STP LMT", 97.5, "DAY", 98.0, None, False),
    ("KO", "BUY", 5.0, "LMT", 60.0, "GTD", NAN, FAR, True),
]


@pytest.mark.slow
def test_every_broker_holds_orders_with_terms_and_shows_them_again(broker, blotter):
    columns = ["symbol", "side", "quantity", "order_type", "limit_price", "tif"]
    columns += ["aux_price", "good_till", "outside_rth"]
    frame = pd.DataFrame(SPECIAL, columns=columns).assign(run_id="r")
    limits = sx.Limits(price_collar=None, min_cash_after=None, allow_short=True)
    review = sx.review_orders(sx.check_orders(frame, limits, quotes=MARKET))
    review.approve_all(by="contract")
    states = sx.submit_orders(review.result(), broker, blotter, timeout=0.5)
    assert states["status"].tolist() == ["SUBMITTED"] * 3
    shown = broker.open_orders().sort_values("symbol")[columns]
    asked = frame.sort_values("symbol")[columns]
    assert shown.astype(str).to_numpy().tolist() == asked.astype(shown.dtypes).astype(str).to_numpy().tolist()
    assert sx.reconcile(broker, blotter).empty  # nobody has changed them
    broker.cancel_all()
    assert broker.open_orders().empty


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "limit", "terms", "price"),
    [
        ("MIDPRICE", NAN, {}, 100.00),
        ("STP", NAN, {"aux_price": 99.0}, 100.02),  # the market is beyond its trigger already
        ("STP LMT", 100.05, {"aux_price": 99.0}, 100.02),
        ("MKT", NAN, {"algo": "Adaptive", "algo_params": '{"adaptivePriority": "Urgent"}'}, 100.02),
    ],
)
def test_every_broker_fills_these_types_at_the_same_price(broker, blotter, kind, limit, terms, price):
    frame = pd.DataFrame(
        {"symbol": ["TLT"], "side": "BUY", "quantity": 5.0, "order_type": kind, "limit_price": limit}
    )
    limits = sx.Limits(price_collar=None, min_cash_after=None, allow_short=True)
    review = sx.review_orders(sx.check_orders(frame.assign(run_id="r", **terms), limits, quotes=MARKET))
    review.approve_all(by="contract")
    states = sx.submit_orders(review.result(), broker, blotter, timeout=5)
    assert states["status"].tolist() == ["FILLED"]
    assert states["avg_fill_price"].tolist() == pytest.approx([price])


# -- changes of the limit --------------------------------------------------------------------------------------

RESTING = Ticket("r-TLT-BUY", "r", "TLT", "BUY", 450.0, "LMT", 99.0, "DAY", "USD", "STK", "SMART", "DU0000001")
FILLED_IN_PART = {  # 100 shares at once; then, whatever comes, nothing before the limit is changed
    "mock": pd.DataFrame(
        [("TLT", "fill", 100.0, 98.0), ("TLT", "rest", NAN, NAN)],
        columns=["symbol", "action", "quantity", "price"],
    ),
    "sim": {"order": [{"steps": [{"fill": 100, "price": 98.0}, {"rest": True}]}]},
}
REFUSING = {
    "mock": pd.DataFrame(
        [("TLT", "rest", None), ("TLT", "refuse_change", "201"), ("TLT", "rest", None)],
        columns=["symbol", "action", "code"],
    ),
    "sim": {"order": [{"steps": [{"rest": True}], "on_modify": [{"refuse": 201}]}]},
}


@contextmanager
def scripted(kind, script):
    """A broker of this kind with a script, and a blotter."""
    plan = {} if script is None else {"fill_plan" if kind == "mock" else "scenario": script[kind]}
    with (
        sx.connect(f"{kind}://?seed=7", quotes=MARKET, cash=100_000.0, **plan) as broker,
        sx.open_blotter() as blotter,
    ):
        approved = approved_of([("TLT", "BUY", 450.0, "LMT", 99.0, "DAY")])
        sx.submit_orders(approved, broker, blotter, timeout=0.2)
        yield broker, blotter


def change(broker, blotter, number, limit, *, fills=False, **changes):
    """Change the limit, and return the limits that are open afterwards; none, once it ``fills`` the order."""
    asyncio.run(broker.modify(replace(RESTING, limit_price=limit, **changes), number))
    until = time.monotonic() + 10
    shown = broker.open_orders()["limit_price"].tolist()
    while fills and shown and time.monotonic() < until:  # it trades in several executions, one after the other
        shown = broker.open_orders()["limit_price"].tolist()
    blotter.record([]).result(5)
    return shown


def answers(blotter):
    events = blotter.events("r")
    found = events.loc[events["kind"].str.startswith("modif"), ["kind", "attempt", "code"]]
    return found.fillna({"code": ""}).to_numpy().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mock", "sim"])
def test_a_resting_order_is_filled_once_its_limit_is_changed_to_a_marketable_one(kind):
    with scripted(kind, None) as (broker, blotter):
        assert change(broker, blotter, 1, 99.5) == [99.5]
        assert blotter.orders("r")["status"].tolist() == ["SUBMITTED"]
        assert change(broker, blotter, 2, 100.02, fills=True) == []
        assert answers(blotter) == [["modified", 1, ""], ["modified", 2, ""]]
        fills, events = blotter.fills("r"), blotter.events("r")
        row = blotter.orders("r").iloc[0]
    # by hand: at most the size shown at a time, at the far touch
    assert list(zip(fills["quantity"], fills["price"], strict=True)) == [
        (200.0, 100.02),
        (200.0, 100.02),
        (50.0, 100.02),
    ]
    assert (row["status"], row["filled_quantity"], row["limit_price"]) == ("FILLED", 450.0, 99.0)
    about = events[events["kind"].isin(["status", "modified", "execution"])]
    assert (about["order_id"].nunique(), about["perm_id"].nunique()) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mock", "sim"])
def test_an_order_that_is_filled_in_part_is_changed_with_its_whole_quantity(kind):
    with scripted(kind, FILLED_IN_PART) as (broker, blotter):
        with pytest.raises(BrokerError):
            change(broker, blotter, 1, 100.02, quantity=350.0)  # the rest
        assert answers(blotter) == []
        assert change(broker, blotter, 1, 100.02, fills=True) == []
        fills, row = blotter.fills("r"), blotter.orders("r").iloc[0]
    assert (row["status"], row["filled_quantity"]) == ("FILLED", 450.0)
    assert (fills["quantity"].tolist()[0], fills["price"].tolist()[0]) == (100.0, 98.0)
    assert fills["quantity"].sum() == 450.0  # under one id, and never more
    assert set(fills["price"].tolist()[1:]) == {100.02}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mock", "sim"])
def test_a_refused_change_leaves_the_order_working_on_its_old_limit(kind):
    with scripted(kind, REFUSING) as (broker, blotter):
        assert change(broker, blotter, 1, 99.5) == [99.0]
        assert answers(blotter) == [["modify_refused", 1, "201"]]
        row = blotter.orders("r").iloc[0]
        assert (row["status"], pd.isna(row["reason"])) == ("SUBMITTED", True)
        assert change(broker, blotter, 2, 99.5) == [99.5]  # and it can be changed again
        broker.cancel("r-TLT-BUY")
        assert broker.open_orders().empty
        blotter.record([]).result(5)
        assert blotter.orders("r")[["status", "reason"]].to_numpy().tolist() == [["CANCELLED", "cancel_requested"]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mock", "sim"])
def test_an_order_that_is_filled_or_being_cancelled_is_not_changed(kind):
    with scripted(kind, None) as (broker, blotter):
        with pytest.raises(OrderNotWorkingError):
            change(broker, blotter, 1, 99.5, client_order_id="r-KO-BUY")
        assert change(broker, blotter, 1, 100.02, fills=True) == []
        with pytest.raises(OrderNotWorkingError):
            change(broker, blotter, 2, 100.05)
        assert answers(blotter) == [["modified", 1, ""]]
    with scripted(kind, None) as (broker, blotter):
        broker.cancel("r-TLT-BUY")
        with pytest.raises(OrderNotWorkingError):
            change(broker, blotter, 1, 100.02)
        assert broker.open_orders().empty
        assert blotter.fills("r").empty


def test_an_order_that_was_never_placed_cannot_be_cancelled(broker):
    with pytest.raises(InputError) as caught:
        broker.cancel("r-SPY-BUY")
    assert caught.value.codes == ("order_unknown",)


def test_a_closed_broker_may_be_closed_again(broker):
    broker.close()
    broker.close()


@pytest.mark.paper
@pytest.mark.skipif("STOCKLEAN_PAPER" not in os.environ, reason="STOCKLEAN_PAPER names no paper gateway")
def test_a_resting_order_on_a_paper_account_is_cancelled(blotter):
    run_id = f"contract-{pd.Timestamp.now('UTC'):%Y%m%d-%H%M%S}"
    with sx.connect(os.environ["STOCKLEAN_PAPER"]) as broker:
        assert broker.mode == "paper"
        assert broker.nav() > 0
        quotes = broker.quotes(["SPY"])
        row = quotes.iloc[0]
        price = next(row[name] for name in ("last", "bid", "close") if row[name] > 0)
        approved = approved_of([("SPY", "BUY", 1.0, "LMT", round(price * 0.9, 2), "DAY")], quotes, run_id)
        sx.submit_orders(approved, broker, blotter, timeout=10)
        assert f"{run_id}-SPY-BUY" in broker.open_orders()["client_order_id"].tolist()
        broker.cancel_all()
        sx.submit_orders(approved, broker, blotter, timeout=10)
        assert f"{run_id}-SPY-BUY" not in broker.open_orders()["client_order_id"].tolist()
