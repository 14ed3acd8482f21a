"""Notify a person how a run from cron went, through Apprise: mail, chat, a web hook, and whatever else it knows.

An Apprise address contains a password or a token. Addresses come from the environment or from a private file, and
are never printed, logged or recorded. A message is sent after the record of the run is closed, and nothing that
happens to it changes the run: it is sent on separate threads, and given up after :data:`SECONDS`.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from platformdirs import user_config_path

from stocklean_exec.blotter.database_file import check_path
from stocklean_exec.blotter.file_lock import find_exposure
from stocklean_exec.blotter.kill_switch import HaltJournal
from stocklean_exec.blotter.reader import read_blotter
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.account_ids import mask_account, mask_accounts_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "SECONDS",
    "VARIABLE",
    "Message",
    "Notifier",
    "address_file",
    "notifier_of_user",
    "outcome",
    "report_outcome",
]

VARIABLE = "STOCKLEAN_NOTIFY"
"""Environment variable with Apprise addresses, separated by blanks or line breaks."""
SECONDS = 15.0
"""Seconds that a message may take, all addresses together: a choice; Apprise gives up a read after four, and mail
connects for fifteen."""
_LARGEST = 64 * 1024  # bytes of the file with addresses: a choice; a few lines are expected
_SHOWN = 20  # orders in one message: a choice; push services cut a message after about a kilobyte
_LEVELS = {0: "success", 4: "warning"}  # by exit code: done, and partial or failed; the others need a person
_OF_INTEREST = ("FILLED", "PARTIAL", "CANCELLED", "REJECTED", "UNKNOWN", "SUBMITTED", "NEW")


class Message(NamedTuple):
    """What is sent; ``level`` is an Apprise type: ``success``, ``warning`` or ``failure``."""

    title: str
    body: str
    level: str


def address_file() -> Path:
    """The private file of addresses: ``~/.config/stocklean_exec/notify``, or below XDG_CONFIG_HOME."""
    return user_config_path("stocklean_exec") / "notify"


class Notifier:
    """Sends messages to the addresses of this user.

    Parameters
    ----------
    addresses : of Apprise, each with its secrets

    Raises
    ------
    InputError
        There is no address, Apprise is not installed, or it does not know an address. The error names an address
        by its number only.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        if not addresses:
            text = f"there is no address in {VARIABLE}, and no file {str(address_file())!r}"
            raise InputError("notify", [Problem("notify_missing", text)])
        try:
            apprise: Any = importlib.import_module("apprise")  # heavy: only where an address is given
        except ImportError:
            text = "Apprise is not installed: pip install 'stocklean_exec[notify]'"
            raise InputError("notify", [Problem("notify_extra_missing", text)]) from None
        logging.getLogger("apprise").disabled = True  # it logs an address that it cannot read, and names of hosts
        # One object for each address: several of one object would share threads that hold up the exit.
        self._services = [apprise.Apprise() for _ in addresses]
        wrong = [
            number
            for number, (service, address) in enumerate(zip(self._services, addresses, strict=True), start=1)
            if not service.add(address)
        ]
        if wrong:
            text = "is of a kind that Apprise does not know, or cannot be read"
            raise InputError("notify", [Problem("notify_address", f"address {one} {text}") for one in wrong])

    @classmethod
    def of_user(cls, environment: Mapping[str, str]) -> Notifier:
        """Notifier for the addresses in the environment, or else in the private file of this user."""
        given = environment.get(VARIABLE, "").split()
        return cls(given or _read_private(address_file()))

    def send(self, message: Message, seconds: float = SECONDS) -> list[str]:
        """Send a message, and wait for at most ``seconds``; return what went wrong, without any address.

        Examples
        --------
        >>> Notifier(["json://127.0.0.1:9/hook"]).send(Message("run-1", "done", "success"))
        ['address 1 did not take the message']
        """
        results: list[bool | None] = [None] * len(self._services)

        def send_one(number: int, service: Any) -> None:  # noqa: ANN401 - an object of Apprise
            try:
                results[number] = bool(
                    service.notify(title=message.title, body=message.body, notify_type=message.level)
                )
            except Exception:  # noqa: BLE001 - a plugin of Apprise may fail in any way; the run must not
                results[number] = False

        threads = [
            threading.Thread(target=send_one, args=one, name="stocklean-notify", daemon=True)
            for one in enumerate(self._services)
        ]
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        why = {None: f"has not answered within {seconds:g} s", False: "did not take the message"}
        return [f"address {number} {why[one]}" for number, one in enumerate(results, start=1) if not one]


