"""Contracts in other currencies, units and lots over real sockets: ib_async against the wire simulator."""

import asyncio
from types import SimpleNamespace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.client import Contract
from stocklean_exec.brokers.ib.connection import Connection
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


def test_a_limit_is_changed_and_confirmed_in_pounds(venue, blotter):
    with connect(venue) as broker:
        run(targets(("GAW", 0.1, "GBP", None, None, "LMT", 42.0)), broker, blotter, timeout=0.2)
        (shares,) = broker.open_orders()["quantity"]
        ours = Ticket(
            "r-GAW-BUY", "r", "GAW", "BUY", shares, "LMT", 42.506, "DAY", "GBP", "STK", "SMART", "DU0000001"
        )
        asyncio.run(broker.modify(ours, 1))
        # 4,250.6 pence: the tick is a penny, and a buy is never above its limit.
        assert broker.open_orders()["limit_price"].tolist() == [42.5]
    blotter.record([]).result(5)
    (answer,) = [event for event in blotter.recorded_events("r") if event.kind == "modified"]
    assert (answer.attempt, answer.price) == (1, 42.506)


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


def test_two_holdings_of_one_symbol_are_two_rows_distinguished_by_their_listing():
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
        # A dollar is 0.80 pounds. The 100 shares of the other listing are quoted at 10.00: 800 pounds.
        assert state.contract_quotes[["con_id", "bid", "ask"]].to_numpy().tolist() == [[21, 9.99, 10.01]]
        checked = sx.check_orders(orders, sx.Limits(max_gross=1.0), state)
        gross = sx.check_results(checked).set_index("check").loc["max_gross", "value"]
        assert gross * state.nav == pytest.approx(800.0 + orders["target_quantity"].item() * 11.0 * 0.8)
        assert {"other_contract", "gross_unknown"}.isdisjoint(checked["reasons"].dropna())


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


POUNDS_ALONE = MONEY | {"cash": {"GBP": 100_000.0}}
IN_DOLLARS = targets(("SPY", 0.5, "USD"))


def test_a_currency_that_the_account_never_held_has_the_rate_of_its_pair(blotter):
    with Simulator(seed=7, quotes=LISTED, **POUNDS_ALONE) as venue, connect(venue) as broker:
        assert broker.account_figures().currencies == {"GBP": (100_000.0, 1.0)}
        state = broker.account_state(IN_DOLLARS)
        # The venue quotes GBP.USD at 1 / 0.8.
        assert state.fx.loc["USD", "rate"] == pytest.approx(0.8, rel=1e-4)
        assert state.fx.loc["USD", "source"] == "quote"
        assert state.fx.loc["USD", "taken_at"] == pytest.approx(state.taken_at["quotes"], abs=pd.Timedelta("30s"))
        states = run(IN_DOLLARS, broker, blotter)
    # 50,000 pounds at 400 x 0.8 a share are 156.25 shares.
    assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["FILLED", 156.0]]


def test_a_rate_far_from_that_of_the_pair_is_an_error(blotter):
    with Simulator(seed=7, quotes=LISTED, **POUNDS_ALONE) as venue, connect(venue) as broker:
        with pytest.raises(sx.InputError, match=r"account DU.*001 has 0\.8") as caught:
            broker.account_state(IN_DOLLARS, fx={"USD": 1.25})
        assert caught.value.codes == ("fx_mismatch",)
        states = send_with_rate(broker, blotter)
    assert states[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "fx_mismatch"]]


def send_with_rate(broker, blotter):
    """Submit a plan that was made with an inverted rate."""
    market = {"SPY": 400.0}
    plan = sx.plan_orders(IN_DOLLARS, None, market, nav=1e5, run_id="r", base_currency="GBP", fx={"USD": 1.25})
    limits = sx.Limits(min_cash_after=None)
    checked = sx.check_orders(plan, limits, quotes=market, base_currency="GBP", fx={"USD": 1.25})
    review = sx.review_orders(checked)
    review.approve_all(by="ann")
    return sx.submit_orders(review.result(), broker, blotter)


def test_currency_positions_are_no_holdings(venue, monkeypatch):
    # TWS keeps a record of conversions that looks like a position; the money is in the cash balances already.
    pair = Contract(symbol="EUR", secType="CASH", currency="GBP", conId=12345)
    reported = Connection.positions

    async def with_a_pair(self):
        return [
            *await reported(self),
            SimpleNamespace(account=self.account, contract=pair, position=3e4, avgCost=0.87),
        ]

    monkeypatch.setattr(Connection, "positions", with_a_pair)
    with connect(venue) as broker:
        assert broker.positions().empty
        state = broker.account_state({"SPY": 0.5})
    assert state.nav == state.cash == 100_000.0


