from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.account_state import AccountState, difference
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.risk.pre_trade_checks import CHECK_CONTEXT, Limits, check_orders, check_results, recheck_orders
from stocklean_exec.schema.frame_validator import input_warnings
from stocklean_exec.schema.inputs import parse_positions, parse_quotes

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def orders_of(*rows, run_id="r"):
    frame = pd.DataFrame(rows, columns=["symbol", "side", "quantity"])
    return frame.assign(run_id=run_id, order_type="MKT")


def sent(blotter, run_id, at, fill_plan=None):
    """Put one order of 5 SPY, sent at ``at``, on the record."""
    broker = MockBroker({"SPY": 10.0}, cash=1_000, fill_plan=fill_plan)
    checked = check_orders(orders_of(("SPY", "BUY", 5.0), run_id=run_id), quotes=broker.quotes(), cash=1_000)
    review = sx.review_orders(checked)
    review.approve_all(by="test")
    broker._time = at
    sx.submit_orders(review.result(), broker, blotter)


@pytest.mark.slow
def test_a_halted_blotter_blocks_everything():
    with sx.open_blotter() as blotter:
        blotter.halt("drill")
        checked = check_orders(
            orders_of(("SPY", "BUY", 5.0), ("TLT", "BUY", 5.0)),
            quotes={"SPY": 10.0, "TLT": 10.0},
            cash=1_000,
            blotter=blotter,
        )
        assert checked["verdict"].tolist() == ["block", "block"]
        assert checked["reasons"].tolist() == ["halted", "halted"]
        blotter.clear_halt("over")
        again = check_orders(orders_of(("SPY", "BUY", 5.0)), quotes={"SPY": 10.0}, cash=1_000, blotter=blotter)
    assert again["verdict"].tolist() == ["pass"]


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "verdict"), [(1, "block"), (300, "block"), (301, "pass")])
def test_an_order_like_one_sent_within_the_window_is_a_suspected_duplicate(seconds, verdict):
    with sx.open_blotter() as blotter:
        sent(blotter, "first", NOW - timedelta(seconds=seconds))
        checked = check_orders(
            orders_of(("SPY", "BUY", 5.0), run_id="second"),
            quotes={"SPY": 10.0},
            cash=1_000,
            blotter=blotter,
            now=NOW,
        )
    assert checked["verdict"].tolist() == [verdict]
    table = check_results(checked).set_index("check").loc["suspected_duplicate"]
    assert table["limit"] == 300.0
    if verdict == "block":
        assert table["value"] == seconds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([{"action": "cancel"}], "pass"),
        ([{"action": "reject"}], "pass"),
        ([{"action": "fill", "quantity": 2.0}, {"action": "cancel"}], "block"),
    ],
)
def test_a_cancelled_order_may_be_repeated_unless_a_part_of_it_was_filled(steps, verdict):
    with sx.open_blotter() as blotter:
        sent(blotter, "first", NOW - timedelta(seconds=9), pd.DataFrame(steps).assign(symbol="SPY"))
        assert blotter.orders("first")["status"].tolist() != ["FILLED"]
        frame = orders_of(("SPY", "BUY", 5.0), run_id="second")
        checked = check_orders(frame, quotes={"SPY": 10.0}, cash=1_000, blotter=blotter, now=NOW)
    assert checked["verdict"].tolist() == [verdict]


@pytest.mark.slow
def test_the_same_order_checked_again_after_it_was_sent_is_not_its_own_duplicate():
    with sx.open_blotter() as blotter:
        sent(blotter, "first", NOW)
        frame = orders_of(("SPY", "BUY", 5.0), run_id="first")
        checked = check_orders(frame, quotes={"SPY": 10.0}, cash=1_000, blotter=blotter, now=NOW)
    assert checked["verdict"].tolist() == ["pass"]


