"""A simulated TWS: a server that speaks the TWS API's text protocol, for clients that are not changed for it.

What it does: handshake and start-up, contract details, quotes, orders with partial executions, cancels and
changes, executions, positions, accounts; server versions 157 to 178; every run with one seed the same.
What it does not: protobuf messages (server versions above 200), options, futures, combos, depth.

Use :class:`Simulator` in a program, ``await start(...)`` in an event loop, and in a shell
``python -m stocklean_exec.simulator``. A :class:`Session` needs no socket at all.

The package is an island: it imports only the fill rule and the commission schedule of the toolkit, and no
client library, so that it shares no mistake with what is tested against it.
"""

from __future__ import annotations

from stocklean_exec.simulator.exchange.journal import read_journal
from stocklean_exec.simulator.exchange.venue import Venue
from stocklean_exec.simulator.protocol.field_layouts import describe
from stocklean_exec.simulator.scenarios.options import Switches
from stocklean_exec.simulator.scenarios.scenario import Scenario, ScenarioError, load_scenario, shipped_scenarios
from stocklean_exec.simulator.server.server import FORBIDDEN_PORTS, Server, start
from stocklean_exec.simulator.server.session import Session
from stocklean_exec.simulator.server.thread import Simulator
from stocklean_exec.simulator.settings import Limits, Settings

__all__ = [
    "FORBIDDEN_PORTS",
    "Limits",
    "Scenario",
    "ScenarioError",
    "Server",
    "Session",
    "Settings",
    "Simulator",
    "Switches",
    "Venue",
    "describe",
    "load_scenario",
    "read_journal",
    "shipped_scenarios",
    "start",
]
