"""Layouts of all messages of the server, as tables by server version.

A table lists the fields after the message id, in wire order. Each field has a name, a default text, a format and a
range of server versions. One table covers versions 157 to 178; :func:`describe` prints it for one version.

Pure data and pure functions. Units: prices in the contract's currency, sizes in shares.

Notation of a table: ``name``, ``name:form``, ``name=default``, ``name:form=default``, separated by spaces. Forms
are listed in :data:`FORMS`. An underscore as default means empty text.

Each table states its source. "Captured" means that the defaults are those of a frame sent by a paper TWS or IB
Gateway; the frames are in ``tests/wire``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.protocol.framing import pack_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "FORMS",
    "MAX_VERSION",
    "MIN_VERSION",
    "UNSET_DOUBLE",
    "UNSET_INTEGER",
    "Field",
    "Layout",
    "Rows",
    "between",
    "describe",
    "encode",
    "fields_of",
    "kinds",
    "layout",
    "register",
    "rows",
    "since",
    "until",
]

MIN_VERSION = 157
"""Lowest server version that ib_async 2.1 accepts (its MinClientVersion)."""
MAX_VERSION = 178
"""Highest server version that ib_async 2.1 requests (its MaxClientVersion)."""
UNSET_DOUBLE = "1.7976931348623157E308"
"""An unset double in TWS (captured): Java's largest double, upper-case E, no plus sign."""
UNSET_INTEGER = "2147483647"
"""An unset integer in TWS (captured)."""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _plain(value: float) -> str:
    text = repr(float(value))
    return f"{value:.10f}".rstrip("0") if "e" in text else text


def _size(value: float) -> str:
    """A size in shares; no decimal point for whole numbers."""
    return str(int(value)) if float(value).is_integer() else _plain(value)


def _price(value: float) -> str:
    """A price; always with a decimal point."""
    return _plain(value)


def _average(value: float) -> str:
    """A price; plain 0 when there is none."""
    return "0" if value == 0 else _plain(round(value, 10))


def _double(value: float) -> str:
    """A double; NaN is unset."""
    return UNSET_DOUBLE if math.isnan(value) else _plain(value)


def _money(value: float) -> str:
    """An amount with two decimals."""
    return f"{value:.2f}"


FORMS: dict[str, Callable[[Any], str]] = {
    "text": _text,
    "size": _size,
    "price": _price,
    "average": _average,
    "double": _double,
    "money": _money,
}
"""Functions that format a Python value as field text, by form."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field, of versions ``since`` to ``until`` - 1; ``default`` is sent when no value is given."""

    name: str
    default: str = ""
    form: str = "text"
    since: int = 0
    until: int = 1_000


@dataclass(frozen=True, slots=True)
class Rows:
    """A repeated group: one set of ``items`` for each mapping in the value.

    ``counted`` sends the number of rows first. A value that is a sequence of strings is sent unchanged.
    """

    name: str
    items: tuple[Field, ...]
    counted: bool = True
    since: int = 0
    until: int = 1_000
    default: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """All fields of one kind of message, after its id."""

    kind: str
    message_id: int
    source: str
    items: tuple[Field | Rows, ...]

    def at(self, version: int) -> tuple[Field | Rows, ...]:
        """The items at server ``version``."""
        return tuple(item for item in self.items if item.since <= version < item.until)


_LAYOUTS: dict[str, Layout] = {}

Item = Field | Rows


def _parse(table: str, first: int, end: int) -> tuple[Field, ...]:
    fields = []
    for token in table.split():
        head, _, default = token.partition("=")
        name, _, form = head.partition(":")
        fields.append(Field(name, "" if default == "_" else default, form or "text", first, end))
    return tuple(fields)


def since(version: int, table: str) -> tuple[Field, ...]:
    """Fields that exist since ``version``."""
    return _parse(table, version, 1_000)


def until(version: int, table: str) -> tuple[Field, ...]:
    """Fields that exist before ``version``."""
    return _parse(table, 0, version)


def between(first: int, end: int, table: str) -> tuple[Field, ...]:
    """Fields that exist from version ``first`` to ``end`` - 1."""
    return _parse(table, first, end)


def rows(
    name: str, *parts: str | tuple[Field, ...], counted: bool = True, default: tuple[str, ...] | None = None
) -> tuple[Rows]:
    """A repeated group ``name`` with the fields ``parts``."""
    items = tuple(item for part in parts for item in (_parse(part, 0, 1_000) if isinstance(part, str) else part))
    return (Rows(name, items, counted, default=default),)


def layout(kind: str, message_id: int, source: str, *parts: str | tuple[Field, ...] | tuple[Rows]) -> Layout:
    """A layout from table text, :func:`since`, :func:`until` and :func:`rows`, in wire order."""
    items: list[Item] = []
    for part in parts:
        items += _parse(part, 0, 1_000) if isinstance(part, str) else part
    return Layout(kind, message_id, source, tuple(items))


