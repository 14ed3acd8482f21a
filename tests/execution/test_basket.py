"""A plan handed over as a basket file: what is written and recorded, and that it is never sent from here.

A person's part is played by a second connection, of client id 0, which sends orders under the tags of the file.
"""

from __future__ import annotations

import asyncio
import stat
import threading

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.errors import ApprovalError, BlotterError, HaltedError, IdempotencyConflictError, InputError
from tests.wire_market import FREE, MARKET, NAN, approved_of, connect, journalled_venue, venue_orders

ACCOUNT = "DU0000001"
TWO = [("SPY", "BUY", 5.0, "MKT"), ("KO", "BUY", 7.0, "MKT")]


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


@pytest.fixture
def venue(tmp_path):
    with journalled_venue(tmp_path) as running:
        yield running


def hand_over(blotter, tmp_path, rows=TWO):
    plan = approved_of(rows)
    return plan, sx.export_basket(plan, tmp_path / "basket.csv", blotter=blotter, account=ACCOUNT)


def send_by_hand(venue, rows, names=None, prices=()):
    """Send orders as a person does: from TWS, under the tags of the file or other ``names``."""
    names = names or [f"r-{symbol}-{side}" for symbol, side, *_ in rows]
    prices = prices or [NAN] * len(rows)
    with connect(venue, client_id=0) as tws:
        for name, limit, (symbol, side, shares, kind) in zip(names, prices, rows, strict=True):
            terms = (name, "hand", symbol, side, shares, kind, limit, "DAY", "USD", "STK", "SMART", ACCOUNT)
            asyncio.run(tws.place(Ticket(*terms)))
        while kind == "MKT" and not tws.is_quiet():
            threading.Event().wait(0.01)


def states(blotter):
    return dict(blotter.orders("r")[["client_order_id", "status"]].itertuples(index=False, name=None))


# -- the file and the record -----------------------------------------------------------------------------------


def test_what_a_person_is_to_send_is_on_record_with_each_order(blotter, tmp_path):
    hand_over(blotter, tmp_path)
    held = [event for event in blotter.recorded_events("r") if event.kind == "held_back"]
    assert [(one.client_order_id, one.symbol, one.side, one.quantity, one.account) for one in held] == [
        ("r-SPY-BUY", "SPY", "BUY", 5.0, ACCOUNT),
        ("r-KO-BUY", "KO", "BUY", 7.0, ACCOUNT),
    ]


def test_approved_orders_are_written_and_the_others_are_named(tmp_path):
    frame = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "KO", "TLT"],
            "side": "BUY",
            "quantity": [5.0, 7.0, -1.0],
            "order_type": "MKT",
        }
    )
    review = sx.review_orders(sx.check_orders(frame, FREE, quotes=MARKET))
    review.approve("r-SPY-BUY", by="ann")
    written = sx.export_basket(review.result(), tmp_path / "b.csv")
    assert written["exported"].tolist() == [True, False, False]
    assert written["reason"].fillna("").tolist() == ["", "not_approved", "quantity_negative"]
    assert [line.split(",")[2] for line in (tmp_path / "b.csv").read_text().splitlines()] == ["Symbol", "SPY"]


def checked(**columns):
    frame = {"run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": 5.0, "order_type": "MKT"} | columns
    return sx.check_orders(pd.DataFrame(frame), FREE, quotes=MARKET)


def test_an_order_that_names_its_contract_by_number_is_written_by_symbol_only_where_that_is_meant(tmp_path):
    file, orders = tmp_path / "b.csv", checked(con_id=756733)
    with pytest.raises(InputError) as caught:
        sx.export_basket(orders, file, unapproved=True)
    assert caught.value.codes == ("contract_not_written",)
    assert sx.export_basket(orders, file, unapproved=True, by_symbol=True)["exported"].tolist() == [True]


def test_an_order_of_another_account_than_the_one_given_is_refused(tmp_path):
    file, orders = tmp_path / "b.csv", checked(account=ACCOUNT)
    with pytest.raises(InputError) as caught:
        sx.export_basket(orders, file, unapproved=True, account="DU0000002")
    assert [(one.code, one.symbol) for one in caught.value.problems] == [("account_mismatch", "SPY")]
    assert sx.export_basket(orders, file, unapproved=True, account=ACCOUNT)["exported"].tolist() == [True]


