"""Terms of an order, checked against each other: type, prices, time in force, times, and its algorithm.

A problem of one order is a stable code and a text that says what to change; the order is then ``REJECTED``. A
column that is a term of TWS's orders, or nearly the name of one, and is not read here is an error of the whole
table: a trailing percentage that is kept but not read would be another order than was meant.

Combinations of type and time in force are those that are documented or were seen to be accepted; others are
refused. Prices are per share in the order's currency, times in UTC. Pure.

Sources: TWS API documentation, "Order types", "Time in force" and "IB algorithms", and the samples of IB's
client (``AvailableAlgoParams``).
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from stocklean_exec.schema.frame_validator import is_missing, shown
from stocklean_exec.schema.prices import is_usable, round_to_tick
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from stocklean_exec.schema.frame_validator import FrameValidator

__all__ = [
    "ALGOS",
    "CAPPED",
    "LIMITED",
    "LIMIT_REFERENCES",
    "MARKET_TYPES",
    "ORDER_PERMISSIONS",
    "ORDER_TYPES",
    "PEGGED",
    "PERMISSIONS",
    "REFERENCE_PRICE",
    "STOPS",
    "TERM_COLUMNS",
    "TIFS",
    "TIFS_OF_TYPE",
    "OrderTerms",
    "algo_tags",
    "has_terms",
    "limit_problem",
    "offset_limits",
    "permission_problem",
    "read_terms",
    "reference_prices",
    "term_problems",
    "terms_of",
    "tws_time",
]

ORDER_TYPES = ("MKT", "LMT", "MOC", "LOC", "MIDPRICE", "REL", "STP", "STP LMT", "TRAIL")
TIFS = ("DAY", "GTC", "IOC", "FOK", "OPG", "GTD")
MARKET_TYPES = frozenset({"MKT", "MOC", "STP", "TRAIL"})
"""Types that have no limit price."""
LIMITED = frozenset({"LMT", "LOC", "STP LMT"})
"""Types that need a limit price."""
CAPPED = frozenset({"MIDPRICE", "REL"})
"""Types that may have a limit price, beyond which they do not trade."""
STOPS = frozenset({"STP", "STP LMT"})
"""Types whose auxiliary price is a trigger."""
PEGGED = frozenset({"TRAIL", "REL"})
"""Types whose auxiliary price is a distance from the market."""

TIFS_OF_TYPE = {
    "MKT": ("DAY", "GTC", "OPG"),
    "LMT": TIFS,
    "MOC": ("DAY",),
    "LOC": ("DAY",),
    "MIDPRICE": ("DAY",),
    "REL": ("DAY",),
    "STP": ("DAY", "GTC"),
    "STP LMT": ("DAY", "GTC"),
    "TRAIL": ("DAY", "GTC"),
}
"""Times in force that go with each type. TWS may take others, or answer with 111; that is not documented."""

LIMIT_REFERENCES = ("mid", "near", "far", "last")
"""Prices that a limit can be counted from: ``near`` is the order's own side of the quote (a buy's bid)."""

REFERENCE_PRICE = "limit_reference_price"
"""Column of orders with the price that a limit was counted from: with it the limit can be computed again."""

ORDER_PERMISSIONS = "order_types"
"""Column of a broker's quotes with what the contract takes, as TWS names it (:data:`PERMISSIONS`), with spaces."""

PERMISSIONS = (
    *("MKT", "LMT", "MOC", "LOC", "MIDPX", "REL", "STP", "STPLMT", "TRAIL"),
    *("GTC", "IOC", "FOK", "OPG", "GTD", "GAT", "ALGO"),
)
"""What our orders can need of a contract, in the words of ``ContractDetails.orderTypes``."""
_TOKEN_OF_TYPE = {"MIDPRICE": "MIDPX", "STP LMT": "STPLMT"}

TERM_COLUMNS = (
    "limit_offset_bps",
    "limit_reference",
    REFERENCE_PRICE,
    "aux_price",
    "good_till",
    "good_after",
    "outside_rth",
    "algo",
    "algo_params",
)
"""Columns of an order's terms beyond type, limit price and time in force."""

