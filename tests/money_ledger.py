"""Random accounts through the whole of ``rebalance`` at its defaults, audited by a ledger of the test's own.

The ledger is plain Python: opening cash by currency and shares, the executions and commissions that the blotter
has (at the simulator: its journal), quotes and rates as they were drawn. Every run must satisfy:

- cash, all currencies together, is never below zero at any time by more than the market moved against the 0.4 %
  that a market buy keeps free;
- cash of each currency and the shares of each symbol are what the ledger says, and NAV at unchanged quotes and
  rates is NAV before, less commissions and what the fills cost against the mid;
- an order that filled holds the plan's target, and the plan is within one lot of the weights and its reserve;
- the limits that were given hold for what was sent;
- each row ends with a known status, and with a reason if it was refused, withdrawn or cut.

A seed is always the same run. ``python -m tests.money_ledger N [FIRST]`` tries N seeds.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.simulator import Simulator, read_journal
from tests.wire_market import connect

NOON = pd.Timestamp("2026-01-02 17:00", tz="UTC")
USD_PER = {"USD": 1.0, "EUR": 1.08, "GBP": 1.27, "JPY": 0.0067, "CAD": 0.73}
PRICES = {
    "USD": (5.0, 600.0),
    "EUR": (5.0, 300.0),
    "GBP": (2.0, 90.0),
    "JPY": (300.0, 9_000.0),
    "CAD": (5.0, 200.0),
}
MARGIN = 0.004  # of a market buy's value: the README's "Only available cash is spent"
CENT, NAN = 0.01, math.nan
ENDS = {"FILLED", "CANCELLED", "REJECTED", "SUBMITTED", "PARTIAL"}
OUTCOMES = ("as quoted", "noise", "rests", "rejected", "half fills", "half cancels")


@dataclass
class Account:
    """One random run, as a function of its seed."""

    seed: int
    scheme: str
    base: str
    kind: str = "margin"
    names: dict[str, dict[str, Any]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    cash: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)
    outcome: dict[str, str] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    others: list[tuple[str, float, float]] = field(default_factory=list)
    shorts: bool = False

    @property
    def nav(self) -> float:
        return self.value(self.cash, self.held)

    def value(self, cash: dict[str, float], held: dict[str, float]) -> float:
        """Cash and shares at the mid, base currency."""
        shares = math.fsum(quantity * self.mid(name) for name, quantity in held.items())
        return shares + math.fsum(amount * self.rates[currency] for currency, amount in cash.items())

    def mid(self, name: str) -> float:
        """Value of a share at the mid, base currency."""
        one = self.names[name]
        return (one["bid"] + one["ask"]) / 2 * self.rates[one["currency"]]


def make_account(seed: int) -> Account:
    rng = random.Random(f"ledger {seed}")  # noqa: S311 - a draw, and no secret
    scheme = "sim" if seed % 4 == 3 else "mock"
    base = rng.choice(list(USD_PER)) if scheme == "sim" else "USD"
    drawn = Account(seed, scheme, base, shorts=scheme == "mock" and rng.random() < 0.2)
    known = [base, *rng.sample([name for name in USD_PER if name != base], rng.randint(0, 3))]
    drawn.rates = {name: round(USD_PER[name] / USD_PER[base], 6) for name in known}
    nav = 20_000.0 * 250 ** rng.random() / USD_PER[base]
    for number in range(rng.randint(2, 14)):
        currency = rng.choice([base, *known])
        least, most = PRICES[currency]
        mid = least * (most / least) ** rng.random()
        half = max(round(mid * rng.choice((0.0002, 0.001)), 2), 0.01)
        bid = round(mid - half, 2)
        drawn.names[f"N{number:02d}"] = {
            "currency": currency,
            "bid": bid,
            "ask": round(bid + 2 * half, 2),
            "lot": 100.0 if currency == "JPY" and rng.random() < 0.5 else 1.0,
        }
    names = list(drawn.names)
    if rng.random() < 0.6:  # from holdings: what is held is worth a part of the account
        weight = {name: rng.random() ** 2 for name in names if rng.random() < 0.7}
        part = rng.choice((0.3, 0.9, 1.0)) * nav / max(sum(weight.values()), 1e-9)
        drawn.held = {name: float(int(part * each / drawn.mid(name))) for name, each in weight.items()}
        drawn.held = {name: shares for name, shares in drawn.held.items() if shares}
    left = max(nav - math.fsum(shares * drawn.mid(name) for name, shares in drawn.held.items()), 0.0)
    currencies = known if scheme == "sim" else [base]
    shares = [rng.random() for _ in currencies]
    drawn.cash = {
        name: round(left * each / sum(shares) / drawn.rates[name], 2)
        for name, each in zip(currencies, shares, strict=True)
    }
    _draw_targets(drawn, rng)
    _draw_events(drawn, rng)
    return drawn


def _draw_targets(drawn: Account, rng: random.Random) -> None:
    names = list(drawn.names)
    wanted = {name: rng.random() ** 2 for name in names if rng.random() < 0.8} or {names[0]: 1.0}
    total = rng.choice((1.0, 1.0, 1.0, 0.95, 0.5)) / sum(wanted.values())
    drawn.targets = {name: each * total for name, each in wanted.items()}
    if drawn.shorts:
        for name in rng.sample(list(wanted), max(len(wanted) // 4, 1)):
            drawn.targets[name] *= -0.5
    drawn.targets |= {name: 0.0 for name in drawn.held if name not in wanted}


def _draw_events(drawn: Account, rng: random.Random) -> None:
    nav = drawn.nav
    for name in drawn.names:
        is_kind = rng.random() < 0.55
        drawn.outcome[name] = "as quoted" if is_kind else rng.choice(OUTCOMES)
        drawn.noise[name] = rng.gauss(0.0, 0.004)
    if rng.random() < 0.4:
        drawn.limits = dict(
            rng.sample(
                [
                    ("max_order_notional", round(nav * rng.choice((0.1, 0.3, 0.8)), 2)),
                    ("max_position_ratio", rng.choice((0.15, 0.4, 0.9))),
                    ("max_total_notional", round(nav * rng.choice((0.3, 0.9, 1.8)), 2)),
                    ("max_day_notional", round(nav * rng.choice((0.3, 0.9, 1.8)), 2)),
                    ("min_cash_after", round(nav * 0.01, 2)),
                ],
                rng.randint(1, 2),
            )
        )
    if drawn.scheme == "mock" and rng.random() < 0.25:
        name = rng.choice(list(drawn.names))
        limit = round(drawn.names[name]["bid"] * 0.9, 2)
        drawn.others.append((name, float(max(int(0.05 * nav / drawn.mid(name)), 1)), limit))
    if drawn.scheme == "sim" and rng.random() < 0.3:
        drawn.kind = "cash"


# -- brokers -------------------------------------------------------------------------------------------------


def quotes_of(drawn: Account) -> pd.DataFrame:
    rows = [(name, one["bid"], one["ask"], one["currency"], NOON, one["lot"]) for name, one in drawn.names.items()]
    return pd.DataFrame(rows, columns=["symbol", "bid", "ask", "currency", "quoted_at", "lot_size"])


def steps_of(drawn: Account, name: str) -> list[dict[str, Any]]:
    """What happens to the orders of a symbol, as rows of the mock filler's fill plan."""
    one, outcome = drawn.names[name], drawn.outcome[name]
    half = {"action": "fill", "quantity": 1.0}
    moved = round((one["bid"] + one["ask"]) / 2 * (1 + drawn.noise[name]), 2)
    return {
        "as quoted": [],
        "noise": [{"action": "fill", "price": moved}],
        "rests": [{"action": "rest"}],
        "rejected": [{"action": "reject", "code": "201", "message": "no"}],
        "half fills": [half, {"action": "rest"}],
        "half cancels": [half, {"action": "cancel"}],
    }[outcome]


