from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.fill_totals import FILL_TOTALS
from stocklean_exec.tca.inputs import (
    Executed,
    arrival_ages,
    arrival_prices,
    by_symbol,
    column_numbers,
    executed_by_order,
    in_order_currency,
    joined_flags,
    keyed_orders,
    require_columns,
    side_signs,
    sign_factor,
    small_signs,
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


# -- what is refused, with the words that say why ----------------------------------------------------------------


def problem_of(action):
    """Table, code and text of the only problem."""
    with pytest.raises(InputError) as caught:
        action()
    (found,) = caught.value.problems
    return caught.value.table, found.code, found.detail


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        (None, "wrong_type", "nothing was given; give a DataFrame"),
        ([1], "wrong_type", "a list is not a DataFrame; give a DataFrame"),
        (ORDERS[["symbol", "side"]], "missing_column", "columns client_order_id, quantity are missing"),
        (ORDERS.drop(columns="side"), "missing_column", "columns side are missing"),
        (ORDERS.set_index("client_order_id")[["symbol"]], "missing_column", "columns side, quantity are missing"),
    ],
)
def test_orders_must_be_a_table_with_their_columns(given, code, text):
    assert problem_of(lambda: keyed_orders(given)) == ("orders", code, text)


def test_columns_that_a_table_lacks_are_named_in_one_error():
    assert require_columns(FILLS, ("quantity", "price"), "fills") is FILLS
    found = problem_of(lambda: require_columns(FILLS, ("price", "venue", "exec_id"), "fills"))
    assert found == ("fills", "missing_column", "columns venue, exec_id are missing")


def test_orders_may_be_indexed_by_their_id_already():
    indexed = ORDERS.set_index("client_order_id")
    assert keyed_orders(indexed) is indexed


def test_an_order_in_several_rows_is_named_once():
    found = problem_of(lambda: keyed_orders(pd.concat([ORDERS, ORDERS.iloc[:1], ORDERS.iloc[:1]])))
    assert found == ("orders", "duplicate_client_order_id", "a is in several rows")


@pytest.mark.parametrize("sign", ["costs", None, 1])
def test_a_sign_is_one_of_two_words(sign):
    table, code, text = problem_of(lambda: sign_factor(sign))
    assert (table, code) == ("sign", "option_invalid")
    assert text.endswith("is neither 'cost' (positive is worse) nor 'performance' (positive is better)")


@pytest.mark.parametrize("dtype", ["object", "category"])
def test_a_buy_is_plus_one_and_a_sell_is_minus_one(dtype):
    sides = pd.DataFrame({"side": ["BUY", "SELL", "BUY"]}).astype(dtype)
    assert small_signs(sides).tolist() == [1, -1, 1]
    assert small_signs(sides.iloc[1:2].astype("object").astype(dtype)).tolist() == [-1]  # no buy among them


def test_a_column_with_a_text_in_it_is_named():
    found = problem_of(lambda: column_numbers(FILLS.assign(commission=["x", 1, 2]), "commission", "fills"))
    assert found == ("fills", "number_dtype", "column commission has a value that is not a number")


def test_a_column_of_times_without_a_zone_is_named_once_and_single_ones_with_their_rows():
    column = pd.Series(pd.to_datetime(["2026-11-23 15:00", "2026-11-23 16:00"]))
    found = problem_of(lambda: utc_micros(column, "filled_at", "fills"))
    assert found == (
        "fills",
        "naive_time",
        "filled_at has no time zone; use .dt.tz_localize('America/New_York')",
    )
    with pytest.raises(InputError) as caught:
        utc_micros(pd.Series(["2026-11-23 15:00", "2026-11-23T15:00:00Z", "noon"], index=[7, 8, 9]), "at", "fills")
    assert [(one.row, one.code) for one in caught.value.problems] == [(7, "naive_time"), (9, "time_dtype")]


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_a_fill_without_shares_is_refused_with_its_row(value):
    frame = keyed_orders(ORDERS)
    with pytest.raises(InputError) as caught:
        executed_by_order(frame, FILLS.assign(quantity=[1.0, value, 2.0]))
    (found,) = caught.value.problems
    assert (found.code, found.row, found.detail) == ("fill_quantity", 1, f"quantity {value:g} is not above zero")


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf])
def test_a_fill_without_a_possible_price_is_refused_and_an_unknown_one_is_not(value):
    frame = keyed_orders(ORDERS)
    with pytest.raises(InputError) as caught:
        executed_by_order(frame, FILLS.assign(price=[1.0, value, np.nan]))
    (found,) = caught.value.problems
    assert (found.code, found.row, found.detail) == ("fill_price", 1, f"price {value:g} is not a price above zero")


def test_an_execution_in_several_rows_is_refused_and_unknown_ids_are_not():
    frame = keyed_orders(ORDERS)
    found = problem_of(lambda: executed_by_order(frame, FILLS.assign(exec_id=["e1", "e2", "e1"])))
    assert found[:2] == ("fills", "duplicate_exec_id")
    assert found[2].startswith("e1 is in several rows of the fills; keep one: ")
    assert executed_by_order(frame, FILLS.assign(exec_id=["e1", None, None]))["fills"].tolist() == [1, 2, 0]