@pytest.mark.slow
def test_an_earlier_order_is_not_hidden_by_the_orders_own_record():
    with sx.open_blotter() as blotter:
        sent(blotter, "first", NOW - timedelta(seconds=20))
        sent(blotter, "second", NOW - timedelta(seconds=10))
        frame = orders_of(("SPY", "BUY", 5.0), run_id="second")
        checked = check_orders(frame, quotes={"SPY": 10.0}, cash=1_000, blotter=blotter, now=NOW)
    assert checked["reasons"].tolist() == ["suspected_duplicate"]


@pytest.mark.slow
def test_another_quantity_or_side_and_a_switched_off_window_are_no_duplicates():
    with sx.open_blotter() as blotter:
        sent(blotter, "first", NOW)
        for frame, limits in (
            (orders_of(("SPY", "BUY", 6.0), run_id="b"), Limits()),
            (orders_of(("SPY", "SELL", 5.0), run_id="b"), Limits(allow_short=True)),
            (orders_of(("SPY", "BUY", 5.0), run_id="b"), Limits(duplicate_window=None)),
        ):
            checked = check_orders(frame, limits, quotes={"SPY": 10.0}, cash=1_000, blotter=blotter, now=NOW)
            assert checked["verdict"].tolist() == ["pass"]


@pytest.mark.slow
def test_a_recorded_order_that_was_never_sent_is_no_duplicate():
    with sx.open_blotter() as blotter:
        blotter.record([OrderEvent("run_started", "x", attempt=1)]).result()
        checked = check_orders(
            orders_of(("SPY", "BUY", 5.0)), quotes={"SPY": 10.0}, cash=1_000, blotter=blotter, now=NOW
        )
    assert checked["verdict"].tolist() == ["pass"]


@pytest.mark.parametrize("cash", [None, "1000", True, float("nan"), float("inf")])
def test_invalid_cash_is_an_error(cash):
    with pytest.raises(InputError) as caught:
        check_orders(orders_of(("SPY", "BUY", 5.0)), quotes={"SPY": 10.0}, cash=cash)
    assert caught.value.codes == ("cash_missing",)


def test_cash_is_not_required_if_its_check_is_off_or_nothing_trades():
    frame = orders_of(("SPY", "BUY", 5.0))
    limits = Limits(min_cash_after=None)
    assert check_orders(frame, limits, quotes={"SPY": 10.0})["verdict"].tolist() == ["pass"]
    refused = frame.assign(status="REJECTED", reason="price_unavailable")
    assert check_orders(refused)["reasons"].tolist() == ["price_unavailable"]


def test_checking_does_not_change_its_inputs():
    frame = orders_of(("spy", "BUY", 5.0))
    before = frame.copy()
    check_orders(frame, quotes={"SPY": 10.0}, cash=1_000)
    pd.testing.assert_frame_equal(frame, before)
    assert CHECK_CONTEXT not in frame.attrs


def test_an_empty_plan_is_checked_to_an_empty_plan():
    plan = sx.plan_orders({"SPY": 0.5}, {"SPY": 50}, {"SPY": 100.0}, nav=10_000, run_id="r")
    checked = check_orders(
        plan, Limits(max_gross=1, max_position_ratio=1), quotes={"SPY": 100.0}, cash=0.0, nav=1e4
    )
    assert len(checked) == 0
    assert {"verdict", "reasons", "checks"} <= set(checked.columns)
    assert len(check_results(checked)) == 0


def test_an_invalid_orders_frame_is_an_error():
    with pytest.raises(InputError) as caught:
        check_orders(pd.DataFrame({"symbol": ["SPY"]}))
    assert caught.value.codes == ("missing_column",)


@pytest.mark.parametrize(
    ("side", "order_type", "effect"),
    [
        (None, "MKT", 0.0),
        ("BUY", "MKT", -501.0),  # 5 at 100 and 1 of commission
        ("BUY", "STP", -501.0),
        ("SELL", "MKT", 499.0 - 0.014875),  # 5 x 0.000195 to FINRA, 500 x 27.80 per million to the SEC
        ("SELL", "STP", 0.0),  # a stop may never sell
    ],
)
def test_working_buys_take_cash_and_only_plain_sells_bring_it(side, order_type, effect):
    working = None
    if side is not None:
        row = {"symbol": "TLT", "side": side, "quantity": 5.0, "order_type": order_type}
        working = pd.DataFrame([row])
    state = sx.AccountState.of(
        {"TLT": 40}, {"SPY": 50.0, "TLT": 100.0}, nav=10_000.0, cash=6_000.0, open_orders=working
    )
    table = check_results(check_orders(orders_of(("SPY", "BUY", 100.0)), None, state)).set_index("check")
    # 100 at 50 and 1 of commission
    assert table.loc["insufficient_cash", "value"] == pytest.approx(6_000.0 - 5_001.0 + effect)


