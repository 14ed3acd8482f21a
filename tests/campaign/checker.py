"""The verdict on one run: the venue's own journal, compared with the blotter. Pure but for reading.

The journal is the truth; nothing that a client received counts here.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import stocklean_exec as sx
from stocklean_exec.blotter.events import execution_family
from stocklean_exec.simulator import read_journal
from tests.campaign.conditions import broken_conditions

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from tests.campaign.plans import Plan

__all__ = [
    "EXPLAINED_BY",
    "FAILURES",
    "HELD_BY",
    "check_run",
    "compare",
    "false_claims",
    "truth_of",
    "wrong_charges",
    "wrong_work",
]

FAILURES = (
    "duplicate_orders",
    "lost_fills",
    "phantom_fills",
    "fills_twice",
    "wrong_fills",
    "wrong_positions",
    "wrong_commissions",
    "lost_commissions",
    "never_sent",
    "wrong_ends",
    "unexplained_unknowns",
    "lost_events",
    "torn_files",
    "halted",
    "broken_workers",
)
"""What must be zero."""

_ROUNDING = 1e-6
_LOSES_ORDERS = {
    "drop_after_read",
    "queued_requests",
    "drop_before_read",
    "swallowed_order",
    "late_order",
    "held_order",
    "half_open",
    "stalled",
    "link_1102",
    "link_1101",
    "link_lost_news",
    "slow_intake",
    "pacing",
    "held_bytes",
    "half_closed",
    "stopped",
}
_HIDES = {
    "late_evidence",
    "no_executions",
    "no_completed",
    "no_open_orders",
    "omitted",
    "ids_reset",
    "link_lost_news",
    "venue_killed",
    "night",
    "unanswered_completed",
}
_CUTS_ANSWERS = {
    "omitted",
    "refused_request",
    "half_open",
    "stalled",
    "cut",
    "garbage",
    "delayed",
    "link_1102",
    "link_1101",
    "link_lost_news",
    "unanswered_completed",
    "half_closed",
    "stopped",
    "held_bytes",
}
EXPLAINED_BY: tuple[tuple[str, set[str]], ...] = (
    (r"did not report everything", _CUTS_ANSWERS),
    (r"has reset its order ids", {"ids_reset", "night"}),
    (r"of an earlier day", {"night"}),
    (r"was accepted after its id", _LOSES_ORDERS | {"venue_killed", "ids_reset"}),
    (r"is used up", _LOSES_ORDERS | _HIDES | {"ids_of_received"}),
    (r"known before, and|reports it filled|ended at the broker", _HIDES | {"script busted"}),
    (r"the submission failed", {"half_open", "stalled", "half_closed", "held_bytes", "stopped"}),
)
"""Why an order may be UNKNOWN at the end: words of its reason, and the faults of the run that allow for them."""
HELD_BY: tuple[tuple[str, set[str]], ...] = (
    (r"has passed order ids that are not on record", {"restored_copy"}),
    (r"which this blotter has not sent", {"restored_copy"}),
    (r"resume with client id", {"other_client"}),
    (r"did not report everything", _CUTS_ANSWERS),
    (r"planned on an earlier day", {"night"}),
    (r"runs were planned later", {"later_run"}),
)
"""Why an order may be held back at the end, in the same form."""


def truth_of(journal: list[dict[str, Any]]) -> dict[str, Any]:
    """Orders, latest fills, commissions and positions by the venue's own record."""
    accepted: Counter[str] = Counter()
    cancelled: set[str] = set()
    fills: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    fees: dict[str, float] = {}
    traded: dict[tuple[str, str], float] = {}  # before corrections
    ordered: dict[str, float] = {}
    superseded: dict[str, str] = {}  # orders of executions that were corrected later
    for row in journal:
        if row["event"] == "order":
            accepted[row["order_ref"]] += 1
            ordered[row["order_ref"]] = row.get("quantity", math.nan)
        elif row["event"] == "cancel":
            cancelled.add(row["order_ref"])
        elif row["event"] == "execution":
            family, revision = execution_family(row["exec_id"])
            key = row["order_ref"], family
            traded[key] = max(row["quantity"], traded.get(key, 0.0))
            known = fills.get(key)
            if known is not None:
                superseded[known[1]["exec_id"]] = row["order_ref"]
            if known is None or known[0] <= revision:
                fills[row["order_ref"], family] = (revision, row)
        elif row["event"] == "commission":
            fees[row["exec_id"]] = row["commission"]
    latest = {row["exec_id"]: row for _, row in fills.values() if row["quantity"] > 0}
    shares: Counter[str] = Counter()
    for (name, _), quantity in traded.items():
        shares[name] += quantity
    truth = {"accepted": accepted, "cancelled": cancelled, "fills": latest, "fees": fees, "traded": shares}
    return truth | {"ordered": ordered, "superseded": superseded}