def open_mock(drawn: Account, stack: ExitStack) -> MockBroker:
    rows = [{"symbol": name, **step} for name in drawn.names for step in steps_of(drawn, name)]
    rows += [{"symbol": name, "client_order_id": "manual", "action": "rest"} for name, _, _ in drawn.others]
    held = pd.DataFrame(list(drawn.held.items()), columns=["symbol", "quantity"])
    broker = MockBroker(
        quotes_of(drawn),
        positions=held,
        cash=drawn.cash[drawn.base],
        fx={name: rate for name, rate in drawn.rates.items() if name != drawn.base} or None,
        fill_plan=pd.DataFrame(rows) if rows else None,
        seed=drawn.seed,
    )
    for name, quantity, limit in drawn.others:
        currency = drawn.names[name]["currency"]
        terms = (name, "BUY", quantity, "LMT", limit, "DAY", currency, "STK", "SMART", broker.account)
        asyncio.run(broker.place(Ticket("manual", "manual", *terms)))
    return stack.enter_context(broker)


def open_sim(drawn: Account, stack: ExitStack, folder: Any) -> Any:
    script = {
        "rests": [{"rest": True}],
        "rejected": [{"reject": 201}],
        "half fills": [{"fill": "half"}, {"rest": True}],
        "half cancels": [{"fill": "half"}, {"cancel": True}],
    }
    orders = [
        {"symbol": name, "steps": script[outcome]} for name, outcome in drawn.outcome.items() if outcome in script
    ]
    simulator = Simulator(
        seed=drawn.seed,
        quotes=quotes_of(drawn).drop(columns="lot_size"),
        base_currency=drawn.base,
        rates={name: rate for name, rate in drawn.rates.items() if name != drawn.base},
        cash=drawn.cash,
        positions=drawn.held,
        account_kind=drawn.kind,
        scenario={"order": orders} if orders else None,
        clock="brisk",
        journal=folder / f"journal-{drawn.seed}.jsonl",
    )
    stack.enter_context(simulator)
    return stack.enter_context(connect(simulator))