@pytest.mark.parametrize(
    ("data_type", "reason"),
    [
        (1, ""),
        (2, ""),
        (3, "delayed_price"),
        (4, "delayed_price"),
        (5, ""),
        ("delayed", "delayed_price"),
        (None, ""),
    ],
)
def test_a_price_of_delayed_data_warns(data_type, reason):
    # TWS API, "Market data types": 1 live, 2 frozen, 3 delayed, 4 delayed and frozen.
    quotes = pd.DataFrame({"symbol": ["SPY"], "last": [100.0], "quoted_at": [NOW], "data_type": [data_type]})
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)), quotes=quotes, cash=3_000.0, now=NOW)
    assert checked["reasons"].fillna("").tolist() == [reason]


def test_delayed_data_that_is_too_old_is_named_with_the_column_that_says_so():
    quotes = pd.DataFrame({"symbol": ["SPY"], "last": [100.0], "quoted_at": [pd.NaT], "data_type": [3]})
    limits = Limits(max_quote_age=60.0)
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)), limits, quotes=quotes, cash=3_000.0, now=NOW)
    (row,) = input_warnings(checked).query("code == 'delayed_price'").to_dict("records")
    assert (row["table"], row["column"]) == ("quotes", "quoted_at")
    assert "only delayed quotes of SPY" in row["detail"]


def test_an_edited_frame_checked_again_equals_one_checked_with_the_same_context():
    quotes = pd.DataFrame(
        {
            "symbol": ["SPY", "TLT"],
            "bid": [99.0, np.nan],
            "ask": [101.0, np.nan],
            "last": [np.nan, 50.0],
            "quoted_at": [NOW, pd.NaT],
            "data_type": [1, 3],
        }
    )
    limits = Limits(max_order_notional=2_000, max_gross=2, restricted={"GME"})
    context = {
        "positions": {"TLT": 100.0},
        "quotes": quotes,
        "cash": 3_000.0,
        "blotter": SimpleNamespace(halted=None),
        "now": NOW + timedelta(seconds=1),
    }
    frame = orders_of(("SPY", "BUY", 5.0), ("TLT", "SELL", 10.0))
    checked = check_orders(frame, limits, **context)
    edited = checked.copy()
    edited.loc[0, "quantity"] = 25.0
    again = recheck_orders(edited)
    expected = check_orders(frame.assign(quantity=[25.0, 10.0]), limits, **context)
    pd.testing.assert_frame_equal(again, expected)
    assert again.attrs == expected.attrs
    assert again["reasons"].tolist() == ["max_notional", "delayed_price"]


def test_a_halt_at_the_first_check_also_blocks_the_recheck():
    halted = SimpleNamespace(halted="nan")  # a reason that looks like a number
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)), quotes={"SPY": 10.0}, cash=100, blotter=halted)
    assert recheck_orders(checked)["reasons"].tolist() == ["halted"]


def test_a_frame_that_lost_its_check_context_cannot_be_rechecked():
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)), quotes={"SPY": 10.0}, cash=100)
    checked.attrs.clear()
    with pytest.raises(InputError) as caught:
        recheck_orders(checked)
    assert caught.value.codes == ("not_checked",)


def test_the_check_context_is_plain_json():
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)), quotes={"SPY": 10.0}, cash=100, now=NOW)
    stored = json.loads(checked.attrs[CHECK_CONTEXT])
    assert stored["context"]["cash"] == 100.0
    assert stored["context"]["nav"] is None
    assert stored["limits"]["price_collar"] == 0.1


