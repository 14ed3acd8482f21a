"""The text of a basket file against the page of the format (ibkrguides.com, basket fields), by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.schema.basket_file import basket_text
from stocklean_exec.schema.broker_files import read_basket

ORDER = {
    "client_order_id": "run-1-BRK_B-BUY",
    "symbol": "BRK B",
    "side": "BUY",
    "quantity": 100.0,
    "order_type": "LMT",
    "limit_price": 480.5,
    "tif": "DAY",
    "sec_type": "STK",
    "exchange": "SMART",
    "currency": "USD",
    "primary_exchange": "NYSE",
    "account": None,
    "con_id": None,
}
HEADER = "Action,Quantity,Symbol,SecType,Exchange,Currency,TimeInForce,OrderType,LmtPrice,BasketTag"


def orders(*changes):
    return pd.DataFrame([ORDER | change for change in changes])


def problems(*changes, **options):
    with pytest.raises(InputError) as caught:
        basket_text(orders(*changes), **options)
    return [(problem.code, problem.symbol) for problem in caught.value.problems]


def test_the_row_of_the_page():
    assert basket_text(orders({})) == (
        f"{HEADER}\nBUY,100,BRK B,STK,SMART/NYSE,USD,DAY,LMT,480.5,run-1-BRK_B-BUY\n"
    )


def test_numbers_have_neither_exponent_nor_separator():
    market = {"order_type": "MKT", "limit_price": float("nan"), "quantity": 1e7}
    small = {"limit_price": 0.00005, "quantity": 2_000_000.0}
    rows = [line.split(",") for line in basket_text(orders(market, small)).splitlines()[1:]]
    assert [(row[1], row[8]) for row in rows] == [("10000000", ""), ("2000000", "0.00005")]


def test_the_account_is_a_column_where_an_order_has_one():
    lines = basket_text(orders({"account": "DU7654321"}, {"client_order_id": "x"})).splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["Account", "DU7654321", ""]


def test_a_route_other_than_smart_has_no_listing_behind_it():
    line = basket_text(orders({"exchange": "ISLAND"})).splitlines()[1]
    assert line.split(",")[4] == "ISLAND"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"order_type": "TRAIL"}, "order_type_unsupported"),
        ({"order_type": "MKT"}, "limit_on_market"),
        ({"limit_price": float("nan")}, "limit_missing"),
        ({"tif": "GTD"}, "tif_invalid"),
        ({"quantity": 1.5}, "fractional_not_allowed"),
        ({"currency": "GBP"}, "price_unit_unknown"),
        ({"con_id": 265598, "primary_exchange": None}, "contract_not_written"),
        ({"algo": "Vwap"}, "order_term_unread"),
        ({"outside_rth": True}, "order_term_unread"),
        ({"symbol": 'A"B'}, "csv_format"),
        ({"symbol": "A,B"}, "csv_format"),
        ({"account": "DU1 "}, "csv_format"),
    ],
)
def test_an_order_that_the_format_cannot_express_is_refused_by_name(change, code):
    assert problems({}, change) == [(code, change.get("symbol", "BRK B"))]


@pytest.mark.parametrize("first", ["=", "+", "-", "@"])
def test_a_cell_that_a_spreadsheet_would_calculate_is_refused(first):
    assert problems({"symbol": f"{first}A1"}, {"client_order_id": f"{first}r-SPY-BUY"}) == [
        ("formula_cell", f"{first}A1"),
        ("formula_cell", "BRK B"),
    ]


@pytest.mark.parametrize("change", [{"con_id": 1}, {"outside_rth": False}, {"algo": ""}, {"algo": float("nan")}])
def test_a_term_that_is_off_does_not_matter(change):
    assert basket_text(orders(change)) == basket_text(orders({}))


def test_a_contract_may_be_left_to_its_symbol():
    text = basket_text(orders({"con_id": 265598, "primary_exchange": None}), by_symbol=True)
    assert text.splitlines()[1].split(",")[4] == "SMART"


def test_the_file_reads_back_with_its_ids(tmp_path):
    second = {"client_order_id": "run-1-SPY-SELL-2", "symbol": "SPY", "side": "SELL", "tif": "GTC"}
    written = orders({}, second | {"order_type": "MKT", "limit_price": float("nan")})
    (tmp_path / "b.csv").write_text(basket_text(written))
    names = ["client_order_id", "symbol", "side", "quantity", "order_type", "limit_price", "tif", "exchange"]
    names += ["primary_exchange", "currency", "sec_type"]
    read = read_basket(tmp_path / "b.csv", "run-1")
    assert read[names].astype(object).fillna("").equals(written[names].astype(object).fillna(""))
    assert read["status"].tolist() == ["NEW", "NEW"]
    assert read_basket(tmp_path / "b.csv", "run-2")["client_order_id"].tolist() == [
        "run-2-BRK_B-BUY",
        "run-2-SPY-SELL",
    ]
