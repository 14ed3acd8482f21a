"""Hours of markets as a table, from what names symbols and from what a broker reports."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.calendars.listing_hours import TRADING_HOURS
from stocklean_exec.errors import InputError

pytestmark = pytest.mark.slow  # the first one loads the calendars
NEW_YORK = "America/New_York"


def moment(text, zone=NEW_YORK):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


WEEK = "20261125:0930-20261125:1600;20261126:{};20261127:0930-20261127:{};20261128:CLOSED"


class StandIn:
    """A broker that reports the hours of one contract."""

    def __init__(self, *rows, at, never_closes=False):
        self.rows, self.at, self.never_closes = rows, at, never_closes

    def market_time(self):
        return self.at

    def trading_hours(self, instruments):
        assert "symbol" in instruments.columns
        return pd.DataFrame(self.rows, columns=list(TRADING_HOURS))


def test_a_broker_reports_the_time_the_hours_and_the_listing():
    row = ("SPY", 756733, "ARCA", WEEK.format("CLOSED", "1300"), "US/Eastern")
    broker = StandIn(row, at=moment("2026-11-27 11:00"))
    found = sx.market_hours(["SPY", "TLT"], broker).set_index("symbol")
    assert found["exchange"].tolist()[:1] == ["ARCA"]
    assert found["hours_from"].tolist() == ["contract", "calendar"]
    assert found["is_open"].tolist() == [True, True]
    assert found.loc["TLT", "note"] == "no listing is given: XNYS, the home market of USD"
    later = sx.market_hours(["SPY"], broker, at=moment("2026-11-27 13:00"))
    assert later["is_open"].tolist() == [False]


def test_the_number_of_a_contract_counts_before_its_symbol():
    rows = [
        ("VOD", 1, "LSE", "20261127:0800-20261127:1630", "GB-Eire"),
        ("VOD", 2, "NASDAQ", "20261127:0930-20261127:1300", "US/Eastern"),
    ]
    broker = StandIn(*rows, at=moment("2026-11-27 11:45"))  # 16:45 in London
    orders = pd.DataFrame({"symbol": "VOD", "con_id": pd.array([2, 1, 3, None], dtype="Int64"), "currency": "USD"})
    found = sx.market_hours(orders, broker)
    assert found["exchange"].fillna("").tolist() == ["NASDAQ", "LSE", "", "LSE"]
    assert found["is_open"].tolist() == [True, False, True, False]
    own = sx.market_hours(orders.assign(primary_exchange=["NYSE", None, None, None]), broker)
    assert own["exchange"].fillna("").tolist() == ["NYSE", "LSE", "", "LSE"]


def test_a_broker_whose_market_never_closes_says_so():
    broker = StandIn(at=moment("2026-11-28 03:00"), never_closes=True)
    (row,) = sx.market_hours("SPY", broker).to_dict("records")
    assert (row["is_open"], row["hours_from"], row["early_close"]) == (True, "broker", False)
    assert row["next_open"] == pd.Timestamp("2026-11-30 14:30", tz="UTC")
    assert "never closes" in row["note"]


def test_there_is_one_row_for_each_symbol_with_columns_of_one_type():
    orders = pd.DataFrame({"symbol": ["spy", "SPY", "XX"], "primary_exchange": ["ARCA", "ARCA", "XYZ"]})
    found = sx.market_hours(orders, at=moment("2026-11-27 11:00"))
    assert found["symbol"].tolist() == ["SPY", "XX"]
    assert found["is_open"].tolist() == [True, pd.NA]
    assert found["opens_at"].isna().tolist() == [False, True]
    assert str(found["moc_cutoff"].dtype) == "datetime64[us, UTC]"
    assert found["note"].tolist()[1] == "no calendar of 'XYZ' is known"
    assert sx.market_hours([]).columns.tolist() == found.columns.tolist()


@pytest.mark.parametrize(
    "given",
    [
        "SPY",
        ["SPY"],
        {"SPY": 0.5},
        pd.Series([0.5], index=["SPY"]),
        pd.Series(["SPY"]),
        pd.DataFrame({"weight": [0.5]}, index=pd.Index(["SPY"], name="symbol")),
        pd.DataFrame({"weight": [0.5]}, index=["SPY"]),
        pd.DataFrame({"symbol": ["SPY"], "weight": [0.5]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_symbols_may_come_in_any_form(given):
    assert sx.market_hours(given, at=moment("2026-11-27 11:00"))["symbol"].tolist() == ["SPY"]


@pytest.mark.parametrize(
    ("given", "at", "code"),
    [
        (5, None, "wrong_type"),
        (["SP\nY"], None, "symbol_illegal_char"),
        ("SPY", datetime(2026, 11, 27), "option_invalid"),  # noqa: DTZ001 - it is what is refused
        ("SPY", "2026-11-27", "option_invalid"),
        ("SPY", pd.NaT, "option_invalid"),
    ],
)
def test_what_cannot_be_used_is_an_error(given, at, code):
    with pytest.raises(InputError) as caught:
        sx.market_hours(given, at=at)
    assert caught.value.codes == (code,)
