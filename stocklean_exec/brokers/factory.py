"""One address, one broker: ``sx.connect("mock://?seed=7")``, ``"sim://?seed=7"``, ``"ib://127.0.0.1:4002"``.

The client library and the simulator are loaded only when they are connected to.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd

from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.brokers.rate_limit import DEFAULT_RATE
from stocklean_exec.brokers.sample_market import sample_quotes
from stocklean_exec.errors import ClientIdInUseError, InputError, Problem
from stocklean_exec.schema.inputs import opening_positions, parse_quotes
from stocklean_exec.schema.paths import refuse_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from urllib.parse import SplitResult

    from stocklean_exec.brokers.base import Broker

__all__ = ["connect"]

_EXAMPLES = "mock://?seed=7, sim://?seed=7 and ib://127.0.0.1:4002?client_id=7"
_CLIENT_OPTIONS = ("account", "client_id", "rate", "run_client_ids", "timeout", "timezone")
_OPTIONS = {
    "mock": ("seed", "cash", "account"),
    "sim": (
        *("seed", "cash", "base_currency", "fx", "account_kind", "settlement_days", "scenario", "clock", "start"),
        "server_version",
        *_CLIENT_OPTIONS,
    ),
    "ib": (*_CLIENT_OPTIONS, "remote"),
}
_KEYWORDS = {
    "mock": {"quotes", "positions", "cash", "fx", "fill_plan"},
    "sim": {"quotes", "positions", "cash", "fx", "scenario", "allow_live"},
    "ib": {"allow_live"},
}
_ID_PAUSE = 2.0  # seconds between tries: a choice; TWS frees the client id of a killed process within some seconds
_LARGEST_ID = 2**31 - 1  # a client id is a 32-bit integer in the TWS API


def connect(
    address: str,
    *,
    quotes: object = None,
    positions: object = None,
    cash: float | Mapping[str, float] | None = None,
    fx: Mapping[str, float] | None = None,
    fill_plan: object = None,
    scenario: object = None,
    allow_live: str | None = None,
    wait: float = 0.0,
    on_wait: Callable[[str], None] | None = None,
) -> Broker:
    """Open a broker by its address.

    ``mock://`` is the mock filler in this process: ``seed``, ``cash``, ``account``.

    ``sim://`` starts the wire simulator on a free port of this computer and connects to it as to a TWS:
    ``seed``, ``base_currency``, ``cash`` (``5000``, or ``USD=5000,EUR=200``), ``fx`` (``EUR=1.06,GBP=1.2``),
    ``account_kind`` (``margin`` or ``cash``), ``settlement_days`` (of sales: 0, 1 or 2), ``scenario`` (a shipped
    name or a file), ``clock``, ``start``, ``server_version``, and those of ``ib://``; it
    has no limit on messages unless ``rate`` sets one. Its clock is ``brisk`` (the present
    time, and no waits); with ``virtual`` every run is the same to the byte, on a day of 2022.

    ``ib://127.0.0.1:4002`` is a TWS or an IB Gateway: ``client_id`` (1 by default), ``account`` (where the
    login has several), ``timeout`` (seconds for every request, 10), ``rate`` (messages a second, 45),
    ``timezone`` (of the login, for executions without one or with a name that is not known), ``remote=1`` (for
    another computer), ``run_client_ids=900-999`` (each run holds one of these client ids while it works: processes
    on other computers that are given the same range cannot work the same run).

    Parameters
    ----------
    address : scheme, host and port, and options, such as ``mock://?seed=7&cash=50000``
    quotes : the market of mock and simulator; by default :func:`~stocklean_exec.sample_quotes`
    positions, cash : what mock and simulator start with; the simulator takes cash by currency as well
    fx : exchange rates of mock and simulator: base currency per unit of each other currency that may be traded.
        The base currency of the mock filler is the US dollar. Without ``fx`` the simulator has round sample rates
    fill_plan : see :class:`~stocklean_exec.MockBroker`
    scenario : what the simulator does with orders and messages: a name, a file, a mapping, rows, a DataFrame
    allow_live : the live account that may be traded; STOCKLEAN_ALLOW_LIVE must name it as well
    wait : seconds to keep trying while another program has the client id. TWS holds the client id of a killed
        process for some seconds
    on_wait : called with a text before each further try

    Raises
    ------
    InputError
        The address cannot be read; the error names valid ones.
    BrokerError
        There is no connection; the error says what to do.
    LiveAccountError
        A live account that was not allowed.

    Examples
    --------
    >>> connect("mock://?seed=7", quotes={"SPY": 123.0})
    <MockBroker mock DU***001>
    >>> with connect("sim://?seed=7", quotes={"SPY": 123.0}, cash=1_000) as broker:
    ...     broker, broker.cash(), broker.quotes("SPY")["last"].tolist()
    (<IBBroker paper DU***001>, 1000.0, [123.0])
    """
    parts = _split(address)
    given = {
        "quotes": quotes,
        "positions": positions,
        "cash": cash,
        "fx": fx,
        "fill_plan": fill_plan,
        "scenario": scenario,
        "allow_live": allow_live,
    }
    unused = [name for name, value in given.items() if value is not None and name not in _KEYWORDS[parts.scheme]]
    if unused:
        raise _refusal(f"{parts.scheme}:// takes no {name}=" for name in unused)
    options = _options(parts)
    deadline = time.monotonic() + wait
    while True:
        try:
            return _OPENERS[parts.scheme](address, parts, options, given)
        except _BadOptionError as error:
            raise _refusal([str(error)]) from None
        except ClientIdInUseError as error:
            left = deadline - time.monotonic()
            if left < _ID_PAUSE:
                raise
            if on_wait is not None:
                on_wait(f"{error} Trying again for {left:.0f} s.")
            time.sleep(_ID_PAUSE)


class _BadOptionError(Exception):
    """An option of the address that cannot be read."""


def _refusal(texts: Iterable[str]) -> InputError:
    return InputError("address", [Problem("address_invalid", text) for text in texts])


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port  # reading it may fail
    except (ValueError, AttributeError, TypeError):
        parts = urlsplit("")
    if parts.scheme not in _OPTIONS:
        raise _refusal([f"{address!r} is not the address of a broker; {_EXAMPLES} are"])
    has_slashes = address.startswith(f"{parts.scheme}://")
    if parts.scheme != "ib" and (not has_slashes or parts.netloc or parts.path not in ("", "/")):
        raise _refusal([f"{address!r}: {parts.scheme}:// has no host; write {parts.scheme}://?seed=7"])
    if parts.scheme == "ib" and (not parts.hostname or not parts.port or parts.path not in ("", "/")):
        text = "needs a host and a port, such as ib://127.0.0.1:4002 (Gateway paper; TWS paper is 7497)"
        raise _refusal([f"{address!r} {text}"])
    if parts.username is not None or parts.password is not None:
        raise _refusal([f"{parts.scheme}:// takes no user or password; TWS has its own login"])
    return parts


def _options(parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options, known = dict(pairs), _OPTIONS[parts.scheme]
    problems = [
        f"{name!r} is not an option of {parts.scheme}://; {', '.join(known)} are"
        for name in sorted(set(options) - set(known))
    ]
    names = [name for name, _ in pairs]
    problems += [f"{name!r} is given twice" for name in sorted(set(names)) if names.count(name) > 1]
    if problems:
        raise _refusal(problems)
    return options


def _open_mock(address: str, _: SplitResult, options: dict[str, str], given: dict[str, Any]) -> Broker:
    if isinstance(given["cash"], Mapping):
        raise _BadOptionError("mock:// takes cash= as one amount in US dollars")
    return MockBroker(
        sample_quotes() if given["quotes"] is None else given["quotes"],
        positions=given["positions"],
        cash=_number(options, "cash", 1_000_000.0) if given["cash"] is None else given["cash"],
        fx=given["fx"],
        fill_plan=given["fill_plan"],
        seed=_whole(options, "seed", 0),
        account=options.get("account", "DU0000001"),
        address=address,
    )


def _open_ib(address: str, parts: SplitResult, options: dict[str, str], given: dict[str, Any]) -> Broker:
    from stocklean_exec.brokers.ib.broker import IBBroker  # noqa: PLC0415 - ib_async is loaded when it is needed

    return IBBroker(
        str(parts.hostname),
        int(parts.port or 0),
        account=options.get("account"),
        allow_live=given["allow_live"],
        remote=options.get("remote") == "1",
        address=address,
        **_client_options(options, DEFAULT_RATE),
    )


def _open_sim(address: str, _: SplitResult, options: dict[str, str], given: dict[str, Any]) -> Broker:
    from stocklean_exec.brokers.ib.broker import IBBroker  # noqa: PLC0415 - as above
    from stocklean_exec.simulator import Simulator  # noqa: PLC0415 - loaded when it is needed

    client = _client_options(options, 0.0)
    cash, rates = _money(options, given)
    scenario = options.get("scenario") if given["scenario"] is None else given["scenario"]
    refuse_addresses({"scenario": scenario})
    quotes = sample_quotes() if given["quotes"] is None else _listed_quotes(given["quotes"])
    extra: dict[str, Any] = {"clock": "brisk"}
    extra |= {name: options[name] for name in ("clock", "start", "account_kind") if name in options}
    extra |= {name: _whole(options, name, 0) for name in ("server_version", "settlement_days") if name in options}
    try:
        simulator = Simulator(
            seed=_whole(options, "seed", 0),
            base_currency=options.get("base_currency", "USD").upper(),
            cash=cash,
            rates=rates,
            account=options.get("account", "DU0000001"),
            quotes=quotes,
            positions=_held(given["positions"], quotes),
            scenario=scenario,
            **extra,
        ).start()
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise InputError("address", [Problem("simulator_invalid", str(error))]) from error
    return IBBroker(  # closes the simulator also when it cannot connect
        "127.0.0.1",
        simulator.port,
        account=options["account"].split(",", maxsplit=1)[0].strip() if "account" in options else None,
        allow_live=given["allow_live"],
        address=address,
        on_close=simulator.stop,
        **client,
    )


def _money(
    options: dict[str, str], given: dict[str, Any]
) -> tuple[float | Mapping[str, float], Mapping[str, float]]:
    """Opening cash and exchange rates of the simulator, by keyword or in the address."""
    from stocklean_exec.simulator.settings import parse_amounts, parse_cash  # noqa: PLC0415 - as above

    cash, rates = given["cash"], given["fx"]
    try:
        if cash is None:
            cash = parse_cash(options.get("cash", "1000000"))
        if rates is None:
            rates = parse_amounts(options["fx"]) if "fx" in options else {}
    except ValueError as error:
        raise _BadOptionError(f"cash and fx: {error}") from None
    return cash if isinstance(cash, Mapping) else float(cash), rates


_OPENERS = {"mock": _open_mock, "ib": _open_ib, "sim": _open_sim}


def _client_options(options: dict[str, str], rate: float) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "client_id": _whole(options, "client_id", 1),
        "rate": _number(options, "rate", rate),
        "seconds": _number(options, "timeout", 10.0),
        "zone": options.get("timezone", "America/New_York"),
    }
    if "timezone" in options:
        chosen["is_zone_given"] = True
    if "run_client_ids" in options:
        chosen["run_client_ids"] = _id_range(options["run_client_ids"], chosen["client_id"])
    if chosen["client_id"] > _LARGEST_ID:
        raise _BadOptionError(f"client_id={chosen['client_id']} is over {_LARGEST_ID}")
    if not 0 <= chosen["rate"] < math.inf:
        raise _BadOptionError(f"rate={chosen['rate']:g} is not a number of messages a second; 45 is usual")
    if not 0 < chosen["seconds"] < math.inf:
        raise _BadOptionError(f"timeout={chosen['seconds']:g} is not a number of seconds above 0")
    _check_zone(chosen["zone"])
    return chosen


def _id_range(text: str, own: int) -> range:
    """Read ``run_client_ids``, such as ``900-999``, both included."""
    found = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", text, re.ASCII)
    if found is None:
        raise _BadOptionError(f"run_client_ids={text} is not a range of client ids such as 900-999")
    client_ids = range(int(found[1]), int(found[2]) + 1)
    if not client_ids or client_ids[0] < 1:
        raise _BadOptionError(f"run_client_ids={text} is not a range of client ids above 0")
    if own in client_ids:
        raise _BadOptionError(f"run_client_ids={text} contains the client_id {own} of this program")
    return client_ids


def _check_zone(name: str) -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - for this check alone

    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise _BadOptionError(f"timezone={name} is not known; America/New_York is one") from None


def _listed_quotes(quotes: object) -> pd.DataFrame:
    """Quotes in canonical form, one row for each contract: a symbol may be listed more than once."""
    terms = [name for name in ("currency", "primary_exchange", "con_id") if name in getattr(quotes, "columns", ())]
    if not isinstance(quotes, pd.DataFrame) or not terms:
        return parse_quotes(quotes)
    symbols = quotes["symbol"] if "symbol" in quotes.columns else quotes.index.to_series()
    if not symbols.duplicated().any():
        return parse_quotes(quotes)
    parts = [parse_quotes(part) for _, part in quotes.groupby(terms, dropna=False, sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else parse_quotes(quotes)


def _held(positions: object, quotes: pd.DataFrame) -> dict[str | int, tuple[float, float] | float]:
    """Opening positions as the simulator takes them: shares, and average cost where it is known.

    A position has the contract id as its key where the quotes list that id, and else the symbol.
    """
    frame = opening_positions(positions)
    listed = set(quotes["con_id"].dropna()) if "con_id" in quotes.columns else set()
    ids = frame["con_id"] if "con_id" in frame.columns else pd.Series(pd.NA, index=frame.index)
    keys = [
        int(con_id) if pd.notna(con_id) and con_id in listed else symbol
        for symbol, con_id in zip(frame["symbol"].tolist(), ids.tolist(), strict=True)
    ]
    held = zip(keys, frame["quantity"].tolist(), frame["avg_cost"].tolist(), strict=True)
    return {key: shares if math.isnan(cost) else (shares, cost) for key, shares, cost in held}


def _number(options: dict[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise _BadOptionError(f"{name}={text} is not a number") from None


def _whole(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise _BadOptionError(f"{name}={text} is not a whole number")
    return int(text)
