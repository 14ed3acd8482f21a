"""IB's algorithms: the parameters of each, and how much of an order is due at which time.

Pure functions. What IB's algorithms really do is not published; here each is a plain schedule over a window, by
the simulator's own clock, so that a client sees parts of an order trade over time, the same in every run:

``Adaptive``           no schedule: worked as its plain order type
``Twap``               even parts
``Vwap``               more at both ends of the window than in its middle
``ArrivalPx``          early, by risk aversion: all at once, half of the rest each time, falling, or even parts
``ClosePx``            rising towards the end
``PctVol``             the given part of the market's volume, which is constant: the switch ``volume_per_minute``
``AD``, ``DarkIce``    even parts

The window is from ``startTime`` (or the arrival) to ``endTime``, or without it to the close; where the exchange
never closes it is ``algo_seconds`` long. ``maxPctVol`` slows an order down; without an end its window then grows.
What is left at ``endTime`` is cancelled, unless ``allowPastEndTime`` or ``forceCompletion`` says otherwise.

Source: TWS API documentation, "IB algorithms", and the official samples for names and values. That a gateway of
April 2026 refuses ``strategyType`` is captured: the switch ``twap_strategy_type``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.fill_model import Execution, Quote, is_marketable, match
from stocklean_exec.simulator.clock import local_time, parse_instant
from stocklean_exec.simulator.exchange.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.simulator.exchange.orders import Order
    from stocklean_exec.simulator.protocol.order_request import OrderRequest
    from stocklean_exec.simulator.scenarios.options import Switches

__all__ = ["ALGOS", "Window", "check_algo", "due", "is_scheduled", "slice_executions", "slice_times", "window"]

_DAY = 86_400.0
_FRIDAY = 4  # as date.weekday counts
_SLICES = 6  # a choice: enough parts to see a schedule, few enough to read
_LEAST, _MOST = 0.01, 0.5  # TWS API and the TWS guide: 1 % to 50 % of the volume, as fractions
_SHAPES = {  # choices: the part of the order in each slice, in proportion
    "even": (1, 1, 1, 1, 1, 1),
    "ends": (3, 2, 2, 2, 2, 3),
    "halves": (32, 16, 8, 4, 2, 2),
    "falling": (6, 5, 4, 3, 2, 1),
    "rising": (1, 2, 3, 4, 5, 6),
    "at once": (1,),
}
_RISKS = {"Get Done": "at once", "Aggressive": "halves", "Neutral": "falling", "Passive": "even"}
_STYLES = {
    "Marketable": "far",
    "Matching Midpoint": "middle",
    "Matching Same Side": "near",
    "Matching Last": "last",
}


def _is_fraction(text: str) -> bool:
    return _LEAST <= _number(text) <= _MOST


def _is_flag(text: str) -> bool:
    return text in {"0", "1"}


def _is_size(text: str) -> bool:
    return _number(text) > 0 and _number(text).is_integer()


def _is_time(text: str) -> bool:
    return not text or not math.isnan(_instant(text, "UTC", 0.0))


def _word(*words: str) -> Callable[[str], bool]:
    return lambda text: text in words


_TIMES: dict[str, Callable[[str], bool]] = {
    "startTime": _is_time,
    "endTime": _is_time,
    "allowPastEndTime": _is_flag,
}
_RISK = _word(*_RISKS)
ALGOS: dict[str, dict[str, Callable[[str], bool]]] = {
    "Adaptive": {"adaptivePriority": _word("Urgent", "Normal", "Patient")},
    "Twap": {"strategyType": _word(*_STYLES), **_TIMES},
    "Vwap": {"maxPctVol": _is_fraction, "noTakeLiq": _is_flag, "speedUp": _is_flag, **_TIMES},
    "ArrivalPx": {"maxPctVol": _is_fraction, "riskAversion": _RISK, "forceCompletion": _is_flag, **_TIMES},
    "PctVol": {"pctVol": _is_fraction, "noTakeLiq": _is_flag, "startTime": _is_time, "endTime": _is_time},
    "ClosePx": {
        "maxPctVol": _is_fraction,
        "riskAversion": _RISK,
        "startTime": _is_time,
        "forceCompletion": _is_flag,
    },
    "DarkIce": {"displaySize": _is_size, **_TIMES},
    "AD": {
        "componentSize": _is_size,
        "timeBetweenOrders": _is_size,
        **dict.fromkeys(("randomizeTime20", "randomizeSize55", "catchUp", "waitForFill"), _is_flag),
        "giveUp": _is_size,
        **_TIMES,
    },
}
"""Algorithms by name: their parameters, each with the test of its value."""
_BY_NAME = {name.upper(): name for name in ALGOS}


def _name(request: OrderRequest) -> str:
    return _BY_NAME.get(request.algo.upper(), "")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def check_algo(request: OrderRequest, switches: Switches) -> Refusal | None:
    """Error 439 for an unknown algorithm, 442 for an order type it does not work, 443 or 441 for a parameter.

    Examples
    --------
    >>> from stocklean_exec.simulator.protocol.order_request import OrderRequest
    >>> from stocklean_exec.simulator.protocol.requests import ContractSpec
    >>> from stocklean_exec.simulator.scenarios.options import Switches
    >>> nan = float("nan")
    >>> terms = (1, ContractSpec(symbol="SPY"), "BUY", 100, "MKT", nan, nan, "DAY")
    >>> check_algo(OrderRequest(*terms, algo="Twap", algo_params=(("pace", "slow"),)), Switches()).code
    443
    """
    if not request.algo:
        return None
    name = _name(request)
    if not name:
        return Refusal(439, "Order processing failed. Algorithm definition not found.")
    if request.order_type not in {"MKT", "LMT"}:
        return Refusal(442, "Specified algorithm is not allowed for this order.")
    known = dict(ALGOS[name])
    if switches.twap_strategy_type == "refused":
        known.pop("strategyType", None)
    for tag, value in request.algo_params:
        if tag not in known:
            return Refusal(443, f"Order processing failed. Unknown algo attribute:{tag[:40]}")
        if not known[tag](value):
            return _failed(f"{tag} {value[:40]}")
    return _check_parameters(request, name, switches.time_zone)


def _failed(what: str) -> Refusal:
    return Refusal(441, f"Algo attributes validation failed: {what}")


def _check_parameters(request: OrderRequest, name: str, zone: str) -> Refusal | None:
    given = dict(request.algo_params)
    if name == "PctVol" and "pctVol" not in given:
        return _failed("pctVol is missing")
    start, end = (_instant(given.get(tag, ""), zone, 0.0) for tag in ("startTime", "endTime"))
    is_dated = [given.get(tag, "")[:8].isdigit() for tag in ("startTime", "endTime")]
    if is_dated[0] == is_dated[1] and start >= end:
        return _failed("endTime is not after startTime")
    return None


def _instant(text: str, zone: str, now: float) -> float:
    """A time of day, with or without a date and a zone; NaN when it is not one."""
    if not text:
        return math.nan
    for form in (text, f"{local_time(now, zone):%Y%m%d} {text}"):
        try:
            return parse_instant(form, zone)
        except ValueError:
            continue
    return math.nan


def is_scheduled(request: OrderRequest) -> bool:
    """Whether an algorithm works the order over time."""
    return bool(request.algo) and _name(request) != "Adaptive"


class Window(NamedTuple):
    """When an algorithm works an order, seconds since 1970 UTC.

    ``is_stated``: the end was given. ``is_moved``: it was over, and is now that of the next trading day.
    """

    start: float
    end: float
    is_stated: bool
    is_moved: bool


def window(request: OrderRequest, now: float, close: float | None, switches: Switches) -> Window:
    """The window of an order that arrives ``now``; ``close`` is the next close, None without any."""
    given, zone = dict(request.algo_params), switches.time_zone
    start, end = (_instant(given.get(tag, ""), zone, now) for tag in ("startTime", "endTime"))
    is_stated, is_moved = not math.isnan(end), end <= now
    if is_moved:
        days = _days_ahead(end, now, zone)
        start, end = start + days * _DAY, end + days * _DAY
    begin = max(start, now) if start > 0 else now
    if is_stated:
        return Window(begin, end if end > begin else begin + switches.algo_seconds, is_stated, is_moved)
    by_volume = begin + _seconds_by_volume(request, switches)
    if close is None or close <= begin:
        return Window(begin, max(by_volume, begin + switches.algo_seconds), is_stated, is_moved)
    return Window(begin, min(by_volume, close) if _name(request) == "PctVol" else close, is_stated, is_moved)


def _days_ahead(instant: float, now: float, zone: str) -> int:
    """Days until a time of day that is past comes again on a weekday."""
    days = math.floor((now - instant) / _DAY) + 1
    while local_time(instant + days * _DAY, zone).weekday() > _FRIDAY:
        days += 1
    return days


def _rate(request: OrderRequest, switches: Switches) -> float:
    """The largest number of shares a second by the order's part of the volume; infinite without one."""
    given = dict(request.algo_params)
    part = _number(given.get("pctVol", given.get("maxPctVol", "")))
    return math.inf if math.isnan(part) else part * switches.volume_per_minute / 60


