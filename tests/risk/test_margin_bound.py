"""The bound on a plan's margin, against accounts that execute it: no part of any plan goes beyond it."""

from __future__ import annotations

import asyncio
import random

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.execution.run_setup import tickets_of

SYMBOLS = ("AA", "BB", "CC", "DD")
CENT = 0.05  # the simulator reports in cents, and rounds each of a preview's figures


def market_of(chance):
    """Quotes with a spread; the last trade is the mid, at which positions are valued."""
    mids = [float(chance.randrange(200, 20_000)) / 100 for _ in SYMBOLS]
    half = [round(mid * chance.choice((0.0, 0.0005, 0.005)), 2) for mid in mids]
    columns = {"bid": [round(a - b, 2) for a, b in zip(mids, half, strict=True)], "last": mids, "close": mids}
    columns["ask"] = [round(a + b, 2) for a, b in zip(mids, half, strict=True)]
    return pd.DataFrame({"symbol": list(SYMBOLS), **columns, "quoted_at": pd.Timestamp.now("UTC")})


def orders_of(chance, market):
    """One to six orders, several of them perhaps in one symbol, with limits at the market or through it."""
    sides = {symbol: chance.choice(("BUY", "SELL")) for symbol in SYMBOLS}
    rows = []
    for number in range(chance.randint(1, 6)):
        symbol = chance.choice(SYMBOLS)
        side = sides[symbol]
        quote = market.set_index("symbol").loc[symbol]
        through = chance.choice((0.0, 0.01))
        limit = quote["ask"] * (1 + through) if side == "BUY" else quote["bid"] * (1 - through)
        kind = chance.choice(("MKT", "LMT"))
        rows.append(
            {
                "client_order_id": f"r-{number}",
                "run_id": "r",
                "symbol": symbol,
                "side": side,
                "quantity": float(chance.randint(1, 60)),
                "order_type": kind,
                "limit_price": round(limit, 2) if kind == "LMT" else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def positions_of(chance):
    held = {symbol: chance.choice((0, 10, 40, -10, -40)) for symbol in SYMBOLS}
    shares = {symbol: float(quantity) for symbol, quantity in held.items() if quantity}
    return pd.DataFrame({"symbol": list(shares), "quantity": list(shares.values())})


LIMITS = sx.Limits(
    allow_short=True,
    min_cash_after=None,
    max_gross=None,
    max_spread_bps=None,
    price_collar=None,
    duplicate_window=None,
)


def checked_plan(chance, broker, market):
    """A plan that was checked with the account as it is, and with previews of some of its orders."""
    orders = orders_of(chance, market)
    state = broker.account_state(list(SYMBOLS))
    plain = sx.check_orders(orders, LIMITS, state)
    previews = sx.preview_orders(plain, broker, most=chance.randint(0, len(plain)))
    return sx.check_orders(orders, LIMITS, state, previews=previews)


def assert_within(bound, figures):
    assert figures.initial_margin <= bound["initial_margin"] + CENT
    assert figures.maintenance_margin <= bound["maintenance_margin"] + CENT
    assert figures.equity_with_loan >= bound["equity_with_loan"] - CENT
    assert figures.equity_with_loan - figures.maintenance_margin >= bound["excess_liquidity"] - CENT


@pytest.mark.parametrize("seed", range(40))
def test_no_part_of_a_plan_goes_beyond_its_bound_in_whatever_sequence_it_fills(seed):
    chance = random.Random(seed)  # noqa: S311 - a reproducible plan
    market = market_of(chance)
    broker = sx.connect("mock://", quotes=market, positions=positions_of(chance), cash=50_000.0)
    checked = checked_plan(chance, broker, market)
    bound = sx.plan_margin(checked)["bound"]
    before = broker.account_figures()
    assert sx.plan_margin(checked)["now"]["initial_margin"] == before.initial_margin
    tickets = tickets_of(checked.assign(account=broker.account))
    chance.shuffle(tickets)
    for ticket in tickets:
        asyncio.run(broker.place(ticket))
        assert_within(bound, broker.account_figures())
    assert broker.open_orders().empty


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["margin", "cash"])
def test_the_simulator_ends_a_plan_within_its_bound(kind, seed):
    chance = random.Random(100 + seed)  # noqa: S311 - as above
    market = market_of(chance)
    held = positions_of(chance)
    if kind == "cash":
        held["quantity"] = held["quantity"].abs()
    with (
        sx.connect(
            f"sim://?seed={seed}&account_kind={kind}", quotes=market, positions=held, cash=50_000.0
        ) as broker,
        sx.open_blotter() as blotter,
    ):
        checked = checked_plan(chance, broker, market)
        bound = sx.plan_margin(checked)["bound"]
        review = sx.review_orders(checked)
        review.approve_all(by="me")
        states = sx.submit_orders(review.result(), broker, blotter, funding="margin", timeout=10)
        if kind == "margin":
            assert set(states["status"]) == {"FILLED"}
        assert (states["filled_quantity"] > 0).any()
        assert_within(bound, broker.account_figures())
