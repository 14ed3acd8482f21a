"""Holdings by the record: what was held when the last run began, and the fills since; added up by hand."""

import pandas as pd

from stocklean_exec.blotter.holdings import fills_since, recorded_holdings, shares_by_symbol, unrecorded_splits

TAKEN = pd.Timestamp("2026-11-27 15:00", tz="UTC")
MINUTE = pd.Timedelta(minutes=1)
OPENING = pd.DataFrame(
    {"what": ["position", "position", "cash"], "symbol": ["SPY", "TLT", "USD"], "quantity": [100.0, 40.0, 5_000.0]}
).assign(taken_at=TAKEN)
ORDERS = pd.DataFrame(
    {
        "client_order_id": ["old", "late", "new"],
        "arrived_at": [TAKEN - 10 * MINUTE, TAKEN - MINUTE, TAKEN + MINUTE],
    }
)
FILLS = pd.DataFrame(
    [
        ("old", "SPY", "BUY", 7.0, TAKEN - 9 * MINUTE),  # in the opening already
        ("late", "SPY", "SELL", 30.0, TAKEN + 2 * MINUTE),  # sent before, traded after
        ("new", "TLT", "SELL", 40.0, TAKEN + 3 * MINUTE),
        ("new", "GLD", "BUY", 5.0, TAKEN - MINUTE),  # its stamp is early, its order is not
    ],
    columns=["client_order_id", "symbol", "side", "quantity", "filled_at"],
)


def test_fills_count_that_are_later_or_of_later_orders():
    assert fills_since(OPENING, ORDERS, FILLS)["quantity"].tolist() == [30.0, 40.0, 5.0]


def test_sells_count_below_zero():
    assert shares_by_symbol(FILLS) == {"GLD": 5.0, "SPY": -23.0, "TLT": -40.0}


def test_the_record_is_the_opening_and_what_was_traded_since():
    assert recorded_holdings(OPENING, ORDERS, FILLS) == {"SPY": 70.0, "TLT": 0.0, "GLD": 5.0}


def test_without_an_opening_nothing_is_known():
    assert recorded_holdings(OPENING.iloc[:0], ORDERS, FILLS) == {}


HOUR = pd.Timedelta(hours=1)
NEVER = pd.Timestamp(0, tz="UTC")


def books_of(*readings):
    """Readings of SPY an hour apart, each with a row of cash: some may hold none."""
    rows = []
    for number, shares in enumerate(readings):
        at = TAKEN + number * HOUR
        rows.append(("cash", "", 1.0, at, at))
        if shares is not None:
            rows.append(("position", "SPY", shares, at, at))
    return pd.DataFrame(rows, columns=["what", "symbol", "quantity", "taken_at", "recorded_at"])


def splits_of(books, now=None, said=NEVER, status="FILLED", fills=FILLS):
    orders = ORDERS.assign(symbol="SPY", status=status)
    return unrecorded_splits(books, orders, fills, {"SPY": said}, None if now is None else {"SPY": now})


NO_FILLS = FILLS.iloc[:0]


def test_a_change_by_a_ratio_between_two_readings_is_found():
    assert splits_of(books_of(100.0, 1000.0), fills=NO_FILLS) == {"SPY": "10:1"}
    assert splits_of(books_of(100.0, 100.0), now=25.0, fills=NO_FILLS) == {"SPY": "1:4"}
    assert splits_of(books_of(100.0, 140.0), now=140.0, fills=NO_FILLS) == {}
    assert splits_of(books_of(None, 100.0, None), fills=NO_FILLS) == {}  # bought and sold by hand


def test_fills_between_the_readings_count_first():
    # 100 less the 30 that were sold in the first hour; the 7 of before are in the first reading.
    assert splits_of(books_of(100.0, 140.0)) == {"SPY": "2:1"}
    assert splits_of(books_of(100.0, 70.0), now=70.0) == {}
    assert splits_of(books_of(60.0, 30.0)) == {}


def test_what_was_said_later_settles_it_and_open_orders_leave_it_open():
    assert splits_of(books_of(100.0, 1000.0), said=TAKEN + MINUTE, fills=NO_FILLS) == {}
    assert splits_of(books_of(100.0, 100.0, 1000.0), said=TAKEN + MINUTE, fills=NO_FILLS) == {"SPY": "10:1"}
    assert splits_of(books_of(100.0), now=200.0, status="SUBMITTED", fills=NO_FILLS) == {}
    assert splits_of(books_of(100.0, 100.0).iloc[:0], now=200.0) == {}