def _seconds_by_volume(request: OrderRequest, switches: Switches) -> float:
    rate = _rate(request, switches)
    return request.quantity / rate if rate > 0 else math.inf


def _shape(request: OrderRequest) -> tuple[int, ...]:
    name, given = _name(request), dict(request.algo_params)
    if name == "ArrivalPx":
        return _SHAPES[_RISKS[given.get("riskAversion", "Neutral")]]
    return _SHAPES[{"Vwap": "ends", "ClosePx": "rising"}.get(name, "even")]


def slice_times(request: OrderRequest, start: float, end: float) -> list[float]:
    """When the parts of an order trade: in the middle of equal intervals; what is due at once, at the start.

    Examples
    --------
    >>> from stocklean_exec.simulator.protocol.order_request import OrderRequest
    >>> from stocklean_exec.simulator.protocol.requests import ContractSpec
    >>> nan = float("nan")
    >>> order = OrderRequest(1, ContractSpec(symbol="SPY"), "BUY", 100, "MKT", nan, nan, "DAY", algo="Twap")
    >>> slice_times(order, 0.0, 60.0)
    [5.0, 15.0, 25.0, 35.0, 45.0, 55.0]
    """
    count = len(_shape(request))
    return [start] if count == 1 else [start + (end - start) * (n + 0.5) / count for n in range(count)]


