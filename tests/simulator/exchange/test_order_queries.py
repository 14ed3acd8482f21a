"""Scope of order and execution queries."""

import pytest

LIMIT = {"order_type": "LMT", "limit": "390.00"}


def executions(peer, client_id="0", account="", time="", symbol="", sec_type="", exchange="", side=""):
    return peer.send("7", "3", "9", client_id, account, time, symbol, sec_type, exchange, side)


def test_open_orders_are_the_clients_own_and_all_open_orders_are_of_all_clients(connect, join):
    first = connect()
    second = join(first.venue, client_id=2)
    first.place(1, order_ref="a", **LIMIT)
    second.place(1, order_ref="b", **LIMIT)
    own = [fields[23] for fields in first.send("5", "1") if fields[0] == "5"]
    everybody = {(fields[23], fields[24]) for fields in first.send("16", "1") if fields[0] == "5"}
    assert own == ["a"]
    assert everybody == {("a", "1"), ("b", "2")}


def test_open_orders_come_in_pairs_and_end(connect, kinds):
    peer = connect()
    peer.place(1, **LIMIT)
    assert kinds(peer.send("5", "1")) == ["oo Submitted", "st Submitted", "53"]
    assert kinds(peer.send("16", "1")) == ["oo Submitted", "st Submitted", "53"]


def test_completed_orders_have_their_size_in_filled_quantity_and_no_client_ids(connect):
    peer = connect()
    peer.place(1, quantity=150, order_ref="run-1")
    peer.place(2, quantity=70, **LIMIT)
    peer.send("4", "1", "2")
    filled, cancelled, end = peer.send("99", "0")
    assert end == ["102"]
    # Captured: a filled order's total is 0, its size is in filledQuantity; a cancelled one keeps its total.
    assert (filled[13], filled[22]) == ("0", "run-1")
    assert "Filled Size: 150" in filled
    assert "9223372036854775807" in filled
    assert cancelled[13] == "70"
    assert "Cancelled by Trader" in cancelled


def test_executions_come_first_then_their_commissions_then_the_end(connect, kinds):
    peer = connect()
    peer.place(1, quantity=450)
    seen = executions(peer)
    assert kinds(seen) == ["ex"] * 3 + ["cm"] * 3 + ["55"]  # captured at 176
    assert {fields[1] for fields in seen if fields[0] == "11"} == {"9"}


def test_executions_are_the_same_text_in_each_query(connect):
    peer = connect()
    placed = [fields[14] for fields in peer.place(1, quantity=450) if fields[0] == "11"]
    for _ in range(2):
        assert [fields[14] for fields in executions(peer) if fields[0] == "11"] == placed


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"symbol": "SPY"}, 1),
        ({"symbol": "XOM"}, 1),
        ({"symbol": "IBM"}, 0),
        ({"side": "BUY"}, 1),
        ({"side": "SELL"}, 1),
        ({"sec_type": "OPT"}, 0),
        ({"account": "DU0000001"}, 2),
        ({"account": "DU0000009"}, 0),
        ({"exchange": "NOWHERE"}, 0),
        ({"client_id": "1"}, 2),
        ({"client_id": "2"}, 0),
        ({"time": "20221229-14:00:00"}, 2),
        ({"time": "20221229 11:00:00 US/Eastern"}, 0),
    ],
)
def test_the_filter_of_executions(connect, wanted, count):
    peer = connect(start="2022-12-29 10:00:00")
    peer.place(1)
    peer.place(2, symbol="XOM", action="SELL")
    assert sum(fields[0] == "11" for fields in executions(peer, **wanted)) == count


def test_an_invalid_filter_time_is_an_error(connect):
    assert [fields[3] for fields in executions(connect(), time="noon")] == ["321"]


@pytest.mark.parametrize(
    ("switches", "client_id", "count"),
    [
        ({}, 2, 0),
        ({}, 0, 1),
        ({"executions": "all"}, 2, 1),
        ({"executions": "none"}, 1, 0),
        ({"master_client_id": 2}, 2, 1),
    ],
)
def test_clients_that_receive_an_execution_of_client_1(make_venue, join, switches, client_id, count):
    venue = make_venue({"switches": switches})
    owner = join(venue, 1)
    owner.place(1)
    peer = owner if client_id == 1 else join(venue, client_id)
    assert sum(fields[0] == "11" for fields in executions(peer)) == count


def test_the_master_client_receives_all_reports(make_venue, join, kinds):
    venue = make_venue({"switches": {"master_client_id": 5}})
    master, owner = join(venue, 5), join(venue, 1)
    assert kinds(owner.place(1)) == kinds(master.take())


@pytest.mark.parametrize(("scope", "count"), [("all", 2), ("filled", 1), ("none", 0), ("own", 0)])
def test_the_scope_of_completed_orders_is_an_option(make_venue, join, scope, count):
    venue = make_venue({"switches": {"completed_orders": scope}})
    owner = join(venue, 1)
    owner.place(1)
    owner.place(2, **LIMIT)
    owner.send("4", "1", "2")
    assert len(join(venue, 2).send("99", "0")) == count + 1


def test_manual_orders_are_excluded_from_api_only_queries(make_venue, join):
    event = {"after_requests": 1, "do": "manual_order", "symbol": "SPY", "quantity": 5}
    peer = join(make_venue({"event": [event]}))
    peer.send("49", "1")
    assert len(peer.send("99", "0")) == 2
    assert len(peer.send("99", "1")) == 1


def test_open_orders_can_be_stale_or_missing(connect, kinds):
    stale = connect({"switches": {"open_orders": "stale"}})
    stale.place(1)
    assert kinds(stale.send("5", "1")) == ["oo Submitted", "st Submitted", "53"]
    blind = connect({"switches": {"open_orders": "none"}})
    blind.place(1, **LIMIT)
    assert kinds(blind.send("16", "1")) == ["53"]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("zone", "20221229 10:00:00 US/Eastern"),
        ("utc", "20221229-15:00:00"),
        ("naive", "20221229  10:00:00"),
    ],
)
def test_execution_times_follow_the_setting_of_the_login(connect, form, text):
    peer = connect({"switches": {"time_format": form}}, start="2022-12-29 10:00:00")
    assert next(fields[15] for fields in peer.place(1) if fields[0] == "11") == text


@pytest.mark.parametrize(("seen_ids", "code"), [("free", []), ("used", ["103"])])
def test_received_order_ids_of_other_clients_can_count_as_used(make_venue, join, seen_ids, code):
    venue = make_venue({"switches": {"seen_ids": seen_ids}})
    other, peer = join(venue, 1), join(venue, 2)
    other.place(50, order_type="LMT", limit="390.00")
    assert peer.place(3, order_type="LMT", limit="390.00")[0][0] == "5"
    peer.send("16", "1")
    assert [fields[3] for fields in peer.place(4) if fields[0] == "4"] == code
    assert peer.place(51)[0][0] == "5"


def test_only_client_0_can_bind_manual_orders_automatically(make_venue, join):
    venue = make_venue()
    zero, one = join(venue, 0), join(venue, 1)
    assert [fields[3] for fields in one.send("15", "1", "1")] == ["327"]
    venue.events.run({"do": "manual_order", "symbol": "SPY", "quantity": 5, "price": 390.0})
    zero.take()
    assert zero.send("15", "1", "0") == []
    assert {order.order_id for order in venue.ledger.active.values()} == {0}
    zero.send("15", "1", "1")
    (order,) = venue.ledger.active.values()
    assert order.order_id < 0  # bound: TWS gives a negative id to an order that no client placed