def test_fills_without_times_have_none():
    table = executed_by_order(keyed_orders(ORDERS), FILLS.drop(columns="filled_at"))
    assert table["last_at"].tolist() == [NO_TIME] * 3
    assert table["fills"].tolist() == [1, 2, 0]


# -- totals that were added up elsewhere -------------------------------------------------------------------------


def totals_of(**rows):
    """Totals of orders by id: filled shares and value; one fill each, which has no time or commission."""
    columns = {total.name: total.empty for total in FILL_TOTALS}
    table = pd.DataFrame([columns | {"filled_quantity": q, "value": v, "fills": 1} for q, v in rows.values()])
    return Executed(table.set_index(pd.Index(list(rows), name="client_order_id")))


def test_given_totals_are_put_in_the_sequence_of_the_orders_and_the_others_are_empty():
    frame = keyed_orders(ORDERS)
    table = executed_by_order(frame, totals_of(c=(4.0, 50.0), a=(0.1 + 0.2, 3.0)))
    assert table.index.tolist() == ["a", "b", "c"]
    assert table["filled_quantity"].tolist() == [0.3, 0.0, 4.0]  # not 0.30000000000000004
    np.testing.assert_array_equal(table["avg_fill_price"], [10.0, np.nan, 12.5])
    assert table["fills"].tolist() == [1, 0, 1]
    assert table["last_at"].tolist() == [NO_TIME] * 3
    np.testing.assert_array_equal(table["commission"], [np.nan] * 3)


def test_given_totals_in_the_sequence_of_the_orders_are_taken_and_left_as_they_are():
    given = totals_of(a=(2.0, 10.0), b=(0.1 + 0.2, 3.0), c=(4.0, 50.0))
    before = given.table.copy()
    table = executed_by_order(keyed_orders(ORDERS), given)
    assert table["avg_fill_price"].tolist() == [5.0, 10.0, 12.5]
    pd.testing.assert_frame_equal(given.table, before)


def test_given_totals_of_another_order_are_refused():
    table, code, text = problem_of(lambda: executed_by_order(keyed_orders(ORDERS), totals_of(a=(1, 1), x=(1, 1))))
    assert (table, code) == ("fills", "orphan_exec")
    assert text.startswith("x is not among these orders; ")


# -- prices and rates --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        ("close", "wrong_type", "'close' is not a mapping or Series by symbol"),
        (True, "wrong_type", "True is not a mapping or Series by symbol"),
        ({"A": "ten"}, "number_dtype", "a value is not a number"),
    ],
)
def test_values_by_symbol_must_be_numbers_with_their_symbols(given, code, text):
    found = problem_of(lambda: by_symbol(given, keyed_orders(ORDERS), "final_prices"))
    assert found == ("final_prices", code, text)


def test_a_value_of_an_order_takes_precedence_over_that_of_its_symbol():
    found = by_symbol(pd.Series({"A": 1.0, "c": 3.0}), keyed_orders(ORDERS), "x")
    np.testing.assert_array_equal(found, [1.0, np.nan, 3.0])


def test_one_currency_needs_no_rates_and_several_are_named():
    frame = keyed_orders(ORDERS.assign(currency=["USD", "EUR", "USD"]))
    assert to_base(frame[frame["currency"] == "USD"], None) == 1.0
    table, code, text = problem_of(lambda: to_base(frame, None))
    assert (table, code) == ("orders", "currency_mixed")
    assert text.startswith("EUR, USD are different currencies; give fx={'EUR': rate, ...}, or fx='local'")


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_a_rate_that_cannot_be_one_is_missing(rate):
    frame = keyed_orders(ORDERS.assign(currency=["USD", "EUR", "USD"]))
    assert problem_of(lambda: to_base(frame, {"USD": 1.0, "EUR": rate}))[:2] == ("fx", "fx_missing")


@pytest.mark.parametrize("is_index", [False, True])
def test_rates_may_be_a_table_by_currency(is_index):
    rates = pd.DataFrame({"currency": ["USD", "EUR"], "rate": [1.0, 1.1]})
    frame = keyed_orders(ORDERS.assign(currency=["USD", "EUR", None]))
    found = to_base(frame, rates.set_index("currency") if is_index else rates)
    np.testing.assert_array_equal(found, [1.0, 1.1, np.nan])


def test_commissions_stay_as_they_are_where_nothing_is_to_be_converted():
    frame = keyed_orders(ORDERS.assign(currency="USD"))
    dollars = FILLS.assign(commission_currency=["USD", None, "USD"])
    assert in_order_currency(frame, dollars, None) is dollars
    totals = totals_of(a=(1.0, 1.0))
    assert in_order_currency(frame, totals, None) is totals


def test_flags_of_a_row_are_one_text():
    flags = {"overfilled": np.array([True, False, True]), "fees_due": np.array([False, False, True])}
    assert joined_flags(3, flags).tolist()[::2] == ["overfilled", "overfilled, fees_due"]
    assert pd.isna(joined_flags(3, flags)[1])