# -- the audit -----------------------------------------------------------------------------------------------


class Ledger:
    """Cash by currency and shares, from opening amounts and trades."""

    def __init__(self, drawn: Account) -> None:
        self.drawn = drawn
        self.cash = defaultdict(float, drawn.cash)
        self.held = defaultdict(float, drawn.held)
        self.costs = self.least = 0.0
        self.moved = 0.0

    @property
    def total(self) -> float:
        return math.fsum(amount * self.drawn.rates[name] for name, amount in self.cash.items())

    def trade(self, name: str, side: str, quantity: float, price: float, *, is_market: bool) -> None:
        one, signed = self.drawn.names[name], quantity if side == "BUY" else -quantity
        rate = self.drawn.rates[one["currency"]]
        self.cash[one["currency"]] -= signed * price
        self.held[name] += signed
        self.costs += signed * (price * rate - self.drawn.mid(name))
        if side == "BUY" and is_market:
            self.moved += max(price - one["ask"] * (1 + MARGIN), 0.0) * quantity * rate
        self.watch()

    def pay(self, currency: str, fee: float) -> None:
        self.cash[currency] -= fee
        self.costs += fee * self.drawn.rates[currency]
        self.watch()

    def watch(self) -> None:
        self.least = min(self.least, self.total + self.moved)


def record_of(blotter: Any, journal: Any) -> list[dict[str, Any]]:
    """Executions and commissions in their sequence, of the venue where it has a journal, else of the blotter."""
    if journal is not None:
        rows = [row for row in read_journal(journal) if row["event"] in ("execution", "commission")]
        return [row | {"kind": row["event"], "client_order_id": row["order_ref"]} for row in rows]
    events = [event._asdict() for event in blotter.recorded_events("r")]
    return [event for event in events if event["kind"] in ("execution", "commission")]