def compare(
    truth: dict[str, Any],
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    faults: set[str],
    unreported: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Count what differs between the truth and a blotter's orders and fills, with a word on each difference.

    ``unreported`` are the orders whose commissions the venue does not report.
    """
    found: Counter[str] = Counter()
    words: list[str] = []

    def fail(kind: str, text: str, count: int = 1) -> None:
        found[kind] += count
        words.append(f"{kind}: {text}")

    for ref, count in truth["accepted"].items():
        if count > 1:
            fail("duplicate_orders", f"{ref} was accepted {count} times", count - 1)
    _compare_fills(truth, fills, unreported, _excused(orders, faults), fail)
    filled: defaultdict[str, float] = defaultdict(float)
    for row in truth["fills"].values():
        filled[row["order_ref"]] += row["quantity"]
    for row in orders.to_dict("records"):
        _compare_order(row, truth, filled[row["client_order_id"]], faults, fail)
    return {"found": dict(found), "words": words}


def _excused(orders: pd.DataFrame, faults: set[str]) -> set[str]:
    """Orders whose fills may be missing: an older blotter, another client or another day; they are unknown."""
    if not faults & {"restored_copy", "other_client", "night"}:
        return set()
    doubtful = (orders["status"] == "UNKNOWN") | ((orders["state"] == "INTENT") & orders["reason"].notna())
    if {"restored_copy", "night"} <= faults:
        # The fills of yesterday, which a copy lacks, are not reported today; the open order itself is.
        doubtful |= orders["status"].isin(["SUBMITTED", "PARTIAL"])
    return set(orders.loc[doubtful, "client_order_id"])


def _compare_fills(
    truth: dict[str, Any], fills: pd.DataFrame, unreported: frozenset[str], excused: set[str], fail: Any
) -> None:
    known = {row["exec_id"] for row in fills.to_dict("records")}
    truth = truth | {
        "fills": {
            exec_id: row
            for exec_id, row in truth["fills"].items()
            if exec_id in known or row["order_ref"] not in excused
        }
    }
    recorded = fills.to_dict("records")
    ids = Counter(row["exec_id"] for row in recorded)
    for exec_id, count in ids.items():
        if count > 1:
            fail("fills_twice", exec_id, count - 1)
    for exec_id in set(truth["fills"]) - set(ids):
        fail("lost_fills", f"{exec_id} of {truth['fills'][exec_id]['order_ref']}")
    for exec_id in set(ids) - set(truth["fills"]):
        # A correction that came before midnight when nobody was there to receive it is not reported afterwards.
        if truth["superseded"].get(exec_id) not in excused:
            fail("phantom_fills", exec_id)
    for row in recorded:
        if row["exec_id"] in truth["fills"]:
            _compare_fill(row, truth, unreported, fail)
    counted = [row for row in recorded if truth["superseded"].get(row["exec_id"]) not in excused]
    _compare_positions(truth, counted, fail)


def _compare_positions(truth: dict[str, Any], recorded: list[dict[str, Any]], fail: Any) -> None:
    position: defaultdict[str, float] = defaultdict(float)
    for sign, rows in ((1, recorded), (-1, truth["fills"].values())):
        for row in rows:
            position[row["symbol"]] += sign * (row["quantity"] if row["side"] == "BUY" else -row["quantity"])
    for symbol, difference in position.items():
        if abs(difference) > _ROUNDING:
            fail("wrong_positions", f"{symbol} is off by {difference:g}")


def _compare_fill(row: dict[str, Any], truth: dict[str, Any], unreported: frozenset[str], fail: Any) -> None:
    real, fee = truth["fills"][row["exec_id"]], truth["fees"].get(row["exec_id"])
    same = (row["client_order_id"], row["symbol"], row["side"], row["quantity"], row["price"]) == (
        real["order_ref"],
        real["symbol"],
        real["side"],
        real["quantity"],
        real["price"],
    )
    if not same:
        fail("wrong_fills", row["exec_id"])
    if math.isnan(row["commission"]):
        if fee is not None and row["client_order_id"] not in unreported:
            fail("lost_commissions", f"{row['exec_id']}: {fee}")
    elif fee is None or abs(fee - row["commission"]) > _ROUNDING:
        fail("wrong_commissions", f"{row['exec_id']}: {row['commission']} for {fee}")


def _is_explained(reason: object, known: tuple[tuple[str, set[str]], ...], faults: set[str]) -> bool:
    """Whether a fault of the run allows for what the reason says."""
    return any(cause & faults for words, cause in known if re.search(words, str(reason)))


def _compare_order(row: dict[str, Any], truth: dict[str, Any], filled: float, faults: set[str], fail: Any) -> None:
    name, status = row["client_order_id"], row["status"]
    is_accepted = truth["accepted"][name] > 0
    if status == "UNKNOWN":
        if not _is_explained(row["reason"], EXPLAINED_BY, faults):
            fail("unexplained_unknowns", f"{name}: {row['reason']}")
    elif _is_explained(row["reason"], HELD_BY, faults) and row["state"] == "INTENT":
        pass
    elif row["state"] in ("INTENT", "SENDING", "PLANNED"):
        if not is_accepted:
            fail("never_sent", f"{name} is {row['state']} ({row['reason']})")
        else:
            fail("wrong_ends", f"{name} is {row['state']}, and was accepted")
    else:
        _compare_end(row, truth, filled, fail)


def _compare_end(row: dict[str, Any], truth: dict[str, Any], filled: float, fail: Any) -> None:
    name, status = row["client_order_id"], row["status"]
    is_accepted = truth["accepted"][name] > 0
    if status in ("SUBMITTED", "PARTIAL", "FILLED") and not is_accepted:
        fail("wrong_ends", f"{name} is {status}, and was never accepted")
    elif status == "FILLED" and filled < row["quantity"]:
        fail("wrong_ends", f"{name} is FILLED, and {filled:g} of {row['quantity']:g} were")
    elif status == "REJECTED" and filled:
        fail("wrong_ends", f"{name} is REJECTED, and {filled:g} were filled")
    elif status == "CANCELLED" and row["reason"] == "executions_corrected":
        if not filled < row["quantity"] <= truth["traded"][name]:
            fail(
                "wrong_ends",
                f"{name} is CANCELLED as corrected, and {filled:g} were filled",
            )
    elif status == "CANCELLED" and row["reason"] in (
        "not_funded",
        "quantity_reduced",
    ):  # never sent, or for fewer shares
        if filled != truth["ordered"].get(name, 0.0) and name not in truth["cancelled"]:
            fail(
                "wrong_ends",
                f"{name} is CANCELLED, and {filled:g} of {truth['ordered'].get(name, 0):g} were filled",
            )
    elif status == "CANCELLED" and is_accepted and name not in truth["cancelled"]:
        fail("wrong_ends", f"{name} is CANCELLED, and the venue has not ended it")
    elif status == "REJECTED" and is_accepted and name not in truth["cancelled"]:
        fail("wrong_ends", f"{name} is REJECTED, and the venue works it")


_CORRECTED = ("corrected", "busted", "busted_at_the_end")


def _is_corrected(name: str, plan: Plan) -> bool:
    """Whether executions of an order are corrected at some time: then what was final may change."""
    pairs = zip(plan.orders, plan.scripts, strict=True)
    return any(name == f"{plan.run_id}-{one['symbol']}-{one['side']}" and two in _CORRECTED for one, two in pairs)


def sent_after(journal: list[dict[str, Any]], run_id: str, later: str) -> list[str]:
    """Symbols of which a run sent an order when a run that was planned later had sent its own.

    Examples
    --------
    >>> first, second = {"event": "order", "order_ref": "r-KO-BUY"}, {"event": "order", "order_ref": "r2-KO-BUY"}
    >>> sent_after([first, second], "r", "r2"), sent_after([second, first], "r", "r2")
    ([], ['KO-BUY'])
    """
    refs = [row["order_ref"] for row in journal if row["event"] == "order"]
    overtaken = set()
    found = []
    for ref in refs:
        owner, _, rest = ref.partition("-")
        if owner == later:
            overtaken.add(rest)
        elif owner == run_id and rest in overtaken:
            found.append(rest)
    return found


def false_claims(truth: dict[str, Any], claims: list[dict[str, float]], names: set[str]) -> list[str]:
    """What was final on record when a worker ended, with other shares than the venue has filled.

    Examples
    --------
    >>> truth = truth_of([{"event": "execution", "order_ref": "r-KO-BUY", "exec_id": "a.b.1.01", "quantity": 4.0}])
    >>> false_claims(truth, [{"r-KO-BUY": 4.0}], {"r-KO-BUY"})
    []
    >>> false_claims(truth, [{"r-KO-BUY": 0.0}, {"r-KO-BUY": 4.0}], {"r-KO-BUY"})
    ['r-KO-BUY was final with 0, and 4 were filled']
    """
    filled: Counter[str] = Counter()
    for row in truth["fills"].values():
        filled[row["order_ref"]] += row["quantity"]
    found = {(name, shares) for claim in claims for name, shares in claim.items() if name in names}
    return [
        f"{name} was final with {shares:g}, and {filled[name]:g} were filled"
        for name, shares in sorted(found)
        if abs(shares - filled[name]) > _ROUNDING
    ]


def wrong_charges(fees: dict[str, float], reported: dict[str, list[float]]) -> list[str]:
    """Executions with another commission on record than the venue's one, also beside it.

    Examples
    --------
    >>> wrong_charges({"a": 1.0, "b": 1.0}, {"a": [1.0]})
    []
    >>> wrong_charges({"a": 1.0}, {"a": [1.0, 2.0], "c": [1.0]})
    ['a: [1.0, 2.0] for 1.0', 'c: [1.0] for None']
    """
    return [
        f"{name}: {amounts} for {fees.get(name)}"
        for name, amounts in sorted(reported.items())
        if name not in fees or any(abs(amount - fees[name]) > _ROUNDING for amount in amounts)
    ]


def wrong_work(
    plan: Plan, journal: list[dict[str, Any]], truth: dict[str, Any], orders: pd.DataFrame
) -> list[str]:
    """Worked orders that traded more than was approved, were changed in more than their limit, or did not end.

    An order for what one has left counts with that one. UNKNOWN orders are judged by :func:`compare`.
    """
    if plan.work is None or orders.empty:
        return []
    old = orders["replaces"] if "replaces" in orders.columns else orders["client_order_id"]
    roots = dict(zip(orders["client_order_id"], old.fillna(orders["client_order_id"]), strict=True))
    asked = {f"{plan.run_id}-{one['symbol']}-{one['side']}": one["quantity"] for one in plan.orders}
    filled: Counter[str] = Counter()
    for row in truth["fills"].values():
        filled[roots.get(row["order_ref"], row["order_ref"])] += row["quantity"]
    found = [
        f"{name} was approved for {asked[name]:g}, and {filled[name]:g} were filled"
        for name in sorted(plan.worked)
        if filled[name] > asked[name] + _ROUNDING
    ]
    found += [
        f"{row['order_ref']} was changed to {row['quantity']:g} shares"
        for row in journal
        if row["event"] == "modify" and row["quantity"] != asked.get(row["order_ref"], math.nan)
    ]
    worked = orders[orders["client_order_id"].map(roots).isin(plan.worked)]
    found += [
        f"{row['client_order_id']} is {row['status']} after its deadline"
        for row in worked.to_dict("records")
        if row["status"] in ("SUBMITTED", "PARTIAL")
    ]
    ends = worked.groupby(worked["client_order_id"].map(roots))["status"].agg(set).to_dict()
    found += [
        f"{name} has {filled[name]:g} of {asked[name]:g} at {plan.work['at_deadline']}"
        for name in sorted(plan.worked & set(ends))
        if plan.work["at_deadline"] != "cancel"
        and ends[name] <= {"FILLED", "CANCELLED"}
        and filled[name] < asked[name] - _ROUNDING
    ]
    return found


def _noted(notes: list[str], word: str) -> list[Any]:
    """What workers have noted after a word."""
    return [json.loads(line.removeprefix(f"{word} ")) for line in notes if line.startswith(f"{word} ")]


def _early_ends(plan: Plan, truth: dict[str, Any], orders: pd.DataFrame, notes: list[str]) -> list[str]:
    """Orders that were final with other shares than they have in the end, but for corrected ones."""
    lasting = {name for name in orders["client_order_id"] if not _is_corrected(name, plan)}
    return false_claims(truth, _noted(notes, "claims"), lasting)


def _needless_halts(orders: pd.DataFrame, faults: set[str], notes: list[str]) -> list[str]:
    """Differences for which a reconciliation would halt, although everything is on record."""
    grave = [kinds for kinds in _noted(notes, "differs") if kinds]
    return [f"reconciliation finds {kinds}" for kinds in grave] if _is_known(orders, faults) else []


def _is_known(orders: pd.DataFrame, faults: set[str]) -> bool:
    """Whether everything that the venue has done is on record, so that no difference is a true one."""
    is_open = orders["status"].isin(["UNKNOWN", "NEW", "SUBMITTED"])
    return not (is_open.any() or faults & {"restored_copy", "night", "later_run"})


def _text_of(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.exists() else ""


def check_run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Read the journal and the blotter of a finished run, and check them."""
    whole = read_journal(folder / "journal.jsonl")
    journal = [row for row in whole if not str(row.get("order_ref", "")).startswith(f"{plan.later_run_id}-")]
    truth = truth_of(journal)
    result: dict[str, Any] = {
        "accepted": sum(truth["accepted"].values()),
        "fills": len(truth["fills"]),
        "absorbed": sum(row["event"] == "modify" and row["order_ref"] not in plan.worked for row in journal),
    }
    try:
        with sx.open_blotter(folder / "run.duckdb") as blotter:
            orders, fills = blotter.orders(plan.run_id), blotter.fills(plan.run_id)
            with blotter._open().cursor() as cursor:
                reported = cursor.execute(
                    "SELECT exec_id, list(DISTINCT commission) FROM main.facts "
                    "WHERE kind = 'commission' GROUP BY exec_id"
                ).fetchall()
                keys = {row[0] for row in cursor.execute("SELECT key FROM main.facts").fetchall()}
                codes = cursor.execute("SELECT count(*) FROM main.facts WHERE code = '103'").fetchall()
            halted = blotter.halted
    except Exception as error:  # noqa: BLE001 - whatever keeps the file from being read is the finding
        return result | {"found": {"torn_files": 1}, "words": [f"torn_files: {error}"]}
    faults = {*plan.faults, *(f"script {name}" for name in plan.scripts)}
    notes, happened = (_text_of(folder / name).splitlines() for name in ("notes", "venue.log"))
    for name, line in (("restored_copy", "restored"), ("night", "night")):
        if line not in happened:
            faults.discard(name)  # it did not come about
    # TWS reports no commission of an earlier day: one that no worker had recorded by midnight stays unknown.
    uncharged = frozenset(orders["client_order_id"]) if "night" in faults else plan.unreported
    verdict = compare(truth, orders, fills, faults, uncharged)
    found, words = Counter(verdict["found"]), verdict["words"]
    acked = set((folder / "acks").read_text().split("\n")[:-1])
    wrong = wrong_charges(truth_of(whole)["fees"], dict(reported))
    # A first worker that fails before its plan is on record leaves nothing that could be overtaken.
    twice = [] if "planned last" in notes else sent_after(whole, plan.run_id, plan.later_run_id)
    differences = (
        ("wrong_ends", _early_ends(plan, truth, orders, notes)),
        ("wrong_ends", broken_conditions(plan, journal, orders, fills, _noted(notes, "rows"))),
        ("wrong_ends", wrong_work(plan, journal, truth, orders)),
        ("wrong_commissions", wrong),
        ("duplicate_orders", [f"{name} was sent after {plan.later_run_id}" for name in twice]),
        ("lost_events", sorted(acked - keys)),
        ("never_sent", ["the run is not on record"] * (len(plan.orders) if orders.empty else 0)),
        ("halted", [] if halted is None else [str(halted)]),
        ("halted", _needless_halts(orders, faults, notes)),
    )
    for kind, texts in differences:
        if texts:
            found[kind] += len(texts)
            words.append(f"{kind}: {texts[:3]}")
    unknown = orders.loc[orders["status"] == "UNKNOWN", "reason"]
    held = orders.loc[(orders["state"] == "INTENT") & orders["reason"].notna(), "reason"]
    return result | {
        "found": dict(found),
        "words": words,
        "absorbed": result["absorbed"] + int(codes[0][0]),
        "states": orders["state"].value_counts().to_dict(),
        "unknown": [str(reason)[:160] for reason in unknown],
        "held": [str(reason)[:160] for reason in held],
    }
