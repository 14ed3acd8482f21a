"""What state kernel, event loop, packages and TWS are in, and what to do about each problem.

The checks change nothing: they load no package, and only test whether ports of this computer accept a connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd

from stocklean_exec.brokers.base import mask_account
from stocklean_exec.brokers.ib.account_guard import LIVE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["diagnose", "doctor"]

_PACKAGES = {
    "pandas": "3.1",
    "duckdb": "2.0.1",
    "ib_async": "2.1",
    "ipywidgets": "8.1.4",
    "nest_asyncio2": "1.7",
}
# The defaults of TWS and IB Gateway, from IB's documentation of the TWS API ("Initial Setup").
_PORTS = {7497: "TWS, paper", 4002: "IB Gateway, paper", 7496: "TWS, LIVE", 4001: "IB Gateway, LIVE"}
_KNOCK_SECONDS = 0.3  # a stated choice: a local port answers within a millisecond, a busy TWS within some tens
_SET_UP = (
    "start TWS or IB Gateway and log in to paper trading; in Global Configuration > API > Settings tick 'Enable "
    "ActiveX and Socket Clients', untick 'Read-Only API', keep 'Allow connections from localhost only'; then "
    "sx.connect('ib://127.0.0.1:7497?client_id=7') for TWS, 4002 for IB Gateway. No account: sx.connect('sim://')"
)


class _Finding(NamedTuple):
    """One line: what was looked at, how it is (``ok``, ``note``, ``problem``), what was found, what to do."""

    what: str
    state: Literal["ok", "note", "problem"]
    found: str
    advice: str = ""


def doctor() -> None:
    """Print the state of kernel, event loop, packages and TWS, and what to do about each problem.

    Examples
    --------
    >>> doctor()  # doctest: +ELLIPSIS
    stocklean_exec ...
    ok       python ...
    """
    found = diagnose()
    print(f"stocklean_exec {metadata.version('stocklean_exec')}")  # noqa: T201 - printing is what it is for
    for what, state, text, advice in found.itertuples(index=False):
        print(f"{state:8} {what:16} {text}" + (f"\n{'':25} -> {advice}" if advice else ""))  # noqa: T201 - same as above
    problems = int((found["state"] == "problem").sum())
    print(f"{problems} problems" if problems else "no problems")  # noqa: T201 - same as above


def diagnose() -> pd.DataFrame:
    """The same as a DataFrame: ``what``, ``state`` (``ok``, ``note``, ``problem``), ``found``, ``advice``.

    Examples
    --------
    >>> diagnose().columns.tolist()
    ['what', 'state', 'found', 'advice']
    """
    findings = [*_python(), *_packages(), *_kernel(), *_loop(), *_nest(), *_tws(), *_account(), *_logs()]
    return pd.DataFrame(findings, columns=list(_Finding._fields)).astype("str")


def _python() -> Iterator[_Finding]:
    yield _Finding("python", "ok", f"{platform.python_version()} on {platform.system()}")


def _packages() -> Iterator[_Finding]:
    for name, least in _PACKAGES.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield _Finding(name, "problem", "is not installed", f"pip install '{name}>={least}'")
            continue
        new_enough = _numbers(version) >= _numbers(least)
        advice = "" if new_enough else f"pip install --upgrade '{name}>={least}'"
        yield _Finding(name, "ok" if new_enough else "problem", version, advice)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _kernel() -> Iterator[_Finding]:
    if "ipykernel.kernelapp" in sys.modules:
        yield _Finding("kernel", "ok", f"ipykernel {metadata.version('ipykernel')}")
    else:
        yield _Finding("kernel", "ok", "none: a script, a terminal or a test")


def _loop() -> Iterator[_Finding]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        yield _Finding("event loop", "ok", "none is running here; blocking calls work")
        return
    kind = f"{type(loop).__module__}.{type(loop).__name__}"
    yield _Finding("event loop", "ok", f"{kind} is running; our blocking calls work beside it")


def _nest() -> Iterator[_Finding]:
    if not hasattr(asyncio, "_nest_patched"):
        yield _Finding(
            "nested loops",
            "ok",
            "asyncio is not patched; call sx.enable_notebook() only for ib.* calls of your own",
        )
    elif hasattr(asyncio, "_nest_asyncio2"):
        yield _Finding("nested loops", "ok", "patched by nest_asyncio2: ib.* calls of your own are safe")
    else:
        yield _Finding(
            "nested loops",
            "problem",
            "patched by nest_asyncio (util.startLoop()): cells and clicks can get lost",
            "restart the kernel, and call sx.enable_notebook() in the first cell instead",
        )


def _tws() -> Iterator[_Finding]:
    open_ports = [port for port in _PORTS if _listens(port)]
    for port in open_ports:
        live = "LIVE" in _PORTS[port]
        advice = (
            "log in to paper trading: a live account is refused unless you allow it in two places" if live else ""
        )
        text = f"something listens on {port} ({_PORTS[port]}, by its number)"
        yield _Finding("TWS", "note", text, advice) if live else _Finding("TWS", "ok", text)
    if not open_ports:
        yield _Finding("TWS", "note", f"nothing listens on {', '.join(map(str, _PORTS))}", _SET_UP)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), _KNOCK_SECONDS):
            return True
    except OSError:
        return False


def _account() -> Iterator[_Finding]:
    allowed = os.environ.get(LIVE_VARIABLE)
    if allowed:
        text = f"{LIVE_VARIABLE} names {mask_account(allowed)}"
        yield _Finding("live account", "note", text, "unset it unless you mean to trade real money")
    else:
        yield _Finding("live account", "ok", f"{LIVE_VARIABLE} is not set: paper only")


def _logs() -> Iterator[_Finding]:
    for name in ("ib_async", "eventkit"):
        if logging.getLogger(name).level == logging.DEBUG:
            text = f"{name} logs at DEBUG: account numbers and complete orders are printed"
            yield _Finding("logs", "note", text, f"logging.getLogger({name!r}).setLevel('WARNING')")