def audit(seed: int, folder: Any) -> list[str]:
    """Carry one run out; return what is wrong with it."""
    drawn = make_account(seed)
    targets = pd.DataFrame(
        {
            "symbol": list(drawn.targets),
            "weight": list(drawn.targets.values()),
            "currency": [drawn.names[name]["currency"] for name in drawn.targets],
            "lot_size": [drawn.names[name]["lot"] for name in drawn.targets],
        }
    )
    options: dict[str, Any] = {"allow_short": True, "max_gross": 2.0} if drawn.shorts else {}
    if drawn.limits or drawn.shorts:
        options["limits"] = sx.Limits(allow_short=drawn.shorts, **drawn.limits)
    journal = folder / f"journal-{seed}.jsonl" if drawn.scheme == "sim" else None
    with ExitStack() as stack:
        blotter = stack.enter_context(sx.open_blotter())
        broker = open_mock(drawn, stack) if drawn.scheme == "mock" else open_sim(drawn, stack, folder)
        before = broker.nav()
        if drawn.scheme == "sim":
            options["timeout"] = 1.0
        try:
            states = sx.rebalance(targets, broker, blotter, run_id="r", approve="x", dry_run=False, **options)
        except sx.InputError as error:  # a holding that the order of another bars from being sold pays for nothing
            is_barred = drawn.others and [one.code for one in error.problems] == ["insufficient_cash"]
            return [] if is_barred and len(blotter.orders()) == 0 else [str(error)]
        figures, positions = broker.account_figures(), broker.positions()
        record, events = record_of(blotter, journal), blotter.events("r")
        fills = blotter.fills("r")
    wrong = [] if abs(before - drawn.nav) < 0.05 else [f"opening NAV {before} is not {drawn.nav}"]
    ledger = replay(drawn, states, fills, record)
    wrong += audit_money(drawn, ledger, figures, positions)
    wrong += audit_rows(drawn, states, ledger)
    wrong += audit_limits(drawn, states, events, ledger)
    return wrong


def replay(drawn: Account, states: pd.DataFrame, fills: pd.DataFrame, record: list[dict[str, Any]]) -> Ledger:
    ledger = Ledger(drawn)
    order_of = states.set_index("client_order_id").to_dict("index")
    currency = {
        row["exec_id"]: row["currency"]
        for row in fills.assign(
            currency=fills["client_order_id"].map(lambda name: order_of[name]["currency"])
        ).to_dict("records")
    }
    for row in record:
        if row["kind"] == "execution":
            order = order_of[row["client_order_id"]]
            ledger.trade(
                order["symbol"],
                order["side"],
                float(row["quantity"]),
                float(row["price"]),
                is_market=order["order_type"] == "MKT",
            )
        else:
            ledger.pay(currency[row["exec_id"]], float(row["commission"]))
    return ledger


def audit_money(drawn: Account, ledger: Ledger, figures: Any, positions: pd.DataFrame) -> list[str]:
    wrong = []
    if ledger.least < -CENT and not drawn.shorts:
        wrong.append(f"cash went down to {ledger.least:.2f}")
    for currency, amount in ledger.cash.items():
        known = figures.currencies.get(currency, (0.0, 1.0))[0]
        if abs(known - amount) > CENT:
            wrong.append(f"{currency} {known:.4f} at the broker, {amount:.4f} by the ledger")
    held = dict(zip(positions["symbol"], positions["quantity"], strict=True))
    for name, shares in ledger.held.items():
        if abs(held.get(name, 0.0) - shares) > 1e-6:
            wrong.append(f"{name}: {held.get(name, 0.0)} at the broker, {shares} by the ledger")
    after = drawn.nav - ledger.costs
    room = CENT * (1 + len(drawn.cash)) if drawn.scheme == "sim" else CENT  # TWS reports two decimals of each
    if abs(figures.nav - after) > room:
        wrong.append(f"NAV {figures.nav:.4f} at the broker, {after:.4f} by the ledger")
    return wrong


