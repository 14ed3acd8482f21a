"""Contracts and quotes from files, rows, mappings and frames."""

import math

import pandas as pd
import pytest

from stocklean_exec.fill_model import Quote
from stocklean_exec.simulator.scenarios.listings import read_listings
from stocklean_exec.simulator.scenarios.quotes import QuoteError

EXPECTED = Quote(bid=99.9, ask=100.1, bid_size=300.0)


def same(found, wanted):
    return all(
        a == b or (math.isnan(a) and math.isnan(b))
        for a, b in zip(
            (found.bid, found.ask, found.last, found.close, found.bid_size, found.ask_size),
            (wanted.bid, wanted.ask, wanted.last, wanted.close, wanted.bid_size, wanted.ask_size),
            strict=True,
        )
    )


def test_quotes_come_from_a_file_rows_a_mapping_or_a_frame(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text("symbol,bid,ask,bid_size,last\nSPY,99.9,100.1,300,\n", encoding="utf-8")
    row = {"symbol": "SPY", "bid": 99.9, "ask": 100.1, "bid_size": 300}
    frame = pd.DataFrame([row])
    sources = [path, str(path), [row], {"SPY": row}, {"SPY": EXPECTED}, frame, frame.set_index("symbol")]
    for source in sources:
        assert same(read_listings(source)[0].quote, EXPECTED)


def test_a_bare_price_is_the_last_trade():
    assert read_listings({"SPY": 400})[0].quote.last == 400


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"symbol": "", "bid": 1}, "row 1"),
        ({"symbol": "SPY"}, "no usable price"),
        ({"symbol": "SPY", "bid": 2, "ask": 1}, "crossed"),
        ({"symbol": "SPY", "bid": "cheap"}, "bid is 'cheap'"),
        ({"symbol": "SPY", "bid": -1}, "bid is '-1'"),
        ({"symbol": "SPY", "bid": "inf"}, "bid is 'inf'"),
    ],
)
def test_invalid_quotes_are_reported_with_the_reason(row, words):
    with pytest.raises(QuoteError, match=words):
        read_listings([row])


LONDON = {"symbol": "ABC", "last": 805.0, "currency": "GBP", "primary_exchange": "LSE", "price_magnifier": 100}
NEW_YORK = {"symbol": "ABC", "last": 10.0}


def test_a_row_without_terms_is_a_dollar_stock():
    (found,) = read_listings([NEW_YORK])
    assert (found.key, found.currency, found.price_magnifier, found.con_id) == ("ABC", "USD", 1, 0)
    assert math.isnan(found.min_size)


def test_terms_come_from_a_file_and_empty_cells_state_nothing(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text(
        "symbol,bid,ask,currency,primary_exchange,price_magnifier,min_tick,min_size,size_increment,con_id\n"
        "7203,2000,2001,jpy,TSEJ,,1,100,100,13905344\n"
        "SPY,399.9,400.1,,,,,,,\n",
        encoding="utf-8",
    )
    tokyo, spy = read_listings(path)
    assert (tokyo.currency, tokyo.primary_exchange, tokyo.price_magnifier) == ("JPY", "TSEJ", 1)
    assert (tokyo.min_tick, tokyo.min_size, tokyo.size_increment, tokyo.con_id) == (1, 100, 100, 13905344)
    assert (spy.currency, spy.con_id) == ("USD", 0)


def test_listings_of_one_symbol_have_keys_of_their_own():
    dublin = LONDON | {"primary_exchange": "LSEETF", "price_magnifier": ""}
    for source in ([NEW_YORK, LONDON, dublin], {"ABC": [NEW_YORK, LONDON, dublin]}):
        assert [one.key for one in read_listings(source)] == ["ABC", "ABC@LSE.GBP", "ABC@LSEETF.GBP"]


def test_of_two_rows_for_one_contract_the_last_one_counts():
    assert [one.quote.last for one in read_listings([LONDON, LONDON | {"last": 806.0}])] == [806.0]


def test_later_rows_change_a_quote_or_add_a_listing():
    base = read_listings([LONDON])
    (moved,) = read_listings([{"symbol": "ABC", "last": 810.0}], base)
    assert (moved.quote.last, moved.currency, moved.price_magnifier) == (810.0, "GBP", 100)
    assert [one.key for one in read_listings([NEW_YORK | {"currency": "USD"}], base)] == ["ABC", "ABC@.USD"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"currency": "POUND"}, "POUND"),
        ({"price_magnifier": 0.5}, "price_magnifier is 0.5"),
        ({"price_magnifier": -1}, "price_magnifier is '-1'"),
        ({"min_tick": 0}, "min_tick is 0"),
        ({"con_id": 2**31}, "con_id"),
    ],
)
def test_invalid_terms_are_reported_with_the_reason(change, words):
    with pytest.raises(QuoteError, match=words):
        read_listings([LONDON | change])


