from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.inputs import (
    arrival_ages,
    arrival_prices,
    by_symbol,
    column_numbers,
    executed_by_order,
    in_order_currency,
    keyed_orders,
    side_signs,
    sign_factor,
    to_base,
    usable,
    utc_micros,
)

ORDERS = pd.DataFrame(
    {"client_order_id": ["a", "b", "c"], "symbol": ["A", "B", "A"], "side": "BUY", "quantity": 10.0}
)
FILLS = pd.DataFrame(
    {
        "client_order_id": ["b", "a", "b"],
        "quantity": [1.0, 0.1, 2.0],
        "price": [10.0, 5.0, np.nan],
        "commission": [np.nan, 1.0, 2.0],
        "filled_at": pd.to_datetime([3, 5, 1], unit="s", utc=True),
    }
)


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_fills_are_added_up_by_order(dtype):
    table = executed_by_order(keyed_orders(ORDERS), FILLS.astype({"client_order_id": dtype}))
    assert table["filled_quantity"].tolist() == [0.1, 3.0, 0.0]
    np.testing.assert_array_equal(table["avg_fill_price"], [5.0, np.nan, np.nan])  # one price of b is not known
    np.testing.assert_array_equal(table["commission"], [1.0, 2.0, np.nan])
    assert table["commissions_due"].tolist() == [0, 1, 0]
    assert table["fills"].tolist() == [1, 2, 0]
    assert table["first_at"].tolist() == [5_000_000, 1_000_000, NO_TIME]
    assert table["last_at"].tolist() == [5_000_000, 3_000_000, NO_TIME]


def test_a_fill_with_a_missing_categorical_order_id_is_an_orphan_too():
    ids = pd.Categorical(["a", None, "b"])
    with pytest.raises(InputError) as caught:
        executed_by_order(keyed_orders(ORDERS), FILLS.assign(client_order_id=ids))
    assert caught.value.codes == ("orphan_exec",)


def test_an_error_about_many_rows_names_the_first_fifty():
    fills = pd.DataFrame({"client_order_id": [f"x{i}" for i in range(1000)], "quantity": 1.0, "price": 1.0})
    with pytest.raises(InputError) as caught:
        executed_by_order(keyed_orders(ORDERS), fills)
    assert len(caught.value.problems) == 50


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_datetime(["2026-11-23 10:00-05:00"])),
        pd.Series([pd.Timestamp("2026-11-23 15:00", tz="UTC")], dtype="object"),
        pd.Series(["2026-11-23T15:00:00Z"]),
    ],
)
def test_times_are_read_as_utc(values):
    assert utc_micros(values, "filled_at", "fills").tolist() == [1_795_446_000_000_000]


def test_missing_times_are_read_as_no_time():
    for values in (pd.Series([None, pd.NaT]), pd.Series([pd.NaT], dtype="datetime64[ns]")):
        assert set(utc_micros(values, "filled_at", "fills").tolist()) == {NO_TIME}


@pytest.mark.parametrize(
    ("frame", "table"),
    [(ORDERS.assign(side="Buy"), "orders"), (ORDERS.assign(side=pd.Categorical(["BUY", None, "BUY"])), "x")],
)
def test_sides_are_read_as_buy_or_sell(frame, table):
    with pytest.raises(InputError) as caught:
        side_signs(frame, table)
    assert caught.value.table == table
    assert set(caught.value.codes) == {"side_invalid"}
    assert side_signs(ORDERS.astype({"side": "category"})).tolist() == [1, 1, 1]


def test_numbers_prices_and_signs_are_parsed():
    assert np.isnan(column_numbers(ORDERS, "nothing", "orders")).all()
    np.testing.assert_array_equal(usable(np.array([1.0, 0.0, -1.0, np.inf, np.nan])), [1, *[np.nan] * 4])
    assert (sign_factor("cost"), sign_factor("performance")) == (1, -1)
    frame = keyed_orders(ORDERS)
    assert by_symbol({"A": 1, "b": 2}, frame, "x").tolist() == [1, 2, 1]
    assert by_symbol(3, frame, "x").tolist() == [3, 3, 3]
    assert by_symbol(pd.DataFrame({"p": {"A": 1.0, "B": None}}), frame, "x")[[0, 2]].tolist() == [1, 1]


@pytest.mark.parametrize("fx", [{"USD": 1.0, "EUR": 1.1}, pd.Series({"USD": 1.0, "EUR": 1.1})])
def test_rates_convert_amounts_to_one_currency(fx):
    frame = keyed_orders(ORDERS.assign(currency=["USD", "EUR", None]))
    np.testing.assert_array_equal(to_base(frame, fx), [1.0, 1.1, np.nan])
    assert to_base(frame, "local") == 1
    assert to_base(keyed_orders(ORDERS), None) == 1


@pytest.mark.parametrize(
    ("fx", "code"),
    [
        (None, "currency_mixed"),
        ("EUR", "wrong_type"),
        ({"USD": "x"}, "number_dtype"),
        ({"USD": 1.0}, "fx_missing"),
        (pd.DataFrame({"currency": ["USD", "USD"], "rate": 1.0}), "duplicate_rate"),
        (pd.DataFrame({"currency": ["USD"]}), "missing_column"),
    ],
)
def test_missing_rates_are_an_error(fx, code):
    frame = keyed_orders(ORDERS.assign(currency=["USD", "EUR", "USD"]))
    with pytest.raises(InputError) as caught:
        to_base(frame, fx)
    assert caught.value.codes == (code,)


def test_a_commission_is_converted_to_the_currency_of_its_order():
    frame = keyed_orders(ORDERS.assign(currency=["GBP", "USD", "USD"]))
    fills = FILLS.assign(commission_currency=["USD", "USD", None])
    with pytest.raises(InputError) as caught:
        in_order_currency(frame, fills, None)
    assert caught.value.codes == ("commission_currency",)
    turned = in_order_currency(frame, fills, {"GBP": 1.25, "USD": 1.0})
    np.testing.assert_array_equal(turned["commission"], [np.nan, 0.8, 2.0])  # a dollar is 80 pence
    assert in_order_currency(keyed_orders(ORDERS), fills, None) is fills
    assert in_order_currency(frame, FILLS, None) is FILLS


def test_an_arrival_price_of_a_crossed_or_delayed_quote_is_missing():
    frame = ORDERS.assign(
        arrival_price=[10.0, 10.0, 10.0], arrival_bid=[9.0, 11.0, np.nan], arrival_ask=[11.0, 9.0, 11.0]
    )
    price, flags = arrival_prices(frame)
    np.testing.assert_array_equal(price, [10.0, np.nan, 10.0])
    assert flags["crossed_quote"].tolist() == [False, True, False]
    price, flags = arrival_prices(frame.assign(arrival_delayed=[True, None, False]))
    np.testing.assert_array_equal(price, [np.nan, np.nan, 10.0])
    assert flags["delayed_quote"].tolist() == [True, False, False]


def test_the_quote_age_at_arrival_is_known_if_both_times_are():
    at = pd.to_datetime(["2026-11-23 15:00:10", "2026-11-23 15:00:10", None], utc=True)
    taken = pd.to_datetime(["2026-11-23 15:00:07.5", None, "2026-11-23 15:00:00"], utc=True, format="ISO8601")
    frame = ORDERS.assign(arrived_at=at, arrival_quoted_at=taken)
    np.testing.assert_array_equal(arrival_ages(frame), [2.5, np.nan, np.nan])
    np.testing.assert_array_equal(arrival_ages(ORDERS), [np.nan] * 3)