@pytest.mark.slow
def test_five_thousand_orders_are_checked_in_a_second_of_processor_time():
    symbols = [f"S{number:05d}" for number in range(5_000)]
    frame = pd.DataFrame({"run_id": "r", "symbol": symbols, "side": "BUY", "quantity": 7.0, "order_type": "MKT"})
    quotes = pd.DataFrame(
        {"symbol": symbols, "bid": 99.9, "ask": 100.1, "last": 100.0, "close": 99.0, "quoted_at": NOW}
    )
    held = pd.DataFrame({"symbol": symbols[::2], "quantity": 3.0})
    limits = Limits(
        max_order_notional=1e6, max_order_quantity=1e5, max_position_ratio=0.1, max_gross=2, max_total_notional=1e9
    )
    best = 9.0
    for _ in range(3):
        start = time.process_time()
        checked = check_orders(frame, limits, positions=held, quotes=quotes, cash=1e7, nav=1e8, now=NOW)
        best = min(best, time.process_time() - start)
    assert set(checked["verdict"]) == {"pass"}
    assert best < 1.0  # several times what it takes: a cost for each pair of orders would take minutes


# -- currencies ------------------------------------------------------------------------------------------------


def test_an_order_in_another_currency_is_blocked_and_the_others_are_not():
    frame = orders_of(("SPY", "BUY", 5.0), ("VOD", "BUY", 10.0)).assign(currency=["USD", "GBP"])
    checked = check_orders(frame, quotes={"SPY": 100.0, "VOD": 1.0}, cash=10_000)
    assert checked["verdict"].tolist() == ["pass", "block"]
    assert checked["reasons"].tolist()[1] == "currency_unsupported"
    in_pounds = check_orders(frame.iloc[[1]], quotes={"VOD": 1.0}, cash=10_000, base_currency="GBP")
    assert in_pounds["verdict"].tolist() == ["pass"]


def test_an_order_whose_quote_is_in_another_currency_is_blocked():
    quotes = pd.DataFrame({"symbol": ["SPY"], "last": [100.0], "currency": ["EUR"], "quoted_at": [NOW]})
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)), quotes=quotes, cash=10_000, now=NOW)
    assert checked["reasons"].tolist() == ["currency_unsupported"]


@pytest.mark.slow
def test_a_limit_on_gross_or_a_ratio_needs_the_rates_of_all_holdings_and_nothing_else_does():
    held = pd.DataFrame(
        {"symbol": ["SAP", "SPY", "OLD"], "quantity": [5, 5, 0], "currency": ["EUR", "USD", "CHF"]}
    )
    quotes = {"SPY": 100.0, "SAP": 90.0}
    options = {"positions": held, "quotes": quotes, "cash": 10_000}
    order = orders_of(("SPY", "BUY", 5.0))
    assert check_orders(order, **options)["verdict"].tolist() == ["pass"]
    for limits in (Limits(max_gross=1.0), Limits(max_position_ratio=0.5)):
        with pytest.raises(InputError, match="held in EUR, which has no exchange rate") as caught:
            check_orders(order, limits, **options)
        assert [problem.symbol for problem in caught.value.problems] == ["SAP"]
        assert check_orders(order, limits, **options, fx={"EUR": 1.1})["verdict"].tolist() == ["pass"]
    with pytest.raises(InputError, match="max_gross cannot be checked"):
        check_orders(order, Limits(max_gross=1.0), **options, nav=20_000)


# One order worth 220,000 US dollars in each currency: shares x price x rate. The rates are powers of two and
# tenths, so that the product is exact.
SAME_VALUE = {
    "USD": (2_200.0, 100.0, 1.0),
    "EUR": (1_600.0, 110.0, 1.25),
    "CHF": (2_000.0, 100.0, 1.1),
    "GBP": (1_100.0, 160.0, 1.25),
    "JPY": (8_800.0, 3_200.0, 0.0078125),
}


