"""The text of a basket file against the page of the format (ibkrguides.com, basket fields), by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.errors import InputError
from stocklean_exec.schema.basket_file import basket_text
from stocklean_exec.schema.broker_files import read_basket
from stocklean_exec.schema.order_input import parse_orders

NAN = float("nan")
END = pd.Timestamp("2026-12-31 16:00", tz="America/New_York")
START = pd.Timestamp("2026-12-01 15:00", tz="UTC")

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


def test_the_type_of_security_is_that_of_the_order_and_a_stock_by_default():
    lines = basket_text(orders({"sec_type": "FUND"}, {"sec_type": None})).splitlines()[1:]
    assert [line.split(",")[3] for line in lines] == ["FUND", "STK"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"order_type": "MIDPRICE"}, "order_type_unsupported"),
        ({"order_type": "TRAIL LIMIT"}, "order_type_unsupported"),
        ({"order_type": "MKT"}, "limit_on_market"),
        ({"limit_price": float("nan")}, "limit_missing"),
        ({"tif": "AUC"}, "tif_invalid"),
        ({"tif": "GTD"}, "good_till_missing"),
        ({"good_till": END}, "good_till_not_used"),
        ({"tif": "GTD", "good_till": END.floor("s") + pd.Timedelta("1ms")}, "csv_format"),
        ({"tif": "IOC", "good_after": START}, "good_after_not_allowed"),
        ({"order_type": "STP LMT"}, "aux_price_missing"),
        ({"order_type": "STP", "limit_price": NAN, "aux_price": NAN}, "aux_price_missing"),
        ({"order_type": "STP", "aux_price": 470.0}, "limit_on_market"),
        ({"order_type": "STP", "limit_price": NAN, "aux_price": 470.0, "currency": "GBP"}, "price_unit_unknown"),
        ({"order_type": "TRAIL", "limit_price": NAN, "aux_price": 5.0, "currency": "ZAR"}, "price_unit_unknown"),
        ({"order_type": "REL", "limit_price": NAN, "aux_price": 0.0, "limit_offset_bps": 5.0}, "limit_missing"),
        ({"aux_price": 1.0}, "aux_price_not_used"),
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


def test_every_term_that_has_a_column_is_written():
    stop = {"order_type": "STP", "side": "SELL", "limit_price": NAN, "aux_price": 470.25, "tif": "GTC"}
    capped = {"order_type": "STP LMT", "side": "SELL", "limit_price": 469.5, "aux_price": 470.0, "tif": "DAY"}
    trail = {"order_type": "TRAIL", "side": "SELL", "limit_price": NAN, "aux_price": 5.0, "good_after": START}
    peg = {"order_type": "REL", "limit_price": NAN, "aux_price": 0.0}
    ends = {"tif": "GTD", "good_till": END, "good_after": START}
    named = [{"client_order_id": f"r-{number}"} for number in range(7)]
    rows = ({}, stop, capped, trail, peg, ends, {"order_type": "MOC", "limit_price": NAN})
    written = basket_text(orders(*(row | name for row, name in zip(rows, named, strict=True))))
    assert written == (
        "Action,Quantity,Symbol,SecType,Exchange,Currency,TimeInForce,OrderType,LmtPrice,AuxPrice,GoodTilDate,"
        "GoodAfter,BasketTag\n"
        "BUY,100,BRK B,STK,SMART/NYSE,USD,DAY,LMT,480.5,,,,r-0\n"
        "SELL,100,BRK B,STK,SMART/NYSE,USD,GTC,STP,,470.25,,,r-1\n"
        "SELL,100,BRK B,STK,SMART/NYSE,USD,DAY,STP LMT,469.5,470,,,r-2\n"
        "SELL,100,BRK B,STK,SMART/NYSE,USD,DAY,TRAIL,,5,,20261201 15:00:00 UTC,r-3\n"
        "BUY,100,BRK B,STK,SMART/NYSE,USD,DAY,REL,,0,,,r-4\n"
        "BUY,100,BRK B,STK,SMART/NYSE,USD,GTD,LMT,480.5,,20261231 21:00:00 UTC,20261201 15:00:00 UTC,r-5\n"
        "BUY,100,BRK B,STK,SMART/NYSE,USD,DAY,MOC,,,,,r-6\n"
    )


def test_an_order_that_has_ended_is_not_written():
    ends = {"tif": "GTD", "good_till": END}
    assert problems(ends, now=END.to_pydatetime()) == [("good_till_past", "BRK B")]
    assert basket_text(orders(ends), now=(END - pd.Timedelta("1s")).to_pydatetime()).count("GTD") == 1


def test_an_offset_of_none_has_no_unit():
    pegged = {"order_type": "REL", "limit_price": NAN, "aux_price": 0.0, "currency": "GBP", "exchange": "LSE"}
    assert basket_text(orders(pegged)).splitlines()[1] == ("BUY,100,BRK B,STK,LSE,GBP,DAY,REL,,0,run-1-BRK_B-BUY")


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


# -- there and back ----------------------------------------------------------------------------------------------

cents = st.integers(100, 9_999_999).map(lambda number: number / 100)  # the tick of shares from 1 dollar up
seconds = st.integers(1_800_000_000, 2_000_000_000).map(lambda number: pd.Timestamp(number, unit="s", tz="UTC"))
COMBINATIONS = [
    *[("LMT", tif) for tif in ("DAY", "GTC", "GTD", "IOC", "FOK", "OPG")],
    *[("MKT", tif) for tif in ("DAY", "GTC", "OPG")],
    *[(kind, tif) for kind in ("STP", "STP LMT", "TRAIL") for tif in ("DAY", "GTC")],
    *[(kind, "DAY") for kind in ("MOC", "LOC", "REL")],
]
"""Types and times in force that are documented to go together, of those that are written."""


LIMITED = ("LMT", "LOC", "STP LMT")
STARTS_LATER = ("DAY", "GTC", "GTD")


def limits_of(kind):
    return st.just(NAN) | cents if kind == "REL" else cents if kind in LIMITED else st.just(NAN)


def aux_prices_of(kind):
    if kind == "REL":
        return st.just(0.0) | cents
    return cents if kind in ("STP", "STP LMT", "TRAIL") else st.just(NAN)


@st.composite
def written_order(draw, symbol):
    kind, tif = draw(st.sampled_from(COMBINATIONS))
    start, end = sorted(draw(st.lists(seconds, min_size=2, max_size=2, unique=True)))
    may_wait = tif in STARTS_LATER and kind not in ("MOC", "LOC")
    return {
        "run_id": "run-1",
        "symbol": symbol,
        "side": draw(st.sampled_from(["BUY", "SELL"])),
        "quantity": float(draw(st.integers(1, 2**31 - 2))),
        "order_type": kind,
        "tif": tif,
        "limit_price": draw(limits_of(kind)),
        "aux_price": draw(aux_prices_of(kind)),
        "good_till": end if tif == "GTD" else None,
        "good_after": draw(st.sampled_from([start, None])) if may_wait else None,
        "primary_exchange": draw(st.sampled_from(["NYSE", None])),
        "account": draw(st.sampled_from(["DU7654321", None])),
    }


symbols = st.lists(st.sampled_from(["SPY", "BRK B", "KO", "A"]), min_size=1, unique=True)
written_orders = symbols.flatmap(lambda names: st.tuples(*map(written_order, names)))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=written_orders)
def test_what_is_written_reads_back_equal(tmp_path_factory, rows):
    written = parse_orders(pd.DataFrame(list(rows)))
    assert written["status"].eq("NEW").all(), written["detail"].tolist()
    file = tmp_path_factory.mktemp("basket") / "b.csv"
    file.write_text(basket_text(written))
    read = read_basket(file, "run-1")
    pd.testing.assert_frame_equal(read, written, check_like=True)
    pd.testing.assert_frame_equal(parse_orders(read), read)
