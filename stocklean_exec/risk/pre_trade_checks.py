"""Pre-trade checks: each order against the limits, before a person sees it.

Every check gives each order a verdict: ``pass``, ``warn`` or ``block``, with the limit and the value it was held
against. A blocked order cannot be approved; nothing here changes an order. The rules themselves are in
:mod:`~stocklean_exec.risk.rules`, the limits in :mod:`~stocklean_exec.risk.limits`; here is the door: it gathers
what orders are checked against, and remembers it, so that an edited plan is held against the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import pandas as pd

from stocklean_exec import clock
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.alignment import parse_nav
from stocklean_exec.risk.findings import VERDICTS, Findings, check_results
from stocklean_exec.risk.limits import Limits
from stocklean_exec.risk.rules import FOREIGN, UNFINISHED, CheckContext, OrderArrays, judge
from stocklean_exec.schema.inputs import parse_positions, parse_quotes
from stocklean_exec.schema.order_input import parse_orders
from stocklean_exec.schema.prices import PRICE_FIELDS, is_usable

if TYPE_CHECKING:
    from datetime import datetime

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.risk.rules import Market, Sent

__all__ = [
    "CHECK_CONTEXT",
    "Limits",
    "PlanCheck",
    "check_orders",
    "check_results",
    "recheck_orders",
    "remembered_check",
    "unsent_orders",
]

CHECK_CONTEXT = "check_context"
"""Key in a checked frame's ``attrs`` under which what it was checked against is kept, as JSON."""

_DELAYED = (3, 4, "delayed")  # TWS's numbers of delayed market data, and their name
_NAMES = np.array(VERDICTS)


class _HasHalt(Protocol):
    @property
    def halted(self) -> str | None: ...


def check_orders(
    orders: object,
    limits: Limits | None = None,
    *,
    positions: object = None,
    quotes: object = None,
    cash: float | None = None,
    nav: float | None = None,
    blotter: Blotter | _HasHalt | None = None,
    now: datetime | None = None,
    base_currency: str = "USD",
) -> pd.DataFrame:
    """Hold each order against ``limits``.

    Parameters
    ----------
    orders : from :func:`~stocklean_exec.plan_orders`, or hand-made
    limits : by default ``Limits()``
    positions : what is held now
    quotes : the market now; by default each order's own decision price
    cash : in the account; needed unless ``min_cash_after`` is None
    nav : needed for ratios; by default cash and positions at the market
    blotter : a halted one blocks everything; its recent orders are looked at for duplicates, and its unfinished
        runs for orders in the same symbols that were not sent yet (``unfinished_run``, a warning)
    now : the time for ages; by default the clock's
    base_currency : what cash, NAV and limits are in. An order or a quote in another currency is blocked
        (``currency_unsupported``), and a holding in one is an error: rates are not taken into account yet

    Returns
    -------
    DataFrame: ``orders`` with

    =======  ===============================================================================
    verdict  ``pass``, ``warn`` or ``block``: the worst of the order's checks
    reasons  codes of the checks that warn or block, worst first, separated by ", "
    checks   JSON: check -> [verdict, limit, value]; :func:`check_results` makes a table of it
    limits   JSON: the limits; they belong to the approved plan, and are kept as its orders leave
    =======  ===============================================================================

    Raises
    ------
    InputError
        A frame cannot be used, or a limit needs a number that was not given.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "run_id": "run-1", "symbol": ["SPY", "TLT"], "side": "BUY", "quantity": [10, 1000],
    ...     "order_type": "MKT",
    ... })
    >>> checked = check_orders(
    ...     orders, Limits(max_order_notional=50_000), quotes={"SPY": 400.0, "TLT": 90.0}, cash=100_000
    ... )
    >>> checked[["symbol", "verdict", "reasons"]]
      symbol verdict       reasons
    0    SPY    pass           NaN
    1    TLT   block  max_notional
    """
    limits = limits or Limits()
    frame = parse_orders(orders)
    held, market = parse_positions(positions), parse_quotes(quotes)
    stamp = (now or clock.now()).timestamp()
    _refuse_foreign(held, base_currency)
    recorded = _recorded(blotter)
    context = CheckContext(
        positions=dict(zip(held["symbol"].tolist(), held["quantity"].tolist(), strict=True)),
        quotes=_quotes_by_symbol(market),
        given_quotes=quotes is not None,
        cash=math.nan if cash is None else _cash(cash),
        nav=math.nan if nav is None else parse_nav(nav),
        now=stamp,
        halted=None if blotter is None else blotter.halted,
        recent=_recent_orders(recorded, stamp, limits.duplicate_window),
        flags=_flags(market, unsent_orders(recorded, set(frame["run_id"])), base_currency),
        base_currency=base_currency,
    )
    return _checked(frame, limits, context)


