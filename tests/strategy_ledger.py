"""Random weeks of two to four strategies on the mock filler, audited by a ledger of the test's own.

Each day some of the strategies set new targets, of NAV or of their own, and are traded together; orders fill, fill
in part and are cancelled, or go on resting, and a split may come overnight. The ledger is plain Python: shares and
cash of the account as they were given, moved by the executions that the mock filler reports. After every day:

- shares of all strategies, with what is unassigned, are the account's, and so is the cash, to the cent;
- what is unassigned is what nobody was given in the beginning, as every order is of strategies;
- of every order nobody is two shares away from its part of what is filled, and its parts add up;
- what passed inside adds up to nothing;
- the reconciliation finds nothing.

A seed is always the same week.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.strategies.division import read_quantities

NAMES = ("core", "growth", "trend", "value")
PRICES = {"AAA": 412.35, "BBB": 77.77, "CCC": 19.13, "DDD": 5.41}
MONDAY = pd.Timestamp("2026-11-16 15:00", tz="UTC")
LOOSE = sx.Limits(
    max_quote_age=None, duplicate_window=None, price_collar=None, min_cash_after=None, max_gross=None
)
RATIOS = (("2:1", 2.0), ("10:1", 10.0), ("1:10", 0.1), ("3:2", 1.5))
CENT = 0.005


@dataclass
class Week:
    """One random week, as a function of its seed."""

    seed: int
    days: int = 5
    shares: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    cash: float = 250_000.0
    counted: set[str] = field(default_factory=set)
    nobody: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0
    splits: int = 0
    crossed: int = 0
    filled: int = 0
    resting: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a reproducible week
        self.names = self.random.sample(NAMES, self.random.randint(2, 4))
        self.prices = dict(PRICES)
        for symbol in PRICES:
            self.shares[symbol] = float(self.random.choice([0, 0, 37, 105, 240]))

    def run(self) -> Week:
        """Play it; an AssertionError names the seed and the day."""
        with sx.open_blotter() as blotter:
            broker = self._broker(0)
            self._assign(blotter, broker)
            self._audit(blotter, broker, "the opening")
            for day in range(self.days):
                if day:
                    broker = self._overnight(blotter, broker, day)
                self._trade(blotter, broker, day)
                self._audit(blotter, broker, f"day {day}")
        return self

    def _broker(self, day: int) -> sx.MockBroker:
        at = MONDAY + pd.Timedelta(days=day)
        quotes = pd.DataFrame({"symbol": list(self.prices), "last": list(self.prices.values()), "quoted_at": at})
        return sx.connect(
            f"mock://?seed={self.seed}",
            quotes=quotes.assign(bid=quotes["last"] - 0.01, ask=quotes["last"] + 0.01),
            positions={symbol: shares for symbol, shares in self.shares.items() if shares},
            cash=self.cash,
            fill_plan=self._script(),
        )

    def _script(self) -> pd.DataFrame:
        """What becomes of the orders of each symbol."""
        rows: list[tuple[str, str, float | None]] = []
        for symbol in PRICES:
            kind = self.random.choice(["full", "full", "part", "rest", "cancel", "reject"])
            if kind in ("part", "cancel"):
                rows += [
                    (symbol, "fill", float(self.random.randint(1, 9))) for _ in range(self.random.randint(1, 3))
                ]
            if kind != "full":
                rows.append((symbol, {"part": "rest"}.get(kind, kind), None))
        return pd.DataFrame(rows, columns=["symbol", "action", "quantity"])

    def _assign(self, blotter: sx.Blotter, broker: sx.MockBroker) -> None:
        """Give a part of the holdings, and of the cash, to each; some stay nobody's."""
        own: dict[str, dict[str, float]] = {name: {} for name in self.names}
        for symbol, shares in self.shares.items():
            left = int(shares)
            for name in self.names:
                part = self.random.randint(0, left)
                own[name][symbol], left = float(part), left - part
            self.nobody[symbol] = float(left)
        state = broker.account_state()
        held = {name: {symbol: one for symbol, one in each.items() if one} for name, each in own.items()}
        held = {name: each for name, each in held.items() if each}
        if held:
            sx.assign_positions(blotter, held, positions=state, by="me")
        each = round(self.cash / (len(self.names) + 1), 2)
        sx.assign_cash(blotter, dict.fromkeys(self.names, each), cash=state, by="me")
        self.idle = self.cash - len(self.names) * each

    def _overnight(self, blotter: sx.Blotter, broker: sx.MockBroker, day: int) -> sx.MockBroker:
        """Working orders end; prices move, and a symbol may be split."""
        broker.cancel_all()
        for run_id in blotter.runs()["run_id"]:
            sx.resume(run_id, broker, blotter, progress=False)
        self._count(blotter)
        for symbol in self.prices:
            self.prices[symbol] = round(self.prices[symbol] * self.random.uniform(0.95, 1.05), 2)
        ratio = self.random.choice(RATIOS) if self.random.random() < 0.4 else None
        symbol = self.random.choice([*PRICES])
        if ratio is not None:
            fraction = self.shares[symbol] * ratio[1]
            self.shares[symbol] = float(math.floor(fraction + 1e-9))
            self.prices[symbol] = round(self.prices[symbol] / ratio[1], 2)
        broker = self._broker(day)
        if ratio is not None:
            on = (MONDAY + pd.Timedelta(days=day)).date()
            held = sx.record_split(blotter, symbol, ratio[0], on=on, positions=broker.account_state(), by="me")
            self._split_of_nobody(held[held["symbol"] == symbol], symbol, ratio[1])
            self.splits += 1
        return broker

    def _split_of_nobody(self, held: pd.DataFrame, symbol: str, ratio: float) -> None:
        """After a split nobody has its part, to the share: parts of a share of the strategies are gone."""
        left = float(held.loc[held["strategy"] == "unassigned", "quantity"].sum())
        assert abs(left - self.nobody[symbol] * ratio) < 1 + 1e-9, (self.seed, symbol, ratio)
        self.nobody[symbol] = left

    def _trade(self, blotter: sx.Blotter, broker: sx.MockBroker, day: int) -> None:
        """One or two rounds: all strategies together, or one of them alone while the orders of the first work."""
        for number in range(self.random.randint(1, 2)):
            names = self.names if self.random.random() < 0.6 else [self.random.choice(self.names)]
            weights = {name: self._weights() for name in names}
            state = broker.account_state([*PRICES])
            shares: object = {name: round(0.9 / len(self.names), 4) for name in names}
            if self.random.random() < 0.5:
                shares = state.with_strategies(blotter.strategy_book(state))
            targets = sx.net_targets(weights, shares)  # type: ignore[arg-type]  # a mapping or a state
            options = {"approve": "me", "dry_run": False, "limits": LOOSE, "timeout": 0.05, "funding": "margin"}
            run_id = f"day-{day}-{number}"
            sx.rebalance(
                targets, broker, blotter, run_id=run_id, allow_liquidation=True, unlisted="keep", **options
            )
            self._count(blotter)
        self.resting += len(broker.open_orders())

    def _weights(self) -> dict[str, float]:
        chosen = self.random.sample([*PRICES], self.random.randint(1, len(PRICES)))
        return {symbol: self.random.choice([0.0, 0.05, 0.1, 0.2]) for symbol in chosen}

    def _count(self, blotter: sx.Blotter) -> None:
        """Move the ledger's own shares and cash by the executions that are new."""
        fills = blotter.fills()
        for row in fills[~fills["exec_id"].isin(self.counted)].to_dict("records"):
            sign = 1 if row["side"] == "BUY" else -1
            self.shares[row["symbol"]] += sign * row["quantity"]
            self.cash -= sign * row["quantity"] * row["price"] + row["commission"]
            self.counted.add(row["exec_id"])
            self.filled += 1

    def _audit(self, blotter: sx.Blotter, broker: sx.MockBroker, when: str) -> None:
        where = f"seed {self.seed}, {when}"
        state = broker.account_state()
        there = dict(state.positions[["symbol", "quantity"]].itertuples(index=False))
        assert there == {symbol: one for symbol, one in self.shares.items() if one}, where
        assert abs(broker.cash() - self.cash) < CENT, where
        self._audit_shares(blotter, state, where)
        self._audit_cash(blotter, state, where)
        found = sx.reconcile(broker, blotter, halt=False)
        assert found[found["kind"] != "order_caught_up"].empty, (where, found.to_dict("records"))

    def _audit_shares(self, blotter: sx.Blotter, state: sx.AccountState, where: str) -> None:
        held = blotter.strategy_positions(state)
        sums = held.groupby("symbol")["quantity"].sum()
        assert sums[sums != 0].to_dict() == {symbol: one for symbol, one in self.shares.items() if one}, where
        left = held[held["strategy"] == "unassigned"].set_index("symbol")["quantity"].to_dict()
        assert left == {symbol: one for symbol, one in self.nobody.items() if one}, where
        crossed = blotter.crossings()
        signed = crossed["quantity"].where(crossed["side"] == "BUY", -crossed["quantity"])
        assert not signed.groupby([crossed["run_id"], crossed["symbol"]]).sum().any(), where
        self.crossed = len(crossed)
        self._audit_orders(blotter, where)

    def _audit_orders(self, blotter: sx.Blotter, where: str) -> None:
        """Of a fill nobody is further than rounding from its part of what the market was to trade."""
        orders, fills = blotter.orders(), blotter.fills()
        if fills.empty:
            return
        parts = sx.attribute_fills(orders, fills, blotter.crossings())
        parts = parts[parts["kind"] == "fill"]
        assert "unassigned" not in parts["strategy"].tolist(), where
        got = parts.groupby(["client_order_id", "strategy"])["quantity"].sum()
        for row in orders[orders["filled_quantity"] > 0].to_dict("records"):
            sign = 1 if row["side"] == "BUY" else -1
            wishes = {one: shares * sign for one, shares in read_quantities(row["strategy_quantities"]).items()}
            takers = {one: shares for one, shares in wishes.items() if shares > 0}
            mine = got[row["client_order_id"]]
            assert mine.sum() == row["filled_quantity"], (where, row["client_order_id"])
            for name, wish in takers.items():
                # Rounded once where a part of its wish passes inside, and once at the fill.
                fair = row["filled_quantity"] * wish / sum(takers.values())
                assert abs(mine.get(name, 0.0) - fair) < 2, (where, row["client_order_id"], name)

    def _audit_cash(self, blotter: sx.Blotter, state: sx.AccountState, where: str) -> None:
        amounts = blotter.strategy_cash(state)
        assert amounts["amount"].notna().all(), where
        assert abs(amounts["amount"].sum() - self.cash) < CENT, where
        left = amounts.loc[amounts["strategy"] == "unassigned", "amount"].sum()
        assert abs(left - self.idle) < CENT, where
        navs = state.with_strategies(blotter.strategy_book(state)).strategy_navs
        assert abs(navs["nav"].sum() - state.nav) < CENT, where
        assert abs(navs["cash"].sum() - self.cash) < CENT, where