STALE = [
    {"symbol": "AAA", "bid": 9.9, "ask": 10.1, "last": 10.0, "last_time": "2022-12-28 20:59:58"},
    {"symbol": "BBB", "last": 10.0, "last_time": "2022-12-28 20:59:58", "halted": 1},
    {"symbol": "CCC", "last": 10.0, "halted": -1},
    {"symbol": "DDD", "bid": 9.9, "ask": 10.1, "halted": 0},
]


def test_a_last_trade_has_its_own_time_and_an_old_one_is_too_old():
    with Simulator(seed=7, quotes=STALE) as venue, connect(venue) as broker:
        quotes = broker.quotes(["AAA", "BBB", "CCC", "DDD"]).set_index("symbol")
        again = broker.quotes(["CCC"]).set_index("symbol")  # after answers about others, and its own
    assert quotes["time_source"].tolist() == ["received", "last_trade", "last_trade", "received"]
    assert quotes.loc["BBB", "quoted_at"] == pd.Timestamp("2022-12-28 20:59:58", tz="UTC")
    assert again.loc["CCC", "quoted_at"] - quotes.loc["AAA", "quoted_at"] < pd.Timedelta("1min")
    assert quotes["halted"].tolist() == [pd.NA, True, pd.NA, False]
    orders = sx.plan_orders(
        dict.fromkeys(["AAA", "BBB", "CCC"], 0.1), None, quotes.reset_index(), nav=1e4, run_id="r"
    )
    now = quotes.loc["AAA", "quoted_at"]
    checked = sx.check_orders(
        orders,
        sx.Limits(max_quote_age=60, min_cash_after=None, closed_market="ignore"),
        quotes=quotes.reset_index(),
        now=now,
    ).set_index("symbol")
    assert checked["verdict"].to_dict() == {"AAA": "pass", "BBB": "block", "CCC": "pass"}
    assert {"price_stale", "symbol_halted"} <= set(checked.loc["BBB", "reasons"].split(", "))


HOURS = {"switches": {"hours": "exchange"}}


def test_a_contract_has_its_hours_and_a_market_the_time_of_tws():
    saturday = "2022-12-31T12:00:00"
    with Simulator(seed=7, quotes=LISTED, scenario=HOURS, start=saturday) as venue, connect(venue) as broker:
        reported = broker.trading_hours(targets(("GAW", 0.1, "GBP"), ("NOPE", 0.1)))
        state = broker.account_state(["SPY"])
        found = sx.market_hours(["SPY"], broker).iloc[0]
    assert reported["symbol"].tolist() == ["GAW"]
    assert reported[["con_id", "primary_exchange", "time_zone"]].iloc[0].tolist() == [11, "LSE", "US/Eastern"]
    assert reported["hours"].iloc[0].startswith("20221231:CLOSED;20230101:CLOSED;20230102:0930-20230102:1600;")
    assert f"{state.market_time:%Y-%m-%d %H}" == "2022-12-31 17"  # noon in New York
    assert not state.never_closes
    assert state.trading_hours["symbol"].tolist() == ["SPY"]
    assert (found["is_open"], found["hours_from"]) == (False, "contract")
    # New Year's Day of 2023 is kept on Monday, and the simulator has no holidays.
    assert found["next_open"] == pd.Timestamp("2023-01-02 09:30", tz="America/New_York")
    assert "disagree" in found["note"]


def test_a_simulated_market_never_closes_unless_its_scenario_says_so(venue):
    with connect(venue) as broker:
        state = broker.account_state(["SPY"])
        found = sx.market_hours(["SPY"], broker, at=pd.Timestamp("2022-12-31 03:00", tz="America/New_York"))
    assert state.never_closes
    assert found[["is_open", "hours_from"]].iloc[0].tolist() == [True, "contract"]
    assert "disagree" not in found["note"].iloc[0]


def test_the_time_is_that_of_this_computer_where_tws_is_silent(venue):
    with connect(venue, seconds=0.2) as broker:
        venue.fault(on="reqCurrentTime", do="swallow")
        before = pd.Timestamp.now("UTC")
        assert before <= broker.market_time() <= pd.Timestamp.now("UTC")
