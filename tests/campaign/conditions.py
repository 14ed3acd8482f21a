"""What accounts, contracts, messages and people are like besides faults: conditions of a run, and what must hold.

They cost no order and need no crash, so the campaign does not draw them; ``--also`` asks for one. Each has its row
in the table of safeguards. Pure.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.exchange.contracts import make_contract

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from tests.campaign.plans import Plan

__all__ = ["CONDITIONS", "HIDDEN_BY_PLAIN_VENUE", "RATE", "broken_conditions"]

RATE = 7.8
"""Base currency (HKD) per dollar of an account that is not kept in dollars: 1983's peg, rounded."""
REFUSAL = 10268
"""A code of TWS that is in no table of ours."""
HIDDEN_BY_PLAIN_VENUE = {"unreadable_report"}
"""Conditions that end when the faults do."""

_ALWAYS = 100_000  # times: more messages than a run has
_NOT_KNOWN = "20221229 10:00:00 JST"
_CHANGED = 0.9  # of the limit on record
_NARROW = 2.0  # times the largest order in dollars: by the rate most orders are over it


# -- what they are ---------------------------------------------------------------------------------------------


def _edit(plan: Plan, message: str, fields: dict[str, str], **more: object) -> None:
    """Let the venue change fields of each message of a kind."""
    fault = {"on": message, "do": "edit", "set": fields, "times": _ALWAYS} | more
    plan.scenario.setdefault("fault", []).append(fault)


def _script(plan: Plan, name: str, steps: list[dict[str, Any]]) -> None:
    """Give the first order another script."""
    symbol = plan.orders[0]["symbol"]
    entries = [one for one in plan.scenario["order"] if one["symbol"] != symbol]
    plan.scenario["order"] = [*entries, {"symbol": symbol, "steps": steps}]
    plan.scripts[0] = name


def _busted_at_the_end(plan: Plan, rng: random.Random) -> None:
    wait = {"wait": round(rng.uniform(0.02, 0.2), 3)}
    _script(plan, "busted_at_the_end", [{"fill": "rest"}, wait, {"bust": True}])


def _refused_by_a_code(plan: Plan, _: random.Random) -> None:
    _script(plan, "refused_by_a_code", [{"reject": REFUSAL}])


def _unknown_zone(plan: Plan, _: random.Random) -> None:
    _edit(plan, "execDetails", {"time": _NOT_KNOWN})


def _unreadable_report(plan: Plan, _: random.Random) -> None:
    _edit(plan, "execDetails", {"shares": "many"})


def _other_midnight(plan: Plan, _: random.Random) -> None:
    plan.other_midnight, plan.reconciled_by = True, 7


def _position_twice(plan: Plan, _: random.Random) -> None:
    fault = {"on": "position", "do": "duplicate", "times": _ALWAYS}
    plan.scenario.setdefault("fault", []).append(fault)
    plan.reconciled_by = 7


def _limit_changed(plan: Plan, _: random.Random) -> None:
    order = plan.orders[0]
    bid, ask = _quote(order)
    limit = round(1.01 * ask if order["side"] == "BUY" else 0.99 * bid, 2)
    order |= {"order_type": "LMT", "limit_price": limit}
    _script(plan, "left_open", [{"rest": True}, {"fill": "half"}])
    _edit(plan, "openOrder", {"lmtPrice": f"{_CHANGED * limit:.2f}"}, symbol=order["symbol"])
    plan.reconciled_by = 7


def _wrong_contract(plan: Plan, _: random.Random) -> None:
    plan.orders[0]["con_id"] = make_contract(plan.orders[1]["symbol"]).con_id


def _other_base_currency(plan: Plan, _: random.Random) -> None:
    plan.base_currency = "HKD"


def _limit_in_base_currency(plan: Plan, _: random.Random) -> None:
    plan.base_currency, plan.rate = "HKD", RATE
    plan.limits["max_order_notional"] = _NARROW * max(map(_dollars, plan.orders))


def _old_quotes(plan: Plan, _: random.Random) -> None:
    plan.has_old_quotes = True
    plan.limits["max_quote_age"] = 60.0


def _waits_for_client_id(plan: Plan, rng: random.Random) -> None:
    plan.scenario.setdefault("switches", {})["client_id_linger"] = round(rng.uniform(3.5, 4.5), 3)
    for worker in plan.workers:
        worker["waits"] = True


CONDITIONS: dict[str, Callable[[Plan, random.Random], None]] = {
    "busted_at_the_end": _busted_at_the_end,
    "refused_by_a_code": _refused_by_a_code,
    "unknown_zone": _unknown_zone,
    "unreadable_report": _unreadable_report,
    "other_midnight": _other_midnight,
    "position_twice": _position_twice,
    "limit_changed": _limit_changed,
    "wrong_contract": _wrong_contract,
    "other_base_currency": _other_base_currency,
    "limit_in_base_currency": _limit_in_base_currency,
    "old_quotes": _old_quotes,
    "waits_for_client_id": _waits_for_client_id,
}
"""By name, how a plan gets it: an execution is withdrawn when its order has ended; an order is refused by a code
that is in no table; executions are dated in a zone that nobody knows; reports of them can never be read; TWS's day
begins while New York's goes on, and then the run is reconciled; positions are reported twice; a person changes the
limit of a working order; an order names the contract of another symbol; the account is kept in another currency
than the plan, or the plan knows its rate and has a limit; quotes are last trades of another day; and a connection
is to wait until the client id of a killed worker is free."""