def register(*layouts: Layout) -> None:
    """Register ``layouts`` for :func:`encode` and :func:`describe`."""
    _LAYOUTS.update({one.kind: one for one in layouts})


def kinds() -> tuple[str, ...]:
    """Names of all layouts."""
    return tuple(_LAYOUTS)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A layout at one version: the message of defaults, and the position of each field in it."""

    template: tuple[str, ...]
    places: dict[str, tuple[int, Callable[[Any], str]]]
    rows: frozenset[str]
    items: tuple[Field | Rows, ...]


@cache
def _compiled(kind: str, version: int) -> _Compiled:
    found = _LAYOUTS[kind]
    items = found.at(version)
    template = [str(found.message_id)]
    places = {}
    for item in items:
        if isinstance(item, Rows):
            _extend(template, item, version, None)
        else:
            places[item.name] = (len(template), FORMS[item.form])
            template.append(item.default)
    names = frozenset(item.name for item in items if isinstance(item, Rows))
    return _Compiled(tuple(template), places, names, items)


def fields_of(kind: str, version: int, values: Mapping[str, Any]) -> list[str]:
    """The fields of a message at server ``version``.

    Parameters
    ----------
    kind : name of a layout
    version : negotiated server version
    values : values by field name; None and missing names give the default, a text is sent unchanged, any other
        value is formatted by the form of its field

    Raises
    ------
    KeyError
        When the layout does not exist.

    Examples
    --------
    >>> fields_of("error", 176, {"reqId": 3, "code": 202, "text": "Order Canceled - reason:"})
    ['4', '2', '3', '202', 'Order Canceled - reason:', '']
    >>> len(fields_of("error", 165, {"reqId": 3, "code": 202, "text": ""}))
    5
    """
    compiled = _compiled(kind, version)
    if any(values.get(name) is not None for name in compiled.rows):
        return _with_rows(compiled, version, values)
    # Nearly all fields of a long message have their default: copy the template and set only the given values.
    out = list(compiled.template)
    for name, value in values.items():
        place = compiled.places.get(name)
        if place is not None and value is not None:
            out[place[0]] = value if isinstance(value, str) else place[1](value)
    return out


def _with_rows(compiled: _Compiled, version: int, values: Mapping[str, Any]) -> list[str]:
    out = [compiled.template[0]]
    for item in compiled.items:
        value = values.get(item.name)
        if isinstance(item, Rows):
            _extend(out, item, version, value)
        else:
            out.append(_formatted(item, value))
    return out


def _extend(out: list[str], repeated: Rows, version: int, value: Any) -> None:  # noqa: ANN401 - rows or texts
    entries: Any = value if value is not None else (repeated.default or ())
    if entries and isinstance(entries[0], str):
        out += entries
        return
    if repeated.counted:
        out.append(str(len(entries)))
    for entry in entries:
        for item in repeated.items:
            if item.since <= version < item.until:
                out.append(_formatted(item, entry.get(item.name)))


def _formatted(item: Field, value: Any) -> str:  # noqa: ANN401 - a text is sent unchanged, other values by their form
    if value is None:
        return item.default
    return value if isinstance(value, str) else FORMS[item.form](value)


def encode(kind: str, version: int, values: Mapping[str, Any]) -> bytes:
    r"""The frame of a message; see :func:`fields_of`.

    Examples
    --------
    >>> encode("openOrderEnd", 176, {})
    b'\x00\x00\x00\x0553\x001\x00'
    """
    return pack_fields(fields_of(kind, version, values))


def describe(kind: str, version: int) -> str:
    """The layout of ``kind`` at server ``version`` as a printable table.

    Examples
    --------
    >>> print(describe("orderStatus", 176))
    orderStatus (3) at server version 176, 12 fields
    source: captured at 164, 173 and 176; no version field since 131
      0  id             3
      1  orderId
      2  status
      3  filled         0
      4  remaining      0
      5  avgFillPrice   0
      6  permId         0
      7  parentId       0
      8  lastFillPrice  0
      9  clientId       0
     10  whyHeld
     11  mktCapPrice    0
    """
    found = _LAYOUTS[kind]
    items = found.at(version)
    names = ["id", *(item.name if isinstance(item, Field) else f"{item.name}*" for item in items)]
    texts = [str(found.message_id), *(_described(item) for item in items)]
    width = max(map(len, names))
    plain = sum(isinstance(item, Field) for item in items) + 1
    lines = [f"{kind} ({found.message_id}) at server version {version}, {plain} fields"]
    lines.append(f"source: {found.source}")
    lines += [f"{i:3}  {n:<{width}}  {t}".rstrip() for i, (n, t) in enumerate(zip(names, texts, strict=True))]
    return "\n".join(lines)


def _described(item: Item) -> str:
    if isinstance(item, Field):
        return item.default
    if item.default:
        return "|".join(item.default)
    return f"rows of {' '.join(field.name for field in item.items)}".strip()
