"""A market at the wire simulator, connections to it, and plans approved for it; several test files use them.

Amounts that a test expects are calculated by hand from these quotes and sizes.
"""

from __future__ import annotations

from contextlib import contextmanager

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.simulator import Simulator, read_journal

NAN = float("nan")
NOON = pd.Timestamp("2022-12-29 17:00", tz="UTC")
MARKET = pd.DataFrame(
    [
        ("SPY", 399.90, 400.10, 400.00, 398.00, 300.0, 300.0),
        ("TLT", 99.98, 100.02, 100.00, 101.00, 500.0, 200.0),
        ("KO", 62.60, 62.62, 62.61, 62.00, 1_000.0, 1_000.0),
        ("MCD", 264.10, 264.30, 264.20, 264.00, 100.0, 100.0),
    ],
    columns=["symbol", "bid", "ask", "last", "close", "bid_size", "ask_size"],
).assign(currency="USD", quoted_at=NOON)
FREE = sx.Limits(
    price_collar=None, min_cash_after=None, allow_short=True, duplicate_window=None, max_approval_age=None
)
"""Limits that stop none of these plans, however often a test sends one and whatever day the venue has."""
THREE = [("SPY", "BUY", 5.0, "MKT"), ("TLT", "BUY", 6.0, "MKT"), ("KO", "BUY", 7.0, "MKT")]
"""Three market orders that the venue fills at once."""


@contextmanager
def journalled_venue(folder):
    """Run a simulator of ``MARKET`` that writes ``journal``, a file in ``folder``, as orders come and trade."""
    journal = folder / "journal.jsonl"
    with Simulator(seed=7, quotes=MARKET, clock="brisk", journal=journal) as running:
        running.journal = journal
        yield running


def connect(simulator, **options):
    """Connect to a running simulator as client 7, without a limit of messages, waiting 5 seconds at most."""
    return IBBroker(port=simulator.port, **({"rate": 0.0, "seconds": 5.0, "client_id": 7} | options))


def approved_of(rows, run_id="r", *, quotes=MARKET, approve=True):
    """Approve orders given as (symbol, side, quantity, order type) and, for a limit order, its limit price.

    A symbol that is ordered twice makes client order ids of the run and the number of the row.
    """
    columns = ["symbol", "side", "quantity", "order_type", "limit_price"]
    frame = pd.DataFrame([(*row, NAN)[:5] for row in rows], columns=columns).assign(run_id=run_id)
    if frame["symbol"].duplicated().any():
        frame["client_order_id"] = [f"{run_id}-{number}" for number in range(len(frame))]
    review = sx.review_orders(sx.check_orders(frame, FREE, quotes=quotes))
    if approve:
        review.approve_all(by="test")
    approved = review.result()
    assert approved["approved"].eq(approve).all(), approved[["client_order_id", "reasons"]]
    return approved


def venue_orders(journal):
    """What the venue itself says that it accepted, by client order id."""
    return pd.Series([row["order_ref"] for row in read_journal(journal) if row["event"] == "order"]).value_counts()


def ticket(name="r-SPY-BUY", symbol="SPY", **changes):
    """A ticket to buy one share at the market; ``changes`` are other terms."""
    given = {
        "client_order_id": name,
        "run_id": "r",
        "symbol": symbol,
        "side": "BUY",
        "quantity": 1.0,
        "order_type": "MKT",
        "limit_price": NAN,
        "tif": "DAY",
        "currency": "USD",
        "sec_type": "STK",
        "exchange": "SMART",
        "account": "DU0000001",
    }
    return Ticket(**(given | changes))