def _quote(order: dict[str, Any]) -> tuple[float, float]:
    from tests.campaign.plans import QUOTES  # noqa: PLC0415 - the plans import this module

    return QUOTES[order["symbol"]][:2]


def _dollars(order: dict[str, Any]) -> float:
    """Value of an order at the mid."""
    return float(order["quantity"]) * sum(_quote(order)) / 2


# -- what must hold --------------------------------------------------------------------------------------------


def broken_conditions(
    plan: Plan,
    journal: Sequence[dict[str, Any]],
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    changes: Sequence[dict[str, int]],
) -> list[str]:
    """What must not be under the conditions of a run; ``changes`` are the kinds of rows of its reconciliations.

    Examples
    --------
    >>> import pandas as pd
    >>> from tests.campaign.plans import Plan
    >>> order = {"symbol": "KO", "side": "BUY", "quantity": 10.0}
    >>> plan = Plan(1, orders=[order], scripts=["market"], faults=["other_base_currency"])
    >>> sent = {"event": "order", "order_ref": "c1-KO-BUY", "symbol": "KO", "quantity": 10.0, "con_id": 5}
    >>> nothing = pd.DataFrame(columns=["exec_id", "client_order_id", "status", "reason"])
    >>> broken_conditions(plan, [sent], nothing, nothing, [])
    ["c1-KO-BUY was accepted, and is counted in another currency than the account's"]
    >>> broken_conditions(plan, [], nothing, nothing, [])
    []
    """
    accepted = [row for row in journal if row["event"] == "order"]
    made = {row["exec_id"]: row for row in journal if row["event"] == "execution"}
    return [
        *_not_to_be_sent(plan, accepted),
        *_dated_wrongly(plan, made, fills),
        *_without_its_code(plan, orders),
        *_unseen_change(plan, orders, changes),
    ]


def _not_to_be_sent(plan: Plan, accepted: Sequence[dict[str, Any]]) -> Iterator[str]:
    asked = {f"{plan.run_id}-{one['symbol']}-{one['side']}": one for one in plan.orders}
    for row in accepted:
        name, order = row["order_ref"], asked.get(row["order_ref"], {})
        if "other_base_currency" in plan.faults:
            yield f"{name} was accepted, and is counted in another currency than the account's"
        if "old_quotes" in plan.faults:
            yield f"{name} was accepted on a quote of another day"
        if order.get("con_id") not in (None, row["con_id"]):
            yield f"{name} was accepted for contract {row['con_id']}, and {order['con_id']} was asked"
        if "limit_in_base_currency" in plan.faults and order:
            value, most = _dollars(order) * RATE, plan.limits["max_order_notional"]
            if value > 1.01 * most:  # the checks take the far touch or the limit, and this the mid
                yield f"{name} was accepted for {value:,.0f} HKD, over the limit of {most:,.0f}"


def _dated_wrongly(plan: Plan, made: dict[str, dict[str, Any]], fills: pd.DataFrame) -> Iterator[str]:
    """Fills that are neither of the second that the venue says, nor marked."""
    if "unknown_zone" not in plan.faults:
        return
    for row in fills.to_dict("records"):
        real = made.get(row["exec_id"])
        if real is None or row["time_unreliable"]:
            continue
        if row["filled_at"] != datetime.fromisoformat(real["time"]).replace(microsecond=0):
            yield f"{row['exec_id']} is dated {row['filled_at']}, and was made at {real['time']}"


def _without_its_code(plan: Plan, orders: pd.DataFrame) -> Iterator[str]:
    names = plan._names_of("refused_by_a_code")
    for row in orders[orders["client_order_id"].isin(names)].to_dict("records"):
        if row["reason"] != str(REFUSAL):
            yield f"{row['client_order_id']} is {row['status']} ({row['reason']}), and was refused by {REFUSAL}"


def _unseen_change(plan: Plan, orders: pd.DataFrame, changes: Sequence[dict[str, int]]) -> Iterator[str]:
    if "limit_changed" not in plan.faults:
        return
    first = plan.orders[0]
    name = f"{plan.run_id}-{first['symbol']}-{first['side']}"
    works = orders[(orders["client_order_id"] == name) & orders["status"].isin(["SUBMITTED", "PARTIAL"])]
    if len(works) and not any(rows.get("order_changed") for rows in changes):
        yield f"the limit of {name} was changed at the broker, and the reconciliation has {list(changes)}"