def test_an_id_belongs_to_one_contract():
    with pytest.raises(QuoteError, match="con_id 7"):
        read_listings([LONDON | {"con_id": 7}, NEW_YORK | {"con_id": 7}])
    with pytest.raises(QuoteError, match="primary_exchange"):
        read_listings([LONDON | {"con_id": 7}, LONDON | {"con_id": 8}])


@pytest.mark.parametrize(
    "row",
    [
        {"symbol": "EUR.USD"},
        {"symbol": "EUR", "currency": "USD"},
        {"symbol": "eur.usd", "currency": "usd"},
    ],
)
def test_a_pair_of_currencies_is_written_in_two_ways(row):
    (found,) = read_listings([row | {"bid": 1.05, "ask": 1.06, "sec_type": "cash"}])
    assert (found.key, found.symbol, found.currency, found.sec_type) == ("EUR.USD", "EUR", "USD", "CASH")


@pytest.mark.parametrize("symbol", ["USD.EUR", "JPY.USD", "EUR", "EUR.EUR", "EURUSD", "USD.GBP"])
def test_only_conventional_pairs_exist(symbol):
    with pytest.raises(QuoteError, match="pair"):
        read_listings([{"symbol": symbol, "bid": 1.05, "ask": 1.06, "sec_type": "CASH"}])


def test_a_stock_may_have_the_symbol_of_a_currency():
    rows = [{"symbol": "EUR.USD", "bid": 1.05, "ask": 1.06, "sec_type": "CASH"}, {"symbol": "EUR", "last": 5.0}]
    assert [one.key for one in read_listings(rows)] == ["EUR.USD", "EUR"]


def test_another_kind_of_security_is_refused():
    with pytest.raises(QuoteError, match="FUT"):
        read_listings([NEW_YORK | {"sec_type": "FUT"}])


NOON = 1672315200.0  # 2022-12-29 12:00 UTC


@pytest.mark.parametrize(
    "given",
    [
        NOON,
        str(NOON),
        "2022-12-29T12:00:00",
        "2022-12-29 07:00:00-05:00",
        pd.Timestamp("2022-12-29 12:00", tz="UTC"),
    ],
)
def test_the_time_of_the_last_trade_is_seconds_or_a_date_and_time(given):
    (found,) = read_listings([NEW_YORK | {"last_time": given, "halted": 1.0}])
    assert (found.last_time, found.halted) == (NOON, 1)


def test_states_that_are_not_stated_are_unknown():
    (found,) = read_listings(pd.DataFrame([NEW_YORK | {"last_time": pd.NaT, "halted": None}]))
    assert math.isnan(found.last_time)
    assert found.halted is None


@pytest.mark.parametrize("change", [{"last_time": "noon"}, {"last_time": -5}, {"halted": 3}, {"halted": "yes"}])
def test_invalid_states_are_refused(change):
    with pytest.raises(QuoteError, match=next(iter(change))):
        read_listings([NEW_YORK | change])


def test_price_steps_grow_with_the_price():
    (one,) = read_listings({"ABC": {"last": 5.0, "price_steps": "0:0.001; 1:0.005; 10:0.01"}})
    assert one.price_steps == ((0.0, 0.001), (1.0, 0.005), (10.0, 0.01))


@pytest.mark.parametrize("text", ["1:0.01", "0:0.01;1", "0:0.01;1:0.001", "0:0.01;0:0.02", "0:0", "0:cheap"])
def test_price_steps_that_are_none_are_refused(text):
    with pytest.raises(QuoteError, match="ABC: price_steps"):
        read_listings({"ABC": {"last": 5.0, "price_steps": text}})


def test_the_prices_of_auctions_are_stated_or_not():
    first, second = read_listings({"ABC": {"last": 5.0, "opening_print": "4.9"}, "XYZ": 7.0})
    assert first.opening_print == 4.9
    assert all(math.isnan(price) for price in (first.closing_print, second.opening_print, second.closing_print))
    (changed,) = read_listings({"ABC": {"last": 5.1, "closing_print": 5.2}}, [first])
    assert (changed.opening_print, changed.closing_print, changed.quote.last) == (4.9, 5.2, 5.1)


@pytest.mark.parametrize("text", ["0", "-1", "late"])
def test_the_price_of_an_auction_is_above_zero(text):
    with pytest.raises(QuoteError, match="ABC: closing_print is"):
        read_listings({"ABC": {"last": 5.0, "closing_print": text}})
