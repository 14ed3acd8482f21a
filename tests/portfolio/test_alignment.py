"""Targets, holdings and prices side by side."""

import math
from dataclasses import fields, replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.alignment import align, investable_nav, parse_nav, parse_rates
from stocklean_exec.portfolio.sizing import measure
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets


def book(targets, positions=None, quotes=None, **options):
    return align(parse_targets(targets), parse_positions(positions), parse_quotes(quotes), **options)


@pytest.mark.parametrize("nav", [10_000, 10_000.0, Decimal(10_000), np.float64(10_000), np.int64(10_000)])
def test_nav_is_a_number_of_any_type(nav):
    assert parse_nav(nav) == 10_000.0


@pytest.mark.parametrize("nav", [0.01, 1e15])
def test_nav_is_from_a_cent_to_a_thousand_trillion(nav):
    assert parse_nav(nav) == nav


@pytest.mark.parametrize("nav", [0, -1, math.nan, math.inf, None, "1", True, 1e15 + 1, 10**400, Decimal("sNaN")])
def test_nav_is_an_amount_of_money(nav):
    with pytest.raises(InputError) as caught:
        parse_nav(nav)
    assert caught.value.codes == ("nav_invalid",)


@pytest.mark.parametrize(
    ("nav", "buffer", "left"), [(100, 0.71, 29.0), (10_000, 0.1, 9_000.0), (123.45, 0.0, 123.45)]
)
def test_the_buffer_is_deducted_in_decimal_arithmetic(nav, buffer, left):
    assert investable_nav(nav, buffer) == left
    assert investable_nav(nav, Decimal(str(buffer))) == left


@pytest.mark.parametrize("buffer", [-0.1, 1, 10, math.nan, "0.1", None, True])
def test_a_buffer_is_a_fraction(buffer):
    with pytest.raises(InputError) as caught:
        investable_nav(100, buffer)
    assert caught.value.codes == ("cash_buffer_invalid",)


def test_each_row_has_the_contract_of_its_target_or_else_of_its_holding():
    targets = pd.DataFrame(
        {"symbol": ["A", "B"], "weight": 0.1, "con_id": [22, None], "primary_exchange": ["LSE", None]}
    )
    held = pd.DataFrame(
        {"symbol": ["A", "B"], "quantity": 1.0, "con_id": [22, 33], "primary_exchange": ["LSE", "ARCA"]}
    )
    found = book(targets, held, {"A": 1.0, "B": 1.0})
    assert found.con_id == [22, 33]
    assert [type(one) for one in found.con_id] == [int, int]
    assert found.primary_exchange == ["LSE", "ARCA"]


@pytest.mark.parametrize(
    ("con_id", "held", "text"),
    [
        (22, [11], "contract 11 is held and 22 wanted; they are two instruments"),
        (
            None,
            [11, 12],
            "A is held in several contracts: contract 11, contract 12; give con_id or primary_exchange",
        ),
    ],
)
def test_a_holding_in_another_contract_than_its_target_is_an_error(con_id, held, text):
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.1, "con_id": [con_id]})
    positions = pd.DataFrame({"symbol": "A", "quantity": 1.0, "con_id": held})
    with pytest.raises(InputError, match=text) as caught:
        book(targets, positions, {"A": 1.0})
    assert set(caught.value.codes) == {"ambiguous_instrument"}


def test_rows_are_aligned_by_symbol_targets_first():
    found = book(
        {"B": 0.2, "A": 0.1}, {"C": 5, "A": 7, "Z": 0}, {"A": 1.0, "C": 3.0, "B": 2.0, "X": 9.0}, unlisted="keep"
    )
    assert found.symbols == ["B", "A", "C"]
    assert found.listed.tolist() == [True, True, False]
    assert found.row.tolist() == [0, 1, -1]
    assert found.weight.tolist() == [0.2, 0.1, 0.0]
    assert found.held.tolist() == [0.0, 7.0, 5.0]
    assert found.price.tolist() == [2.0, 1.0, 3.0]
    assert found.reason.tolist() == [None, None, None]


def test_values_are_in_the_base_currency():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": 0.1, "currency": ["EUR", "USD"]})
    found = book(targets, None, {"A": 10.0, "B": 10.0}, fx={"EUR": 1.5})
    assert found.value.tolist() == [15.0, 10.0]
    assert found.price.tolist() == [10.0, 10.0]
    assert found.currency == ["EUR", "USD"]


def test_rates_can_be_a_series():
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.1, "currency": ["EUR"]})
    assert book(targets, None, {"A": 10.0}, fx=pd.Series({"EUR": 1.5})).value.tolist() == [15.0]


@pytest.mark.parametrize("rate", [1e-9, 1e9])
def test_a_rate_is_from_a_billionth_to_a_billion(rate):
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.1, "currency": ["EUR"]})
    assert book(targets, None, {"A": 10.0}, fx={"EUR": rate}).value.tolist() == [10.0 * rate]