# Their fees in US dollars: 2,200 x 0.005; 0.05 % of 176,000 euros; of 200,000 francs; of 176,000 pounds, with
# stamp duty of 0.5 % and 1.50 of PTM levy; 0.08 % of 28,160,000 yen.
FEES = {"USD": 11.0, "EUR": 88.0 * 1.25, "CHF": 100.0 * 1.1, "GBP": 969.5 * 1.25, "JPY": 22_528 * 0.0078125}


@pytest.mark.parametrize("currency", SAME_VALUE)
@pytest.mark.parametrize(
    ("name", "at", "code"),
    [
        ("max_order_notional", 220_000.0, "max_notional"),
        ("max_total_notional", 220_000.0, "max_total_notional"),
        ("max_position_ratio", 0.22, "max_position_ratio"),
        ("max_gross", 0.22, "max_gross"),
        # 1,000,000 less the order and its fees
        ("min_cash_after", None, "insufficient_cash"),
    ],
)
def test_each_limit_blocks_at_the_same_value_in_every_currency(currency, name, at, code):
    quantity, price, rate = SAME_VALUE[currency]
    frame = orders_of(("X", "BUY", quantity)).assign(currency=currency)
    options = {
        "quotes": {"X": price},
        "cash": 1_000_000.0,
        "nav": 1_000_000.0,
        "fx": {currency: rate} if currency != "USD" else None,
    }
    if at is None:
        at = 1_000_000.0 - 220_000.0 - FEES[currency]
        passes, blocks = Limits(min_cash_after=at), Limits(min_cash_after=at + 0.01)
    else:
        passes, blocks = Limits(**{name: at}), Limits(**{name: at * 0.9999})
    assert check_orders(frame, passes, **options)["verdict"].tolist() == ["pass"]
    assert check_orders(frame, blocks, **options)["reasons"].tolist() == [code]


def test_a_checked_frame_has_the_rate_of_each_order_where_one_is_in_another_currency():
    frame = orders_of(("SPY", "BUY", 5.0), ("SAP", "BUY", 10.0)).assign(currency=["USD", "EUR"])
    options = {"quotes": {"SPY": 100.0, "SAP": 90.0}, "cash": 10_000, "fx": {"EUR": 1.1}}
    checked = check_orders(frame, **options)
    assert checked["fx_rate"].tolist() == [1.0, 1.1]
    assert recheck_orders(checked)["fx_rate"].tolist() == [1.0, 1.1]
    assert "fx_rate" not in check_orders(checked.iloc[[0]], **options).columns


def test_holdings_in_other_currencies_count_in_the_base_currency():
    held = pd.DataFrame({"symbol": ["SAP"], "quantity": [100], "currency": ["EUR"]})
    # NAV: 1,000 + 100 x 90 x 1.1 = 10,900. 20 SPY more are 2,000; gross 9,900 + 2,000 = 11,900, 1.0917 of NAV.
    checked = check_orders(
        orders_of(("SPY", "BUY", 20.0)),
        Limits(max_gross=1.0, min_cash_after=None),
        positions=held,
        quotes={"SAP": 90.0, "SPY": 100.0},
        cash=1_000,
        fx={"EUR": 1.1},
    )
    found = check_results(checked).set_index("check").loc["max_gross"]
    assert (found["verdict"], round(found["value"], 6)) == ("block", round(11_900 / 10_900, 6))


def test_a_state_gives_everything_of_the_account():
    state = sx.AccountState.of({"SPY": 10}, {"SPY": 100.0, "TLT": 50.0}, nav=3_000, cash=2_000, fx={"EUR": 1.1})
    order = orders_of(("TLT", "BUY", 40.0))
    limits = Limits(max_gross=1.0)
    one = check_orders(order, limits, state, now=NOW)
    other = check_orders(
        order,
        limits,
        positions={"SPY": 10},
        quotes={"SPY": 100.0, "TLT": 50.0},
        nav=3_000,
        cash=2_000,
        fx={"EUR": 1.1},
        now=NOW,
    )
    pd.testing.assert_frame_equal(one, other)
    assert one["reasons"].tolist() == ["insufficient_cash"]  # 2,000 for the shares, 1 of fees
    for name in ("cash", "nav"):
        with pytest.raises(InputError, match=f"{name}= is in the account state already"):
            check_orders(order, limits, state, **{name: 5_000})