_INSIDE_ONLY = frozenset({"MOC", "LOC", "MIDPRICE"})
_AT_ONCE = frozenset({"IOC", "FOK", "OPG"})
_RESTING = ("DAY", "GTC", "GTD")  # times in force with which an order may start later

_FLAG, _FRACTION, _TIME = "1 or 0", "a fraction from 0.1 to 0.5", "a time"
_RISK = ("Get Done", "Aggressive", "Neutral", "Passive")
_STRATEGY = ("Marketable", "Matching Midpoint", "Matching Same Side", "Matching Last")
_WINDOW = {"startTime": _TIME, "endTime": _TIME}
ALGOS: dict[str, dict[str, str | tuple[str, ...]]] = {
    "Adaptive": {"adaptivePriority": ("Urgent", "Normal", "Patient")},
    "Twap": {"strategyType": _STRATEGY, **_WINDOW, "allowPastEndTime": _FLAG},
    "Vwap": {"maxPctVol": _FRACTION, **_WINDOW, "allowPastEndTime": _FLAG, "noTakeLiq": _FLAG, "speedUp": _FLAG},
    "ArrivalPx": {
        "maxPctVol": _FRACTION,
        "riskAversion": _RISK,
        **_WINDOW,
        "forceCompletion": _FLAG,
        "allowPastEndTime": _FLAG,
    },
    "PctVol": {"pctVol": _FRACTION, **_WINDOW, "noTakeLiq": _FLAG},
    "ClosePx": {"maxPctVol": _FRACTION, "riskAversion": _RISK, "startTime": _TIME, "forceCompletion": _FLAG},
}
"""Parameters of each algorithm and their values, in the sequence of IB's samples. The API takes 10 to 50 % of the
volume, written as a fraction."""
_NEEDED = {"Adaptive": ("adaptivePriority",), "PctVol": ("pctVol",)}
_LEAST_PART, _MOST_PART = 0.1, 0.5  # of the volume; the range of the API, see ALGOS
_FLAGS = {"1": "1", "0": "0", "true": "1", "false": "0"}
_TIME_TEXT = re.compile(r"(?:(\d{8}) )?(\d\d:\d\d:\d\d) (\S+)|(\d{8}-\d\d:\d\d:\d\d)", re.ASCII)
_YES_OR_NO = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False, "": False}

_READ_AS = {
    "lmtprice": "limit_price",
    "limit": "limit_price",
    "limitoffset": "limit_offset_bps",
    "auxprice": "aux_price",
    "aux": "aux_price",
    "stop": "aux_price",
    "stopprice": "aux_price",
    "stoppx": "aux_price",
    "trigger": "aux_price",
    "triggerprice": "aux_price",
    "trailamount": "aux_price",
    "trailingamount": "aux_price",
    "ordtype": "order_type",
    "timeinforce": "tif",
    "goodtilldate": "good_till",
    "goodtildate": "good_till",
    "goodtilltime": "good_till",
    "expiretime": "good_till",
    "goodaftertime": "good_after",
    "effectivetime": "good_after",
    "regulartradinghours": "outside_rth",
    "extendedhours": "outside_rth",
    "algostrategy": "algo",
    "algorithm": "algo",
    "algoparameters": "algo_params",
}
"""Names of TWS, its clients and FIX for terms that have another name here, without ``_`` and in lower case."""