def recheck_orders(orders: pd.DataFrame) -> pd.DataFrame:
    """Check again against what ``orders`` was checked against before: used after an edit.

    Raises
    ------
    InputError
        The frame no longer remembers its check; call :func:`check_orders` again.
    """
    limits, context = remembered_check(orders)
    plain = orders.drop(columns=["verdict", "reasons", "checks", "limits"], errors="ignore")
    return _checked(parse_orders(plain), limits, context)


def remembered_check(orders: pd.DataFrame) -> tuple[Limits, CheckContext]:
    """Limits and context that ``orders`` was checked against.

    Raises
    ------
    InputError
        The frame no longer remembers its check; call :func:`check_orders` again.
    """
    text = orders.attrs.get(CHECK_CONTEXT)
    if not isinstance(text, str):
        problem = Problem("not_checked", "this frame was not checked; call check_orders first")
        raise InputError("orders", [problem])
    stored = json.loads(text)
    return Limits.of(stored["limits"]), CheckContext.from_json(stored["context"])


@dataclass(frozen=True, slots=True, eq=False)
class PlanCheck:
    """A plan's check as it stands: what it was held against, its orders as the rules see them, what they found.

    It is for an edit that a person waits for: what an edit cannot change was read once, and :meth:`edited` finds
    what :func:`recheck_orders` would, much sooner. Only for frames of :func:`check_orders` whose changed rows went
    through the door again.
    """

    limits: Limits
    context: CheckContext
    asked: OrderArrays
    findings: Findings

    @classmethod
    def of(cls, orders: pd.DataFrame) -> PlanCheck:
        """Hold checked ``orders`` against what they were checked against before.

        Raises
        ------
        InputError
            The frame no longer remembers its check; call :func:`check_orders` again.
        """
        limits, context = remembered_check(orders)
        return cls.against(orders, limits, context)

    @classmethod
    def against(cls, orders: pd.DataFrame, limits: Limits, context: CheckContext) -> PlanCheck:
        """Hold canonical ``orders`` against ``limits``."""
        asked = OrderArrays.of(orders, context)
        return cls(limits, context, asked, judge(asked, limits, context))

    def edited(self, orders: pd.DataFrame) -> PlanCheck:
        """Hold the same orders, of which quantities and limits were edited, against the same as before."""
        quantity, limit = (orders[name].to_numpy() for name in ("quantity", "limit_price"))
        asked = self.asked.edited(quantity, limit)
        return replace(self, asked=asked, findings=judge(asked, self.limits, self.context))

    def mark(self, orders: pd.DataFrame) -> None:
        """Write ``verdict`` and ``reasons`` into ``orders``; ``checks`` is written when somebody asks for it.

        ``notional`` becomes that of the quantity, at the decision price or else the price of the check: caps on
        value count it as orders leave.
        """
        asked = self.asked
        price = np.where(is_usable(asked.decision), asked.decision, asked.price)
        known = ~asked.refused & ~np.isnan(price)
        value = np.round(asked.quantity * np.nan_to_num(price), 8)
        orders["notional"] = np.where(known, value, orders["notional"].to_numpy(dtype="float64"))
        orders["verdict"] = pd.array(_NAMES[self.findings.worst], dtype="str")
        orders["reasons"] = pd.array(self.findings.reasons(), dtype="str")