def due(order: Order, instant: float, switches: Switches) -> float:
    """Shares of the order that are due to have traded by ``instant``, in whole lots; all after its window."""
    request, start, end = order.request, order.algo_from, order.algo_until
    if instant >= end:
        return request.quantity
    times, shape = slice_times(request, start, end), _shape(request)
    passed = sum(at <= instant + 1e-6 for at in times)
    forced = dict(request.algo_params).get("forceCompletion") == "1" and passed == len(times)
    interval = (end - start) / len(times)
    by_volume = math.inf if forced else _rate(request, switches) * interval * passed
    by_shape = request.quantity * sum(shape[:passed]) / sum(shape)
    if _name(request) == "PctVol":
        by_shape = request.quantity
    lot = max(order.contract.size_increment, 1.0)
    total = min(by_shape, by_volume)
    return request.quantity if total >= request.quantity - 1e-9 else math.floor(total / lot + 1e-9) * lot


def slice_executions(order: Order, quantity: float, quote: Quote) -> list[Execution]:
    """Executions of ``quantity`` shares of a scheduled order: at the far touch, or where its parameters say."""
    request = order.request
    given = dict(request.algo_params)
    style = "near" if given.get("noTakeLiq") == "1" else _STYLES.get(given.get("strategyType", ""), "far")
    near = quote.bid if request.side == "BUY" else quote.ask
    prices = {"near": near, "middle": round((quote.bid + quote.ask) / 2, 6), "last": quote.last}
    price = prices.get(style, math.nan)
    if not price > 0:
        return match(request.side, quantity, order.limit, quote)
    return [Execution(quantity, price, 1)] if is_marketable(request.side, order.limit, price) else []
