"""The limits that orders are checked against, as one immutable object.

Values are in the currency of the account, ratios are fractions of NAV. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import FrameValidator
from stocklean_exec.schema.html_card import card
from stocklean_exec.schema.tables import POSITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits", "limits_card"]

_GREATER_IS_TIGHTER = frozenset({"min_cash_after", "duplicate_window"})


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the pre-trade checks. None switches a check off; the defaults are conservative.

    Parameters
    ----------
    max_order_notional : currency; maximum notional of one order
    max_order_quantity : shares; maximum quantity of one order
    max_position_ratio : fraction of NAV; maximum size of one position after its order
    max_gross : fraction of NAV; maximum gross exposure, longs and shorts added up, after the orders
    max_total_notional : currency; maximum notional of all orders together; enforced again when they are sent
    max_day_notional : currency; maximum notional sent in one day, by all runs of the blotter
    max_orders_per_minute : maximum number of orders sent in any sixty seconds
    price_collar : fraction; maximum distance of a limit through the market, and of the market from the previous
        close and from the decision price
    max_quote_age : seconds
    max_spread_bps : basis points of the mid; a wider spread is a warning
    min_cash_after : currency; minimum cash after all orders and their fees
    allow_short : whether an order may result in a short position
    restricted : symbols that must not be traded
    duplicate_window : seconds; the same symbol, side and quantity within it is a suspected duplicate
    max_approval_age : seconds after which an approval expires

    Raises
    ------
    InputError
        A limit is not a number, or is below zero; ``restricted`` is not a list of symbols.

    Examples
    --------
    >>> Limits(max_order_notional=250_000, restricted={"GME"}).restricted
    frozenset({'GME'})
    """

    max_order_notional: float | None = None
    max_order_quantity: float | None = None
    max_position_ratio: float | None = None
    max_gross: float | None = None
    max_total_notional: float | None = None
    max_day_notional: float | None = None
    max_orders_per_minute: float | None = None
    price_collar: float | None = 0.10
    max_quote_age: float | None = None
    max_spread_bps: float | None = 200.0
    min_cash_after: float | None = 0.0
    allow_short: bool = False
    restricted: frozenset[str] = frozenset()
    duplicate_window: float | None = 300.0
    max_approval_age: float | None = 3600.0

    def __post_init__(self) -> None:
        problems = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "restricted":
                problems += self._take_restricted(value)
            elif field.name == "allow_short":
                if not isinstance(value, bool):
                    problems.append(Problem("limit_invalid", f"allow_short {value!r} is not True or False"))
            elif value is not None:
                problems += self._take_number(field.name, value)
        if problems:
            raise InputError("limits", problems)

    def _take_number(self, name: str, value: object) -> list[Problem]:
        usable = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not usable or not math.isfinite(number := float(cast("float", value))):
            return [Problem("limit_invalid", f"{name} {value!r} is not a number")]
        if number < 0 and name != "min_cash_after":
            return [Problem("limit_invalid", f"{name} {value!r} is below 0")]
        if isinstance(value, np.generic):
            object.__setattr__(self, name, number)  # JSON has no NumPy numbers
        return []

    def _take_restricted(self, value: object) -> list[Problem]:
        """Normalise the symbols as those of orders, so that every spelling is matched."""
        if isinstance(value, str) or not isinstance(value, (Iterable, type(None))):
            # The letters of "GME" are symbols too: read as a list, they would restrict G, M and E.
            return [Problem("limit_invalid", f"restricted {value!r} is not a list of symbols")]
        symbols = list(value or ())
        if not all(isinstance(symbol, str) for symbol in symbols):
            return [Problem("limit_invalid", f"restricted {value!r} is not a list of symbols")]
        validator = FrameValidator(POSITIONS, dict.fromkeys(symbols, 0.0), "quantity")
        known = validator.read_symbols()
        if validator.problems:
            return [Problem("limit_invalid", f"restricted: {problem.detail}") for problem in validator.problems]
        object.__setattr__(self, "restricted", frozenset(known))
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
        }
        for name in (field.name for field in fields(self) if field.name not in chosen):
            given = [value for value in (getattr(self, name), getattr(other, name)) if value is not None]
            tightest = max if name in _GREATER_IS_TIGHTER else min
            chosen[name] = tightest(given, default=None)
        return Limits(**chosen)

    def _repr_html_(self) -> str:
        return limits_card(self)

    def to_dict(self) -> dict[str, object]:
        """All limits by name, ready for JSON."""
        return {**asdict(self), "restricted": sorted(self.restricted)}


def limits_card(limits: Limits) -> str:
    """Return the card of limits: those in force, and which are switched off.

    Examples
    --------
    >>> from stocklean_exec.risk.limits import Limits
    >>> "250,000" in limits_card(Limits(max_order_notional=250_000))
    True
    """
    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    restricted = values.pop("restricted")
    off = [name for name, value in values.items() if value is None]
    entries: list[tuple[object, object]] = [
        (name, value if isinstance(value, bool) else f"{value:,.10g}")
        for name, value in values.items()
        if value is not None
    ]
    entries.append(("restricted", ", ".join(sorted(restricted)) or "none"))
    return card("Limits", entries=entries, note=f"off: {', '.join(off)}" if off else "")
