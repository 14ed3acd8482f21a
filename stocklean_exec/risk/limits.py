"""The limits that orders are checked against, as one immutable object.

Values are in the currency of the account, ratios are fractions of NAV. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import FrameValidator
from stocklean_exec.schema.html_card import card
from stocklean_exec.schema.tables import POSITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AUTO", "Limits", "limits_card"]

AUTO: Final = "auto"
"""Value of a limit that is derived from the plan or from the source of the quotes."""

_GREATER_IS_TIGHTER = frozenset({"min_cash_after", "min_excess_liquidity", "duplicate_window"})
_MAY_BE_AUTO = frozenset({"max_gross", "max_quote_age"})
_CHOICES = {"closed_market": ("ignore", "warn", "block")}  # the mildest first
_SYMBOL_SETS = ("restricted", "confirmed_splits")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the pre-trade checks. None switches a check off; the defaults are conservative.

    Parameters
    ----------
    max_order_notional : currency; maximum notional of one order
    max_order_quantity : shares; maximum quantity of one order
    max_position_ratio : fraction of NAV; maximum size of one position after its order
    max_gross : fraction of NAV; maximum gross exposure, longs and shorts added up, after the orders. ``"auto"`` is
        the ``max_gross`` that the plan was made with; orders without a plan may reach 1, and any gross exposure
        where ``allow_short`` is set. With ``"auto"``, nothing is checked where NAV cannot be computed. Enforced
        again before each order that raises it is sent, with working orders, at the prices at that time
    max_over_target : fraction by which an order may exceed what the target of its own row calls for; rows without
        a target are not checked
    max_adv_ratio : fraction of the average daily volume; a greater order is a warning. The volume, in shares, is a
        column ``adv`` or ``volume`` of the targets or the quotes
    max_total_notional : currency; maximum notional of all orders together; enforced again when they are sent
    max_day_notional : currency; maximum notional sent in one day, by all runs of the blotter. Orders of a basket
        file count from its export on, unless :meth:`~stocklean_exec.Blotter.resolve` closes them
    max_orders_per_minute : maximum number of orders sent in any sixty seconds
    price_collar : fraction; maximum distance of a limit through the market, and of the market from the previous
        close and from the decision price. Limit and decision price are compared again with the market at sending
    max_quote_age : seconds; a quote without a time is too old. ``"auto"`` is 60 s for the quotes of a broker's
        account state, whose age is measured by the broker's clock: older ones block in New York's regular session
        (Monday to Friday, 9:30 to 16:00, holidays included), and warn outside of it. Quotes given by hand, and
        those of the mock broker, have no age then. A number holds again for the quotes at sending
    max_spread_bps : basis points of the mid; a wider spread is a warning
    min_cash_after : currency; minimum cash after all orders and their fees
    allow_short : whether an order may result in a short position
    restricted : symbols that must not be traded
    confirmed_splits : symbols whose price or holding has changed by a split; a suspected split only warns there
    closed_market : what to do with a day order that would wait for its market to open, by the clock of the
        broker's market: ``"warn"``, ``"block"`` or ``"ignore"``. None warns, and blocks where no person is asked
        (``approve=`` a name in :func:`~stocklean_exec.rebalance`, and ``--yes``). Orders for an auction,
        ``outside_rth`` and ``GTC`` are meant to wait; one for an auction that takes no more orders is blocked,
        unless this is ``"ignore"``. Frames by hand are checked if this, or the time of the check, is named. What
        blocks holds again at sending, by the broker's clock; what warns does not stop what a person has approved
    duplicate_window : seconds; the same symbol, side and quantity within it is a suspected duplicate
    max_approval_age : seconds after which an approval expires
    max_initial_margin : currency; maximum initial margin of the account, for each order alone by the broker's
        preview (:func:`~stocklean_exec.preview_orders`), and for all orders together by the most that they may
        need (:func:`~stocklean_exec.plan_margin`): by their previews, and without one by Regulation T, which is
        noted. Where that is unknown, whatever may add margin is blocked
    min_excess_liquidity : currency; minimum equity with loan value less maintenance margin, in the same way

    Raises
    ------
    InputError
        A limit is not a number, or is below zero; ``restricted`` or ``confirmed_splits`` is not a list of symbols.

    Examples
    --------
    >>> Limits(max_order_notional=250_000, restricted={"GME"}).restricted
    frozenset({'GME'})
    """

    max_order_notional: float | None = None
    max_order_quantity: float | None = None
    max_position_ratio: float | None = None
    max_gross: float | Literal["auto"] | None = AUTO
    max_over_target: float | None = 0.10
    max_adv_ratio: float | None = 0.05
    max_total_notional: float | None = None
    max_day_notional: float | None = None
    max_orders_per_minute: float | None = None
    price_collar: float | None = 0.10
    max_quote_age: float | Literal["auto"] | None = AUTO
    max_spread_bps: float | None = 200.0
    min_cash_after: float | None = 0.0
    allow_short: bool = False
    restricted: frozenset[str] = frozenset()
    confirmed_splits: frozenset[str] = frozenset()
    closed_market: Literal["warn", "block", "ignore"] | None = None
    duplicate_window: float | None = 300.0
    max_approval_age: float | None = 3600.0
    max_initial_margin: float | None = None
    min_excess_liquidity: float | None = None

    def __post_init__(self) -> None:
        problems = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _SYMBOL_SETS:
                problems += self._take_symbols(field.name, value)
            elif field.name in _CHOICES:
                if value is not None and value not in _CHOICES[field.name]:
                    names = ", ".join(map(repr, _CHOICES[field.name]))
                    problems.append(Problem("limit_invalid", f"{field.name} {value!r} is none of {names}"))
            elif field.name == "allow_short":
                if not isinstance(value, bool):
                    problems.append(Problem("limit_invalid", f"allow_short {value!r} is not True or False"))
            elif value is not None and not (field.name in _MAY_BE_AUTO and value == AUTO):
                problems += self._take_number(field.name, value)
        if problems:
            raise InputError("limits", problems)

    def _take_number(self, name: str, value: object) -> list[Problem]:
        usable = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not usable or not math.isfinite(number := float(cast("float", value))):
            return [Problem("limit_invalid", f"{name} {value!r} is not a number")]
        if number < 0 and name not in ("min_cash_after", "min_excess_liquidity"):
            return [Problem("limit_invalid", f"{name} {value!r} is below 0")]
        if isinstance(value, np.generic):
            object.__setattr__(self, name, number)  # JSON has no NumPy numbers
        return []

    def _take_symbols(self, name: str, value: object) -> list[Problem]:
        """Normalise the symbols as those of orders, so that every spelling is matched."""
        if isinstance(value, str) or not isinstance(value, (Iterable, type(None))):
            # The letters of "GME" are symbols too: read as a list, they would restrict G, M and E.
            return [Problem("limit_invalid", f"{name} {value!r} is not a list of symbols")]
        symbols = list(value or ())
        if not all(isinstance(symbol, str) for symbol in symbols):
            return [Problem("limit_invalid", f"{name} {value!r} is not a list of symbols")]
        known: list[str] = []
        if symbols:
            validator = FrameValidator(POSITIONS, dict.fromkeys(symbols, 0.0), "quantity")
            known = validator.read_symbols()
            if validator.problems:
                return [Problem("limit_invalid", f"{name}: {problem.detail}") for problem in validator.problems]
        object.__setattr__(self, name, frozenset(known))
        return []

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Limits:
        """Make limits from a mapping, such as a TOML file; an unknown name is an error."""
        known = {field.name for field in fields(cls)}
        unknown = [Problem("limit_unknown", f"{name!r} is not a limit") for name in values if name not in known]
        if unknown:
            raise InputError("limits", unknown)
        return cls(**cast("dict[str, Any]", dict(values)))

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Read what :meth:`to_json` wrote.

        Examples
        --------
        >>> Limits.parse(Limits(max_day_notional=1e6).to_json()).max_day_notional
        1000000.0
        """
        return cls.of(json.loads(text))

    def to_json(self) -> str:
        """All limits by name as one JSON object."""
        return json.dumps(self.to_dict())

    def tightened(self, other: Limits | None) -> Limits:
        """Return the tighter of both, limit by limit; a limit that only one of them sets applies.

        A number applies rather than ``"auto"``, and ``"auto"`` rather than None.

        Examples
        --------
        >>> both = Limits(max_day_notional=1e6).tightened(Limits(max_day_notional=2e6, max_gross=1.0))
        >>> both.max_day_notional, both.max_gross
        (1000000.0, 1.0)
        """
        if other is None:
            return self
        chosen: dict[str, Any] = {
            "allow_short": self.allow_short and other.allow_short,
            "restricted": self.restricted | other.restricted,
            "confirmed_splits": self.confirmed_splits & other.confirmed_splits,
            "closed_market": max(self.closed_market, other.closed_market, key=_severity),
        }
        for name in (field.name for field in fields(self) if field.name not in chosen):
            given = [value for value in (getattr(self, name), getattr(other, name)) if value is not None]
            numbers = [value for value in given if value != AUTO]
            tightest = max if name in _GREATER_IS_TIGHTER else min
            chosen[name] = tightest(numbers, default=AUTO if given else None)
        return Limits(**chosen)

    def _repr_html_(self) -> str:
        return limits_card(self)

    def to_dict(self) -> dict[str, object]:
        """All limits by name, ready for JSON."""
        return asdict(self) | {name: sorted(getattr(self, name)) for name in _SYMBOL_SETS}

    @property
    def off(self) -> list[str]:
        """Names of the limits that are switched off."""
        off = [name for name in _CHOICES if getattr(self, name) == _CHOICES[name][0]]
        names = [field.name for field in fields(self) if field.name not in _CHOICES]
        return [name for name in names if getattr(self, name) is None] + off


def _severity(choice: str | None) -> float:
    """How strict a choice of ``closed_market`` is: None warns, and blocks where no person is asked."""
    names = _CHOICES["closed_market"]
    return names.index("warn") + 0.5 if choice is None else names.index(choice)


def limits_card(limits: Limits) -> str:
    """Return the card of limits: those in force, and which are switched off.

    Examples
    --------
    >>> from stocklean_exec.risk.limits import Limits
    >>> "250,000" in limits_card(Limits(max_order_notional=250_000))
    True
    """
    values = limits.to_dict()
    listed = {name: values.pop(name) for name in _SYMBOL_SETS}
    entries: list[tuple[object, object]] = [
        (name, value if isinstance(value, (bool, str)) else f"{value:,.10g}")
        for name, value in values.items()
        if value is not None
    ]
    entries += [(name, ", ".join(cast("list[str]", symbols)) or "none") for name, symbols in listed.items()]
    return card("Limits", entries=entries, note=f"off: {', '.join(limits.off)}" if limits.off else "")
