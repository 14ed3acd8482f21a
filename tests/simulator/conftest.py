"""A client of the simulator for tests: fields in, fields out; no library, no socket, no clock."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest

from stocklean_exec.simulator import Session, Settings, Venue
from stocklean_exec.simulator.protocol.framing import FrameReader, pack, pack_fields, split_fields

WIRE = Path(__file__).parent.parent / "wire"
QUOTES = {
    "SPY": {"bid": 399.90, "ask": 400.10, "last": 400.0, "close": 398.0, "bid_size": 300, "ask_size": 200},
    "XOM": {"bid": 99.95, "ask": 100.05, "last": 100.0, "close": 100.0, "bid_size": 1000, "ask_size": 1000},
    "IBM": {"bid": 140.0, "ask": 140.02, "last": 140.01, "close": 139.0, "bid_size": 500, "ask_size": 500},
}
PLACES = {
    "order_id": 1,
    "con_id": 2,
    "symbol": 3,
    "sec_type": 4,
    "exchange": 9,
    "currency": 11,
    "action": 16,
    "quantity": 17,
    "order_type": 18,
    "limit": 19,
    "stop": 20,
    "tif": 21,
    "oca_group": 22,
    "account": 23,
    "order_ref": 26,
    "transmit": 27,
    "parent_id": 28,
    "trigger_method": 32,
    "outside_rth": 33,
    "good_after": 37,
    "good_till": 38,
    "percent_offset": 52,
    "trail_stop": 69,
    "trail_percent": 70,
    "limit_offset": 93,
}
"""Positions of the terms in a placeOrder without legs, counted from the documentation of the official client."""
ALGO, WHAT_IF = 83, 85


def read_wire(name):
    """Rows of a transcript file."""
    with (WIRE / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def payload_fields(payload):
    """Fields of a payload written with bars."""
    return payload.split("|")[:-1]


@pytest.fixture(scope="session")
def captured():
    """Captured messages by case: a list of (server version, direction, fields)."""
    cases = {}
    for row in read_wire("captured.tsv"):
        entry = (int(row["server_version"]), row["direction"], payload_fields(row["payload"]))
        cases.setdefault(row["case"], []).append(entry)
    return cases


@pytest.fixture(scope="session")
def recorded():
    """What real clients sent, by (client, server version): lists of fields."""
    clients = {}
    for row in read_wire("client_requests.tsv"):
        key = (row["client"], int(row["server_version"]))
        clients.setdefault(key, []).append(payload_fields(row["payload"]))
    return clients


@pytest.fixture
def no_decoding_errors(caplog):
    """The client must decode everything the simulator sends, without a logged exception."""
    caplog.set_level(logging.ERROR)
    yield
    assert [one for one in caplog.records if one.exc_info or "Error handling" in one.message] == []


class Peer:
    """One client of a venue."""

    def __init__(self, venue, template, client_id=1, versions="v157..178"):
        self.venue = venue
        self.session = Session(venue)
        self.reader = FrameReader()
        self.seen = []
        self._template = template
        self.session.feed(b"API\0" + pack(versions.encode()))
        self.greeting = self.take()
        if client_id is not None:
            self.send("71", "2", str(client_id), "")

    def take(self):
        """Messages received since the last call."""
        self.reader.feed(self.session.take())
        new = [split_fields(payload) for payload in self.reader.payloads()]
        self.seen += new
        return new

    def send(self, *fields):
        """Send a message; return the immediate answers."""
        self.session.feed(pack_fields([str(field) for field in fields]))
        return self.take()

    def order_fields(self, order_id, symbol="SPY", action="BUY", quantity=100, order_type="MKT", **terms):
        """A placeOrder at server version 176, as the official client writes it."""
        fields = list(self._template)
        what_if, algo = terms.pop("what_if", "0"), terms.pop("algo", None)
        given = {"order_id": order_id, "symbol": symbol, "action": action, "quantity": quantity}
        given |= {"order_type": order_type, "tif": "DAY", "order_ref": ""} | terms
        for name, value in given.items():
            fields[PLACES[name]] = str(value)
        fields[WHAT_IF] = str(what_if)
        if algo is not None:
            name, *params = algo
            fields[ALGO : ALGO + 1] = [name, str(len(params) // 2), *params]
        return fields

    def place(self, order_id, *args, **terms):
        """Send an order; return the immediate answers."""
        return self.send(*self.order_fields(order_id, *args, **terms))


@pytest.fixture
def make_venue():
    """Creates venues with a small fixed market; checks that none had an internal failure."""
    venues = []

    def make(scenario=None, **options):
        options = {"quotes": QUOTES, "seed": 7, "scenario": scenario} | options
        venues.append(Venue(Settings(**options)))
        return venues[-1]

    yield make
    for venue in venues:
        venue.close()
        assert venue.failures == []


@pytest.fixture(scope="session")
def join(recorded):
    """Connects a peer to a venue at server version 176."""
    template = next(fields for fields in recorded["official", 176] if fields[0] == "3")

    def connect(venue, client_id=1, versions="v157..178"):
        return Peer(venue, template, client_id, versions)

    return connect


@pytest.fixture
def connect(make_venue, join):
    """A peer of a new venue; options are those of the venue."""

    def make(scenario=None, client_id=1, **options):
        return join(make_venue(scenario, **options), client_id)

    return make


def kinds(messages):
    """Short names of messages: openOrder and orderStatus with their status, errors with their code."""
    names = {"5": "oo", "3": "st", "11": "ex", "59": "cm", "4": "err", "61": "pos"}
    out = []
    for fields in messages:
        name = names.get(fields[0], fields[0])
        if name == "oo":
            name = f"oo {next(text for text in fields[80:100] if text in STATUSES)}"
        elif name == "st":
            name = f"st {fields[2]}"
        elif name == "err":
            name = f"err {fields[3]}"
        out.append(name)
    return out


STATUSES = {"PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive", "PendingCancel"}


@pytest.fixture(name="kinds")
def kinds_fixture():
    """The function that gives messages short names."""
    return kinds