_UNREAD = """
    activeStartTime activeStopTime adjustableTrailingUnit adjustedOrderType adjustedStopLimitPrice
    adjustedStopPrice adjustedTrailingAmount algoId allOrNone allowPreOpen auctionStrategy autoCancelDate
    autoCancelParent blockOrder cashQty competeAgainstBestOffset conditions conditionsCancelOrder
    conditionsIgnoreRth continuousUpdate deltaNeutralAuxPrice deltaNeutralOrderType discretionaryAmt
    discretionaryUpToLimitPrice displaySize exemptCode faGroup faMethod faPercentage faProfile hedgeParam
    hedgeType hidden iceberg ignoreOpenAuction imbalanceOnly includeOvernight lmtPriceOffset
    limitPriceOffset midOffsetAtHalf midOffsetAtWhole minCompeteSize minQty minTradeQty modelCode notHeld
    ocaGroup ocaType openClose optOutSmartRouting orderComboLegs overridePercentageConstraints parentId
    peggedChangeAmount percentOffset postOnly postToAts randomizePrice randomizeSize referenceChangeAmount
    referencePriceType routeMarketableToBbo rule80A scaleAutoReset scaleInitFillQty scaleInitLevelSize
    scaleInitPosition scalePriceAdjustInterval scalePriceAdjustValue scalePriceIncrement scaleProfitOffset
    scaleRandomPercent scaleSubsLevelSize scaleTable seekPriceImprovement shortSaleSlot startingPrice
    stockRangeLower stockRangeUpper stockRefPrice sweepToFill trailPercent trailStopPrice trailingPercent
    transmit triggerMethod usePriceMgmtAlgo volatilityType whatIf
""".split()  # noqa: SIM905 - a hundred names are easier to read so
"""Fields of TWS's orders that change how one works, and are not read. Fields that name an order (``orderRef``,
``permId``), and words that tables have for other reasons (``delta``, ``volatility``), are not among them."""

_LONG_NAME = 7  # characters, from which on names are compared; a stated choice: `limits` is not a term
_ALIKE = 0.88  # similarity of names; a stated choice: `good_tll` is taken for `good_till`, `max_price` for nothing


class OrderTerms(NamedTuple):
    """Terms of one order beyond type, limit and time in force; NaN and None are not given."""

    aux_price: float = math.nan
    limit_offset_bps: float = math.nan
    limit_reference: str | None = None
    limit_reference_price: float = math.nan
    good_till: pd.Timestamp | None = None
    good_after: pd.Timestamp | None = None
    outside_rth: bool = False
    algo: str | None = None
    algo_params: str | None = None
    decided_at: pd.Timestamp | None = None


def terms_of(row: Mapping[str, Any]) -> OrderTerms:
    """Terms in a row of a validated table, by column; columns that it does not have are not given.

    Examples
    --------
    >>> terms_of({"aux_price": 95.0, "good_till": pd.NaT, "algo": None}) == OrderTerms(aux_price=95.0)
    True
    """
    given = {name: row[name] for name in OrderTerms._fields if name in row and not _is_empty(row[name])}
    return OrderTerms(**given)


def _is_empty(value: object) -> bool:
    return is_missing(value) or value == ""


def has_terms(frame: pd.DataFrame, columns: Sequence[str] = TERM_COLUMNS) -> NDArray[np.bool_]:
    """Whether each row has a term, in the ``columns`` of terms that may have one.

    Examples
    --------
    >>> has_terms(pd.DataFrame({"aux_price": [1.0, math.nan], "outside_rth": False})).tolist()
    [True, False]
    """
    found = np.zeros(len(frame), dtype=bool)
    for name in columns:
        if name in frame.columns:
            column = frame[name]
            found |= column.to_numpy() if column.dtype == np.bool_ else ~column.array.isna()
    return found


# -- reading -----------------------------------------------------------------------------------------------


def read_terms(validator: FrameValidator) -> list[str]:
    """Read the columns of :data:`TERM_COLUMNS` that a table has; refuse columns of terms that are not read.

    Values that only concern their order are kept as they are, for :func:`term_problems`. Problems of the table:
    ``order_term_unread``, ``<column>_dtype``, ``naive_time`` and ``time_dtype``. Returns the columns in which a
    row has a value.
    """
    _refuse_unread(validator)
    columns = [name for name in TERM_COLUMNS if name in validator.frame.columns]
    columns = [name for name in columns if validator.frame[name].notna().any()]  # the usual plan has none
    for name in ("limit_offset_bps", REFERENCE_PRICE, "aux_price"):
        validator.read_numbers(name, f"{name}_dtype")
    for name in ("good_till", "good_after"):
        if name in validator.frame.columns:  # a column of missing times alone has no zone, and needs one
            validator.times(name)
    for name, known in (("limit_reference", LIMIT_REFERENCES), ("algo", ALGOS)):
        if name in columns:
            validator.texts(name, None, upper=False)
            spelled = {one.lower(): one for one in known}
            values = [spelled.get(str(value).lower(), value) for value in validator.frame[name].tolist()]
            validator.frame[name] = pd.array(values, dtype="str")
    if "algo_params" in columns:
        texts = [_params_text(value) for value in validator.frame["algo_params"].tolist()]
        validator.frame["algo_params"] = pd.array(texts, dtype="str")
    if "outside_rth" in validator.frame.columns:  # an empty cell is no, and pandas makes a missing number true
        _read_outside_rth(validator)
    return columns