def _checked(frame: pd.DataFrame, limits: Limits, context: CheckContext) -> pd.DataFrame:
    check = PlanCheck.against(frame, limits, context)
    check.mark(frame)
    frame["checks"] = pd.array(check.findings.as_json(), dtype="str")
    frame["limits"] = pd.array([limits.to_json()] * len(frame), dtype="str")
    frame.attrs[CHECK_CONTEXT] = json.dumps({"limits": limits.to_dict(), "context": context.to_json()})
    return frame


def _cash(cash: object) -> float:
    """Cash as a float; below zero is a debit balance."""
    usable = isinstance(cash, (int, float, np.integer, np.floating)) and not isinstance(cash, bool)
    if not usable or not math.isfinite(amount := float(cast("float", cash))):
        raise InputError("cash", [Problem("cash_missing", f"cash {cash!r} is not an amount of money")])
    return amount


def _quotes_by_symbol(quotes: pd.DataFrame) -> dict[str, Market]:
    times = quotes["quoted_at"].astype("int64").where(quotes["quoted_at"].notna()) / 1e6
    columns = [quotes[name].tolist() for name in PRICE_FIELDS]
    return dict(zip(quotes["symbol"].tolist(), zip(*columns, times.tolist(), strict=True), strict=True))


def unsent_orders(recorded: pd.DataFrame, run_ids: set[str]) -> pd.DataFrame:
    """Approved orders of other runs than ``run_ids`` that are on record and were not sent yet."""
    if recorded.empty:
        return recorded
    waiting = (recorded["state"] == "INTENT") & recorded["approved"].fillna(value=False).astype("bool")
    return recorded[waiting & ~recorded["run_id"].isin(run_ids)]


def _refuse_foreign(held: pd.DataFrame, base_currency: str) -> None:
    """Refuse holdings in another currency than cash, NAV and limits are in: what they are worth is not known."""
    foreign = held[(held["quantity"] != 0) & held["currency"].notna() & (held["currency"] != base_currency)]
    if len(foreign):
        text = f"and cash, NAV and limits are in {base_currency}; check_orders takes no rates yet"
        raise InputError(
            "positions",
            [
                Problem("currency_unsupported", f"{symbol} is held in {currency}, {text}", symbol=symbol)
                for symbol, currency in foreign[["symbol", "currency"]].itertuples(index=False)
            ],
        )


def _flags(quotes: pd.DataFrame, unsent: pd.DataFrame, base_currency: str) -> dict[str, list[str]]:
    """What market data may say about a symbol besides prices, in columns of its own, and what the record says."""
    found: dict[str, list[str]] = {}
    for symbol in dict.fromkeys(unsent["symbol"].tolist() if len(unsent) else ()):
        found.setdefault(symbol, []).append(UNFINISHED)
    for symbol in quotes.loc[quotes["currency"].notna() & (quotes["currency"] != base_currency), "symbol"]:
        found.setdefault(symbol, []).append(FOREIGN)
    if "halted" in quotes.columns:
        for symbol in quotes.loc[quotes["halted"].fillna(value=False).astype(bool), "symbol"]:
            found.setdefault(symbol, []).append("symbol_halted")
    if "data_type" in quotes.columns:
        for symbol in quotes.loc[quotes["data_type"].isin(_DELAYED), "symbol"]:
            found.setdefault(symbol, []).append("delayed_price")
    return found


def _recorded(blotter: object) -> pd.DataFrame:
    """Orders on record; none without a blotter."""
    orders = getattr(blotter, "orders", None)
    return pd.DataFrame() if orders is None else orders()


def _recent_orders(known: pd.DataFrame, now: float, window: float | None) -> list[Sent]:
    if window is None or known.empty:
        return []
    dead = known["status"].isin(["CANCELLED", "REJECTED"]) & (known["filled_quantity"] == 0)
    known = known[known["arrived_at"].notna() & ~dead]  # what died without a fill may be ordered again
    sent_at = (known["arrived_at"].astype("int64") / 1e6).tolist()
    asked = [known[name].tolist() for name in ("client_order_id", "symbol", "side", "quantity")]
    return [row for row in zip(*asked, sent_at, strict=True) if now - row[-1] <= window]
