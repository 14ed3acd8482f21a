"""``stocklean cancel``: cancel working orders of a blotter from any process, also of a kernel that has died.

TWS lets an order be cancelled by the client id that placed it, and takes each client id once. So there are three
ways:

1. Nobody has the blotter open: connect with each client id that has working orders on record; record the result.
2. A process has it open: ask that process, which cancels through its own connection.
3. It does not answer, or is not connected any more: connect with the client ids, and cancel without a record; the
   process that has the blotter records it with its next ``resume`` or ``reconcile``.

Orders of other clients are named and not touched; there is no global cancel.
"""

from __future__ import annotations

import getpass
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from stocklean_exec import background
from stocklean_exec.blotter.blotter import open_blotter
from stocklean_exec.blotter.cancel_journal import CancelJournal
from stocklean_exec.blotter.database_file import check_path
from stocklean_exec.blotter.order_state import UNFINISHED_STATES
from stocklean_exec.blotter.reader import read_blotter
from stocklean_exec.brokers.factory import connect
from stocklean_exec.commands.exit_codes import BAD_INPUT, BLOCKED, DONE, NOT_COMPLETE, UNRESOLVED
from stocklean_exec.errors import BlotterError, BlotterLockedError, BrokerError, InputError, Problem
from stocklean_exec.execution.cancellation import CancelOutcome, cancel_listed, cancel_runs, placed_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker

__all__ = ["cancel"]

_SEEN_SECONDS = 5.0  # a stated choice: ten times as long as a process takes to see a request
_EXTRA_SECONDS = 15.0  # a stated choice: for the requests to TWS in addition to the wait for the cancels
_PAUSE = 0.1  # seconds between two checks of the journal; a stated choice
_MAY_WORK = UNFINISHED_STATES - {"INTENT"}


