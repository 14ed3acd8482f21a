"""Scenarios: the behaviour of a simulator run as data, from a TOML file, rows, or a DataFrame.

A scenario has five kinds of entries, all optional.

``[switches]``
    Options of the simulated TWS: see :class:`~stocklean_exec.simulator.scenarios.options.Switches`.
``[[quote]]``
    A quote, with the columns of the quotes file; overrides other quotes.
``[[order]]``
    Behaviour of matching orders: ``steps``, ``on_cancel`` and ``on_modify`` (verbs in
    :data:`~stocklean_exec.simulator.scenarios.steps.STEPS`, and for the last one also
    :data:`~stocklean_exec.simulator.scenarios.steps.CHANGE_STEPS`), ``accept_delay`` in seconds, ``commission``
    (``normal``, ``never``, ``first``, ``last``, ``twice``) and ``commission_delay`` in seconds.
``[[fault]]``
    A fault of a message or its connection: ``on`` names a request or a reply, ``do`` is one of
    :data:`~stocklean_exec.simulator.scenarios.steps.REQUEST_FAULTS` or
    :data:`~stocklean_exec.simulator.scenarios.steps.REPLY_FAULTS`.
``[[event]]``
    An event of the venue: a trigger ``at`` (seconds after the start), ``after_accepts``, ``after_executions`` or
    ``after_requests`` (counts of the venue), optionally a ``delay`` after it, and ``do``, one of
    :data:`~stocklean_exec.simulator.scenarios.steps.EVENTS`.

Entries select by ``symbol`` and ``order_ref`` (wildcards), ``side``, ``order_type``, ``tif``, ``client_id``, by
``nth`` (1 is the first match) and ``times`` (number of matches from there; default 1 with ``nth``, else all), and
by ``chance``, a seeded probability.

As rows, each entry is a mapping (a row of a DataFrame) whose key ``table`` names its kind.

Pure except for reading the file. All problems of a scenario are reported at once, each with its entry.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from stocklean_exec.fill_model import unit_interval
from stocklean_exec.simulator.files import local_file
from stocklean_exec.simulator.protocol import messages as _messages  # noqa: F401 - registers the replies
from stocklean_exec.simulator.protocol import order_layouts as _order_layouts  # noqa: F401 - registers openOrder and completedOrder
from stocklean_exec.simulator.protocol.field_layouts import kinds
from stocklean_exec.simulator.protocol.requests import is_request
from stocklean_exec.simulator.scenarios.options import CHOICES, Switches, meanings
from stocklean_exec.simulator.scenarios.quotes import QUOTE_COLUMNS
from stocklean_exec.simulator.scenarios.steps import (
    CHANGE_STEPS,
    EVENTS,
    EXAMPLES,
    REPLY_FAULTS,
    REQUEST_FAULTS,
    STEPS,
)

__all__ = [
    "Entry",
    "Scenario",
    "ScenarioError",
    "explain",
    "load_scenario",
    "shipped_scenarios",
]

_TRIGGERS = ("at", "after_accepts", "after_executions", "after_requests")
_SELECTORS = ("symbol", "order_ref", "side", "order_type", "tif", "client_id", "nth", "times", "chance")
_UNSWITCHABLE = {"hours", "open_in_seconds", "close_in_seconds", "walk", "walk_seconds", "request_seconds"}
_STEP_OPTIONS = ("price", "quantity", "text", "state", "liquidity")
_EVENT_OPTIONS = (
    *("do", "delay", "code", "text", "deliver", "client_id", "next_id", "symbol", "side", "quantity", "price"),
    *("tif", "order_ref", "accounts", "announce", "seconds", "lose", "set", "currency", "rate"),
    *("auction", "size", "imbalance"),
)
_REPORTS = ("commission", "commission_delay", "accept_delay", "on_cancel", "on_modify", "steps")
_TABLES = ("quote", "order", "fault", "event")


class ScenarioError(ValueError):
    """An invalid scenario.

    Attributes
    ----------
    problems : tuple[str, ...] All problems found.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("scenario: " + "; ".join(problems))


@dataclass(slots=True)
class Entry:
    """One order, fault or event entry, and how often it has matched.

    Examples
    --------
    >>> entry = Entry({"symbol": "S*", "nth": 2})
    >>> [entry.applies_to({"symbol": "SPY"}) for _ in range(3)]
    [False, True, False]
    """

    data: dict[str, Any]
    seed: int = 0
    number: int = 0
    seen: int = 0

    def applies_to(self, attributes: dict[str, Any]) -> bool:
        """Whether this entry applies to a message or order with ``attributes``; counts the match."""
        if not all(
            _selects(self.data[name], attributes.get(name)) for name in _SELECTORS[:6] if name in self.data
        ):
            return False
        self.seen += 1
        first = int(self.data.get("nth", 1))
        times = int(self.data.get("times", 1 if "nth" in self.data else 1 << 60))
        if not first <= self.seen < first + times:
            return False
        chance = float(self.data.get("chance", 1.0))
        return chance >= 1 or unit_interval(self.seed, "chance", self.number, self.seen) < chance

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - an entry holds any TOML value
        """The value of the option ``name``."""
        return self.data.get(name, default)


