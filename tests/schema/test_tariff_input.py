"""The table of tariffs as a frame, and what a caller's own table may not contain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.portfolio.order_costs import OrderFees
from stocklean_exec.tariff_table import in_force, tariff_for


@pytest.fixture(autouse=True)
def shipped_again():
    yield
    sx.use_tariffs(None)


def table_of(*rows):
    names = ("market", "currency", "effective_from", "rate_of_value", "minimum")
    return pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])


GOOD = ("Stockholm", "SEK", "2026-01-01", 0.0005, 49.0)


def test_the_shipped_table_is_valid_and_comes_back_from_a_file(tmp_path):
    before = in_force().rows
    path = tmp_path / "tariffs.csv"
    sx.tariffs().to_csv(path, index=False)
    sx.use_tariffs(path)
    assert in_force().rows == before
    sx.use_tariffs(sx.tariffs())
    assert in_force().rows == before
    pd.testing.assert_frame_equal(pd.read_csv(path)[["minimum"]], sx.tariffs()[["minimum"]])


def test_every_shipped_row_names_its_source():
    assert (sx.tariffs()["source"] != "").all()


def test_a_replaced_table_is_used_until_it_is_restored():
    sx.use_tariffs(table_of(GOOD))
    assert tariff_for("SEK").cost("BUY", 10, 10_000.0) == 49.0
    assert tariff_for("SEK").cost("BUY", 10, 200_000.0) == pytest.approx(100.0)
    assert in_force().find("USD") is None
    sx.use_tariffs(None)
    assert tariff_for("USD").cost("BUY", 100, 2_500.0) == 1.0


def test_a_row_of_a_later_day_replaces_the_earlier_one():
    sx.use_tariffs(table_of(GOOD, ("Stockholm", "SEK", pd.Timestamp("2026-07-01"), 0.0005, 59.0)))
    days = [pd.Timestamp(day).date() for day in ("2025-01-01", "2026-06-30", "2026-07-01")]
    assert [tariff_for("SEK", on=day).minimum for day in days] == [49.0, 49.0, 59.0]


def test_arrays_and_single_orders_follow_one_table():
    sx.use_tariffs(pd.concat([sx.tariffs(), table_of(GOOD)], ignore_index=True))
    currency = ["SEK", "USD", "GBP", "SEK", "JPY"]
    buy = np.array([True, False, True, False, True])
    quantity, price = np.array([10.0, 300.0, 2_000.0, 5.0, 100.0]), np.array([100.0, 40.0, 9.0, 90_000.0, 800.0])
    each = [
        tariff_for(name).cost("BUY" if side else "SELL", shares, shares * at)
        for name, side, shares, at in zip(currency, buy, quantity.tolist(), price.tolist(), strict=True)
    ]
    assert OrderFees.of(currency).estimate(buy, quantity, price).tolist() == each


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"market": ""}, "market is empty"),
        ({"currency": None}, "currency is empty"),
        ({"currency": "GBX", "market": 7}, "market 7 is not text"),
        ({"currency": "GBp"}, "prices in pence are in GBP"),
        ({"effective_from": "1 May"}, "'1 May' is not a day"),
        ({"effective_from": None}, "effective_from is empty"),
        ({"rate_of_value": 0.05}, "0.0005 is 0.05 %"),
        ({"minimum": -3.0}, "minimum -3.0 is not a number of at least 0"),
        ({"minimum": "3,00"}, "minimum '3,00' is not a number of at least 0"),
        ({"minimum": True}, "minimum True is not a number"),
        ({"rate_of_value": None, "minimum": None}, "write 0 for no commission"),
    ],
)
def test_a_bad_cell_is_named_with_its_row_and_the_table_in_force_stays(change, text):
    frame = table_of(GOOD).astype(object)
    for name, value in change.items():
        frame.loc[0, name] = value
    with pytest.raises(sx.InputError, match="row 0") as caught:
        sx.use_tariffs(frame)
    assert text in str(caught.value)
    assert caught.value.table == "tariffs"
    assert in_force().find("USD") is not None


def test_one_error_lists_every_offending_row():
    frame = table_of(
        ("A", "SEK", "2026-01-01", 0.5, 1.0),
        ("B", "NOK", "soon", 0.001, 1.0),
        ("C", "DKK", "2026-01-01", 0.001, -1),
    )
    with pytest.raises(sx.InputError) as caught:
        sx.use_tariffs(frame)
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [
        (0, "rate_of_value"),
        (1, "effective_from"),
        (2, "minimum"),
    ]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([GOOD, GOOD], "has another row from 2026-01-01: row 0"),
        ([GOOD, ("Nordic", *GOOD[1:])], "is in Nordic and in Stockholm"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(rows, text):
    with pytest.raises(sx.InputError, match=text):
        sx.use_tariffs(table_of(*rows))


def test_a_currency_needs_one_market_for_all_other_orders():
    frame = table_of(GOOD).assign(primary_exchanges="SFB")
    with pytest.raises(sx.InputError, match="SEK needs a market without"):
        sx.use_tariffs(frame)


def test_one_exchange_is_of_one_market():
    frame = table_of(GOOD, ("A", *GOOD[1:]), ("B", *GOOD[1:])).assign(primary_exchanges=["", "SFB", "X sfb"])
    with pytest.raises(sx.InputError, match="'SFB' of primary_exchanges is in B and in A"):
        sx.use_tariffs(frame)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({"market": "US"}, "is neither a DataFrame nor a CSV file"),
        (pd.DataFrame(), "column 'market' is missing"),
        (table_of(GOOD).assign(comission=1.0), "'comission' is not a column"),
        (table_of(GOOD).iloc[:0], "there are 0 rows"),
    ],
)
def test_what_is_no_table_of_tariffs_is_refused(source, text):
    with pytest.raises(sx.InputError, match=text):
        sx.use_tariffs(source)


def test_every_column_that_is_unknown_double_or_missing_is_named():
    frame = table_of(GOOD).drop(columns="currency").assign(comission=1.0)
    with pytest.raises(sx.InputError) as caught:
        sx.use_tariffs(pd.concat([frame, frame[["minimum", "market"]]], axis=1))
    assert [(problem.code, problem.column) for problem in caught.value.problems] == [
        ("unknown_column", "comission"),
        ("duplicate_column", "market"),
        ("duplicate_column", "minimum"),
        ("missing_column", "currency"),
    ]
