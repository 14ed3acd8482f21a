"""The lease of a run at TWS: a second connection, under a client id that stands for the run.

The run lock (:mod:`~stocklean_exec.execution.run_lock`) keeps two processes of one computer from sending one run.
Two computers, or two containers, know nothing of each other, but use the same TWS: it accepts each client id once.
A run holds one from before the broker is queried until its end: the second process is refused before it queries.

It holds only between processes that are given the same range of client ids, at one TWS. In a range that is too
small two runs can have the same client id: the second is then refused without need. This connection sends no
orders.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from stocklean_exec import clock
from stocklean_exec.brokers.ib.connection import Connection
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.errors import ConnectionLostError, RunElsewhereError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.brokers.ib.connection import Endpoint
    from stocklean_exec.brokers.rate_limit import Pacer

__all__ = ["RunLease", "lease_client_id"]


def lease_client_id(account: str, run_id: str, client_ids: range) -> int:
    """The client id that stands for a run of an account: the same on every computer.

    Examples
    --------
    >>> lease_client_id("DU0000001", "run-1", range(900, 1000))
    972
    """
    digest = sha256(f"{account}/{run_id}".encode()).digest()
    return client_ids[int.from_bytes(digest[:8], "big") % len(client_ids)]


class RunLease:
    """Holds the client id of one run at TWS. Used on the broker's thread only.

    Parameters
    ----------
    place : of TWS, with the client id of the run
    pacer : counts every message that leaves
    on_lost : called when TWS ends the connection
    """

    def __init__(self, run_id: str, place: Endpoint, pacer: Pacer, on_lost: Callable[[], None]) -> None:
        self.run_id = run_id
        self._place, self._pacer, self._report_lost = place, pacer, on_lost
        self._connection: Connection | None = None

    async def take(self) -> None:
        """Take the client id, or take it again after a lost connection.

        Raises
        ------
        RunElsewhereError
            Another process holds it.
        ConnectionLostError
            There is no connection to TWS.
        """
        await self.release()
        connection = Connection(self._place, OrderTracker(clock.now), self._pacer, self)
        try:
            await connection.connect()
        except ConnectionLostError as error:
            if "326" not in connection.causes:
                raise
            raise RunElsewhereError(
                f"client id {self._place.client_id}, which stands for run {self.run_id} at TWS, is in use: "
                "another process works the run, on whatever computer, or one of the same number. Nothing was sent"
            ) from error
        self._connection = connection

    async def release(self) -> None:
        """Release the client id."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    @property
    def is_held(self) -> bool:
        """Whether the client id is held now."""
        return self._connection is not None

    # -- from the connection: only its end matters; what it reports is also reported to the broker itself ---------

    def on_lost(self) -> None:
        """TWS has ended the connection: another process could take the client id."""
        self._connection = None
        self._report_lost()

    def on_failure(self, what: str, error: BaseException) -> None:
        """A message could not be read."""

    def on_cut(self) -> None:
        """TWS has lost IB."""

    def on_restored(self) -> None:
        """TWS has IB back."""

    def on_duplicate_id(self) -> None:
        """Of no order of this connection."""

    def on_doubt(self) -> None:
        """Of no order of this connection."""

    def on_refusal(self) -> None:
        """Of no order of this connection."""

    def on_inactive(self) -> None:
        """Of no order of this connection."""