def audit_rows(drawn: Account, states: pd.DataFrame, ledger: Ledger) -> list[str]:
    wrong = []
    whole = all(states["status"] == "FILLED")
    for row in states.to_dict("records"):
        name, status = row["symbol"], row["status"]
        reason = row["reason"] if isinstance(row["reason"], str) else ""
        lot = drawn.names[name]["lot"]
        if status not in ENDS:
            wrong.append(f"{name} ends as {status}")
        if status in ("REJECTED", "CANCELLED") and not reason:
            wrong.append(f"{name} is {status} without a reason")
        if status == "FILLED":
            signed = row["quantity"] if row["side"] == "BUY" else -row["quantity"]
            if abs(drawn.held.get(name, 0.0) + signed - ledger.held[name]) > 1e-6:
                wrong.append(f"{name} is FILLED with {ledger.held[name]} held, {signed} of {drawn.held.get(name)}")
            if abs(ledger.held[name] - row["target_quantity"]) > 1e-6:
                wrong.append(f"{name} holds {ledger.held[name]}, and the plan {row['target_quantity']}")
            wanted = drawn.targets[name] * drawn.nav / drawn.mid(name)
            away = ledger.held[name] - wanted
            if whole and not -lot - 0.02 * abs(wanted) - 1e-6 <= away <= lot + 1e-6:
                wrong.append(f"{name} holds {ledger.held[name]}, {away:.2f} off {wanted:.2f}")
    return wrong


def audit_limits(drawn: Account, states: pd.DataFrame, events: pd.DataFrame, ledger: Ledger) -> list[str]:
    announced = events[events["kind"].isin(["sending", "not_sent", "refused"])].groupby("client_order_id")["kind"]
    names = {name for name, kinds in announced if kinds.tolist()[-1] == "sending"}
    sent = states[states["client_order_id"].isin(names)].to_dict("records")
    wrong = [text for row in sent for text in audit_order(drawn, row)]
    total = math.fsum(row["quantity"] * drawn.mid(row["symbol"]) for row in sent)
    wrong += [
        f"{total:.2f} was sent, over {name} of {drawn.limits[name]}"
        for name in ("max_total_notional", "max_day_notional")
        if total > drawn.limits.get(name, math.inf) + CENT
    ]
    floor = drawn.limits.get("min_cash_after", -math.inf)
    if any(row["side"] == "BUY" for row in sent) and ledger.total + ledger.moved < floor - CENT:
        wrong.append(f"cash ends at {ledger.total:.2f}, below {floor}")
    gross = math.fsum(abs(shares) * drawn.mid(name) for name, shares in ledger.held.items())
    lots = math.fsum(one["lot"] * drawn.mid(name) for name, one in drawn.names.items())
    if gross > (2.0 * drawn.nav + lots if drawn.shorts else drawn.nav + CENT):
        wrong.append(f"gross of {gross:.2f} with NAV of {drawn.nav:.2f}")
    return wrong


def audit_order(drawn: Account, row: dict[str, Any]) -> list[str]:
    """What is wrong with one order that was sent, by the limits of the run."""
    name, order, wrong = row["symbol"], row["client_order_id"], []
    held, value = drawn.held.get(name, 0.0), row["quantity"] * drawn.mid(name)
    if value > drawn.limits.get("max_order_notional", math.inf) + CENT:
        wrong.append(f"{order} is worth {value:.2f}")
    after = held + (row["quantity"] if row["side"] == "BUY" else -row["quantity"])
    ratio = abs(after) * drawn.mid(name) / drawn.nav
    if abs(after) > abs(held) and ratio > drawn.limits.get("max_position_ratio", math.inf) * 1.01 + 1e-9:
        wrong.append(f"{order} comes to {ratio:.3f} of NAV")
    if after < -1e-9 and not drawn.shorts:
        wrong.append(f"{order} would be short")
    wanted = drawn.targets[name] * drawn.nav / drawn.mid(name)
    room = 0.1 * abs(wanted - held) + 2 * drawn.names[name]["lot"] + 0.02 * abs(wanted)
    if row["quantity"] > abs(wanted - held) + room:
        wrong.append(f"{order} is for {row['quantity']}, and its target for {wanted - held:.2f}")
    return wrong


def main(count: int, first: int = 0) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            found = audit(seed, Path(folder))
            failed += bool(found)
            if found:
                sys.stdout.write("\n    ".join([str(seed), *found]) + "\n")
                sys.stdout.flush()
    sys.stdout.write(f"{count} accounts, {failed} that do not agree with the ledger\n")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
