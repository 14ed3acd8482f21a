"""The limits that orders are held against, as one immutable object.

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
    """What the checks hold orders against. None switches a check off; the defaults are on the safe side.

    Parameters
    ----------
    max_order_notional : currency; most that one order may be worth
    max_order_quantity : shares; most that one order may ask for
    max_position_ratio : fraction of NAV; most that one position may be after its order
    max_gross : fraction of NAV; most that all positions, longs and shorts added up, may be after the orders
    max_total_notional : currency; most that all orders together may be worth; counted once more as they leave
    max_day_notional : currency; most that may leave in one day, by all runs of the blotter
    max_orders_per_minute : most orders that may leave in any sixty seconds
    price_collar : fraction; how far a limit may reach through the market, and how far the market may be from
        the previous close and from the decision price
    max_quote_age : seconds
    max_spread_bps : basis points of the mid; a wider market is a warning
    min_cash_after : currency; cash left once the sells have paid for the buys and their fees
    allow_short : whether an order may leave a short position
    restricted : symbols that must not be traded
    duplicate_window : seconds; the same symbol, side and quantity again within it is taken for a mistake
    max_approval_age : seconds after which an approval no longer counts

    Raises
    ------
    InputError
        A limit that is no number, or below zero; ``restricted`` that is no list of symbols.

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
            object.__setattr__(self, name, number)  # JSON cannot spell a NumPy number
        return []

    def _take_restricted(self, value: object) -> list[Problem]:
        """Spell the symbols as orders spell them, so that none slips through under another spelling."""
        if isinstance(value, str) or not isinstance(value, (Iterable, type(None))):
            # The letters of "GME" are symbols too: taken as a list, they would bar G, M and E.
            return [Problem("limit_invalid", f"restricted {value!r} is not a list of symbols")]
        symbols = list(value or ())
        if not all(isinstance(symbol, str) for symbol in symbols):
            return [Problem("limit_invalid", f"restricted {value!r} is not a list of symbols")]
        door = FrameValidator(POSITIONS, dict.fromkeys(symbols, 0.0), "quantity")
        known = door.read_symbols()
        if door.problems:
            return [Problem("limit_invalid", f"restricted: {problem.detail}") for problem in door.problems]
        object.__setattr__(self, "restricted", frozenset(known))
        return []

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Limits:
        """Make limits from a mapping, such as a TOML file; an unknown name is an error, not a lost limit."""
        known = {field.name for field in fields(cls)}
        unknown = [Problem("limit_unknown", f"{name!r} is no limit") for name in values if name not in known]
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
        """Return the tighter of both, limit by limit; one that only one of them sets holds.

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