def test_the_run_is_on_record_as_handed_over(blotter, tmp_path):
    hand_over(blotter, tmp_path)
    run = blotter.runs().iloc[0]
    assert (run["status"], run["mode"], run["account"], run["approved_by"]) == ("queued", "paper", ACCOUNT, "test")
    orders = blotter.orders("r")
    assert orders["status"].tolist() == ["NEW", "NEW"]
    assert set(orders["reason"]) == {
        "written to basket.csv, to be sent by hand in TWS; it is never sent from here"
    }
    assert blotter.exported() == blotter.exported("r") == {"r-SPY-BUY", "r-KO-BUY"}
    assert blotter.exported("other") == set()
    assert stat.S_IMODE((tmp_path / "basket.csv").stat().st_mode) == 0o600


def test_a_plan_without_an_approval_must_say_so_and_is_not_recorded(blotter, tmp_path):
    frame = pd.DataFrame(
        {"run_id": "r", "symbol": ["SPY", "KO"], "side": "BUY", "quantity": [5.0, 7.0], "order_type": "MKT"}
    )
    checked = sx.check_orders(frame, sx.Limits(max_order_notional=1_000), quotes=MARKET, cash=1e6)
    with pytest.raises(ApprovalError):
        sx.export_basket(checked, tmp_path / "b.csv")
    with pytest.raises(ApprovalError, match="was not checked"):
        sx.export_basket(frame, tmp_path / "b.csv", unapproved=True)
    with pytest.raises(InputError, match="without an approval is not recorded"):
        sx.export_basket(checked, tmp_path / "b.csv", unapproved=True, blotter=blotter, account=ACCOUNT)
    assert not (tmp_path / "b.csv").exists()
    written = sx.export_basket(checked, tmp_path / "b.csv", unapproved=True)
    assert written[["symbol", "exported"]].to_numpy().tolist() == [["SPY", False], ["KO", True]]
    assert written["reason"].tolist()[0] == "max_notional"


def test_a_changed_plan_and_a_halted_blotter_are_refused(blotter, tmp_path):
    plan = approved_of(TWO)
    with pytest.raises(ApprovalError, match="changed since"):
        sx.export_basket(plan.assign(quantity=8.0), tmp_path / "b.csv")
    blotter.halt("lunch")
    with pytest.raises(HaltedError):
        sx.export_basket(plan, tmp_path / "b.csv", blotter=blotter, account=ACCOUNT)
    assert blotter.runs().empty
    assert list(tmp_path.iterdir()) == []


def test_the_record_needs_the_account(blotter, tmp_path):
    with pytest.raises(InputError, match="give account=") as caught:
        sx.export_basket(approved_of(TWO), tmp_path / "b.csv", blotter=blotter)
    assert caught.value.problems[0].column == "account"
    plan = approved_of(TWO)
    hand_over(blotter, tmp_path)
    with pytest.raises(IdempotencyConflictError, match="run r is on record already"):
        sx.export_basket(plan, tmp_path / "again.csv", blotter=blotter, account=ACCOUNT)
    assert not (tmp_path / "again.csv").exists()


def test_a_file_that_cannot_be_written_leaves_no_record(blotter, tmp_path):
    with pytest.raises(OSError, match="No such file"):
        sx.export_basket(approved_of(TWO), tmp_path / "gone" / "b.csv", blotter=blotter, account=ACCOUNT)
    assert blotter.runs().empty


