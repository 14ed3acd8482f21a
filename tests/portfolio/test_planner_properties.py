"""The planner: what must hold for any book, and for any input at all."""

import math
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.schema.order_input import parse_orders

WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")
NAMES = ["A", "B", "C", "D", "E", "BRK B"]
UGLY = [math.nan, math.inf, -math.inf, None, pd.NA, "0.1", "10%", True, 1e308, 5e-324, -1.0, 2147483647, 10**400]
UGLY += [Decimal("0.1"), Decimal("sNaN"), b"x", [1], np.array([1, 2]), pd.NaT, "\ud800", complex(1, 2), object()]


def steadily(examples):
    return settings(deadline=None, derandomize=True, max_examples=examples)


@st.composite
def clean_books(draw):
    """A book that should be planned: few names, coarse numbers, so that ties and exact sums are common."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    shares = draw(st.lists(st.integers(0, 20), min_size=len(names), max_size=len(names)))
    whole = max(sum(shares), draw(st.sampled_from([1, 20, 40])))
    rows = {"symbol": names, "weight": [share / whole for share in shares]}
    if draw(st.booleans()):
        rows["lot_size"] = [draw(st.sampled_from([np.nan, 1.0, 10.0, 0.5])) for _ in names]
    if draw(st.booleans()):
        rows["order_type"] = [draw(st.sampled_from(["MKT", "LMT", None, "STP"])) for _ in names]
        rows["limit_price"] = [draw(st.sampled_from([np.nan, 9.999, 100.019, 0.00001])) for _ in names]
    price = st.one_of(
        st.sampled_from([0.3, 0.99995, 1.0, 10.0, 33.33, 9_999.0, math.nan, 0.0]), st.floats(0.01, 1e4)
    )
    prices = {name: draw(price) for name in NAMES if draw(st.integers(0, 9))}
    held = {
        name: draw(st.sampled_from([0, 1, 7, 250, 10.5, 0.3, -4]))
        for name in draw(st.sets(st.sampled_from(NAMES)))
    }
    options = {
        "nav": draw(st.sampled_from([1_000, 10_000.0, 123_456.78, 1e7])),
        "cash_buffer": draw(st.sampled_from([0.0, 0.1, 0.71])),
        "fractional": draw(st.booleans()),
        "unlisted": draw(st.sampled_from(["keep", "close"])),
        "limit_offset_bps": draw(st.sampled_from([None, 0, 25, -25])),
        "allow_liquidation": True,
        "run_id": draw(st.sampled_from(["r", "a-run-with-a-name-of-forty-characters-ok"])),
    }
    return pd.DataFrame(rows), held, prices, options


def assert_sound(orders, targets, held, prices, options):
    ids = orders["client_order_id"].tolist()
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,40}", name) for name in ids)
    assert orders["symbol"].is_unique
    rejected = orders["status"] == "REJECTED"
    assert set(orders["status"]) <= {"NEW", "REJECTED"}
    assert (orders["quantity"].gt(0) | (orders["quantity"].isna() & rejected)).all()
    assert (orders["reason"].notna() == rejected).all()
    assert all(re.match(r"[a-z_]+: ", text) for text in orders.loc[rejected, "detail"])
    assert orders["tif"].notna().all()
    again = parse_orders(orders)  # orders from the planner pass order validation
    assert again["status"].tolist() == orders["status"].tolist()
    assert_limits(orders[~rejected])
    assert_every_symbol_that_must_trade_has_a_row(orders, targets, held, prices, options)
    assert_affordable(orders[~rejected], held, prices, options)


def assert_limits(sent):
    limits = sent[sent["order_type"] == "LMT"]
    assert (limits["limit_price"] > 0).all()
    for price, tick in zip(limits["limit_price"], limits["tick_size"], strict=True):
        assert (Decimal(repr(price)) / Decimal(repr(tick))) % 1 == 0
    assert sent.loc[sent["order_type"] == "MKT", "limit_price"].isna().all()


def assert_every_symbol_that_must_trade_has_a_row(orders, targets, held, prices, options):
    wanted = dict(zip(targets["symbol"], targets["weight"], strict=True))
    rows = set(orders["symbol"])
    assert rows <= set(wanted) | {name for name, quantity in held.items() if quantity}
    usual = 0.0001 if options["fractional"] else 1
    own = targets.set_index("symbol")["lot_size"].dropna().to_dict() if "lot_size" in targets else {}
    for name, quantity in held.items():
        closes = wanted.get(name) == 0 or (name not in wanted and options["unlisted"] == "close")
        if closes and abs(quantity) >= min(own.get(name, usual), 1):
            assert name in rows
    for name, weight in wanted.items():
        usable = 0 < prices.get(name, math.nan) < 1e9
        assert usable or not weight or name in rows


def assert_affordable(sent, held, prices, options):
    """Holdings and costs after the plan take NAV less the buffer at most, unless the plan buys nothing."""
    buys = sent[(sent["side"] == "BUY") & ~sent["symbol"].isin([name for name, q in held.items() if q < 0])]
    if not len(buys):
        return
    after = {name: Decimal(repr(float(quantity))) for name, quantity in held.items()}
    for name, side, quantity in zip(sent["symbol"], sent["side"], sent["quantity"], strict=True):
        sign = 1 if side == "BUY" else -1
        after[name] = after.get(name, Decimal(0)) + sign * Decimal(repr(quantity))
    priced = {name: Decimal(repr(price)) for name, price in prices.items() if 0 < price < 1e9}
    value = sum(quantity * priced.get(name, Decimal(0)) for name, quantity in after.items())
    most = Decimal(repr(float(options["nav"]))) * (1 - Decimal(repr(options["cash_buffer"])))
    assert value + costs_of(sent) <= most * (1 + Decimal("1e-11"))


def costs_of(sent):
    """Commissions by the published schedule, and what limits to buy may cost above the price; order by order."""
    total = Decimal(0)
    names = ("side", "quantity", "decision_price", "limit_price")
    for side, quantity, price, limit in sent[list(names)].itertuples(index=False):
        paid = max(price, limit) if side == "BUY" and limit == limit else price  # noqa: PLR0124 - NaN is no limit
        shares, paid_exactly = Decimal(repr(quantity)), Decimal(repr(paid))
        least = Decimal("1.00") if quantity >= 1 else Decimal("0.01")
        total += min(max(Decimal("0.005") * shares, least), Decimal("0.01") * shares * paid_exactly)
        total += shares * (paid_exactly - Decimal(repr(price)))
    return total


@pytest.mark.slow
@given(clean_books(), st.randoms(use_true_random=False))
@steadily(100)
def test_a_plan_of_a_valid_book_is_consistent_and_independent_of_row_order(book, random):
    targets, held, prices, options = book
    before = targets.copy(deep=True)
    try:
        orders = plan_orders(targets, held, prices, **options)
    except InputError as error:
        assert set(error.codes) <= {"insufficient_cash"}  # noqa: PT017 - the other way out of a clean book
        return
    pd.testing.assert_frame_equal(targets, before)
    assert_sound(orders, targets, held, prices, options)
    moved = targets.sample(frac=1, random_state=random.randrange(1000))
    turned = dict(reversed(prices.items()))
    again = plan_orders(moved, dict(reversed(held.items())), turned, **options)
    pd.testing.assert_frame_equal(
        *(frame.sort_values("client_order_id").reset_index(drop=True) for frame in (orders, again))
    )


cells = st.one_of(st.sampled_from(UGLY), st.floats(-0.5, 1.5), st.sampled_from([0.1, 0.2, 0, 1]))
labels = st.one_of(
    st.sampled_from(
        [*NAMES, " a", "brk.b", "", " ", None, 7, "\uff21", "x'); DROP TABLE orders;--", "a" * 40, math.nan]
    )
)
headers = st.sampled_from(
    [
        "symbol",
        "weight",
        "quantity",
        "last",
        "bid",
        "ask",
        "quoted_at",
        "limit_price",
        "lot_size",
        "tif",
        "currency",
        "order_type",
        "account",
        "con_id",
        "sec_type",
        "wieght",
        "as_of",
        "avg_cost",
        "side",
        "filled_quantity",
        5,
        "5",
    ]
)
times = st.sampled_from([WHEN, "2026-11-23", "noon", WHEN.tz_localize(None), None, 5, pd.NaT, "2026-11-23T14:30Z"])


FAULTS = ["symbol", "value", "time", "header", "missing", "index"]


@st.composite
def ugly_frames(draw, value, least=0):
    """A frame with the columns that a table needs, and with some of the things that go wrong with frames."""
    size = draw(st.integers(least, 4))
    faults = draw(st.sets(st.sampled_from(FAULTS), max_size=2))
    kinds = {
        "symbol": labels if "symbol" in faults else st.sampled_from(NAMES),
        value: cells if "value" in faults else st.sampled_from([0.1, 0.05, 0.2]),
        "quoted_at": times if "time" in faults else st.just(WHEN),
        "side": st.sampled_from(["BUY", "SELL"]),
    }
    if "header" in faults:
        kinds |= {draw(headers): st.one_of(cells, labels) for _ in range(2)}
    unique = "symbol" if "symbol" not in faults and draw(st.integers(0, 5)) else None
    columns = {
        name: pd.Series(
            draw(st.lists(kind, min_size=size, max_size=size, unique_by=repr if name == unique else None)),
            dtype="object",
        )
        for name, kind in kinds.items()
    }
    frame = pd.DataFrame(columns)
    if draw(st.booleans()):
        frame = frame.infer_objects()
    if "missing" in faults:
        frame = frame.drop(columns=draw(st.sampled_from(["symbol", value])))
    if "index" in faults and draw(st.booleans()) and "symbol" in frame:
        frame = frame.set_index("symbol", drop=draw(st.booleans()))
    elif "index" in faults:
        frame.index = pd.Index([0] * len(frame), name=draw(st.sampled_from([None, "symbol", "time"])))
    return frame


navs = st.one_of(
    st.just(10_000), st.sampled_from([0, math.nan, "1000", None, True, Decimal("sNaN"), 1e300, 10**400])
)
options = st.sampled_from(
    [{}, {"unlisted": "close"}, {"order_type": "LMT", "limit_offset_bps": 5}, {"fractional": True}]
)


def plan_or_refusal(**arguments):
    try:
        return plan_orders(**arguments, run_id="run-1"), None
    except InputError as error:
        return None, error


@pytest.mark.slow
@given(
    targets=ugly_frames("weight", least=1),
    positions=st.one_of(st.none(), ugly_frames("quantity")),
    quotes=st.one_of(st.just(dict.fromkeys(NAMES, 10.0)), ugly_frames("last")),
    open_orders=st.one_of(st.none(), st.none(), ugly_frames("quantity")),
    nav=navs,
    more=options,
)
@steadily(200)
def test_any_input_is_either_planned_or_refused(more, **inputs):
    frames = [frame for frame in inputs.values() if isinstance(frame, pd.DataFrame)]
    before = [frame.copy(deep=True) for frame in frames]
    orders, refusal = plan_or_refusal(**inputs, **{"unlisted": "keep"} | more)
    if refusal is None:
        assert orders["client_order_id"].is_unique
        assert orders["symbol"].is_unique
        rejected = orders["status"] == "REJECTED"
        assert (orders["quantity"].gt(0) | (orders["quantity"].isna() & rejected)).all()
        assert np.isfinite(orders.loc[~rejected, ["quantity", "decision_price", "notional"]].to_numpy()).all()
        assert parse_orders(orders)["status"].tolist() == orders["status"].tolist()
    else:
        assert refusal.problems
        assert all(re.fullmatch(r"[a-z_]+", code) for code in refusal.codes)
    for frame, copy in zip(frames, before, strict=True):
        assert list(frame.columns) == list(copy.columns)
        assert repr(frame.to_numpy().tolist()) == repr(copy.to_numpy().tolist())
