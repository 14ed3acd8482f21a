"""Events of the venue: link, connections, ids, market, day."""

LIMIT = {"order_type": "LMT", "limit": "390.00"}
ASK_EXECUTIONS = ("7", "3", "9", "0", "", "", "", "", "", "")


def codes(messages):
    return [int(fields[3]) for fields in messages if fields[0] == "4"]


def test_executions_during_a_broken_link_are_reported_when_it_is_restored(connect, kinds):
    events = [
        {"after_accepts": 1, "do": "link_down"},
        {"after_accepts": 1, "delay": 5, "do": "fill"},
        {"after_accepts": 1, "delay": 9, "do": "link_up", "code": 1102},
    ]
    seen = connect({"event": events}).place(1, **LIMIT)
    names = kinds(seen)
    assert names.index("err 1100") < names.index("err 1102") < names.index("ex")


def test_executions_during_a_broken_link_can_be_unreported_but_are_in_the_query(connect, kinds):
    events = [
        {"after_accepts": 1, "do": "link_down"},
        {"after_accepts": 1, "delay": 5, "do": "fill"},
        {"after_accepts": 1, "delay": 9, "do": "link_up", "code": 1101, "deliver": False},
    ]
    peer = connect({"event": events})
    assert "ex" not in kinds(peer.place(1, **LIMIT))
    assert "ex" in kinds(peer.send(*ASK_EXECUTIONS))


def test_orders_sent_while_the_link_is_down_wait(connect, kinds):
    peer = connect({"event": [{"after_requests": 1, "do": "link_down"}]})
    assert codes(peer.send("49", "1")) == [1100]
    assert peer.place(1) == []
    assert peer.venue.ledger.orders == {}
    peer.venue.events.run({"do": "link_up"})
    assert kinds(peer.take())[-1] == "cm"


def test_connections_can_be_closed_all_or_one(make_venue, join):
    venue = make_venue()
    first, second = join(venue, 1), join(venue, 2)
    venue.events.run({"do": "disconnect", "client_id": 2})
    assert (first.session.closed, second.session.closed) == (False, True)
    venue.events.run({"do": "restart"})
    assert first.session.closed


def test_orders_stay_open_over_a_restart_and_can_be_cancelled_by_their_client(make_venue, join, kinds):
    venue = make_venue()
    join(venue).place(1, **LIMIT)
    venue.events.run({"do": "restart"})
    again = join(venue)
    assert kinds(again.send("5", "1")) == ["oo Submitted", "st Submitted", "53"]
    assert codes(again.send("4", "1", "1")) == [202]


def test_order_ids_can_be_reset(connect, kinds):
    peer = connect()
    peer.place(1)
    peer.venue.events.run({"do": "reset_ids"})
    assert peer.send("8", "1", "1") == [["9", "1", "1"]]
    assert kinds(peer.place(1, order_ref="second"))[-1] == "cm"
    sent = [fields for fields in peer.send(*ASK_EXECUTIONS) if fields[0] == "11"]
    assert [(fields[2], fields[26]) for fields in sent] == [("1", ""), ("1", "second")]
    assert len({fields[21] for fields in sent}) == 2


def test_a_message_is_sent_to_all_clients(make_venue, join):
    venue = make_venue()
    peers = [join(venue, number) for number in (1, 2)]
    venue.events.run({"do": "message", "code": 2103, "text": "farm"})
    assert [codes(peer.take()) for peer in peers] == [[2103], [2103]]


def test_open_orders_can_be_filled_or_cancelled_by_an_event(connect, kinds):
    peer = connect()
    peer.place(1, order_ref="a", **LIMIT)
    peer.place(2, order_ref="b", **LIMIT)
    peer.venue.events.run({"do": "fill", "order_ref": "a", "quantity": 40, "price": 389.5})
    assert kinds(peer.take()) == ["ex", "oo Submitted", "st Submitted", "cm"]
    peer.venue.events.run({"do": "cancel", "order_ref": "b", "text": "halted"})
    assert kinds(peer.take()) == ["st Cancelled", "err 202"]


def test_the_list_of_accounts_can_change(connect):
    peer = connect()
    peer.venue.events.run({"do": "accounts", "accounts": ["DU0000001", "DU0000002"]})
    assert peer.take() == [["15", "1", "DU0000001,DU0000002"]]


def test_after_midnight_queries_exclude_the_previous_day(connect):
    peer = connect()
    peer.place(1)
    peer.venue.events.run({"do": "midnight"})
    assert [fields[0] for fields in peer.send(*ASK_EXECUTIONS)] == ["55"]
    assert [fields[0] for fields in peer.send("99", "0")] == ["102"]


