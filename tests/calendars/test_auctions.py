"""Cut-offs of auctions: the table, and which row is in force for an exchange."""

from datetime import date, timedelta

import pytest

from stocklean_exec.calendars.auctions import ADVISED, AUCTIONS, auctions_at, earliest_auctions
from stocklean_exec.calendars.markets import market_at


def minutes(row):
    return [int(each / timedelta(minutes=1)) for each in (row.moc, row.loc, row.cancel, row.opg)]


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        pytest.param("NYSE", [10, 10, 10, 2], id="NYSE: 15:50, 15:50, 15:50; 9:28"),
        pytest.param("ARCA", [10, 10, 10, 2], id="Arca"),
        pytest.param("amex", [10, 10, 10, 2], id="NYSE American"),
        pytest.param("NASDAQ", [5, 2, 10, 2], id="Nasdaq: 15:55, 15:58, 15:50; 9:28"),
        pytest.param("NASDAQ.NMS", [5, 2, 10, 2], id="Nasdaq, by its full name"),
        pytest.param("ISLAND", [5, 2, 10, 2], id="Nasdaq, by its old name"),
        pytest.param("IBIS", [-5, -5, 0, 0], id="Xetra: continuous to 17:30, auction at 17:35; 9:00"),
        pytest.param("IBIS2", [-5, -5, 0, 0], id="Xetra, ETFs"),
        pytest.param("LSE", [-5, -5, 0, 0], id="London: continuous to 16:30, auction at 16:35; 8:00"),
        pytest.param("SBF", [-5, -5, 0, 0], id="Paris: continuous to 17:30, auction at 17:35; 9:00"),
        pytest.param("AEB", [-5, -5, 0, 0], id="Amsterdam"),
        pytest.param("TSE", [4, 0, 10, 0], id="Toronto: 15:56, 16:00, 15:50; 9:30"),
        pytest.param("TSEJ", [0, 0, 0, 0], id="Tokyo: 15:30; 9:00"),
    ],
)
def test_orders_are_taken_until_some_minutes_before_open_or_close(exchange, expected):
    assert minutes(auctions_at(exchange)) == expected


@pytest.mark.parametrize("exchange", ["LSEETF", "VSE", "EBS", "SEHK", "ENEXT", "BATS", "SMART", ""])
def test_the_cut_offs_of_other_exchanges_are_not_known(exchange):
    assert auctions_at(exchange) is None


def test_a_share_without_a_listing_has_the_earliest_cut_offs_of_its_market():
    assert minutes(earliest_auctions("XNYS")) == [10, 10, 10, 2]
    assert minutes(earliest_auctions("XTKS")) == [0, 0, 0, 0]
    assert minutes(earliest_auctions("XETR")) == [-5, -5, 0, 0]
    assert earliest_auctions("XSWX") is None


def test_every_row_has_a_source_a_date_and_known_exchanges_once():
    names = [name for row in AUCTIONS for name in row.exchanges]
    assert len(names) == len(set(names))
    for row in AUCTIONS:
        assert row.source
        assert date(2026, 11, 1) <= row.checked_on
        assert all(market_at(name) is not None for name in row.exchanges)
        assert row.moc <= ADVISED