def cancel(address: str, path: str, run_id: str | None, timeout: float) -> int:
    """Cancel the working orders of a run, or of all runs; print the result for each, and return the exit code.

    0: none of them can trade any more. 3: the broker cannot be reached, and none works on record. 4: some may
    still be working. 5: the outcome of some is unknown.
    """
    file = check_path(path)
    if not file.exists():
        print(f"error: there is no blotter {path!r}", file=sys.stderr)
        return BAD_INPUT
    _check_run(file, run_id)
    try:
        outcome = _cancel(address, file, run_id, timeout)
    except (BlotterError, BrokerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return _code_of(file, run_id, set(_may_work(file, run_id))) or BLOCKED
    _print(outcome)
    return _code_of(file, run_id, set(outcome.failed))


def _check_run(file: Path, run_id: str | None) -> None:
    with read_blotter(file) as blotter:
        if run_id is not None and run_id not in set(blotter.runs()["run_id"]):
            raise InputError("run_id", [Problem("run_unknown", f"there is no run {run_id!r} in this blotter")])


def _cancel(address: str, file: Path, run_id: str | None, timeout: float) -> CancelOutcome:
    try:
        blotter = open_blotter(file)
    except BlotterLockedError as error:
        return _ask_owner(address, file, run_id, timeout, error)
    with blotter:
        return _with_record(address, blotter, run_id, timeout)


# -- nobody has the blotter open -------------------------------------------------------------------------------


def _with_record(address: str, blotter: Blotter, run_id: str | None, timeout: float) -> CancelOutcome:
    """Cancel through each client id that placed an order, and record the results."""

    def work(broker: Broker) -> CancelOutcome:
        return background.call(cancel_runs(broker, blotter, run_id, by=_user(), timeout=timeout))

    with connect(address, wait=timeout, on_wait=_say) as broker:
        found = work(broker)
    for client in sorted(set(found.elsewhere.values()) - {0}):
        found = found.merged(_through(address, client, timeout, found, work))
    return found


def _through(
    address: str, client: int, timeout: float, found: CancelOutcome, work: Callable[[Broker], CancelOutcome]
) -> CancelOutcome:
    """Work through the connection of another client id; why its orders may still work, if there is none."""
    try:
        with connect(_with_client_id(address, client), wait=min(timeout, _SEEN_SECONDS)) as broker:
            return work(broker)
    except BrokerError as error:
        text = f"it was placed by client id {client}, and only that one can cancel it: {error}"
        return CancelOutcome(failed={name: text for name, one in found.elsewhere.items() if one == client})


def _with_client_id(address: str, client: int) -> str:
    """The address with this client id.

    Examples
    --------
    >>> _with_client_id("ib://127.0.0.1:4002?client_id=7&timeout=5", 9)
    'ib://127.0.0.1:4002?timeout=5&client_id=9'
    """
    parts = urlsplit(address)
    options = [(name, text) for name, text in parse_qsl(parts.query) if name != "client_id"]
    return urlunsplit(parts._replace(query=urlencode([*options, ("client_id", client)])))


# -- another process has it open -------------------------------------------------------------------------------


def _ask_owner(
    address: str, file: Path, run_id: str | None, timeout: float, error: BlotterLockedError
) -> CancelOutcome:
    """Ask the process that has the blotter open; what it cannot cancel, cancel without a record."""
    owner = f"process {error.owner.get('pid', 'of unknown number')}"
    journal = CancelJournal(file)
    number = journal.ask(run_id, by=_user(), seconds=float(timeout))
    _say(f"{owner} has the blotter open; it is asked to cancel")
    answer = None
    if _wait_for(lambda: journal.is_seen(number), _SEEN_SECONDS):
        answer = _wait_for(lambda: journal.answer_to(number), timeout + _EXTRA_SECONDS)
        if answer is None:
            text = f"{owner} has not reported the result within {timeout + _EXTRA_SECONDS:g} s"
            return CancelOutcome(failed=dict.fromkeys(_may_work(file, run_id), text))
    done = CancelOutcome.of(answer["outcome"]) if answer is not None and "outcome" in answer else CancelOutcome()
    left = {
        name: client
        for name, client in _may_work(file, run_id).items()
        if name not in done.failed or name in done.elsewhere
    }
    if left:
        more = "" if answer is None else answer.get("error", "some are of other client ids")
        why = f"cannot cancel all: {more}" if more else "does not answer"
        _say(f"{owner} {why}; connecting in its place")
        done = done.merged(_without_record(address, left, timeout))
    if answer is None or "error" in answer:
        text = f"it was not sent, and {owner} may still send it; stocklean halt stops that"
        done = done.merged(CancelOutcome(failed=dict.fromkeys(_may_be_sent(file, run_id), text)))
    return done


def _without_record(address: str, left: dict[str, int | None], timeout: float) -> CancelOutcome:
    """Cancel orders through the client ids that placed them; the owner of the blotter records it later."""
    found = CancelOutcome(
        failed={name: "it was placed by hand in TWS, or by client id 0" for name, one in left.items() if not one},
        elsewhere={name: client for name, client in left.items() if client},
    )
    for client in sorted(set(found.elsewhere.values())):
        names = [name for name, one in left.items() if one == client]

        def work(broker: Broker, names: list[str] = names) -> CancelOutcome:
            return background.call(cancel_listed(broker, names, timeout, known=left))

        found = found.merged(_through(address, client, timeout, found, work))
    return found


def _wait_for(look: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401 - what the look gives
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return found


# -- the record and the outcome --------------------------------------------------------------------------------


def _may_work(file: Path, run_id: str | None) -> dict[str, int | None]:
    """Orders that may be working on record, and the client id that placed each."""
    with read_blotter(file) as blotter:
        orders, clients = blotter.orders(run_id), placed_by(blotter)
    names = orders.loc[orders["state"].isin(_MAY_WORK), "client_order_id"].tolist()
    return {name: clients.get(name) for name in names}


def _may_be_sent(file: Path, run_id: str | None) -> list[str]:
    """Approved orders that were not sent, and are not in a basket file."""
    with read_blotter(file) as blotter:
        orders, by_hand = blotter.orders(run_id), blotter.exported()
    waiting = orders.loc[orders["state"] == "INTENT", "client_order_id"]
    return [name for name in waiting.tolist() if name not in by_hand]


def _code_of(file: Path, run_id: str | None, failed: set[str]) -> int:
    """Exit code, if these orders may still be working."""
    if not failed:
        return DONE
    with read_blotter(file) as blotter:
        orders = blotter.orders(run_id)
    unknown = set(orders.loc[orders["status"] == "UNKNOWN", "client_order_id"])
    return UNRESOLVED if failed & unknown else NOT_COMPLETE


def _print(outcome: CancelOutcome) -> None:
    if not (outcome.ended or outcome.unsent or outcome.failed):
        print("no order of it is working")
    for name in outcome.ended:
        print(f"{name} has ended")
    for name in outcome.unsent:
        print(f"{name} was not sent, and will not be")
    for name, why in outcome.failed.items():
        print(f"{name} may still be working: {why}")
    if outcome.others:
        print("\nworking orders that were not touched:")
    for one in outcome.others:
        left = (one["quantity"] or 0.0) - (one["filled_quantity"] or 0.0)
        name = f" ({one['client_order_id']})" if one["client_order_id"] else ""
        print(f"  {one['side']} {left:,.10g} {one['symbol']}{name}: {one['whose']}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return "unknown"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