@pytest.mark.parametrize("rates", [{"EUR": math.nan}, {"EUR": None}, {"CHF": 1.1}, {}, None])
def test_a_symbol_in_a_currency_without_a_rate_has_no_value_and_a_reason(rates):
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.1, "currency": ["EUR"]})
    found = book(targets, None, {"A": 10.0}, fx=rates)
    assert np.isnan(found.value).all()
    assert found.reason.tolist() == ["currency_unsupported"]


@pytest.mark.parametrize("rate", [0.0, -1.1, 0.99e-9, 1_000_000_000.5, math.inf, "1.1", True])
def test_a_rate_that_is_no_number_above_0_is_an_error(rate):
    with pytest.raises(InputError) as caught:
        parse_rates({"EUR": rate, "CHF": 1.1, "GBP": -1.0}, "USD")
    assert caught.value.codes == ("fx_invalid",)
    assert [problem.detail.split(",")[0] for problem in caught.value.problems] == [
        "the rate of EUR",
        "the rate of GBP",
    ]


def test_the_base_currency_has_no_rate_but_1():
    assert parse_rates({"USD": 1.0, "EUR": 1.1}, "USD") == {"EUR": 1.1}
    with pytest.raises(InputError, match="USD is the base currency"):
        parse_rates({"USD": 1.25}, "USD")


def test_the_contract_of_a_symbol_comes_from_the_targets_or_the_holding():
    targets = pd.DataFrame({"symbol": ["A", "B", "C"], "weight": 0.1, "con_id": [11, 22, None]})
    held = pd.DataFrame({"symbol": ["B", "C", "D"], "quantity": 1, "con_id": [22, 33, 44]})
    assert book(targets, held, None, unlisted="keep").con_id == [11, 22, 33, 44]
    assert book(targets, None, None).con_id == [11, 22, None]


def test_an_unlisted_holding_has_its_own_currency_or_its_quotes_or_the_base():
    held = pd.DataFrame({"symbol": ["B", "C", "D"], "quantity": 1, "currency": ["EUR", None, None]})
    quotes = pd.DataFrame(
        {
            "symbol": list("BCD"),
            "last": 1.0,
            "currency": ["EUR", "CHF", None],
            "quoted_at": pd.Timestamp("2026", tz="UTC"),
        }
    )
    assert book({"A": 0.1}, held, quotes, unlisted="keep").currency == ["USD", "EUR", "CHF", "USD"]


def test_a_missing_price_has_a_reason():
    found = book({"A": 0.1, "B": 0.1}, None, {"A": 0.0})
    assert np.isnan(found.price).all()
    assert found.reason.tolist() == ["price_unavailable"] * 2
    assert found.detail.tolist() == ["price_zero: last is 0", "price_unavailable: there is no quote"]


def test_unlisted_holdings_are_an_error_by_default():
    with pytest.raises(InputError) as caught:
        book({"A": 0.1}, {"B": 1, "C": 2})
    assert [problem.symbol for problem in caught.value.problems] == ["B", "C"]


def _arrays(record):
    return {each.name: getattr(record, each.name) for each in fields(record) if each.type.startswith("NDArray")}


def test_the_arrays_of_an_aligned_book_and_its_sizes_are_read_only():
    found = book({"A": 0.2, "B": 0.1}, {"A": 7}, {"A": 1.0})
    arrays = _arrays(found) | _arrays(measure(found, {}, 100.0, keep=False, leverage=1.0))
    assert set(arrays) >= {"weight", "held", "price", "value", "bid", "ask", "reason", "detail", "desired", "kept"}
    for values in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            values[0] = values[1]


def test_a_modified_copy_of_a_book_is_read_only_too():
    changed = replace(book({"A": 0.2}, None, {"A": 1.0}), weight=np.array([0.3]))
    with pytest.raises(ValueError, match="read-only"):
        changed.weight[0] = 0.4


def test_a_rejection_returns_a_new_book_and_keeps_the_first_reason():
    found = book({"A": 0.1, "B": 0.1, "C": 0.1}, None, {"A": 1.0, "B": 1.0})
    why = ("tif_invalid", "'GTX' is not one")
    rejected = found.with_rejections({1: why, 2: why})
    assert found.reason.tolist() == [None, None, "price_unavailable"]
    assert rejected.reason.tolist() == [None, "tif_invalid", "price_unavailable"]
    assert rejected.detail[1] == "tif_invalid: 'GTX' is not one"
    assert rejected.detail[2] == "price_unavailable: there is no quote"


def test_a_missing_rate_takes_precedence_over_a_missing_price_as_the_reason():
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.1, "currency": ["EUR"]})
    assert book(targets, None, None).reason.tolist() == ["currency_unsupported"]