def test_a_record_that_fails_leaves_no_file(blotter, tmp_path, monkeypatch):
    def fail(*_):
        raise BlotterError("disk full")

    (tmp_path / "basket.csv").write_text("the file of yesterday")
    monkeypatch.setattr(blotter, "record_plan", fail)
    with pytest.raises(BlotterError, match="disk full"):
        hand_over(blotter, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["basket.csv"]
    assert (tmp_path / "basket.csv").read_text() == "the file of yesterday"


def test_an_order_that_will_not_be_sent_is_closed_by_a_person(blotter, tmp_path):
    hand_over(blotter, tmp_path)
    blotter.resolve("r-KO-BUY", "CANCELLED", reason="row deleted")
    assert states(blotter) == {"r-SPY-BUY": "NEW", "r-KO-BUY": "CANCELLED"}
    with pytest.raises(InputError, match="not among the unresolved"):
        blotter.resolve("r-KO-BUY", "CANCELLED", reason="again")


# -- never sent from here --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("client_id", [0, 7])
def test_no_way_of_sending_sends_it(blotter, venue, tmp_path, client_id):
    plan, _ = hand_over(blotter, tmp_path)
    with connect(venue, client_id=client_id) as broker:
        for _ in range(2):
            found = sx.resume("r", broker, blotter, resend=True, max_approval_age=None, send_overtaken=True)
            assert found["status"].tolist() == ["NEW", "NEW"]
        assert sx.submit_orders(plan, broker, blotter)["status"].tolist() == ["NEW", "NEW"]
        assert sx.start_run(plan, broker, blotter).wait(30.0)["status"].tolist() == ["NEW", "NEW"]
        assert len(sx.reconcile(broker, blotter)) == 0
    assert venue_orders(venue.journal).empty
    assert blotter.runs()["status"].tolist() == ["blocked"]
    assert "never sent from here" in blotter.runs()["message"].tolist()[0]
    assert (blotter.events("r")["kind"] == "sending").sum() == 0


@pytest.mark.slow
def test_an_old_approval_does_not_turn_it_into_a_refused_order(blotter, venue, tmp_path):
    hand_over(blotter, tmp_path)
    with connect(venue) as broker:
        assert sx.resume("r", broker, blotter, max_approval_age=0.0)["status"].tolist() == ["NEW", "NEW"]


def test_the_mock_filler_does_not_send_it_either(blotter, tmp_path):
    plan, _ = hand_over(blotter, tmp_path)
    with sx.connect(f"mock://?account={ACCOUNT}", quotes=MARKET) as broker:
        assert sx.submit_orders(plan, broker, blotter)["status"].tolist() == ["NEW", "NEW"]
        assert sx.resume("r", broker, blotter)["filled_quantity"].tolist() == [0.0, 0.0]
        assert broker.positions().empty


@pytest.mark.slow
def test_its_value_counts_towards_the_cap_of_the_day_until_it_is_closed(blotter, tmp_path):
    hand_over(blotter, tmp_path, [("KO", "BUY", 100.0, "MKT")])  # 6,261 at the mid of 62.61
    cap = sx.Limits(max_day_notional=7_000.0)
    found = []
    with sx.connect(f"mock://?account={ACCOUNT}", quotes=MARKET, cash=100_000) as broker:
        for run_id in ("s", "t"):
            plan = approved_of([("TLT", "BUY", 10.0, "MKT")], run_id)  # 1,000
            found += sx.submit_orders(plan, broker, blotter, limits=cap)[["status", "reason"]].to_numpy().tolist()
            if run_id == "s":
                blotter.resolve("r-KO-BUY", "CANCELLED", reason="not sent")
    assert found[0] == ["REJECTED", "day_notional_cap"]
    assert found[1][0] == "FILLED"


# -- what a person has sent ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("way", ["resume", "reconcile"])
def test_fills_of_what_was_sent_by_hand_come_to_the_run(blotter, venue, tmp_path, way):
    hand_over(blotter, tmp_path, [*TWO, ("TLT", "BUY", 6.0, "MKT")])
    send_by_hand(venue, TWO)  # one row was deleted
    with connect(venue, client_id=0) as tws:
        if way == "resume":
            sx.resume("r", tws, blotter)
        else:
            found = sx.reconcile(tws, blotter)
            assert set(found["kind"]) == {"order_caught_up"}
        assert states(blotter) == {"r-SPY-BUY": "FILLED", "r-KO-BUY": "FILLED", "r-TLT-BUY": "NEW"}
        fills = blotter.fills("r")
        assert fills.groupby("symbol")["quantity"].sum().to_dict() == {"KO": 7.0, "SPY": 5.0}
        assert fills["price"].tolist() == [400.10, 62.62]  # the asks of the market
        assert fills["commission"].notna().all()
        sx.resume("r", tws, blotter)
        assert len(sx.reconcile(tws, blotter)) == 0
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1, "r-KO-BUY": 1}
    assert (blotter.events("r")["kind"] == "sending").sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["resume", "reconcile"])
def test_another_client_id_says_which_one_is_needed(blotter, venue, tmp_path, way):
    hand_over(blotter, tmp_path)
    send_by_hand(venue, TWO[:1])
    with connect(venue) as broker:  # TWS lists the completed order, and not its executions
        for _ in range(2):
            if way == "resume":
                sx.resume("r", broker, blotter, timeout=1.0)
                assert states(blotter) == {"r-SPY-BUY": "UNKNOWN", "r-KO-BUY": "NEW"}
                assert "reconcile with client id 0" in blotter.orders("r")["reason"].tolist()[0]
            else:
                assert "order_not_open" in set(sx.reconcile(broker, blotter)["kind"])
                assert states(blotter) == {"r-SPY-BUY": "SUBMITTED", "r-KO-BUY": "NEW"}
    with connect(venue, client_id=0) as tws:
        sx.resume("r", tws, blotter)
    assert states(blotter) == {"r-SPY-BUY": "FILLED", "r-KO-BUY": "NEW"}
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1}