def test_the_day_rolls_by_itself(connect):
    peer = connect(start="2022-12-29 23:59:00")
    peer.place(1)
    assert len(peer.send("99", "0")) == 2
    peer.venue.clock.advance(61)
    assert [fields[0] for fields in peer.send("99", "0")] == ["102"]


def test_an_event_runs_at_its_time(connect):
    peer = connect({"event": [{"at": 60, "do": "move", "symbol": "SPY", "ask": 390.0, "bid": 389.9}]})
    peer.place(1, **LIMIT)
    peer.venue.clock.advance(59)
    assert peer.take() == []
    peer.venue.clock.advance(2)
    assert "11" in [fields[0] for fields in peer.take()]


def test_a_seeded_day_moves_the_market_the_same_way_each_time(make_venue):
    walk = {"switches": {"walk": 0.001, "walk_seconds": 60.0}}
    first, second, other = make_venue(walk), make_venue(walk), make_venue(walk, seed=8)
    for venue in (first, second, other):
        venue.clock.advance(3600)
    assert first.market["SPY"] == second.market["SPY"]
    assert first.market["SPY"] != other.market["SPY"]
    assert abs(first.market["SPY"].ask - first.market["SPY"].bid - 0.2) < 1e-6


def test_requests_can_advance_the_day_until_a_resting_order_fills(connect):
    peer = connect("seeded_day")
    seen = peer.place(1, order_type="LMT", limit="400.05")
    for _ in range(200):
        if "11" in [fields[0] for fields in seen]:
            break
        seen = peer.send("49", "1")
    assert "11" in [fields[0] for fields in seen]


def test_pacing_can_end_a_session(connect):
    peer = connect()
    peer.venue.events.run({"do": "pacing"})
    assert codes(peer.take()) == [100]
    assert peer.session.closed


def test_the_next_login_can_have_another_account(make_venue, join):
    venue = make_venue()
    first = join(venue, 1)
    first.place(1)
    venue.events.run({"do": "accounts", "accounts": ["U7654321"], "announce": False})
    assert first.take() == []
    second = join(venue, 2)
    assert ["15", "1", "U7654321"] in second.seen
    assert [fields[0] for fields in second.send("61", "1")] == ["62"]
    assert codes(second.place(1, account="DU0000001")) == [321]
    second.place(2)
    assert venue.ledger.orders[2, 2].account == "U7654321"


def test_no_client_can_connect_during_a_restart(make_venue, join):
    venue = make_venue()
    peer = join(venue)
    peer.place(1, **LIMIT)
    venue.events.run({"do": "restart", "seconds": 1.5})
    tries = [join(venue) for _ in range(3)]
    # Each refused connection advances the virtual clock by a second.
    assert [one.session.closed for one in tries] == [True, True, False]
    assert tries[0].seen == []
    assert tries[0].session.reason == "TWS restarts"
    assert [fields[0] for fields in tries[2].send("5", "1")] == ["5", "3", "53"]


def test_a_restart_can_drop_queued_requests(make_venue, join):
    for lose, orders in ((False, 1), (True, 0)):
        venue = make_venue({"switches": {"queue_seconds": 1.0}}, clock="manual")
        join(venue).place(1)
        venue.events.run({"do": "restart", "lose": lose})
        venue.clock.advance(2)
        assert len(venue.ledger.orders) == orders


def test_a_restart_can_drop_orders_that_wait_for_the_link(make_venue, join):
    venue = make_venue()
    venue.events.run({"do": "link_down"})
    join(venue).place(1)
    venue.events.run({"do": "restart", "lose": True})
    venue.events.run({"do": "link_up"})
    assert venue.ledger.orders == {}


def test_on_the_next_day_day_orders_have_expired_and_others_are_open(connect, kinds):
    peer = connect()
    peer.place(1)
    peer.place(2, **LIMIT)
    peer.place(3, tif="GTC", **LIMIT)
    peer.venue.events.run({"do": "next_day"})
    assert kinds(peer.take()) == ["st Cancelled", "err 202"]
    assert [fields[0] for fields in peer.send(*ASK_EXECUTIONS)] == ["55"]
    assert [fields[0] for fields in peer.send("99", "0")] == ["102"]
    assert [fields[1] for fields in peer.send("5", "1") if fields[0] == "5"] == ["3"]
    assert [fields[2] for fields in peer.send("8", "1", "1")] == ["4"]


