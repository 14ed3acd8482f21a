"""The venue as a whole: the same seed gives the same bytes; accounts add up; a failure is contained."""

import json

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
def test_the_journal_and_the_accounts_always_agree(tmp_path_factory, history):
    """Cash and positions follow from the journal alone; no order is overfilled."""
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    quotes = {
        symbol: {"bid": 99.95, "ask": 100.05, "bid_size": 300, "ask_size": 300} for symbol in ("SPY", "XOM", "IBM")
    }
    venue = Venue(Settings(quotes=quotes, journal=path))
    session = Session(venue)
    session.feed(b"API\0" + pack(b"v157..176") + pack_fields(["71", "2", "1", ""]))
    for number, (symbol, action, quantity, kind, cents) in enumerate(history, start=1):
        price = round(100 + cents / 100, 2)
        if kind == "move":
            venue.move(symbol, bid=round(price - 0.05, 2), ask=round(price + 0.05, 2))
        elif kind == "cancel":
            session.feed(pack_fields(["4", "1", str(max(number - 1, 1))]))
        else:
            limit = f"{price}" if kind == "LMT" else ""
            core = [str(number), "0", symbol, "STK", "", "", "", "", "SMART", "", "USD", "", "", "", ""]
            rest = [action, str(quantity), kind, limit, "", "DAY", "", "", "", "0", f"r{number}", "1"]
            session.feed(pack_fields(["3", *core, *rest, *TAIL]))
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


# What the official client sends after transmit for a plain order at 176.
TAIL = [
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "",
    "0",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "0",
    "",
    "-1",
    "0",
    "",
    "",
    "0",
    "",
    "",
    "0",
    "0",
    "",
    "0",
    "",
    "",
    "",
    "",
    "",
    "0",
    "",
    "",
    "",
    "",
    "0",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "0",
    "",
    "",
    "0",
    "0",
    "",
    "",
    "0",
    "",
    "0",
    "0",
    "0",
    "0",
]