def _selects(wanted: object, found: object) -> bool:
    if found is None:
        return False
    if isinstance(wanted, str):
        return fnmatchcase(str(found), wanted)
    return bool(wanted == found)


@dataclass(frozen=True)
class Scenario:
    """A validated scenario. Entries are plain data; the venue creates :class:`Entry` objects from them."""

    name: str = "plain"
    switches: Switches = field(default_factory=Switches)
    quotes: tuple[dict[str, Any], ...] = ()
    orders: tuple[dict[str, Any], ...] = ()
    faults: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()


def shipped_scenarios() -> dict[str, str]:
    """Names and texts of the example scenarios that come with the package.

    Examples
    --------
    >>> "partial_fills" in shipped_scenarios()
    True
    """
    folder = files("stocklean_exec.simulator").joinpath("scenarios")
    return {
        one.name.removesuffix(".toml"): one.read_text(encoding="utf-8")
        for one in sorted(folder.iterdir(), key=lambda one: one.name)
        if one.name.endswith(".toml")
    }


def explain() -> str:
    """The scenario format as text for a terminal.

    Examples
    --------
    >>> explain().splitlines()[1]
    "  client_id_in_use = '326'  (326, close)"
    """
    lines, texts = ["[switches]"], meanings()
    for one in fields(Switches):
        words = f"  ({', '.join(CHOICES[one.name])})" if one.name in CHOICES else ""
        lines.append(f"  {one.name} = {getattr(Switches(), one.name)!r}{words}")
        lines.append(f"      {texts[one.name].replace(':attr:', '')}")
    tables = {
        "[[order]] steps, on_cancel and on_modify": STEPS,
        "[[order]] on_modify": CHANGE_STEPS,
        "[[fault]] on a request": REQUEST_FAULTS,
        "[[fault]] on a reply": REPLY_FAULTS,
        f"[[event]] {', '.join(_TRIGGERS)}; delay": EVENTS,
    }
    for title, words_of in tables.items():
        lines += ["", title, *(f"  {verb:<18}{meaning}" for verb, meaning in words_of.items())]
    lines += ["", f"selectors: {', '.join(_SELECTORS)}", "", "examples"]
    for title, text in EXAMPLES.items():
        lines += ["", f"  # {title}", *(f"  {line}" for line in text.splitlines())]
    return "\n".join([*lines, "", f"shipped: {', '.join(shipped_scenarios())}"])


def load_scenario(source: Any = None) -> Scenario:  # noqa: ANN401 - path, name, tables, rows or DataFrame
    """Load a scenario from a TOML file, the name of a shipped scenario, a mapping, rows, or a DataFrame.

    Raises
    ------
    ScenarioError
        With all problems found.
    AddressError
        When the path is a URL.
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> steps = [{"fill": "half"}, {"cancel": True}]
    >>> load_scenario({"order": [{"symbol": "SPY", "steps": steps}]}).orders[0]["symbol"]
    'SPY'
    >>> load_scenario([{"table": "switches", "pacing": "often"}])
    Traceback (most recent call last):
    ...
    stocklean_exec.simulator.scenarios.scenario.ScenarioError: ... pacing is 'often', not one of off, reject
    """
    if source is None:
        return Scenario()
    if isinstance(source, Scenario):
        return source
    if isinstance(source, str | Path):
        return _from_tables(_read(source), Path(source).stem)
    if hasattr(source, "to_dict") and hasattr(source, "columns"):
        source = source.to_dict("records")
    if hasattr(source, "items"):
        return _from_tables(dict(source), str(source.get("name", "given")))
    return _from_tables(_tables_of(source), "given")