def test_an_order_can_have_a_duplicate_with_its_id_and_reference(connect):
    peer = connect()
    peer.place(1, order_ref="r", **LIMIT)
    peer.venue.events.run({"do": "double", "order_ref": "r"})
    peer.take()
    sent = [fields for fields in peer.send("5", "1") if fields[0] == "5"]
    assert [fields[1] for fields in sent] == ["1", "1"]
    assert len({fields[25] for fields in sent}) == 2


def test_switches_can_change_during_a_run(connect):
    events = [{"after_requests": 3, "do": "switch", "set": {"executions": "own"}}]
    peer = connect({"switches": {"executions": "none"}, "event": events})
    peer.place(1)
    assert [fields[0] for fields in peer.send(*ASK_EXECUTIONS)] == ["55"]
    peer.send("49", "1")
    assert [fields[0] for fields in peer.send(*ASK_EXECUTIONS)] == ["11", "59", "55"]


def test_orders_of_a_disconnected_client_are_processed_when_the_link_is_restored(connect):
    peer = connect()
    peer.venue.events.run({"do": "link_down"})
    peer.place(1, order_ref="r")
    peer.session.eof()
    peer.venue.events.run({"do": "link_up"})
    assert [one.order_ref for one in peer.venue.ledger.fills] == ["r"]


def test_the_start_of_the_day_is_kept_over_a_restart(make_venue, join, tmp_path):
    first = make_venue(state=tmp_path / "state")
    join(first).place(1)
    first.events.run({"do": "midnight"})
    first.close()
    again = join(make_venue(state=tmp_path / "state"))
    assert [fields[0] for fields in again.send(*ASK_EXECUTIONS)] == ["55"]


def test_a_broken_link_of_tws_itself_has_another_code_and_holds_reports_back(connect, kinds):
    peer = connect()
    peer.venue.events.run({"do": "broken_link"})
    assert codes(peer.take()) == [2110]
    peer.place(1)
    assert peer.take() == []
    peer.venue.events.run({"do": "link_up"})
    assert kinds(peer.take())[-1] == "cm"


def test_a_manual_order_has_the_terms_of_its_event(connect):
    peer = connect()
    for entry in ({"price": 390.0, "side": "SELL", "quantity": 7, "tif": "GTC"}, {}):
        peer.venue.events.run({"do": "manual_order", "symbol": "SPY", **entry})
    limit, market = (one.request for one in peer.venue.ledger.orders.values())
    assert (limit.order_type, limit.side, limit.quantity, limit.limit_price, limit.tif) == (
        "LMT",
        "SELL",
        7.0,
        390.0,
        "GTC",
    )
    assert (market.order_type, market.side, market.quantity, market.tif) == ("MKT", "BUY", 1.0, "DAY")
    peer.venue.events.run({"do": "manual_order", "symbol": "UNLISTED"})
    assert "UNLISTED" in {one.contract.symbol for one in peer.venue.ledger.orders.values()}


def test_an_event_changes_a_rate_and_the_time(connect):
    peer = connect(rates={"EUR": 1.10})
    peer.venue.events.run({"do": "rate", "currency": "EUR", "rate": 1.25})
    assert peer.venue.rates["EUR"] == 1.25
    before = peer.venue.clock.now()
    peer.venue.events.run({"do": "advance", "seconds": 90})
    assert peer.venue.clock.now() == before + 90


def test_orders_at_the_close_trade_in_its_auction_and_day_orders_expire_behind_it(connect, kinds):
    peer = connect({"switches": {"hours": "exchange"}}, start="2022-12-29 15:59:00")
    peer.place(1, order_type="MOC", quantity=5)
    peer.place(2, **LIMIT)
    assert "ex" not in kinds(peer.seen)
    peer.venue.clock.advance(61)
    seen = peer.take()
    assert [fields[12 + 5] for fields in seen if fields[0] == "11"]  # the auction has traded
    assert [one.order_id for one in peer.venue.ledger.fills] == [1]
    assert peer.venue.ledger.find(1, 2).status == "Cancelled"


def test_orders_for_the_open_wait_for_it(connect):
    peer = connect({"switches": {"hours": "exchange"}}, start="2022-12-29 09:29:00")
    peer.place(1, tif="OPG", quantity=5)
    peer.place(2, quantity=6)
    assert peer.venue.ledger.fills == []
    peer.venue.clock.advance(61)
    assert [(one.order_id, one.quantity) for one in peer.venue.ledger.fills] == [(1, 5.0), (2, 6.0)]
