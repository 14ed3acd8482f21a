"""Previews of orders by the broker, compared with the limits on margin. Pure.

A preview holds for the order as it was previewed: after an edit of its quantity or limit the order needs another.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import warning_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stocklean_exec.risk.findings import Findings
    from stocklean_exec.risk.limits import Limits

__all__ = [
    "AccountMargin",
    "MarginPreview",
    "account_before",
    "check_margins",
    "current_previews",
    "note_assumptions",
    "read_previews",
]

_NUMBERS = (
    "quantity",
    "limit_price",
    "initial_margin_after",
    "excess_liquidity_after",
    "initial_margin_before",
    "maintenance_margin_after",
    "maintenance_margin_before",
    "excess_liquidity_before",
    "commission",
)
_NEEDED = ("client_order_id", *_NUMBERS, "preview", "commission_currency", "message", "previewed_at")


_BAND = 0.05
"""Part by which initial margin may have moved since a preview for it to be of the same account. A stated choice,
as for NAV and holdings: prices move margin by a few percent on a wild day, trades by more."""
_CENTS = 0.02  # two amounts that are rounded to cents


class AccountMargin(NamedTuple):
    """Margin of an account, in its base currency; NaN where it is not known.

    Examples
    --------
    >>> AccountMargin(5_000.0, 2_500.0, 10_000.0).excess_liquidity
    7500.0
    """

    initial_margin: float = math.nan
    maintenance_margin: float = math.nan
    equity_with_loan: float = math.nan

    @property
    def excess_liquidity(self) -> float:
        """Equity with loan value less maintenance margin: below zero, positions are liquidated."""
        return round(self.equity_with_loan - self.maintenance_margin, 6)

    def to_dict(self) -> dict[str, float]:
        """All four figures by name."""
        return {**self._asdict(), "excess_liquidity": self.excess_liquidity}


class MarginPreview(NamedTuple):
    """What the broker said of one order: its terms then, the account before and after it, or its refusal.

    None is what was not said. ``at`` is when, in seconds since 1970.
    """

    quantity: float
    limit_price: float | None
    initial_margin: float | None
    excess_liquidity: float | None
    refusal: str
    initial_margin_before: float | None = None
    maintenance_margin: float | None = None
    maintenance_margin_before: float | None = None
    excess_liquidity_before: float | None = None
    commission: float | None = None
    commission_currency: str | None = None
    at: float | None = None

    @property
    def terms(self) -> tuple[float, float]:
        """Quantity and limit that were previewed; NaN without a limit."""
        return self.quantity, _number(self.limit_price)

    @property
    def before(self) -> AccountMargin:
        """The account before the order."""
        maintenance = _number(self.maintenance_margin_before)
        equity = _number(self.excess_liquidity_before) + maintenance
        return AccountMargin(_number(self.initial_margin_before), maintenance, equity)

    def is_of(self, account: AccountMargin) -> bool:
        """Whether the account still has about the initial margin that it had; True where that is not known.

        Examples
        --------
        >>> preview = MarginPreview(10.0, None, 1_500.0, 8_249.0, "", 1_000.0)
        >>> preview.is_of(AccountMargin(1_040.0)), preview.is_of(AccountMargin(0.0))
        (True, False)
        """
        before, now = self.before.initial_margin, account.initial_margin
        return not abs(before - now) > max(_BAND * max(before, now), _CENTS)

    @property
    def changes(self) -> tuple[float, float, float]:
        """Initial and maintenance margin that the order adds, negative for less, and equity that it takes.

        Examples
        --------
        >>> MarginPreview(10.0, None, 1_500.0, 8_249.0, "", 1_000.0, 750.0, 500.0, 8_500.0).changes
        (500.0, 250.0, 1.0)
        """
        maintenance = _number(self.maintenance_margin)
        before = self.before
        equity = _number(self.excess_liquidity) + maintenance
        return (
            round(_number(self.initial_margin) - before.initial_margin, 6),
            round(maintenance - before.maintenance_margin, 6),
            round(before.equity_with_loan - equity, 6),
        )


def read_previews(previews: object) -> dict[str, MarginPreview]:
    """Answers by client order id, from the table of :func:`~stocklean_exec.preview_orders`; None for no table.

    Raises
    ------
    InputError
        It is not such a table.

    Examples
    --------
    >>> read_previews(None)
    {}
    """
    if previews is None:
        return {}
    missing = [name for name in _NEEDED if name not in getattr(previews, "columns", ())]
    if not isinstance(previews, pd.DataFrame) or missing:
        text = f"not a table of preview_orders: {', '.join(missing) or type(previews).__name__} is missing"
        raise InputError("previews", [Problem("previews_invalid", text)])
    answered = previews[previews["preview"].isin(["ok", "refused"])]
    rows = zip(*(answered[name].tolist() for name in _NEEDED), strict=True)
    return {str(row[0]): _preview_of(dict(zip(_NEEDED, row, strict=True))) for row in rows}


def _preview_of(row: dict[str, object]) -> MarginPreview:
    number = {name: _known(row[name]) for name in _NUMBERS}
    currency, at = row["commission_currency"], row["previewed_at"]
    return MarginPreview(
        quantity=_number(number["quantity"]),
        limit_price=number["limit_price"],
        initial_margin=number["initial_margin_after"],
        excess_liquidity=number["excess_liquidity_after"],
        refusal=_refusal(row["preview"], row["message"]),
        initial_margin_before=number["initial_margin_before"],
        maintenance_margin=number["maintenance_margin_after"],
        maintenance_margin_before=number["maintenance_margin_before"],
        excess_liquidity_before=number["excess_liquidity_before"],
        commission=number["commission"],
        commission_currency=currency if isinstance(currency, str) else None,
        at=at.timestamp() if isinstance(at, datetime) and not pd.isna(at) else None,
    )


def account_before(reported: AccountMargin, previews: Mapping[str, MarginPreview]) -> AccountMargin:
    """The account now: as its state reports it, else as the latest preview has it, figure by figure.

    Examples
    --------
    >>> preview = MarginPreview(10.0, None, 1_500.0, 8_249.0, "", 1_000.0, 750.0, 500.0, 8_500.0)
    >>> account_before(AccountMargin(equity_with_loan=9_100.0), {"r-SPY-BUY": preview})[:]
    (1000.0, 500.0, 9100.0)
    """
    latest = max(previews.values(), key=lambda one: one.at or -math.inf, default=None)
    if latest is None:
        return reported
    return AccountMargin(
        *(old if math.isnan(new) else new for new, old in zip(reported, latest.before, strict=True))
    )


def current_previews(
    ids: list[str],
    quantity: NDArray[np.float64],
    limit_price: NDArray[np.float64],
    previews: Mapping[str, MarginPreview],
    account: AccountMargin,
) -> list[MarginPreview | None]:
    """The preview of each order as it is, in the account as it is; None without one.

    One of an order that was edited since, or would be refused, or of an account that has traded since, is none.
    """
    if not previews:
        return [None] * len(ids)
    rows = zip(ids, quantity.tolist(), limit_price.tolist(), strict=True)
    return [
        found
        if (found := previews.get(name)) is not None
        and not found.refusal
        and _same(found.terms, terms)
        and found.is_of(account)
        else None
        for name, *terms in rows
    ]


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one, other, strict=True))


def check_margins(
    findings: Findings,
    ids: list[str],
    quantity: NDArray[np.float64],
    limit_price: NDArray[np.float64],
    limits: Limits,
    previews: Mapping[str, MarginPreview],
    account: AccountMargin,
) -> None:
    """Compare the preview of each order alone with ``max_initial_margin`` and ``min_excess_liquidity``.

    An order that the broker would refuse is blocked. One that was edited since its preview, or whose account has
    traded since, or whose margin the broker did not say, is a warning. ``account`` is the account now.
    """
    if not previews or not ids:
        return
    found = [previews.get(name) for name in ids]
    terms = np.array([(math.nan, math.nan) if one is None else one.terms for one in found])
    is_previewed = np.array([one is not None for one in found], dtype=bool)
    same_limit = (terms[:, 1] == limit_price) | (np.isnan(terms[:, 1]) & np.isnan(limit_price))
    same_account = np.array([one is None or one.is_of(account) for one in found], dtype=bool)
    is_current = is_previewed & (terms[:, 0] == quantity) & same_limit & same_account
    findings.warn("preview_outdated", is_previewed & ~is_current & (quantity > 0), math.nan, terms[:, 0])
    refused = np.array([bool(one and one.refusal) for one in found], dtype=bool)
    findings.block("preview_refused", is_current & refused, math.nan, math.nan)
    margin = np.array([math.nan if one is None else _number(one.initial_margin) for one in found])
    excess = np.array([math.nan if one is None else _number(one.excess_liquidity) for one in found])
    answered, unknown = is_current & ~refused, np.zeros(len(ids), dtype=bool)
    with np.errstate(invalid="ignore"):
        if limits.max_initial_margin is not None:
            over = answered & (margin > limits.max_initial_margin)
            findings.block("max_initial_margin", over, limits.max_initial_margin, margin)
            unknown |= answered & np.isnan(margin)
        if limits.min_excess_liquidity is not None:
            under = answered & (excess < limits.min_excess_liquidity)
            findings.block("min_excess_liquidity", under, limits.min_excess_liquidity, excess)
            unknown |= answered & np.isnan(excess)
    findings.warn("margin_unknown", unknown, math.nan, math.nan)


def note_assumptions(
    limits: Limits,
    before: AccountMargin,
    coverage: tuple[int, int, float | None],
    unpriced: list[str],
    *,
    assumes: bool,
) -> list[dict[str, object]]:
    """Note once what the comparison of all orders together with the limits on margin rests on.

    Parameters
    ----------
    before : margin of the account now
    coverage : number of orders, of those with a preview, and the time of the oldest
    unpriced : symbols whose margin is not known for lack of a price or an exchange rate
    assumes : whether any order adds margin that no preview tells
    """
    needed = {"max_initial_margin": before.initial_margin, "min_excess_liquidity": before.excess_liquidity}
    limited = [name for name in needed if getattr(limits, name) is not None]
    orders, previewed, _ = coverage
    unknown = [name for name in limited if math.isnan(needed[name])]
    if not orders or not limited:
        return []
    if unpriced and not unknown:
        text = (
            f"no price or exchange rate of working orders in {', '.join(unpriced)}, so what the plan needs of "
            "margin is UNKNOWN, and what may add to it is blocked; cancel them, or give quotes of them"
        )
        return [warning_row("margin_unknown", text, table="open_orders")]
    if unknown:
        text = (
            f"the account's margin is not known, so what the plan needs is UNKNOWN and {' and '.join(unknown)} "
            "block what may add to it; give check_orders the broker's account state"
        )
        return [warning_row("margin_unknown", text, table="orders")]
    if assumes:
        text = (
            f"{previewed} of {orders} orders have a preview of their margin; the others, and working orders, "
            "count with what Regulation T asks, which the broker's house margin may exceed. check_orders("
            "previews=sx.preview_orders(orders, broker)) asks the broker"
        )
        return [warning_row("margin_assumed", text, table="orders")]
    return []


def _refusal(outcome: object, message: object) -> str:
    if outcome != "refused":
        return ""
    return str(message) if isinstance(message, str) and message else "refused"


def _known(value: object) -> float | None:
    return None if value is None or pd.isna(value) else float(value)  # type: ignore[arg-type, call-overload] # a cell


def _number(value: float | None) -> float:
    return math.nan if value is None else value
