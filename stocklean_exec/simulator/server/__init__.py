"""The asyncio server and its sessions: the only socket of the simulator, and faults on the wire.

Start with ``server``, then ``session``.
"""

from __future__ import annotations

from stocklean_exec.simulator.server.server import FORBIDDEN_PORTS, Server, start

__all__ = ["FORBIDDEN_PORTS", "Server", "start"]