@pytest.mark.slow
def test_a_basket_sent_twice_is_counted_and_halts(blotter, venue, tmp_path):
    hand_over(blotter, tmp_path, TWO[:1])
    send_by_hand(venue, TWO[:1])
    send_by_hand(venue, TWO[:1], names=["r-SPY-BUY"])
    with connect(venue, client_id=0) as tws:
        found = sx.reconcile(tws, blotter)
    assert {"duplicate_order", "overfill"} <= set(found.loc[found["severity"] == "halt", "kind"])
    assert blotter.fills("r")["quantity"].sum() == 10.0
    assert blotter.halted is not None


@pytest.mark.slow
@pytest.mark.parametrize("way", ["resume", "reconcile"])
def test_a_trade_of_another_side_under_the_tag_is_no_fill_of_the_order(blotter, venue, tmp_path, way):
    hand_over(blotter, tmp_path, TWO[:1])
    send_by_hand(venue, [("SPY", "SELL", 5.0, "MKT")], names=["r-SPY-BUY"])
    with connect(venue, client_id=0) as tws:
        if way == "resume":
            sx.resume("r", tws, blotter, timeout=1.0)
        found = sx.reconcile(tws, blotter)
    assert blotter.fills("r").empty
    rows = found[found["kind"] == "execution_orphan"]
    assert rows[["severity", "symbol", "client_order_id", "broker"]].to_numpy().tolist() == [
        ["halt", "SPY", "r-SPY-BUY", 5.0]
    ]
    assert "of another symbol, side or account" in rows["detail"].tolist()[0]


@pytest.mark.slow
def test_a_resting_order_sent_by_hand_is_seen_and_netted_and_not_cancelled(blotter, venue, tmp_path):
    rests = [("SPY", "BUY", 5.0, "LMT", 300.0)]
    plan = approved_of(rests)
    sx.export_basket(plan, tmp_path / "basket.csv", blotter=blotter, account=ACCOUNT)
    send_by_hand(venue, [("SPY", "BUY", 5.0, "LMT")], prices=[300.0])
    with connect(venue) as broker:
        assert sx.resume("r", broker, blotter, timeout=0.5)["status"].tolist() == ["SUBMITTED"]
        broker.cancel_all()
        assert broker.open_orders()["client_order_id"].tolist() == ["r-SPY-BUY"]
        assert broker.open_orders()["client_id"].tolist() == [0]


@pytest.mark.slow
def test_another_trigger_or_end_than_in_the_file_is_a_break(blotter, venue, tmp_path):
    end = pd.Timestamp("2036-01-31 21:00", tz="UTC")
    frame = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "KO", "TLT"],
            "side": "BUY",
            "quantity": [5.0, 7.0, 6.0],
            "order_type": ["STP", "STP", "LMT"],
            "aux_price": [410.0, 70.0, NAN],
            "limit_price": [NAN, NAN, 90.0],
            "tif": ["GTC", "GTC", "GTD"],
            "good_till": [None, None, end],
        }
    )
    review = sx.review_orders(sx.check_orders(frame, FREE, quotes=MARKET))
    review.approve_all(by="ann")
    sx.export_basket(review.result(), tmp_path / "basket.csv", blotter=blotter, account=ACCOUNT)
    assert [line.split(",")[6:11] for line in (tmp_path / "basket.csv").read_text().splitlines()] == [
        ["TimeInForce", "OrderType", "LmtPrice", "AuxPrice", "GoodTilDate"],
        ["GTC", "STP", "", "410", ""],
        ["GTC", "STP", "", "70", ""],
        ["GTD", "LMT", "90", "", "20360131 21:00:00 UTC"],
    ]
    by_hand = [  # SPY as in the file
        ("SPY", 5.0, "STP", NAN, "GTC", 410.0, None),
        ("KO", 7.0, "STP", NAN, "GTC", 71.0, None),
        ("TLT", 6.0, "LMT", 90.0, "GTD", NAN, end + pd.Timedelta("1h")),
    ]
    with connect(venue, client_id=0) as tws:
        for symbol, shares, kind, limit, tif, trigger, until in by_hand:
            terms = (f"r-{symbol}-BUY", "hand", symbol, "BUY", shares, kind, limit, tif, "USD", "STK", "SMART")
            asyncio.run(tws.place(Ticket(*terms, ACCOUNT, aux_price=trigger, good_till=until)))
    with connect(venue, client_id=0) as tws:
        found = sx.reconcile(tws, blotter)
    changed = found[found["kind"] == "order_changed"].sort_values("symbol")
    assert changed[["severity", "client_order_id"]].to_numpy().tolist() == [
        ["warn", "r-KO-BUY"],
        ["warn", "r-TLT-BUY"],
    ]
    assert changed[["blotter", "broker"]].to_numpy().tolist()[0] == [70.0, 71.0]
    assert changed["detail"].tolist() == [
        "was changed at the broker: its auxiliary price differs",
        "was changed at the broker: its end is 2036-01-31 22:00:00+00:00, and 2036-01-31 21:00:00+00:00 on record",
    ]


