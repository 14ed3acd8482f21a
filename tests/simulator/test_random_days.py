"""Random days of every order type: no order trades too much, too late, or worse than its terms."""

import random

import pytest

TYPES = {
    "MKT": {},
    "LMT": {"limit"},
    "MTL": {},
    "MIDPRICE": {"limit"},
    "REL": {"limit", "offset"},
    "STP": {"stop"},
    "STP LMT": {"stop", "limit"},
    "MIT": {"stop"},
    "LIT": {"stop", "limit"},
    "TRAIL": {"offset"},
    "TRAIL LIMIT": {"offset", "limit_offset"},
    "MOC": {},
    "LOC": {"limit"},
}
"""The prices that each type has."""
BOUND = {"LMT", "MIDPRICE", "REL", "STP LMT", "LIT", "LOC"}
"""Types that never trade beyond their limit price."""
ALGOS = [None, None, ["Adaptive"], ["Twap"], ["Vwap", "maxPctVol", "0.1"], ["PctVol", "pctVol", "0.2"]]
DAYS = [{}, {"auctions": "wait"}, {"open_in_seconds": 60.0, "close_in_seconds": 900.0, "auction_cutoff": 30.0}]


def terms(rng, kind):
    """Random terms of an order of this type around a market at 400."""
    near = f"{rng.randrange(39_500, 40_500) / 100:.2f}"
    wanted = TYPES[kind]
    found = {
        "order_type": kind,
        "action": rng.choice(["BUY", "SELL"]),
        "quantity": rng.choice([1, 70, 300, 1_000]),
    }
    found["tif"] = rng.choice(["DAY", "GTC", "IOC", "FOK", "OPG"] if kind in {"MKT", "LMT"} else ["DAY"])
    if "limit" in wanted:
        found["limit"] = near
    if "stop" in wanted:
        found["stop"] = f"{rng.randrange(39_500, 40_500) / 100:.2f}"
    if "offset" in wanted:
        found["stop"] = rng.choice(["0.05", "1.00"])
    if "limit_offset" in wanted:
        found["limit_offset"] = "0.10"
    if kind in {"MKT", "LMT"} and found["tif"] == "DAY":
        found["algo"] = rng.choice(ALGOS)
    return found


def request(rng, peer, placed):
    """A new order, a change of one, or a cancel."""
    choice = rng.random()
    number = rng.choice(list(placed)) if placed else None
    if number is None or choice < 0.6:
        number = peer.venue.ledger.next_valid_id(1)
        placed[number] = terms(rng, rng.choice(list(TYPES)))
        peer.place(number, **placed[number])
    elif choice < 0.9:
        changed = placed[number] | {"quantity": rng.choice([20, 90, 400])}
        if "limit" in changed:
            changed["limit"] = f"{rng.randrange(39_500, 40_500) / 100:.2f}"
        peer.place(number, **changed)
    else:
        peer.send("4", "1", number, "")


def happen(rng, venue):
    """A move of the market, executions, an auction, or time that passes."""
    choice = rng.random()
    if choice < 0.75:
        bid = round(venue.market["SPY"].bid + rng.uniform(-1.5, 1.5), 2)
        last = {"last": round(bid + 0.1, 2)} if rng.random() < 0.5 else {}
        venue.move("SPY", bid=bid, ask=round(bid + 0.2, 2), **last)
    elif choice < 0.8:
        venue.events.run({"do": "fill", "quantity": 15})
    elif choice < 0.9:
        venue.events.run({"do": "auction", "auction": rng.choice(["open", "close"])})
    else:
        venue.clock.advance(rng.choice([1.0, 20.0, 200.0]))


def play(rng, peer):
    """A random day; the largest quantity and the limits of each order, by its id."""
    venue, placed, largest, limits = peer.venue, {}, {}, {}
    for _ in range(60):
        if rng.random() < 0.6:
            request(rng, peer, placed)
        else:
            happen(rng, venue)
        for number in placed:
            order = venue.ledger.find(1, number)
            if order is not None:
                largest[number] = max(largest.get(number, 0.0), order.request.quantity)
                limits.setdefault(number, set()).add(order.request.limit_price)
    return largest, limits


@pytest.mark.parametrize("switches", DAYS, ids=["always", "wait", "session"])
@pytest.mark.parametrize("seed", range(12))
def test_no_order_trades_too_much_too_late_or_beyond_its_limit(connect, seed, switches):
    rng = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
    peer = connect({"switches": dict(switches)}, clock="manual")
    largest, limits = play(rng, peer)
    ledger = peer.venue.ledger
    for number, quantity in largest.items():
        order = ledger.find(1, number)
        fills = ledger.fills_of.get(order.perm_id, [])
        assert sum(fill.quantity for fill in fills) == order.filled <= min(order.request.quantity, quantity)
        assert all(fill.quantity > 0 and fill.at <= (order.completed_at or fill.at) for fill in fills)
        assert (order.status == "Filled") is (order.remaining <= 0)
        if order.request.order_type in BOUND:
            worst = max(limits[number]) if order.request.side == "BUY" else min(limits[number])
            assert all((fill.price - worst) * (1 if fill.side == "BUY" else -1) < 1e-9 for fill in fills)
    held = sum(position.quantity for position in ledger.accounts["DU0000001"].positions.values())
    assert sum(fill.signed for fill in ledger.fills) == held


def test_the_days_are_no_quiet_ones(connect):
    """What the test above sees: orders of every type that fill, and orders that end otherwise."""
    filled, ended = set(), set()
    for seed in range(12):
        peer = connect(clock="manual")
        play(random.Random(seed), peer)  # noqa: S311 - as above
        for order in peer.venue.ledger.orders.values():
            filled |= {order.request.order_type} if order.filled else set()
            ended |= {order.status}
    assert filled == set(TYPES)
    assert ended >= {"Filled", "Cancelled", "Inactive", "Submitted", "PreSubmitted"}
