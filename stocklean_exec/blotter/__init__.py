"""The durable record of runs, orders, order events, fills and commissions, in one DuckDB file.

An order's state is derived from recorded events, in Python (:mod:`~stocklean_exec.blotter.order_state`) and in SQL
(``sql/views.sql``), which a test holds equal. Also the file lock and the kill switch. May import the schema and
the database module. Begin with ``events``, then ``order_state`` and ``blotter``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stocklean_exec.blotter.blotter import Blotter as Blotter
    from stocklean_exec.blotter.blotter import open_blotter as open_blotter
    from stocklean_exec.blotter.reader import BlotterReader as BlotterReader
    from stocklean_exec.blotter.reader import read_blotter as read_blotter

__all__ = ["Blotter", "BlotterReader", "open_blotter", "read_blotter"]

_MODULE_OF = {"Blotter": "blotter", "open_blotter": "blotter", "BlotterReader": "reader", "read_blotter": "reader"}


def __getattr__(name: str) -> object:
    """Load a name when it is first used: events and states are imported without DuckDB."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
