"""Selects the faults of a scenario for requests and replies. The session applies them.

Pure: entries in, entries out. Matches are counted here, per venue, so that "the third execution" is the third of
all connections.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.protocol.requests import is_request
from stocklean_exec.simulator.scenarios.scenario import Entry
from stocklean_exec.simulator.scenarios.steps import REQUEST_FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FaultPlan"]


class FaultPlan:
    """The faults of one venue.

    Parameters
    ----------
    entries : fault entries of a checked scenario
    seed : determines their chances

    Examples
    --------
    >>> plan = FaultPlan([{"on": "execDetails", "do": "duplicate", "symbol": "SPY"}])
    >>> [fault.get("do") for fault in plan.for_reply("execDetails", {"symbol": "SPY"})]
    ['duplicate']
    >>> plan.for_reply("execDetails", {"symbol": "XOM"}), plan.for_request("placeOrder", {})
    ([], [])
    """

    def __init__(self, entries: Iterable[dict[str, Any]], seed: int = 0) -> None:
        self._seed = seed
        self._requests: list[Entry] = []
        self._replies: list[Entry] = []
        for data in entries:
            self.add(data)

    def __bool__(self) -> bool:
        return bool(self._requests or self._replies)

    def add(self, data: dict[str, Any]) -> None:
        """Add a fault."""
        number = len(self._requests) + len(self._replies)
        target = self._requests if _is_request(data) else self._replies
        target.append(Entry(dict(data), self._seed, number))

    def for_request(self, kind: str, attributes: dict[str, Any]) -> list[Entry]:
        """Faults that apply to this request."""
        return _applying(self._requests, kind, attributes)

    def for_reply(self, kind: str, attributes: dict[str, Any]) -> list[Entry]:
        """Faults that apply to this reply."""
        return _applying(self._replies, kind, attributes)


def _is_request(data: dict[str, Any]) -> bool:
    return data["do"] in REQUEST_FAULTS and is_request(data["on"])


def _applying(entries: list[Entry], kind: str, attributes: dict[str, Any]) -> list[Entry]:
    return [entry for entry in entries if fnmatchcase(kind, entry.data["on"]) and entry.applies_to(attributes)]
