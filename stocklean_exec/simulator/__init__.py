"""A simulated TWS: a server for the text protocol of the TWS API, used by unmodified clients.

Supported: handshake and start-up, contract details, quotes, orders with partial fills, cancels and modifications,
executions, positions, accounts; shares and currency pairs; server versions 157 to 178. Runs with the same seed are
identical. Not supported: protobuf messages (server versions above 200), options, futures, combos, market depth.

Use :class:`Simulator` in a program, ``await start(...)`` in an event loop, and ``python -m
stocklean_exec.simulator`` in a shell. A :class:`Session` needs no socket.

The package is isolated: it imports only the fill model and the commission schedule of the toolkit, and no client
library, so that it shares no error with the code tested against it.
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
