"""The venue as a whole: what it opens with, sessions, queues, the link; one seed always gives the same bytes."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.simulator import Session, Settings, Venue
from stocklean_exec.simulator.protocol.framing import pack, pack_fields
from stocklean_exec.simulator.scenarios.scenario import shipped_scenarios


def talk(requests, seed, scenario=None, version=176):
    """All bytes that a venue sends to one client for ``requests``."""
    venue = Venue(Settings(seed=seed, scenario=scenario, server_version=version))
    session = Session(venue)
    session.feed(b"API\0" + pack(b"v157..178"))
    for fields in requests:
        session.feed(pack_fields(fields))
    assert venue.failures == []
    return session.take()


@pytest.mark.parametrize("scenario", [None, *sorted(shipped_scenarios())])
def test_one_seed_gives_the_same_bytes_every_time(recorded, scenario):
    requests = recorded["ib_async", 176]
    first = talk(requests, 7, scenario)
    assert talk(requests, 7, scenario) == first
    assert len(first) > 100


def test_another_seed_gives_other_bytes(recorded):
    assert talk(recorded["ib_async", 176], 7) != talk(recorded["ib_async", 176], 8)


@pytest.mark.parametrize("version", range(157, 179))
def test_every_version_serves_the_same_session(recorded, version):
    # Below 177 a client writes the FA profile; all other differences are after the core fields.
    sent = talk(recorded["official", 176 if version < 177 else 178], 7, version=version)
    assert sent.count(b"\0Filled\0") > 0


def test_an_internal_failure_is_stored_answered_and_contained(make_venue, join):
    venue = make_venue()
    peer = join(venue)
    venue.queries.executions = None
    venue._handlers["reqExecutions"] = lambda *_: 1 / 0
    assert [fields[2:4] for fields in peer.send("7", "3", "9", "0", "", "", "", "", "", "")] == [["9", "322"]]
    assert "ZeroDivisionError" in venue.failures[0]
    assert peer.send("49", "1")[0][0] == "49"
    venue.failures.clear()


def test_a_failing_event_is_stored_and_the_next_ones_run(connect):
    peer = connect()
    ran = []
    peer.venue.clock.schedule(0.0, lambda: 1 / 0)
    peer.venue.run_until_idle()
    peer.venue.clock.schedule(0.0, lambda: ran.append(1))
    assert peer.send("49", "1")[0][0] == "49"
    assert (ran, len(peer.venue.failures)) == ([1], 1)
    assert "ZeroDivisionError" in peer.venue.failures.pop()


# -- what a venue opens with -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"server_version": 156}, "server version 156 is not 157 to 178"),
        ({"server_version": 179}, "server version 179 is not 157 to 178"),
        ({"accounts": ()}, "a venue needs at least one account"),
        ({"account_kind": "ira"}, "account_kind is 'ira', not margin or cash"),
        ({"settlement_days": 3}, "settlement_days is 3, not 0, 1 or 2"),
        ({"cash": float("nan")}, "cash nan is not an amount of money"),
        ({"cash": {"USD": 1.0, "EUR": float("inf")}}, "cash {'USD': 1.0, 'EUR': inf} is not an amount of money"),
        ({"positions": {777: 5}}, "a position is in contract 777, which the quotes do not list"),
        ({"cash": {"USD": 1.0, "PLN": 5.0}}, "no exchange rate for PLN: give USD per unit in rates"),
        ({"start": "yesterday"}, "yesterday"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_reason(options, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        Venue(Settings(**options))
    assert text in str(caught.value)


def test_a_state_in_another_base_currency_is_refused_and_stays_as_it_is(make_venue, tmp_path):
    options = {"state": tmp_path / "venue.state", "cash": 5_000.0}
    make_venue(**options).close()
    with pytest.raises(ValueError, match="currency of account DU0000001 in the state is USD, not GBP"):
        make_venue(**options, base_currency="GBP")
    assert make_venue(state=options["state"]).ledger.accounts["DU0000001"].balances() == {"USD": 5_000.0}


def test_positions_are_given_in_shares_or_with_their_cost_to_the_first_account(make_venue, join):
    listed = [{"symbol": "SPY", "last": 400.0}, {"symbol": "XOM", "last": 100.0, "con_id": 11}]
    held = {"SPY": 10, 11: (-5, 97.5), "UNLISTED": (3, 20.0)}
    venue = make_venue(quotes=listed, positions=held, accounts=("DU0000001", "DU0000002"))
    rows = [fields for fields in join(venue).send("61", "1") if fields[0] == "61"]
    assert [(one[2], one[4], float(one[14]), float(one[15])) for one in rows] == [
        ("DU0000001", "SPY", 10.0, 400.0),
        ("DU0000001", "XOM", -5.0, 97.5),
        ("DU0000001", "UNLISTED", 3.0, 20.0),
    ]
    assert [one[3] for one in rows][1] == "11"


def test_cash_is_an_amount_or_amounts_by_currency(make_venue):
    (account,) = make_venue(cash=7.0).ledger.accounts.values()
    assert account.balances() == {"USD": 7.0}
    (account,) = make_venue(cash={"EUR": 9.0}, base_currency="USD", rates={"EUR": 1.1}).ledger.accounts.values()
    assert account.balances() == {"USD": 0.0, "EUR": 9.0}


@pytest.mark.parametrize("start", ["2022-12-29 23:59:00", datetime(2022, 12, 30, 4, 59, tzinfo=UTC).timestamp()])
def test_a_start_is_a_time_of_the_login_or_seconds(make_venue, start):
    assert make_venue(start=start).clock.now() == 1_672_376_340.0  # 04:59 UTC on the 30th


def test_a_listed_pair_sets_the_rate_that_is_not_given(make_venue):
    rows = [{"symbol": "EUR.USD", "bid": 1.0999, "ask": 1.1001, "sec_type": "CASH"}]
    assert make_venue(quotes=rows).rates["EUR"] == 1.1
    assert make_venue(quotes=rows, rates={"EUR": 1.2}).rates["EUR"] == 1.2


# -- sessions and their client ids -------------------------------------------------------------------------------


def test_a_client_id_in_use_is_refused_in_words_and_its_owner_stays(connect, join):
    peer = connect()
    second = join(peer.venue)
    text = "Unable to connect as the client id is already in use. Retry with a unique client id."
    assert [fields[2:5] for fields in second.seen[1:]] == [["-1", "326", text]]
    assert (second.session.closed, second.session.reason) == (True, "client id 1 is in use")
    assert peer.send("49", "1")[0][0] == "49"


def test_a_client_that_tries_again_gets_its_id_once_it_is_free(connect, join):
    peer = connect({"switches": {"client_id_linger": 1.5, "client_id_in_use": "close"}})
    peer.session.eof()
    # Each refusal is a second of the virtual clock.
    tries = [join(peer.venue) for _ in range(3)]
    assert [one.session.closed for one in tries] == [True, True, False]
    assert tries[0].seen[1:] == []


@pytest.mark.parametrize(("free", "is_refused"), [("eof", False), ("drained", True)])
def test_a_client_id_can_stay_in_use_until_its_requests_are_processed(free, is_refused, connect, join):
    peer = connect({"switches": {"client_id_free": free, "queue_seconds": 1.0}}, clock="manual")
    peer.place(1)
    peer.session.eof()
    assert join(peer.venue).session.closed == is_refused
    peer.venue.clock.advance(1.0)
    assert [one.order_id for one in peer.venue.ledger.fills] == [1]
    if is_refused:
        assert not join(peer.venue).session.closed


def test_no_client_can_connect_while_tws_restarts(connect, join):
    peer = connect()
    peer.venue.restart(1.5)
    assert peer.session.reason == "TWS restarts"
    assert [peer.venue.is_down() for _ in range(3)] == [True, True, False]  # each answer takes a second
    assert not join(peer.venue).session.closed


# -- queues, pacing and the link ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("lose", "filled"), [(False, [1]), (True, [])])
def test_a_restart_keeps_queued_requests_or_loses_them(lose, filled, connect):
    peer = connect({"switches": {"queue_seconds": 1.0}}, clock="manual")
    peer.place(1)
    peer.venue.restart(lose=lose)
    peer.venue.clock.advance(1.0)
    assert [one.order_id for one in peer.venue.ledger.fills] == filled


@pytest.mark.parametrize(("lose", "filled"), [(False, [1]), (True, [])])
def test_a_restart_keeps_orders_that_wait_for_the_link_or_loses_them(lose, filled, connect):
    peer = connect()
    peer.venue.set_link(up=False)
    peer.place(1)
    peer.venue.restart(lose=lose)
    peer.venue.set_link(up=True)
    assert [one.order_id for one in peer.venue.ledger.fills] == filled


def test_orders_and_cancels_wait_for_the_link_and_questions_do_not(connect, kinds):
    peer = connect()
    peer.place(1, order_type="LMT", limit="390.00")
    peer.venue.set_link(up=False)
    assert peer.send("4", "1", "1", "") == []
    assert peer.place(2) == []
    assert peer.send("49", "1")[0][0] == "49"
    peer.venue.set_link(up=True)
    names = kinds(peer.take())
    assert names[:3] == ["st PendingCancel", "st Cancelled", "err 202"]
    assert names[-1] == "cm"


@pytest.mark.parametrize(("double", "limits"), [(True, ["390.0", "391.0"]), (False, ["391.0"])])
def test_an_order_changed_without_the_link_waits_or_becomes_a_second_one(double, limits, connect):
    peer = connect({"switches": {"double_orders": double}})
    peer.place(1, order_type="LMT", limit="390.00")
    peer.venue.set_link(up=False)
    assert peer.place(1, order_type="LMT", limit="391.00") == []
    assert peer.venue.ledger.find(1, 1).request.limit_price == (391.0 if double else 390.0)
    peer.venue.set_link(up=True)
    peer.take()
    assert sorted(fields[16] for fields in peer.send("5", "1") if fields[0] == "5") == limits


def test_requests_within_the_limit_of_any_second_pass_and_the_third_violation_closes(connect):
    peer = connect({"switches": {"pacing": "reject", "pacing_limit": 3}}, clock="manual")

    def answers(count):
        return [fields[3] if fields[0] == "4" else "ok" for _ in range(count) for fields in peer.send("49", "1")]

    assert answers(3) == ["ok"] * 3
    peer.venue.clock.advance(1.0)
    assert answers(3) == ["ok"] * 3
    assert answers(4) == ["100", "ok", "ok", "ok"]  # counted again from 0 after a violation
    peer.venue.clock.advance(1.0)
    answers(3)
    peer.place(1)
    assert (peer.venue.ledger.orders, peer.session.closed) == ({}, False)  # what is over the limit is not done
    assert answers(4)[-1] == "100"
    assert (peer.session.closed, peer.session.reason) == (True, "too many messages in a second, three times")


def test_a_request_that_is_not_supported_is_answered_by_the_code_of_its_service(connect):
    (fields,) = connect().send("24", "1")
    assert fields[2:5] == ["-1", "162", "Historical Market Data Service error message:no scanner is known here"]


# -- what events do to a venue -----------------------------------------------------------------------------------


def test_a_message_and_a_move_reach_every_client(make_venue, join, kinds):
    venue = make_venue()
    first, second = join(venue, 1), join(venue, 2)
    first.place(1, order_type="LMT", limit="390.00")
    for peer in (first, second):
        peer.take()
    venue.broadcast(2103, "the farm is gone")
    assert [[fields[2:5] for fields in peer.take()] for peer in (first, second)] == [
        [["-1", "2103", "the farm is gone"]]
    ] * 2
    venue.move("SPY", bid=389.9, ask=390.0)
    assert kinds(first.take())[-1] == "cm"


def test_one_client_or_all_are_disconnected_with_the_reason(make_venue, join):
    venue = make_venue()
    peers = [join(venue, number) for number in (1, 2, 3)]
    venue.disconnect(2, "a test")
    assert [one.session.closed for one in peers] == [False, True, False]
    venue.disconnect(None, "all go")
    assert [one.session.reason for one in peers] == ["all go", "a test", "all go"]


def test_new_accounts_of_the_login_open_with_cash_and_are_announced_on_request(make_venue, join):
    venue = make_venue(cash=500.0)
    peer = join(venue)
    venue.rename_accounts(["DU0000002"], announce=False)
    assert peer.take() == []
    venue.rename_accounts(["DU0000001", "DU0000002"])
    assert peer.take() == [["15", "1", "DU0000001,DU0000002"]]
    assert {name: one.cash for name, one in venue.ledger.accounts.items()} == {
        "DU0000001": 500.0,
        "DU0000002": 500.0,
    }


# -- the accounts follow from the journal ------------------------------------------------------------------------

orders = st.lists(
    st.tuples(
        st.sampled_from(["SPY", "XOM", "IBM"]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 2_000),
        st.sampled_from(["MKT", "LMT", "cancel", "move"]),
        st.integers(-300, 300),
    ),
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(orders)
def test_the_journal_and_the_accounts_always_agree(tmp_path_factory, join, history):
    """Cash and positions follow from the journal alone; no order is overfilled."""
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    quotes = {
        symbol: {"bid": 99.95, "ask": 100.05, "bid_size": 300, "ask_size": 300} for symbol in ("SPY", "XOM", "IBM")
    }
    venue = Venue(Settings(quotes=quotes, journal=path))
    peer = join(venue)
    for number, (symbol, action, quantity, kind, cents) in enumerate(history, start=1):
        price = round(100 + cents / 100, 2)
        if kind == "move":
            venue.move(symbol, bid=round(price - 0.05, 2), ask=round(price + 0.05, 2))
        elif kind == "cancel":
            peer.send("4", "1", max(number - 1, 1))
        else:
            limit = price if kind == "LMT" else ""
            peer.place(number, symbol, action, quantity, kind, limit=limit, order_ref=f"r{number}")
    venue.close()
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    cash, held, filled = 1_000_000.0, {}, {}
    for one in events:
        if one["event"] == "execution":
            signed = one["quantity"] if one["side"] == "BUY" else -one["quantity"]
            cash -= signed * one["price"]
            held[one["symbol"]] = held.get(one["symbol"], 0) + signed
            filled[one["perm_id"]] = filled.get(one["perm_id"], 0) + one["quantity"]
        elif one["event"] == "commission":
            cash -= one["commission"]
    account = venue.ledger.accounts["DU0000001"]
    assert account.cash == pytest.approx(cash, abs=1e-4)
    assert {p.symbol: p.quantity for p in account.positions.values()} == pytest.approx(held)
    requested = {one["perm_id"]: one["quantity"] for one in events if one["event"] == "order"}
    assert all(quantity <= requested[perm_id] for perm_id, quantity in filled.items())
    assert venue.failures == []