def _read_outside_rth(validator: FrameValidator) -> None:
    if validator.frame["outside_rth"].dtype == np.bool_:
        return
    values = []
    for row, value in enumerate(validator.frame["outside_rth"].tolist()):
        text = "" if is_missing(value) else str(value).strip().lower()
        if text not in _YES_OR_NO:
            detail = f"outside_rth {shown(value)} is not true or false"
            validator.refuse("outside_rth_dtype", detail, row, "outside_rth")
        values.append(_YES_OR_NO.get(text, False))
    validator.frame["outside_rth"] = pd.array(values, dtype="bool")


def _params_text(value: object) -> str | None:
    """Parameters as JSON with sorted names, whatever they were given as; what is not a mapping stays as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError:
            return str(value)
    if _is_empty(value):
        return None
    if not isinstance(value, Mapping):
        return str(value)
    plain = {str(name): _plain(one) for name, one in value.items() if not _is_empty(one)}
    return json.dumps(plain, sort_keys=True) if plain else None


def _plain(value: Any) -> object:  # noqa: ANN401 - any value of a user's mapping
    if isinstance(value, (np.generic,)):
        value = value.item()
    if isinstance(value, pd.Timestamp) or hasattr(value, "tzinfo"):
        return tws_time(value) if value.tzinfo is not None else str(value)
    return value if isinstance(value, (bool, int, float)) else str(value)


def _refuse_unread(validator: FrameValidator) -> None:
    read = {*validator.table.names, *((REFERENCE_PRICE,) if validator.table.name == ORDERS.name else ())}
    for column in validator.frame.columns:
        name = str(column)
        if name not in read:
            text = _unread_text(name)
            if text:
                validator.problem("order_term_unread", f"column {name!r} {text}", column=name)


@lru_cache(maxsize=1_000)  # a choice: the column names of many tables; comparing one with all terms takes a while
def _unread_text(name: str) -> str:
    """Why a column may not be kept unread; empty where it may."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    near = [] if bare in _PUBLISHED else difflib.get_close_matches(bare, _LONG, 1, _ALIKE)
    if bare not in _PUBLISHED and not near:
        return ""
    right = _PUBLISHED[near[0] if near else bare]
    if right:
        return f"is a term of an order and would not be read; name it {right!r}"
    return "is a term of an order that is not sent from here, or nearly named as one; remove or rename it"


_PUBLISHED = (
    {name.lower(): "" for name in _UNREAD}
    | _READ_AS
    | {name.replace("_", ""): name for name in ("order_type", "limit_price", "tif", *TERM_COLUMNS)}
    | {REFERENCE_PRICE.replace("_", ""): ""}
)
"""Names of terms, as :func:`_unread_text` compares them, and the column to use; empty where there is none."""
_LONG = [name for name in _PUBLISHED if len(name) >= _LONG_NAME]


# -- one order ---------------------------------------------------------------------------------------------


def limit_problem(order_type: str, limit: float) -> tuple[str, str] | None:
    """Whether a type has the limit price that it needs, or one that it cannot have.

    Examples
    --------
    >>> limit_problem("MOC", 100.0)[0], limit_problem("LOC", math.nan)[0], limit_problem("REL", math.nan)
    ('limit_on_market', 'limit_missing', None)
    """
    if order_type in MARKET_TYPES:
        if math.isnan(limit):
            return None
        word, other = _WITH_LIMIT.get(order_type, ("market", "LMT"))
        text = f"{word} orders cannot carry a limit ({limit:g}); set order_type {other} or remove the limit"
        return "limit_on_market", text
    if (order_type in CAPPED and math.isnan(limit)) or is_usable(np.array([limit]))[0]:
        return None
    return "limit_missing", f"a {order_type} order needs a limit_price above 0, not {limit:g}"


