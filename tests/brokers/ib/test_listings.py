"""Contracts in other currencies, units and lots over real sockets: ib_async against the wire simulator."""

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.schema.missing_quotes import missing_quotes
from stocklean_exec.simulator import Simulator
from tests.wire_market import connect

LISTED = [
    {"symbol": "SPY", "bid": 399.90, "ask": 400.10, "last": 400.0},
    {"symbol": "GAW", "bid": 4293.0, "ask": 4295.0, "last": 4294.0, "currency": "GBP", "primary_exchange": "LSE"}
    | {"price_magnifier": 100, "min_tick": 1.0, "con_id": 11},
    {"symbol": "VOD", "bid": 9.99, "ask": 10.01, "primary_exchange": "NASDAQ", "con_id": 21},
    {"symbol": "VOD", "bid": 10.99, "ask": 11.01, "primary_exchange": "LSEETF", "con_id": 22},
    {"symbol": "TEN", "bid": 99.9, "ask": 100.1, "size_increment": 100, "min_size": 100, "con_id": 31},
]
MONEY = {"base_currency": "GBP", "cash": {"GBP": 99_200.0, "USD": 1_000.0}, "rates": {"USD": 0.8}}
pytestmark = pytest.mark.slow


@pytest.fixture
def venue():
    with Simulator(seed=7, quotes=LISTED, **MONEY) as running:
        yield running


@pytest.fixture
def blotter():
    with sx.open_blotter() as opened:
        yield opened


def targets(*rows):
    names = ["symbol", "weight", "currency", "con_id", "primary_exchange", "order_type", "limit_price"]
    return pd.DataFrame([(*row, *[None] * (len(names) - len(row))) for row in rows], columns=names)


def run(wanted, broker, blotter, **options):
    given = {"approve": "ann", "dry_run": False, "timeout": 10, "limits": sx.Limits(price_collar=None)} | options
    return sx.rebalance(wanted, broker, blotter, run_id="r", **given).set_index("symbol")


def test_quotes_in_pence_are_pounds(venue):
    with connect(venue) as broker:
        quote = broker.quotes(targets(("GAW", 0.1, "GBP"))).iloc[0]
    assert quote[["bid", "ask", "last", "currency", "con_id"]].tolist() == [42.93, 42.95, 42.94, "GBP", 11]
    assert quote[["primary_exchange", "time_source"]].tolist() == ["LSE", "received"]


@pytest.mark.parametrize("unit", ["currency", "quotes"])
def test_a_limit_in_pounds_fills_and_is_booked_in_pounds_whatever_unit_executions_are_in(blotter, unit):
    scenario = {"switches": {"execution_prices": unit}}
    with Simulator(seed=7, quotes=LISTED, scenario=scenario, **MONEY) as venue, connect(venue) as broker:
        # 4,295.6 pence: the tick is a penny, so 4,295 goes out, which is the ask.
        wanted = targets(("GAW", 0.1, "GBP", None, None, "LMT", 42.956))
        states = run(wanted, broker, blotter, tick_size=0.001)
        # A tenth of 100,000 at 42.94 is 232.9 shares.
        assert states.loc["GAW", ["status", "filled_quantity", "avg_fill_price"]].tolist() == [
            "FILLED",
            233.0,
            42.95,
        ]
        state = broker.account_state()
        assert state.positions["avg_cost"].tolist() == [pytest.approx(42.95, abs=0.05)]
        assert state.nav == pytest.approx(100_000.0 - 233 * 0.01 - 5.0, abs=2.0)
    flags = blotter.events("r").query("kind == 'execution'")[["code", "message"]]
    if unit == "currency":
        assert flags["code"].isna().all()
    else:
        assert set(flags["code"]) == {"price_unit_inferred"}
        assert "4295.0" in flags["message"].iloc[0]