def outcome(
    run_id: str,
    code: int,
    run: Mapping[str, Any] | None,
    orders: pd.DataFrame,
    halted: str | None,
    *,
    detail: bool = False,
) -> Message:
    """Message about how a run ended: its status and counts; nothing of the account unless ``detail``.

    Parameters
    ----------
    code : exit code of the command
    run : its row of ``blotter.runs()``; None if it is not on record
    orders : ``blotter.orders(run_id)``
    halted : reason of the halt in force
    detail : also the account (masked), the run's message, and the orders that are not filled

    Examples
    --------
    >>> import pandas as pd
    >>> orders = pd.DataFrame({"status": ["FILLED", "FILLED", "UNKNOWN"]})
    >>> message = outcome("run-1", 5, {"status": "partial"}, orders, None)
    >>> message.title, message.level
    ('run-1: unresolved', 'failure')
    >>> print(message.body)
    run-1: partial (exit code 5)
    3 orders: 2 filled, 1 unknown
    """
    counts = orders["status"].value_counts().to_dict() if len(orders) else {}
    status = "not on record" if run is None else str(run["status"])
    parts = ", ".join(f"{counts[name]} {name.lower()}" for name in _OF_INTEREST if name in counts)
    lines = [f"{run_id}: {status} (exit code {code})", f"{len(orders)} orders{': ' if parts else ''}{parts}"]
    if halted is not None:
        lines.append(f"the blotter is halted: {halted}" if detail else "the blotter is halted")
    if detail and run is not None:
        lines += _details(run, orders)
    word = "unresolved" if "UNKNOWN" in counts else "halted" if halted is not None else status
    return Message(
        f"{run_id}: {word}", "\n".join(lines), "failure" if halted is not None else _LEVELS.get(code, "failure")
    )


def _details(run: Mapping[str, Any], orders: pd.DataFrame) -> list[str]:
    account = run["account"] if isinstance(run["account"], str) else None
    lines = [f"account {mask_account(account)}"]
    if isinstance(run["message"], str):
        lines.append(mask_accounts_in(run["message"], account))
    rest = orders[orders["status"] != "FILLED"]
    columns = ["side", "quantity", "filled_quantity", "symbol", "status", "reason"]
    lines += [
        f"{side} {quantity:,.10g} {symbol}: {status}, {filled:,.10g} filled"
        + (f" ({mask_accounts_in(reason, account)})" if isinstance(reason, str) else "")
        for side, quantity, filled, symbol, status, reason in rest[columns].head(_SHOWN).itertuples(index=False)
    ]
    if len(rest) > _SHOWN:
        lines.append(f"and {len(rest) - _SHOWN} more")
    return lines


def notifier_of_user() -> Notifier | None:
    """The notifier of this user; None, and a line on standard error, where there is none: the run continues."""
    try:
        return Notifier.of_user(os.environ)
    except InputError as error:
        why = "; ".join(problem.detail for problem in error.problems)
    except Exception as error:  # noqa: BLE001 - a plugin of Apprise may fail in any way; the run must not
        why = f"Apprise failed ({type(error).__name__})"
    print(f"no notification will be sent: {why}", file=sys.stderr)
    return None


def report_outcome(notifier: Notifier, run_id: str, path: str, code: int, *, detail: bool) -> None:
    """Read the recorded status of a run, and send it; a failure is a line on standard error."""
    try:
        run, orders, halted = _read_record(run_id, path)
        failed = notifier.send(outcome(run_id, code, run, orders, halted, detail=detail))
    except Exception as error:  # noqa: BLE001 - whatever fails here, the run is over, and its exit code stands
        failed = [f"the record cannot be read ({type(error).__name__})"]
    for text in failed:
        print(f"notification: {text}", file=sys.stderr)


def _read_record(run_id: str, path: str) -> tuple[dict[str, Any] | None, pd.DataFrame, str | None]:
    """The run as a row of ``runs``, its orders, and the reason of the halt in force."""
    file = check_path(path)
    if not file.exists():
        return None, pd.DataFrame({"status": []}), None
    halt = HaltJournal(file).halted_by()
    with read_blotter(file) as blotter:
        runs, orders = blotter.runs(), blotter.orders(run_id)
    rows = runs[runs["run_id"] == run_id].to_dict("records")
    run = {str(name): value for name, value in rows[0].items()} if rows else None
    return run, orders, None if halt is None else halt.reason


def _read_private(file: Path) -> list[str]:
    """Addresses in a file that only this user can read, one a line; lines that begin with # are comments."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as error:
        text = f"{str(file)!r} cannot be read: {error.strerror}"
        raise InputError("notify", [Problem("notify_file", text)]) from None
    try:
        exposure = find_exposure(os.fstat(descriptor), is_folder=False)
        if exposure:
            raise InputError("notify", [Problem("notify_file", f"{str(file)!r} {exposure}")])
        text = os.read(descriptor, _LARGEST).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