_WITH_LIMIT = {
    "MOC": ("market-on-close", "LOC"),
    "STP": ("stop", "'STP LMT'"),
    "TRAIL": ("trailing", "LMT"),
}


def term_problems(
    order_type: str, limit: float, tif: str, side: str, terms: OrderTerms
) -> Iterator[tuple[str, str]]:
    """Problems of an order's terms with each other: codes and texts. Type, limit and side are valid already.

    Examples
    --------
    >>> dict(term_problems("MOC", math.nan, "GTC", "BUY", OrderTerms()))
    {'tif_not_allowed': 'a MOC order cannot be GTC; DAY can'}
    >>> [code for code, _ in term_problems("STP", math.nan, "DAY", "SELL", OrderTerms())]
    ['aux_price_missing']
    """
    yield from _tif_problems(order_type, tif, terms)
    yield from _aux_problems(order_type, terms.aux_price)
    yield from _offset_problems(order_type, limit, side, terms)
    yield from _time_problems(order_type, tif, terms)
    yield from _hours_problems(order_type, tif, terms)
    yield from _algo_problems(order_type, terms)


def _tif_problems(order_type: str, tif: str, terms: OrderTerms) -> Iterator[tuple[str, str]]:
    known = TIFS_OF_TYPE.get(order_type, ())
    if known and tif in TIFS and tif not in known:
        yield "tif_not_allowed", f"a {order_type} order cannot be {tif}; {_either(known)} can"
    elif terms.algo is not None and tif != "DAY":
        yield "tif_not_allowed", f"an order with an algorithm cannot be {tif}; DAY can"


def _aux_problems(order_type: str, price: float) -> Iterator[tuple[str, str]]:
    what = {"TRAIL": "trailing amount", "REL": "offset, 0 for none"}.get(order_type, "trigger")
    if order_type not in STOPS | PEGGED:
        if not math.isnan(price):
            yield "aux_price_not_used", f"a {order_type} order has no use for aux_price {price:g}; remove it"
    elif math.isnan(price):
        yield "aux_price_missing", f"a {order_type} order needs an aux_price: its {what}"
    elif not (is_usable(np.array([price]))[0] or (order_type == "REL" and price == 0)):
        yield "aux_price_invalid", f"aux_price {price:g} is not a valid {what} of a {order_type} order"


def _offset_problems(order_type: str, limit: float, side: str, terms: OrderTerms) -> Iterator[tuple[str, str]]:
    offset, reference, price = terms.limit_offset_bps, terms.limit_reference, terms.limit_reference_price
    if reference is not None and reference not in LIMIT_REFERENCES:
        known = ", ".join(LIMIT_REFERENCES)
        yield "limit_reference_invalid", f"limit_reference {reference!r} is not one of {known}"
    if math.isnan(offset):
        if reference is not None:
            yield "limit_offset_missing", f"limit_reference {reference} needs a limit_offset_bps, 0 for none"
        return
    if order_type in MARKET_TYPES:
        yield "limit_on_market", f"a {order_type} order has no limit; remove limit_offset_bps"
    if not math.isnan(limit) and not abs(limit - _offset_price(price, offset, side)) <= _TICK_AT_MOST * limit:
        yield "limit_given_twice", f"limit_price {limit:g} and limit_offset_bps {offset:g}; give one of them"


_TICK_AT_MOST = 0.02  # of a limit; the tick that it was rounded to is less for any price of which a tick is known


def _offset_price(price: float, offset: float, side: str) -> float:
    return price * (1 + (offset if side == "BUY" else -offset) / 1e4)


def _time_problems(order_type: str, tif: str, terms: OrderTerms) -> Iterator[tuple[str, str]]:
    until, after, now = terms.good_till, terms.good_after, terms.decided_at
    if tif == "GTD" and until is None:
        yield "good_till_missing", "a GTD order needs good_till, the time of its end"
    if tif != "GTD" and until is not None:
        yield "good_till_not_used", f"a {tif} order has no use for good_till; set tif GTD or remove it"
    start = max((time for time in (now, after) if time is not None), default=None)
    if until is not None and start is not None and until <= start:
        yield "good_till_past", f"good_till {until} is not after {start}"
    if after is not None and (tif not in _RESTING or order_type in {"MOC", "LOC"} or terms.algo is not None):
        what = "an order with an algorithm" if terms.algo is not None else f"a {order_type} {tif} order"
        yield "good_after_not_allowed", f"{what} cannot start later; remove good_after"


