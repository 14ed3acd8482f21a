from stocklean_exec.simulator import Session, Venue
from stocklean_exec.simulator.exchange.connection import Connection
from stocklean_exec.simulator.server.fault_injection import FaultyConnection


def members(protocol):
    names = {name for one in protocol.__mro__ for name in (*vars(one), *getattr(one, "__annotations__", {}))}
    return {name for name in names if not name.startswith("_")}


def test_a_session_implements_both_connection_protocols(make_venue):
    session = Session(make_venue())
    assert members(Connection) >= {"send", "close", "client_id", "subs"}
    assert [name for name in members(Connection) | members(FaultyConnection) if not hasattr(session, name)] == []


def test_the_venue_serves_a_connection_that_is_not_a_session(make_venue):
    class Bare:
        """Records what is sent to it."""

        client_id, version, closed, pending = 3, 176, False, 0

        def __init__(self):
            self.sent = []

        def send(self, kind, _, __=None):
            self.sent.append(kind)

        def error(self, _, code, __):
            self.sent.append(code)

        def flush(self):
            self.sent.append("flushed")

    bare, venue = Bare(), make_venue()
    assert isinstance(venue, Venue)
    venue.join(bare)
    assert bare.sent == ["managedAccounts", "nextValidId", 2104, 2106, 2158, "flushed"]
    del venue.sessions[3]