# -- what the planner makes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_a_fully_invested_plan_passes_its_own_check_at_default_settings(seed):
    random = Random(seed)  # noqa: S311 - test data
    count, nav = random.choice([5, 20, 50]), random.choice([20_000.0, 100_000.0, 1_000_000.0])
    symbols = [f"S{number}" for number in range(count)]
    mid = [round(random.uniform(10, 400), 2) for _ in symbols]
    half = [round(price * random.choice([0, 1e-4, 5e-4]), 2) for price in mid]
    quotes = pd.DataFrame(
        {
            "symbol": symbols,
            "bid": [price - part for price, part in zip(mid, half, strict=True)],
            "ask": [price + part for price, part in zip(mid, half, strict=True)],
            "quoted_at": NOW,
        }
    )
    # The first half of the names is held, with a value up to the whole account; the weights of all add up to one.
    held = {name: float(int(nav / count / price)) for name, price in zip(symbols[: count // 2], mid, strict=False)}
    value = sum(shares * price for shares, price in zip(held.values(), mid, strict=False))
    weights = [random.random() for _ in symbols]
    targets = {name: weight / sum(weights) for name, weight in zip(symbols, weights, strict=True)}
    orders = plan_orders(targets, held, quotes, nav=nav, run_id="r")
    checked = check_orders(orders, positions=held, quotes=quotes, cash=nav - value, now=NOW)
    assert len(checked)
    assert not (checked["verdict"] == "block").any(), checked["reasons"].dropna().unique()


def test_a_check_recomputes_notionals_except_of_rejected_or_unpriced_orders():
    frame = orders_of(("SPY", "BUY", 5.0), ("TLT", "BUY", 6.0), ("KO", "BUY", 7.0)).assign(
        notional=[1.0, 2.0, 3.0], status=["NEW", "REJECTED", "NEW"], reason=[None, "tick_unknown", None]
    )
    checked = check_orders(frame, quotes={"SPY": 10.0, "TLT": 20.0}, cash=1_000)
    assert checked["notional"].tolist() == [50.0, 2.0, 3.0]


def test_an_empty_frame_can_be_checked_and_has_typed_columns():
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)).iloc[:0], quotes={"SPY": 10.0}, cash=1_000)
    assert len(checked) == 0
    assert {str(checked[name].dtype) for name in ("verdict", "reasons", "checks", "limits")} == {"str"}


@pytest.mark.slow  # loads the calendars
def test_the_hours_of_markets_are_part_of_a_check_at_a_time_that_is_named():
    thanksgiving = datetime(2026, 11, 26, 16, tzinfo=UTC)  # 11:00 in New York
    checked = check_orders(orders_of(("SPY", "BUY", 5.0)), quotes={"SPY": 10.0}, cash=1_000, now=thanksgiving)
    assert checked["reasons"].tolist() == ["market_closed"]


def two_contracts(price, side="BUY", **limits):
    """An order for 100 VOD at 10 in an account of 10,000 that holds 500 of another VOD, at ``price``."""
    held = parse_positions(
        pd.DataFrame({"symbol": ["VOD", "VOD"], "quantity": [100.0, 500.0], "con_id": [11, 22]})
    )
    quotes = parse_quotes({"VOD": 10.0}).assign(con_id=pd.array([11], dtype="Int64"))
    more = parse_quotes({"VOD": 1.0 if price is None else price}).assign(con_id=pd.array([22], dtype="Int64"))
    state = AccountState(None, "USD", nav=10_000.0, cash=6_500.0, _positions=held, _quotes=quotes)
    state = replace(state, _contract_quotes=None if price is None else more)
    assert bool(difference(state)) == (price not in (None, 5.0))  # 6,500 and 1,000 leave 2,500 for the 500
    frame = orders_of(("VOD", side, 100.0)).assign(con_id=pd.array([11], dtype="Int64"), max_gross=1.0)
    checked = check_orders(frame, Limits(max_adv_ratio=None, **limits), state)
    return checked["reasons"].fillna("").item(), input_warnings(checked)["detail"].tolist()