def _read(source: str | Path) -> dict[str, Any]:
    shipped = shipped_scenarios().get(str(source))
    text = shipped if shipped is not None else local_file(source).read_text(encoding="utf-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ScenarioError((f"{source} is not valid TOML: {problem}",)) from None


def _tables_of(source: Any) -> dict[str, Any]:  # noqa: ANN401 - any iterable of mappings
    tables: dict[str, Any] = {"switches": {}}
    for raw in source:
        row = {name: value for name, value in raw.items() if not _blank(value)}
        table = str(row.pop("table", ""))
        if table == "switches":
            tables["switches"].update(row)
        else:
            tables.setdefault(table, []).append(row)
    return tables


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _from_tables(tables: dict[str, Any], name: str) -> Scenario:
    problems: list[str] = []
    unknown = set(tables) - {*_TABLES, "switches", "name", "description"}
    problems += [f"{table!r} is not a table of a scenario" for table in sorted(unknown)]
    switches = _switches(tables.get("switches", {}), problems)
    entries = {table: _entries(tables, table, problems) for table in _TABLES}
    for table, check in (("order", _check_order), ("fault", _check_fault), ("event", _check_event)):
        for number, entry in enumerate(entries[table], start=1):
            problems += [f"{table} {number}: {text}" for text in check(entry)]
    if problems:
        raise ScenarioError(tuple(problems))
    return Scenario(
        str(tables.get("name", name)),
        switches,
        entries["quote"],
        entries["order"],
        entries["fault"],
        entries["event"],
    )


def _entries(tables: dict[str, Any], table: str, problems: list[str]) -> tuple[dict[str, Any], ...]:
    given = tables.get(table, [])
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        problems.append(f"write {table} as [[{table}]], once per entry")
        return ()
    return tuple(given)


def _switches(given: Any, problems: list[str]) -> Switches:  # noqa: ANN401 - checked here
    known = {one.name: one for one in fields(Switches)}
    usable: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            problems.append(f"switches: {name} is unknown")
            continue
        kind = type(getattr(Switches(), name))
        if name in CHOICES and value not in CHOICES[name]:
            problems.append(f"switches: {name} is {value!r}, not one of {', '.join(CHOICES[name])}")
        elif not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            problems.append(f"switches: {name} is {value!r}, not {kind.__name__}")
        else:
            usable[name] = kind(value)
    found = Switches(**usable)
    if found.close_in_seconds > 0 and found.close_in_seconds <= found.open_in_seconds:
        problems.append("switches: close_in_seconds is not after open_in_seconds")
    return found


def _check_names(entry: dict[str, Any], *groups: tuple[str, ...]) -> list[str]:
    known = {name for group in groups for name in group}
    return [f"{name} is unknown" for name in entry if name not in known]


def _check_order(entry: dict[str, Any]) -> list[str]:
    problems = _check_names(entry, _SELECTORS, _REPORTS)
    if entry.get("commission", "normal") not in {"normal", "never", "first", "last", "twice"}:
        problems.append(f"commission is {entry['commission']!r}, not normal, never, first, last or twice")
    for name in ("steps", "on_cancel", "on_modify"):
        known = {**STEPS, **(CHANGE_STEPS if name == "on_modify" else {})}
        for step in entry.get(name, []):
            verbs = [verb for verb in step if verb in known] if isinstance(step, dict) else []
            if len(verbs) != 1:
                problems.append(f"{name}: {step!r} does not have exactly one of {', '.join(known)}")
            elif set(step) - {*verbs, *_STEP_OPTIONS}:
                problems.append(f"{name}: {step!r} has options other than {', '.join(_STEP_OPTIONS)}")
    return problems


def _check_fault(entry: dict[str, Any]) -> list[str]:
    options = ("on", "do", "seconds", "messages", "copies", "code", "text", "set", "fields", "bytes")
    problems = _check_names(entry, _SELECTORS, options)
    on, verb = str(entry.get("on", "")), entry.get("do")
    verbs: set[str] = set()
    if is_request(on):
        verbs |= set(REQUEST_FAULTS)
    if any(fnmatchcase(kind, on) for kind in kinds()):
        verbs |= set(REPLY_FAULTS)
    if not verbs:
        problems.append(f"on is {on!r}, which is neither a request nor a reply")
    elif verb not in verbs:
        problems.append(f"do is {verb!r}, not one of {', '.join(sorted(verbs))}")
    return problems


def _is_above_zero(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _check_event(entry: dict[str, Any]) -> list[str]:
    problems: list[str] = []
    if sum(name in entry for name in _TRIGGERS) != 1:
        problems.append(f"needs exactly one of {', '.join(_TRIGGERS)}")
    if entry.get("do") not in EVENTS:
        problems.append(f"do is {entry.get('do')!r}, not one of {', '.join(EVENTS)}")
    problems += _check_names(entry, _TRIGGERS, _EVENT_OPTIONS, QUOTE_COLUMNS)
    if entry.get("do") == "accounts" and not entry.get("accounts"):
        problems.append('needs "accounts", a list of names')
    if entry.get("do") == "rate" and not (entry.get("currency") and _is_above_zero(entry.get("rate"))):
        problems.append('needs "currency" and a "rate" above 0')
    if entry.get("do") == "auction" and entry.get("auction", "close") not in {"open", "close"}:
        problems.append(f"auction is {entry['auction']!r}, not open or close")
    if entry.get("do") == "switch":
        given = entry.get("set")
        if not isinstance(given, dict):
            return [*problems, 'needs a table "set" of switches']
        _switches(given, problems)
        problems += [f"{name} cannot be changed during the run" for name in sorted(_UNSWITCHABLE & set(given))]
    return problems
