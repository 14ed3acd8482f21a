"""The venue's journal: a JSON line for each accepted order, modification, cancel, execution and commission.

It records what the venue did, whether or not a client received it, so a run can be audited independently of the
client. Lines are appended and flushed one at a time; only the last line can be incomplete, after a power loss.

Every line has ``event``, ``time`` (ISO, UTC), ``account``, ``client_id``, ``order_id``, ``perm_id``,
``order_ref``, ``symbol``, ``side``; quantities are shares, amounts and the prices of executions in the contract's
currency, limit prices in the unit of its quotes. A correction is an execution with ``corrects``, the execution id
that it replaces.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from stocklean_exec.simulator.files import local_file, private

if TYPE_CHECKING:
    from pathlib import Path

    from stocklean_exec.simulator.exchange.orders import Fill, Order

__all__ = ["Journal", "read_journal"]


class Journal:
    """Writes the journal to a file, or only counts events.

    Parameters
    ----------
    path : file to append to; None writes nothing
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._stream: IO[str] | None = None
        self.counts: dict[str, int] = {}
        if path is not None:
            # open as long as the venue
            self._stream = open(local_file(path), "a", encoding="utf-8", opener=private)  # noqa: SIM115 - Path.open takes no opener

    def order(self, event: str, order: Order, at: float, **more: object) -> None:
        """Write an ``order``, ``modify`` or ``cancel`` event with the current terms of the order."""
        request = order.request
        self._write(
            event,
            at,
            _identity(order.account, order.client_id, order.order_id, order.perm_id, request.order_ref),
            symbol=order.contract.symbol,
            con_id=order.contract.con_id,
            side=request.side,
            quantity=request.quantity,
            order_type=request.order_type,
            limit_price=_number(request.limit_price),
            tif=request.tif,
            filled=order.filled,
            **more,
        )

    def execution(self, fill: Fill) -> None:
        """Write an ``execution`` event, also for a correction."""
        self._write(
            "execution",
            fill.at,
            _fill_identity(fill),
            exec_id=fill.exec_id,
            quantity=fill.quantity,
            price=fill.contract.money(fill.price),
            exchange=fill.exchange,
            **({"corrects": fill.replaces} if fill.replaces else {}),
        )

    def commission(self, fill: Fill) -> None:
        """Write the ``commission`` event of an execution, with the realised profit."""
        self._write(
            "commission",
            fill.at,
            _fill_identity(fill),
            exec_id=fill.exec_id,
            commission=fill.commission,
            currency=fill.charged_in,
            realized_pnl=_number(fill.realized),
        )

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _write(self, event: str, at: float, identity: dict[str, Any], **what: object) -> None:
        self.counts[event] = self.counts.get(event, 0) + 1
        if self._stream is None:
            return
        instant = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
        self._stream.write(json.dumps({"event": event, "time": instant, **identity, **what}) + "\n")
        self._stream.flush()


def _identity(account: str, client_id: int, order_id: int, perm_id: int, order_ref: str) -> dict[str, Any]:
    return {
        "account": account,
        "client_id": client_id,
        "order_id": order_id,
        "perm_id": perm_id,
        "order_ref": order_ref,
    }


def _fill_identity(fill: Fill) -> dict[str, Any]:
    identity = _identity(fill.account, fill.client_id, fill.order_id, fill.perm_id, fill.order_ref)
    return {**identity, "symbol": fill.contract.symbol, "side": fill.side}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def read_journal(path: str | Path) -> list[dict[str, Any]]:
    """All events of a journal file, in order; an incomplete last line is ignored."""
    events = []
    for line in local_file(path).read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return events