def test_the_limit_of_an_open_order_is_read_back_in_pounds(venue, blotter):
    with connect(venue) as broker:
        run(targets(("GAW", 0.1, "GBP", None, None, "LMT", 42.0)), broker, blotter, timeout=0.2)
        (limit,) = broker.open_orders()["limit_price"]
        assert limit == 42.0
    with connect(venue, client_id=8) as other:  # which has not looked the contract up
        assert other.open_orders()[["limit_price", "con_id"]].to_numpy().tolist() == [[42.0, 11]]


def test_an_ambiguous_symbol_is_rejected_with_the_candidates_and_the_others_trade(venue, blotter):
    with connect(venue) as broker:
        states = run(targets(("VOD", 0.1, "USD"), ("SPY", 0.1, "USD")), broker, blotter)
        candidates = "VOD is ambiguous at TWS: NASDAQ 21, LSEETF 22; give con_id or primary_exchange"
        assert candidates in missing_quotes(broker.quotes(["VOD"]))["VOD"].detail
    assert states["status"].to_dict() == {"VOD": "REJECTED", "SPY": "FILLED"}
    assert states.loc["VOD", "reason"] == "ambiguous_instrument"
    (why,) = blotter.events("r").query("kind == 'refused'")["message"]
    assert candidates in why


@pytest.mark.parametrize("named", [(22, None), (None, "LSEETF"), (22, "LSEETF")])
def test_the_named_contract_is_quoted_and_traded(venue, blotter, named):
    with connect(venue) as broker:
        states = run(targets(("VOD", 0.1, "USD", *named)), broker, blotter)
        assert states["avg_fill_price"].tolist() == [11.01]
        assert broker.positions()["con_id"].tolist() == [22]
    recorded = blotter.orders("r")
    name = "con_id" if named[0] else "primary_exchange"
    assert recorded[name].tolist() == [named[0] or named[1]]


def test_a_number_of_another_symbol_is_refused_by_name(venue, blotter):
    with connect(venue) as broker:
        states = run(targets(("VOD", 0.1, "USD", 31)), broker, blotter)
        assert broker.positions().empty
    assert states["reason"].tolist() == ["contract_mismatch"]


def test_two_holdings_of_one_symbol_are_two_rows_and_are_told_apart_by_their_listing():
    held = {21: 100.0, 22: 40.0}
    with Simulator(seed=7, quotes=LISTED, positions=held, **MONEY) as venue, connect(venue) as broker:
        names = ["symbol", "quantity", "con_id", "primary_exchange"]
        assert broker.positions()[names].to_numpy().tolist() == [
            ["VOD", 100.0, 21, "NASDAQ"],
            ["VOD", 40.0, 22, "LSEETF"],
        ]
        state = broker.account_state(targets(("VOD", 0.1, "USD", 22)))
        orders = sx.plan_orders(targets(("VOD", 0.1, "USD", 22)), state, run_id="r", unlisted="keep")
        assert orders[["con_id", "current_quantity"]].to_numpy().tolist() == [[22, 40.0]]
        assert orders["decision_price"].tolist() == [11.0]


def test_an_order_that_breaks_the_lot_of_its_contract_is_not_sent(venue, blotter):
    with connect(venue) as broker:
        assert broker.quotes(["TEN"])["lot_size"].tolist() == [100.0]
        plan = pd.DataFrame(
            {"run_id": "r", "symbol": ["TEN"], "side": "BUY", "quantity": [137.0], "order_type": "MKT"}
        )
        limits = sx.Limits(min_cash_after=None, price_collar=None, duplicate_window=None)
        state = broker.account_state(plan)
        review = sx.review_orders(sx.check_orders(plan, limits, state))
        review.approve_all(by="ann")
        states = sx.submit_orders(review.result(), broker, blotter, timeout=5)
    assert states[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "lot_size"]]
    (why,) = blotter.events("r").query("kind == 'refused'")["message"]
    assert "multiples of 100 shares" in why or "at least" in why
