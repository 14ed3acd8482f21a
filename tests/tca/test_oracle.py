"""The measures against the plain loops of :mod:`tests.tca.oracle`, on random histories.

``STOCKLEAN_ORACLE`` is the number of frames of forty orders each; 2 by default.
"""

from __future__ import annotations

import math
import os
import random

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.tca.completion import completion, participation
from stocklean_exec.tca.markouts import markouts, reversion
from stocklean_exec.tca.shortfall import implementation_shortfall
from stocklean_exec.tca.slippage import slippage, spread_metrics
from tests.tca import oracle
from tests.tca.oracle import SECOND

START = pd.Timestamp("2026-11-23 15:00", tz="UTC").value // 1000
SYMBOLS, ORDERS, SPAN = ("A", "B", "C"), 40, 900 * SECOND
NAN = math.nan


def price(rng, middle, width):
    return round(middle + rng.uniform(-width, width), 2)


def moment(rng):
    """Some time in the quarter of an hour, often at a full second."""
    at = rng.randrange(SPAN)
    return START + (at // SECOND * SECOND if rng.random() < 0.5 else at)


def quotes_of(rng):
    rows, at = [], START - rng.randrange(30 * SECOND)
    while at < START + SPAN:
        bid = price(rng, 100, 1)
        ask = round(bid + rng.choice([0.0, 0.02, 0.1, -0.02 if rng.random() < 0.3 else 0.04]), 2)
        if rng.random() < 0.05:
            bid = NAN
        rows.append({"at": at, "bid": bid, "ask": ask})
        if rng.random() < 0.7:  # else another one at the same time
            steps = SECOND, 3 * SECOND + 17, rng.randrange(1, 40 * SECOND), 301 * SECOND
            at += rng.choices(steps, (10, 10, 10, 1))[0]
    return rows


def history(rng):
    """Orders, fills, quotes and trades as lists of plain rows, in time."""
    quotes = {symbol: quotes_of(rng) for symbol in SYMBOLS}
    trades = {
        symbol: sorted(
            (
                {"at": moment(rng), "price": price(rng, 100, 1), "quantity": float(rng.randrange(1, 400))}
                for _ in range(rng.choice([0, 60]) if symbol == "C" else 200)
            ),
            key=lambda trade: trade["at"],
        )
        for symbol in SYMBOLS
    }
    orders, fills = [], []
    for number in range(ORDERS):
        sent, quantity = moment(rng), float(rng.randrange(1, 200))
        order = {
            "order": number,
            "symbol": rng.choice(SYMBOLS),
            "side": rng.choice(["BUY", "SELL"]),
            "quantity": quantity,
            "sent": sent,
            "decision": price(rng, 100, 1),
            "arrival": NAN if rng.random() < 0.1 else price(rng, 100, 1),
            "final": NAN if rng.random() < 0.1 else price(rng, 100, 2),
        }
        orders.append(order)
        left = quantity * rng.choice([0.5, 1.0, 1.0, 1.25])
        for _ in range(rng.randrange(4)):
            shares = left if rng.random() < 0.4 else left / 2
            left -= shares
            at = sent + rng.choice([0, rng.randrange(SECOND), rng.randrange(200 * SECOND)])
            if rng.random() < 0.6:
                at = at // SECOND * SECOND  # as TWS stamps it: perhaps before the order
            if rng.random() < 0.03:
                at = sent - rng.randrange(1, 3 * SECOND)  # another clock
            paid = NAN if rng.random() < 0.1 else round(rng.uniform(-0.5, 2), 2)
            if shares > 0:
                fills.append(
                    {
                        "order": number,
                        "quantity": shares,
                        "price": price(rng, 100, 1),
                        "commission": paid,
                        "at": at,
                    }
                )
    rng.shuffle(fills)
    return orders, fills, quotes, trades


def times(rows, name="at"):
    return pd.to_datetime([row[name] for row in rows], unit="us", utc=True)


def frames(orders, fills, quotes, trades):
    """The same history as the frames that the measures take."""
    known = {order["order"]: order for order in orders}
    flat = {
        kind: [{"symbol": symbol, **row} for symbol, rows in given.items() for row in rows]
        for kind, given in (("quotes", quotes), ("trades", trades))
    }
    named = {"decision": "decision_price", "arrival": "arrival_price", "final": "final_price"}
    return (
        pd.DataFrame(orders)
        .rename(columns={"order": "client_order_id", **named})
        .assign(arrived_at=times(orders, "sent"), client_order_id=lambda frame: frame["client_order_id"].map(str)),
        pd.DataFrame(fills).assign(
            client_order_id=[str(fill["order"]) for fill in fills],
            symbol=[known[fill["order"]]["symbol"] for fill in fills],
            side=[known[fill["order"]]["side"] for fill in fills],
            filled_at=times(fills),
        ),
        pd.DataFrame(flat["quotes"]).assign(quoted_at=times(flat["quotes"])),
        pd.DataFrame(flat["trades"])
        .rename(columns={"quantity": "volume"})
        .assign(traded_at=times(flat["trades"])),
    )


def same(found, wanted, what):
    numbers = [NAN if number is None else float(number) for number in wanted]
    np.testing.assert_allclose(
        np.asarray(found, dtype="float64"), numbers, rtol=1e-9, atol=1e-7, err_msg=what, equal_nan=True
    )


SEEDS = range(int(os.environ.get("STOCKLEAN_ORACLE", "2")))


@pytest.fixture(params=SEEDS, scope="module")
def case(request):
    """A random history: plain rows, its frames, and the fills of each order."""
    given = history(random.Random(request.param))  # noqa: S311 - a test's own
    orders, fills, _, _ = given
    own = [[fill for fill in fills if fill["order"] == order["order"]] for order in orders]
    return given, frames(*given), own


@pytest.mark.parametrize("basis", ["order", "executed"])
def test_shortfall(case, basis):
    (orders, *_), (frame, fills, _, _), own = case
    table = implementation_shortfall(frame, fills, delay_basis=basis)
    wanted = [oracle.shortfall(order, mine, basis) for order, mine in zip(orders, own, strict=True)]
    columns = {"delay_cost": "delay", "trading_cost": "trading", "opportunity_cost": "opportunity", "fees": "fees"}
    for column, name in {**columns, "total_cost": "total"}.items():
        same(table[column], [row[name] for row in wanted], column)
    assert table["total_cost"].notna().sum() > ORDERS / 4  # the comparison is of numbers, not of NaN


def test_slippage_against_every_benchmark_of_the_market(case):
    (orders, _, quotes, trades), (frame, fills, quoted, prints), own = case
    edges = set()
    for name in ("arrival", "vwap", "vwap_ex_own", "pwp", "twap"):
        table = slippage(frame, fills, benchmark=name, quotes=quoted, trades=prints, participation=0.25)
        marks = []
        for order, mine in zip(orders, own, strict=True):
            market, tape = quotes[order["symbol"]], trades[order["symbol"]]
            if name == "arrival":
                own_price = oracle.exact(order["arrival"])
                marks.append(oracle.mid_at(market, order["sent"]) if own_price is None else own_price)
            elif name == "twap":
                mark, unsure = oracle.twap(order, mine, market)
                edges |= {order["order"]} if unsure else set()
                marks.append(mark)
            elif name == "pwp":
                marks.append(oracle.pwp(order, mine, tape, 0.25))
            else:
                marks.append(oracle.vwap(order, mine, tape, without_own=name == "vwap_ex_own"))
        chosen = [number for number in range(ORDERS) if name != "twap" or number not in edges]
        costs = [oracle.slippage(*row) for row in zip(orders, own, marks, strict=True)]
        table = table.iloc[chosen]
        same(table["benchmark_price"], [marks[number] for number in chosen], name)
        same(table["slippage_bps"], [costs[number][0] for number in chosen], name)
        same(table["slippage_cost"], [costs[number][1] for number in chosen], name)
        assert table["slippage_bps"].notna().any()


def test_participation_and_completion(case):
    (orders, _, _, trades), (frame, fills, _, prints), own = case
    rows = list(zip(orders, own, strict=True))
    shares = participation(frame, fills, prints)["participation"]
    same(shares, [oracle.participation(order, mine, trades[order["symbol"]]) for order, mine in rows], "share")
    table = completion(frame, fills)
    ratios = [oracle.filled(mine) / oracle.Fraction(order["quantity"]) for order, mine in rows]
    same(table["fill_ratio"], ratios, "fill_ratio")
    firsts = [min(mine, key=lambda fill: fill["at"]) if mine else None for mine in own]
    same(table["first_fill_seconds"], map_seconds(orders, firsts), "first")
    same(table["last_fill_seconds"], map_seconds(orders, map(oracle.last_fill, own)), "last")


def map_seconds(orders, fills):
    return [oracle.seconds_to(order, fill) for order, fill in zip(orders, fills, strict=True)]


@pytest.mark.parametrize("horizon", [0, 20])
def test_spreads(case, horizon):
    (orders, _, quotes, _), (frame, fills, quoted, _), own = case
    frame = frame.drop(columns=["arrival_price"])
    table = spread_metrics(frame, fills, quoted, horizon=horizon)
    wanted = [
        oracle.spreads(order, mine, quotes[order["symbol"]], horizon * SECOND)
        for order, mine in zip(orders, own, strict=True)
    ]
    columns = {
        "quoted_spread_bps": "quoted",
        "effective_spread_bps": "effective",
        "realized_spread_bps": "realized",
        "price_impact_bps": "impact",
        "spread_capture": "capture",
        "price_improvement_bps": "improvement",
    }
    for column, name in columns.items():
        same(table[column], [row[0][name] for row in wanted], column)
        assert table[column].notna().any()
    same(table["unobserved"], [row[1] for row in wanted], "unobserved")
    same(table["unobserved_later"], [row[2] for row in wanted], "unobserved_later")
    known = table.dropna(subset="realized_spread_bps")
    same(known["realized_spread_bps"] + known["price_impact_bps"], known["effective_spread_bps"], "identity")


def test_markouts_and_reversion(case):
    (orders, rows, quotes, _), (frame, fills, quoted, _), own = case
    horizons = [-60, 0, 1, 10, 300]
    table = markouts(fills, quoted, horizons, orders=frame).set_index("horizon")
    for horizon in horizons:
        middle, error, count, unobserved = oracle.markouts(orders, rows, quotes, horizon * SECOND)
        found = table.loc[horizon, ["markout_bps", "standard_error", "fills", "unobserved"]]
        same(found, [middle, error, count, unobserved], f"markout {horizon}")
    back = reversion(frame, fills, quoted, [30])
    wanted = {
        str(order["order"]): oracle.reversion(order, mine, quotes[order["symbol"]], 30 * SECOND)
        for order, mine in zip(orders, own, strict=True)
        if mine
    }
    same(back["reversion_bps"], [wanted[name] for name in back["client_order_id"]], "reversion")
    assert back["client_order_id"].tolist() == list(wanted)