def _hours_problems(order_type: str, tif: str, terms: OrderTerms) -> Iterator[tuple[str, str]]:
    if terms.outside_rth and (order_type in _INSIDE_ONLY or tif in _AT_ONCE or terms.algo is not None):
        what = "an order with an algorithm" if terms.algo is not None else f"a {order_type} {tif} order"
        yield "outside_rth_not_allowed", f"{what} trades in regular hours only; remove outside_rth"


def _algo_problems(order_type: str, terms: OrderTerms) -> Iterator[tuple[str, str]]:
    if terms.algo is None:
        if terms.algo_params is not None:
            yield "algo_missing", f"algo_params without an algo; name one of {', '.join(ALGOS)}"
        return
    if terms.algo not in ALGOS:
        yield "algo_unknown", f"algo {terms.algo!r} is not one of {', '.join(ALGOS)}"
        return
    if order_type not in {"MKT", "LMT"}:
        yield "algo_not_allowed", f"{terms.algo} works MKT and LMT orders, not {order_type}"
    found = _read_params(terms.algo, terms.algo_params)
    if isinstance(found, str):
        yield "algo_params_invalid", found


def _read_params(algo: str, text: str | None) -> dict[str, str] | str:
    """Parameters as TWS takes them, in the sequence of its samples; or what is wrong with them."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        return f"{shown(text)} is not JSON of names and values"
    known = ALGOS[algo]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            return f"{algo} has no {name!r}; {hint}"
    missing = [name for name in _NEEDED.get(algo, ()) if name not in given]
    if missing:
        return f"{algo} needs {missing[0]}: {_meaning(known[missing[0]])}"
    read = {name: _param(known[name], given[name]) for name in known if name in given}
    wrong = next((name for name, value in read.items() if value is None), None)
    if wrong is not None:
        return f"{wrong} {shown(given[wrong])} is not {_meaning(known[wrong])}"
    return {name: value for name, value in read.items() if value is not None}


def _meaning(kind: str | tuple[str, ...]) -> str:
    if kind == _TIME:
        return "a time such as '15:30:00 US/Eastern' or '20261123-20:30:00', which is UTC"
    return kind if isinstance(kind, str) else f"one of {', '.join(kind)}"


def _param(kind: str | tuple[str, ...], value: object) -> str | None:
    """One parameter as TWS takes it; None where it is not allowed."""
    text = str(value).strip()
    if isinstance(kind, tuple):
        return {one.lower(): one for one in kind}.get(text.lower())
    if kind == _FLAG:
        return _FLAGS.get(text.lower())
    if kind == _TIME:
        return text if isinstance(value, str) and _is_time(text) else None
    try:
        part = math.nan if isinstance(value, bool) else float(text)
    except ValueError:
        return None
    return f"{part:.10g}" if _LEAST_PART <= part <= _MOST_PART else None


def _is_time(text: str) -> bool:
    found = _TIME_TEXT.fullmatch(text)
    if found is None:
        return False
    day, clock, zone, utc = found.groups()
    try:
        pd.to_datetime(utc or f"{day or '20260101'}-{clock}", format="%Y%m%d-%H:%M:%S")
        ZoneInfo(zone or "UTC")
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True


def algo_tags(algo: str | None, params: str | None) -> list[tuple[str, str]]:
    """Parameters of an algorithm as they go out: tag and text, in the sequence of IB's samples.

    Raises
    ------
    ValueError
        The algorithm or a parameter is not one that :func:`term_problems` accepts.

    Examples
    --------
    >>> algo_tags("Vwap", '{"noTakeLiq": true, "maxPctVol": 0.10}')
    [('maxPctVol', '0.1'), ('noTakeLiq', '1')]
    >>> algo_tags(None, None)
    []
    """
    if not algo:
        return []
    found = _read_params(algo, params) if algo in ALGOS else f"algo {algo!r} is not known"
    if isinstance(found, str):
        raise ValueError(found)  # noqa: TRY004 - a wrong value
    return list(found.items())


def tws_time(stamp: Any) -> str:  # noqa: ANN401 - a Timestamp or a datetime, with its zone
    """Time as TWS takes it in UTC, whole seconds: the dash says that it is UTC.

    Examples
    --------
    >>> tws_time(pd.Timestamp("2026-11-23 15:30:00.9", tz="America/New_York"))
    '20261123-20:30:00'
    """
    return f"{pd.Timestamp(stamp).tz_convert('UTC'):%Y%m%d-%H:%M:%S}"


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def permission_problem(
    order_type: str, tif: str, permitted: Collection[str], *, starts_later: bool = False, has_algo: bool = False
) -> str:
    """Why a contract does not take an order; empty where it does, or where it is not known what it takes.

    A day order is always taken.

    Examples
    --------
    >>> permission_problem("MIDPRICE", "DAY", ["MKT", "LMT", "MIDPX"])
    ''
    >>> permission_problem("LMT", "FOK", ["MKT", "LMT", "IOC"])
    'TWS does not take FOK orders in this contract'
    """
    needed = [_TOKEN_OF_TYPE.get(order_type, order_type), *([tif] if tif != "DAY" else [])]
    names = [order_type, *([tif] if tif != "DAY" else [])]
    if starts_later:
        needed, names = [*needed, "GAT"], [*names, "good_after"]
    if has_algo:
        needed, names = [*needed, "ALGO"], [*names, "algorithm"]
    missing = [name for token, name in zip(needed, names, strict=True) if permitted and token not in permitted]
    return f"TWS does not take {' or '.join(missing)} orders in this contract" if missing else ""


# -- limits by offset --------------------------------------------------------------------------------------


def reference_prices(
    references: Sequence[str | None],
    buy: NDArray[np.bool_],
    quotes: Mapping[str, NDArray[np.float64]],
    usual: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Price that each limit is counted from; NaN where the quote does not have it.

    Parameters
    ----------
    references : of :data:`LIMIT_REFERENCES`; None for the usual one
    buy : True for buys
    quotes : ``bid``, ``ask`` and ``last`` of each order's symbol
    usual : decision price of each order

    Examples
    --------
    >>> quote = {"bid": np.full(5, 99.0), "ask": np.full(5, 101.0), "last": np.full(5, 100.5)}
    >>> kinds = ["mid", "near", "far", "last", None]
    >>> reference_prices(kinds, np.full(5, True), quote, np.full(5, 100.0)).tolist()
    [100.0, 99.0, 101.0, 100.5, 100.0]
    """
    bid, ask, last = (np.where(is_usable(quotes[name]), quotes[name], math.nan) for name in ("bid", "ask", "last"))
    crossed = bid > ask
    bid, ask = np.where(crossed, math.nan, bid), np.where(crossed, math.nan, ask)
    near, far = np.where(buy, bid, ask), np.where(buy, ask, bid)
    prices = {"mid": (bid + ask) / 2, "near": near, "far": far, "last": last}
    kinds = np.array([kind if isinstance(kind, str) else "" for kind in references], dtype=object)
    found = np.where(kinds == "", usual, math.nan)
    for kind, price in prices.items():
        found = np.where(kinds == kind, price, found)
    return found


def offset_limits(
    reference: NDArray[np.float64],
    offset_bps: NDArray[np.float64],
    buy: NDArray[np.bool_],
    tick: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Limit at an offset from a price: a buy's above it, a sell's below, where the offset is positive.

    With ``tick`` it is moved to the passive side, so that it is never beyond what was asked for.

    Examples
    --------
    >>> side = np.array([True, False])
    >>> offset_limits(np.full(2, 100.0), np.full(2, 1.5), side, np.full(2, 0.01)).tolist()
    [100.01, 99.99]
    """
    limit = reference * (1 + np.where(buy, 1.0, -1.0) * offset_bps / 1e4)
    return limit if tick is None else round_to_tick(limit, np.where(tick > 0, tick, math.nan), buy)
