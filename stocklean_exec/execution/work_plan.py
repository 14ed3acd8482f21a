"""Applies work policies to an approved plan: its slices, and the terms by which each order is worked. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from stocklean_exec.errors import ApprovalError, InputError, Problem
from stocklean_exec.execution.work_policy import (
    EFFICIENCY_LIMIT,
    WorkPolicy,
    WorkTerms,
    WorkTimes,
    most_messages,
    policy_text,
)
from stocklean_exec.schema.order_ids import slice_id
from stocklean_exec.strategies.division import STRATEGY_QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stocklean_exec.risk.limits import Limits

__all__ = [
    "SLICE_OF",
    "WORK_POLICY",
    "Work",
    "check_work",
    "describe_work",
    "policies_of",
    "read_work",
    "seal_work",
    "sealed_work",
    "split_quantity",
    "with_slices",
    "work_record",
]

SLICE_OF = "slice_of"
"""Column with the client order id of the approved order that a slice is a part of."""

WORK_POLICY = "work_policy"
"""Column of an approved plan with the policy of each order, as JSON: a part of what was approved."""

Work = WorkPolicy | Mapping[str, WorkPolicy]
"""One policy for all orders of a plan, or one by client order id."""

_OF_SLICES = ("client_order_id", "quantity", "notional", "current_quantity", "target_quantity", SLICE_OF)
"""Columns in which a slice differs from its order."""
_RESTING = frozenset({"DAY", "GTC", "GTD"})
_AUCTIONS = frozenset({"MOC", "LOC"})
_ONLY_LIMITS = (
    "only limits of plain LMT orders (DAY, GTC, GTD) are changed; plan it with order_type='LMT' (--order-type LMT)"
    " and a limit"
)
_NO_TIMES = WorkTimes(datetime.max.replace(tzinfo=UTC), None, None)
_SHOWN = 10  # ids in one error text: a stated choice
_WHOLE = 1e-8  # of a lot: noise of a division of doubles


class _Planned(NamedTuple):
    """One approved order with its policy."""

    row: dict[str, Any]
    policy: WorkPolicy
    times: WorkTimes


def policies_of(work: object, names: list[str]) -> dict[str, WorkPolicy]:
    """Return the policy of each order that has one.

    Parameters
    ----------
    work : one policy, policies by client order id, or None
    names : client order ids of the plan

    Raises
    ------
    InputError
        With every key that is not an order of the plan, and every value that is not a policy.

    Examples
    --------
    >>> list(policies_of(WorkPolicy(deadline=60), ["r-SPY-BUY", "r-TLT-SELL"]))
    ['r-SPY-BUY', 'r-TLT-SELL']
    """
    if work is None or not names:
        return {}
    if isinstance(work, WorkPolicy):
        return dict.fromkeys(names, work)
    if not isinstance(work, Mapping):
        text = f"work is a {type(work).__name__}, and not a WorkPolicy or policies by client order id"
        raise InputError("work", [Problem("wrong_type", text)])
    known = set(names)
    problems = [
        Problem("order_unknown", f"{name!r} is not an order of this plan", row=name)
        for name in work
        if name not in known
    ]
    problems += [
        Problem("wrong_type", f"{name!r} has a {type(policy).__name__}, and not a WorkPolicy", row=name)
        for name, policy in work.items()
        if not isinstance(policy, WorkPolicy)
    ]
    if problems:
        raise InputError("work", problems)
    return dict(work)


def describe_work(work: Work, orders: Mapping[str, bool]) -> str:
    """Say how orders are worked, and with how many messages at most.

    Parameters
    ----------
    orders : whether each order may be sent, by client order id

    Examples
    --------
    >>> policy = WorkPolicy(reprice_seconds=10, reprices=3, deadline=60)
    >>> text = describe_work(policy, {"r-SPY-BUY": True, "r-TLT-BUY": True})
    >>> text.split(". ")[0], "At most 20 messages" in text, "efficiency ratio of 6.7 if" in text
    ('reprice every 10 s to mid, 3 times; after 60 s marketable (2 orders)', True, True)
    """
    chosen = {name for name, is_sent in orders.items() if is_sent}
    policies = [policy for name, policy in policies_of(work, list(orders)).items() if name in chosen]
    counts = Counter(policies)
    texts = [
        f"{policy_text(policy) or 'nothing is changed'} ({count} order{'s' if count > 1 else ''})"
        for policy, count in counts.items()
    ]
    if not texts:
        return "no order is worked by a policy"
    sent = sum(count * policy.slices for policy, count in counts.items())
    messages = sum(count * most_messages(policy) for policy, count in counts.items())
    return (
        f"{'. '.join(texts)}. At most {messages} messages to the broker before executions, an order efficiency "
        f"ratio of {messages / (sent + 1):.1f} if each order is executed once; Interactive Brokers flags more "
        f"than {EFFICIENCY_LIMIT:g}"
    )


def seal_work(orders: pd.DataFrame, work: Work | None) -> pd.DataFrame:
    """Add the policy of each order to a plan; unchanged without one."""
    names = [str(name) for name in orders["client_order_id"].tolist()]
    policies = policies_of(work, names)
    if not policies:
        return orders
    texts = {policy: json.dumps(policy.to_dict()) for policy in dict.fromkeys(policies.values())}
    found = [texts[policies[name]] if name in policies else None for name in names]
    return orders.assign(**{WORK_POLICY: pd.array(found, dtype="str")})


def sealed_work(approved: pd.DataFrame, work: Work | None) -> Work | None:
    """Return the policies that a plan was approved with; those given, where it was approved without any.

    Raises
    ------
    ApprovalError
        Others are given than it was approved with, with every order that they differ for.
    """
    if WORK_POLICY not in approved.columns:
        return work
    names = [str(name) for name in approved["client_order_id"].tolist()]
    rows = zip(names, approved[WORK_POLICY].tolist(), strict=True)
    sealed = {name: WorkPolicy.parse(json.loads(text)) for name, text in rows if isinstance(text, str)}
    given = policies_of(work, names)
    other = [name for name in names if given and given.get(name) != sealed.get(name)]
    if other:
        text = ", ".join(other[:_SHOWN]) + (", ..." if len(other) > _SHOWN else "")
        raise ApprovalError(f"{text}: approved with another work policy than is given; review the plan with it")
    return sealed


def with_slices(
    approved: pd.DataFrame, work: Work | None, now: datetime | None, limits: Limits, *, recorded: bool = False
) -> tuple[pd.DataFrame, dict[str, WorkTerms]]:
    """Split the orders of an approved plan into their slices, and compute the terms of each order.

    Parameters
    ----------
    approved : an approved plan
    work : one policy, or one by client order id
    now : when the run is submitted, which relative times count from; None where only the orders are checked
    limits : of the plan
    recorded : the plan is on record with its slices and terms: only the slices are named again

    Returns
    -------
    The plan, with the slices of an order in its place (``slice_of`` names it), and terms by client order id.

    Raises
    ------
    InputError
        With every order that its policy cannot work.
    """
    policies = policies_of(work, [str(name) for name in approved["client_order_id"].tolist()])
    if not policies or approved.empty:
        return approved, {}
    since = None if recorded else now
    times = {
        policy: _NO_TIMES if since is None else policy.times(since) for policy in dict.fromkeys(policies.values())
    }
    places: list[int] = []
    parts: list[dict[str, Any]] = []
    terms: dict[str, WorkTerms] = {}
    problems: list[Problem] = []
    columns = {str(name): approved[name].tolist() for name in approved.columns}
    for place, values in enumerate(zip(*columns.values(), strict=True)):
        row = dict(zip(columns, values, strict=True))
        policy = policies.get(row["client_order_id"])
        slices = [row]
        if policy is not None and row["approved"]:
            planned = _Planned(row, policy, times[policy])
            found = [] if recorded else [*_problems(planned, limits)]
            problems += found
            slices = [row] if found else [*_slices(planned)]
            names = [part["client_order_id"] for part in slices]
            if since is not None and not found:
                terms |= dict(zip(names, policy.terms(planned.times), strict=True))
        places += [place] * len(slices)
        parts += slices
    if problems:
        raise InputError("work", problems)
    if len(parts) == len(approved):
        return approved, terms
    frame = approved.iloc[places].reset_index(drop=True)
    for name in _OF_SLICES:
        frame[name] = pd.array([part.get(name) for part in parts], dtype=frame.dtypes.get(name, "str"))
    frame.attrs.update(approved.attrs)
    return frame, terms


def check_work(checked: pd.DataFrame, work: Work, now: datetime | None, limits: Limits) -> None:
    """Refuse policies that cannot work the orders of a checked plan, apart from those that it blocks.

    Parameters
    ----------
    now : by the broker's clock; None where it is not known: then times are not checked

    Raises
    ------
    InputError
        With every order that its policy cannot work.
    """
    eligible = (checked["verdict"] != "block") & (checked["status"] != "REJECTED")
    with_slices(checked.assign(approved=eligible), work, now, limits)


def _problems(planned: _Planned, limits: Limits) -> Iterator[Problem]:
    """Why a policy cannot work an order."""
    row, policy, times = planned
    name, symbol, kind, tif = (row[column] for column in ("client_order_id", "symbol", "order_type", "tif"))

    def problem(code: str, text: str) -> Problem:
        return Problem(code, f"{name} {text}", symbol=symbol)

    has_algo = bool(row.get("algo")) and not pd.isna(row["algo"])
    if policy.changes_limits and (kind != "LMT" or tif not in _RESTING or has_algo):
        what = f"is {kind} {tif}" + (f" with {row['algo']}" if has_algo else "")
        yield problem("work_order_type", f"{what}: {_ONLY_LIMITS}")
    elif policy.deadline is not None and (kind in _AUCTIONS or tif not in _RESTING):
        yield problem("work_order_type", f"is {kind} {tif}: it ends by itself, and has no deadline")
    collar = limits.price_collar
    if policy.changes_limits and collar is not None and policy.collar_bps > collar * 10_000:
        text = f"may go {policy.collar_bps:g} bp beyond the touch, over the collar of {collar:.1%}"
        yield problem("limit_collar", text)
    ends = row.get("good_till")
    last_start = policy.terms(times)[-1].start
    if isinstance(ends, pd.Timestamp) and ends <= (times.deadline or last_start):
        what = "it is sent" if policy.slices == 1 else "its last slice is sent"
        when = what if times.deadline is None else "its deadline"
        yield problem("work_times", f"ends at {ends:%Y-%m-%d %H:%M:%S} UTC, before {when}")
    if policy.slices > 1:
        for code, text in _slice_problems(planned):
            yield problem(code, text)


def _slice_problems(planned: _Planned) -> Iterator[tuple[str, str]]:
    row, number = planned.row, planned.policy.slices
    lot = _lot_of(row)
    if row["quantity"] < number * lot - _WHOLE:
        yield (
            "slice_too_small",
            f"has {row['quantity']:,.10g} shares, too few for {number} slices of a lot of {lot:g}",
        )
    shared = row.get(STRATEGY_QUANTITIES)
    if isinstance(shared, str) and shared:
        yield "slice_shared", "is shared by strategies, and cannot be sent in slices"


def _lot_of(row: dict[str, Any]) -> float:
    lot = row.get("lot_size")
    return float(lot) if isinstance(lot, (int, float)) and lot > 0 else 1.0


def _slices(planned: _Planned) -> Iterator[dict[str, Any]]:
    row, number = planned.row, planned.policy.slices
    if number == 1:
        yield row
        return
    sign = 1.0 if row["side"] == "BUY" else -1.0
    held = row["current_quantity"]
    for place, quantity in enumerate(split_quantity(row["quantity"], number, _lot_of(row)), start=1):
        part = quantity / row["quantity"]
        yield row | {
            "client_order_id": slice_id(row["client_order_id"], place),
            "quantity": quantity,
            "notional": round(row["notional"] * part, 8),
            "current_quantity": round(held, 8),
            "target_quantity": round(held + sign * quantity, 8),
            SLICE_OF: row["client_order_id"],
        }
        held += sign * quantity


def split_quantity(quantity: float, number: int, lot: float = 1.0) -> list[float]:
    """Split shares into parts of whole lots, as equal as can be, larger ones first; an odd rest is in the last.

    Examples
    --------
    >>> split_quantity(10, 3), split_quantity(250, 2, 100), split_quantity(10.5, 2)
    ([4.0, 3.0, 3.0], [100.0, 150.0], [5.0, 5.5])
    """
    lots = math.floor(quantity / lot + _WHOLE)
    least, more = divmod(lots, number)
    parts = [round((least + (place < more)) * float(lot), 8) for place in range(number)]
    parts[-1] = round(quantity - math.fsum(parts[:-1]), 8)
    return parts


# -- on record -----------------------------------------------------------------------------------------------


def work_record(terms: Mapping[str, WorkTerms]) -> dict[str, Any]:
    """Terms as they are recorded with a run: each once, and its number by client order id."""
    kinds = list(dict.fromkeys(terms.values()))
    numbers = {kind: number for number, kind in enumerate(kinds)}
    return {
        "terms": [kind.to_dict() for kind in kinds],
        "orders": {name: numbers[kind] for name, kind in terms.items()},
    }


def read_work(recorded: Mapping[str, Any] | None) -> dict[str, WorkTerms]:
    """Read what :func:`work_record` gave; empty for a run without policies.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> terms = {"r-SPY-BUY": WorkTerms(start=datetime(2026, 11, 30, 15, 0, tzinfo=UTC), reprice_seconds=10)}
    >>> read_work(work_record(terms)) == terms, read_work(None)
    (True, {})
    """
    if not recorded:
        return {}
    kinds = [WorkTerms.parse(one) for one in recorded["terms"]]
    return {name: kinds[number] for name, number in recorded["orders"].items()}