IN_2036 = pd.Timestamp("2036-01-31 21:00", tz="UTC")
EARLIER, LATER = IN_2036 - pd.Timedelta("2h"), IN_2036 - pd.Timedelta("1h")
AS_WRITTEN = [
    ("SPY", "BUY", 5.0, "MOC", NAN, "DAY", None, None),
    ("KO", "BUY", 7.0, "LOC", 60.0, "DAY", None, None),
    ("TLT", "BUY", 6.0, "LMT", 90.0, "OPG", None, None),
    ("MCD", "BUY", 2.0, "LMT", 250.0, "GTD", IN_2036, EARLIER),
]
AS_SENT = {
    "as they are in the file": (AS_WRITTEN[1:], []),  # the one at the market fills at once at this venue
    "each with another term": (
        [
            ("SPY", "BUY", 5.0, "LOC", 300.0, "DAY", None, None),
            ("KO", "SELL", 7.0, "LOC", 70.0, "DAY", None, None),
            ("TLT", "BUY", 6.0, "LMT", 90.0, "DAY", None, None),
            ("MCD", "BUY", 2.0, "LMT", 250.0, "GTD", IN_2036, LATER),
        ],
        [
            ("KO", "its limit price differs"),
            ("KO", "its side is SELL, and BUY on record"),
            ("MCD", f"its start is {LATER}, and {EARLIER} on record"),
            ("SPY", "its limit price differs"),
            ("SPY", "its order type is LOC, and MOC on record"),
            ("TLT", "its time in force is DAY, and OPG on record"),
        ],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("sent", AS_SENT)
def test_orders_for_auctions_and_with_a_start_are_compared_as_others(blotter, venue, tmp_path, sent):
    columns = ["symbol", "side", "quantity", "order_type", "limit_price", "tif", "good_till", "good_after"]
    frame = pd.DataFrame(AS_WRITTEN, columns=columns).assign(run_id="r")
    review = sx.review_orders(sx.check_orders(frame, FREE, quotes=MARKET))
    review.approve_all(by="ann")
    sx.export_basket(review.result(), tmp_path / "basket.csv", blotter=blotter, account=ACCOUNT)
    rows, expected = AS_SENT[sent]
    with connect(venue, client_id=0) as tws:
        for symbol, side, shares, kind, limit, tif, until, after in rows:
            terms = (f"r-{symbol}-BUY", "hand", symbol, side, shares, kind, limit, tif, "USD", "STK", "SMART")
            asyncio.run(tws.place(Ticket(*terms, ACCOUNT, good_till=until, good_after=after)))
    with connect(venue, client_id=0) as tws:
        found = sx.reconcile(tws, blotter)
    rows = found.loc[found["kind"] == "order_changed", ["symbol", "detail"]].sort_values("symbol", kind="stable")
    assert [(symbol, text.partition(": ")[2]) for symbol, text in rows.itertuples(index=False)] == expected
    open_ones = [name for name, status in states(blotter).items() if status == "SUBMITTED"]
    assert len(open_ones) == len(AS_SENT[sent][0])


def test_an_order_that_has_ended_since_is_not_handed_over(blotter, tmp_path):
    rows = {"run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": [5.0], "order_type": "LMT", "tif": "GTD"}
    ended = {"limit_price": 300.0, "good_till": pd.Timestamp("2022-12-30 21:00", tz="UTC")}
    review = sx.review_orders(sx.check_orders(pd.DataFrame(rows | ended), FREE, quotes=MARKET))
    review.approve_all(by="ann")
    with pytest.raises(InputError, match="r-SPY-BUY: good_till 2022-12-30 21:00:00"):
        sx.export_basket(review.result(), tmp_path / "b.csv", blotter=blotter, account=ACCOUNT)
    assert blotter.runs().empty
    assert list(tmp_path.iterdir()) == []
