"""A plan that was checked while a market was open, or before the cut-off of its auction, and is sent later.

Opens, closes and cut-offs are those of New York on 25 November 2026, the day before Thanksgiving: 9:30 to 16:00 in
New York's time, 14:30 to 21:00 UTC; NYSE takes orders on close until 15:50, and orders for the open until 9:28.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.execution.session_checks import session_refusals

pytestmark = pytest.mark.slow  # the first one loads the calendars
NAN = float("nan")
TICKET = Ticket(
    "r-SPY-BUY", "r", "SPY", "BUY", 10.0, "MKT", NAN, "DAY", "USD", "STK", "SMART", "DU0000001",
    primary_exchange="ARCA",
)  # fmt: skip


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def market_at(text, **options):
    """A broker whose market has hours, at this time."""
    broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000, **options)
    broker.never_closes, broker.market_time = False, lambda: moment(text)
    return broker


def refused(at, choice="block", **terms):
    limits = sx.Limits(closed_market=choice)
    return asyncio.run(session_refusals([replace(TICKET, **terms)], market_at(at), limits))


@pytest.mark.parametrize(
    ("at", "terms", "code"),
    [
        ("2026-11-25 20:59", {}, None),
        ("2026-11-25 21:00", {}, "market_closed"),
        ("2026-11-25 21:00", {"tif": "GTC", "order_type": "LMT", "limit_price": 90.0}, None),
        ("2026-11-25 21:00", {"outside_rth": True}, None),
        ("2026-11-25 14:00", {"good_after": moment("2026-11-25 14:30")}, None),
        ("2026-11-25 14:00", {"good_after": moment("2026-11-25 14:29")}, "market_closed"),
        ("2026-11-25 21:00", {"primary_exchange": "XYZ"}, None),  # no hours are known
        ("2026-11-25 20:49:59", {"order_type": "MOC"}, None),
        ("2026-11-25 20:50", {"order_type": "MOC"}, "auction_cutoff"),
        ("2026-11-25 14:27", {"tif": "OPG"}, None),
        ("2026-11-25 14:28", {"tif": "OPG"}, "auction_cutoff"),
    ],
)
def test_what_the_check_blocks_is_refused_at_sending(at, terms, code):
    found = refused(at, **terms)
    assert [why[0] for why in found.values()] == ([code] if code else [])


def test_the_texts_say_when():
    assert refused("2026-11-25 21:05")["r-SPY-BUY"][1] == (
        "r-SPY-BUY: its market is closed at 2026-11-25 21:05 UTC, and the order would wait until "
        "2026-11-27 14:30 UTC"
    )
    assert refused("2026-11-25 20:55", order_type="MOC")["r-SPY-BUY"][1] == (
        "r-SPY-BUY: its auction has taken no more orders since 2026-11-25 20:50 UTC"
    )


@pytest.mark.parametrize(
    ("choice", "closed", "late"), [("block", 1, 1), ("warn", 0, 1), (None, 0, 1), ("ignore", 0, 0)]
)
def test_what_only_warns_stops_no_order_that_a_person_has_approved(choice, closed, late):
    assert len(refused("2026-11-25 21:00", choice)) == closed
    assert len(refused("2026-11-25 20:55", choice, order_type="MOC")) == late


def test_an_order_is_not_sent_for_a_later_auction_than_it_was_checked_for():
    cutoff = moment("2026-11-25 20:50")
    for at in ("2026-11-25 21:05", "2026-11-27 15:00"):  # the next close is another day's
        assert refused(at, order_type="MOC") == {}
        code, text = refused(at, order_type="MOC", auction_until=cutoff)["r-SPY-BUY"]
        assert code == "auction_cutoff"
        assert "was checked for the auction that took orders until 2026-11-25 20:50 UTC" in text
        assert refused(at, "ignore", order_type="MOC", auction_until=cutoff) == {}
    assert refused("2026-11-25 20:49", order_type="MOC", auction_until=cutoff) == {}
    earlier = moment("2026-11-25 20:40")  # a cut-off that was not the exchange's
    assert refused("2026-11-25 20:39", order_type="MOC", auction_until=earlier) == {}
    assert refused("2026-11-25 20:40", order_type="MOC", auction_until=earlier)["r-SPY-BUY"][0] == "auction_cutoff"


def test_a_market_that_never_closes_is_not_asked():
    broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000)
    broker.market_time = None
    limits = sx.Limits(closed_market="block")
    assert asyncio.run(session_refusals([TICKET], broker, limits)) == {}
    assert asyncio.run(session_refusals([], market_at("2026-11-25 21:00"), limits)) == {}
    broker.never_closes = False  # and where no answer would refuse the order
    assert asyncio.run(session_refusals([TICKET], broker, sx.Limits(closed_market="warn"))) == {}


def approved_at(text, limits=None, **terms):
    row = {"run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": 10.0, "order_type": "MKT"} | terms
    frame = pd.DataFrame(row).assign(primary_exchange="ARCA")
    checked = sx.check_orders(frame, limits, quotes={"SPY": 100.0}, cash=10_000, now=pd.Timestamp(text, tz="UTC"))
    review = sx.review_orders(checked)
    review.approve_all(by="ann")
    return review.result()


@pytest.mark.parametrize("stored", [False, True])
def test_the_check_keeps_until_when_an_auction_takes_orders_and_the_run_holds_to_it(tmp_path, stored):
    approved = approved_at("2026-11-25 20:40", order_type="MOC")
    assert approved["auction_until"].tolist() == [pd.Timestamp("2026-11-25 20:50", tz="UTC")]
    if stored:
        approved.to_csv(tmp_path / "plan.csv", index=False)
        approved = pd.read_csv(tmp_path / "plan.csv")
    with sx.open_blotter() as blotter, market_at("2026-11-25 21:05") as broker:
        states = sx.submit_orders(approved, broker, blotter)
        assert states[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "auction_cutoff"]]
        assert broker.positions().empty


def test_a_removed_or_later_cut_off_breaks_the_seal():
    approved = approved_at("2026-11-25 20:40", order_type="MOC")
    with sx.open_blotter() as blotter, market_at("2026-11-25 20:45") as broker:
        for changed in (
            approved.drop(columns="auction_until"),
            approved.assign(auction_until=pd.Timestamp("2026-11-27 17:50", tz="UTC")),
        ):
            with pytest.raises(sx.ApprovalError, match="1 rows changed"):
                sx.submit_orders(changed, broker, blotter)
        assert sx.submit_orders(approved, broker, blotter)["status"].tolist() == ["FILLED"]


def test_an_edit_to_another_type_takes_the_cut_off_along():
    frame = pd.DataFrame({"run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": 10.0, "order_type": "MOC"})
    now = pd.Timestamp("2026-11-25 20:30", tz="UTC")
    checked = sx.check_orders(frame.assign(primary_exchange="ARCA"), quotes={"SPY": 100.0}, cash=1e4, now=now)
    review = sx.review_orders(checked)
    review.edit("r-SPY-BUY", order_type="MKT", by="ann")
    assert "auction_until" not in review.orders.columns
    review.edit("r-SPY-BUY", order_type="MOC", by="ann")
    assert review.orders["auction_until"].tolist() == [pd.Timestamp("2026-11-25 20:50", tz="UTC")]


@pytest.mark.parametrize(("choice", "status"), [("block", "REJECTED"), ("warn", "FILLED"), (None, "FILLED")])
def test_a_plan_that_is_sent_after_the_close(choice, status):
    approved = approved_at("2026-11-25 20:55", sx.Limits(closed_market=choice))
    with sx.open_blotter() as blotter, market_at("2026-11-25 21:01") as broker:
        states = sx.submit_orders(approved, broker, blotter)
        assert states["status"].tolist() == [status]
        assert (states["reason"].tolist() == ["market_closed"]) is (status == "REJECTED")


def test_a_person_who_was_warned_of_a_closed_market_is_not_stopped():
    approved = approved_at("2026-11-25 21:05", sx.Limits(closed_market="warn"))
    assert approved["reasons"].tolist() == ["market_closed"]
    with sx.open_blotter() as blotter, market_at("2026-11-25 21:06") as broker:
        assert sx.submit_orders(approved, broker, blotter)["status"].tolist() == ["FILLED"]


def test_a_halt_that_lasts_beyond_the_cut_off_does_not_move_the_order_to_the_next_day():
    approved = approved_at("2026-11-25 20:40", order_type="MOC")
    with sx.open_blotter() as blotter, market_at("2026-11-25 20:45") as broker:
        blotter.halt("look first")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(approved, broker, blotter)
        blotter.clear_halt("looked")
        broker.market_time = lambda: moment("2026-11-25 21:30")
        states = sx.resume("r", broker, blotter)
        assert states[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "auction_cutoff"]]