def test_a_holding_in_another_contract_counts_in_gross_exposure_at_its_own_quote():
    # 200 x 10 and 500 x 5 are 4,500 of 10,000
    assert two_contracts(5.0, max_gross=0.45) == ("", [])
    assert two_contracts(5.0, max_gross=0.44)[0] == "max_gross"
    assert two_contracts(4.0, max_gross=0.44) == ("", [])


def test_a_holding_in_another_contract_without_a_quote_is_unknown_and_named():
    reasons, notes = two_contracts(None, max_gross=5.0)
    assert reasons == "gross_unknown"
    assert any("VOD (22), so gross exposure is UNKNOWN" in text for text in notes)
    assert two_contracts(None, "SELL", max_gross=5.0)[0] == ""  # it lowers the exposure
    reasons, notes = two_contracts(None)  # by default what cannot be valued is not checked
    assert reasons == ""
    assert any("VOD (22), so gross exposure is UNKNOWN" in text for text in notes)
    assert two_contracts(None, max_gross=None) == ("", [])


def gross_with_a_dark_holding(max_gross, quantity=10.0, side="BUY", quotes=None):
    """An order in SPY at 100 for an account of 10,000 that holds 60 SPY, and 10 of DARK without a quote."""
    held = pd.DataFrame({"symbol": ["SPY", "DARK"], "quantity": [60.0, 10.0]})
    frame = orders_of(("SPY", side, quantity)).assign(max_gross=0.8)
    limits = Limits(max_gross=max_gross, max_adv_ratio=None)
    checked = check_orders(frame, limits, held, quotes=quotes or {"SPY": 100.0}, nav=10_000.0, cash=4_000.0)
    return checked["reasons"].fillna("").item(), input_warnings(checked)["detail"].tolist()


def test_a_holding_without_a_price_is_unknown_in_gross_exposure_and_not_zero():
    note = "no price or exchange rate of DARK, so gross exposure is UNKNOWN: compared without them"
    assert gross_with_a_dark_holding(5.0) == ("gross_unknown", [note])
    assert gross_with_a_dark_holding(5.0, side="SELL") == ("", [note])
    assert gross_with_a_dark_holding(5.0, quotes={"SPY": 100.0, "DARK": 1.0}) == ("", [])
    assert gross_with_a_dark_holding("auto") == ("", [note])
    # 90 SPY alone are 0.9 of NAV, over the 0.8 of the plan, whatever DARK is worth
    assert gross_with_a_dark_holding("auto", 30.0) == ("max_gross", [note])
    assert gross_with_a_dark_holding(None) == ("", [])


def auction_plan(cash, **terms):
    """A sell of 100 KO at 50 pays for a buy of 10 SPY at 400, both with these terms."""
    frame = orders_of(("KO", "SELL", 100.0), ("SPY", "BUY", 10.0)).assign(**{"order_type": "MOC"} | terms)
    quotes, held = {"KO": 50.0, "SPY": 400.0}, {"KO": 100}
    checked = check_orders(frame, Limits(max_adv_ratio=None), held, quotes=quotes, cash=cash)
    return checked["reasons"].fillna("").tolist()


def test_a_buy_for_an_auction_that_sells_of_the_auction_pay_for_is_warned_of():
    # 4,000 and a dollar of commission for each order; the sale has levies of its own
    assert auction_plan(3_000.0) == ["", "auction_funding"]
    assert auction_plan(4_003.0) == ["", ""]
    assert auction_plan(3_000.0, order_type="MKT") == ["", ""]
    assert auction_plan(3_000.0, order_type="MKT", tif="OPG") == ["", "auction_funding"]
    assert auction_plan(3_000.0, order_type=["MKT", "MOC"]) == ["", ""]  # the sale fills before the auction
    assert auction_plan(-1_500.0) == ["one_sided_plan", "insufficient_cash"]
