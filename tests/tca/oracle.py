"""A second opinion of the measures: plain loops over one order at a time, in exact fractions.

Written from the definitions (Perold 1988; Wagner and Kissell; the CFA curriculum; Rule 605; Cochran 1977) and
from the stated rules of this package: how long a quote is in force, and when a fill stamped in whole seconds
happened. It shares no code with the package. Times are microseconds, prices and shares fractions, unknown
numbers None.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

SECOND = 1_000_000
MAX_AGE, GRACE = 300 * SECOND, 5 * SECOND  # the README: five minutes, and five seconds before a gap


def side(order):
    return 1 if order["side"] == "BUY" else -1


def exact(number):
    return None if number is None or math.isnan(number) else Fraction(number)


def quote_at(quotes, moment):
    """Bid and ask in force; None before the first, in a gap, and where the quote cannot be used."""
    known = [row for row, quote in enumerate(quotes) if quote["at"] <= moment]
    if not known:
        return None
    row = known[-1]
    quote, age = quotes[row], moment - quotes[row]["at"]
    followed = row + 1 < len(quotes) and quotes[row + 1]["at"] - quote["at"] <= MAX_AGE
    if age > GRACE and not followed:
        return None
    bid, ask = exact(quote["bid"]), exact(quote["ask"])
    if bid is None or ask is None or bid <= 0 or ask <= 0 or bid > ask:
        return None
    return bid, ask


def mid_at(quotes, moment):
    quote = None if moment is None else quote_at(quotes, moment)
    return None if quote is None else (quote[0] + quote[1]) / 2


def earliest(fill, order):
    """The earliest time of a fill; None if it is stamped before its order was sent."""
    stamp, sent = fill["at"], order["sent"]
    if stamp >= sent:
        return stamp
    return sent if stamp % SECOND == 0 and stamp + SECOND > sent else None


def latest(fill):
    return fill["at"] + SECOND - 1 if fill["at"] % SECOND == 0 else fill["at"]


def last_fill(fills):
    return max(fills, key=lambda fill: fill["at"]) if fills else None


def filled(fills):
    return sum((Fraction(fill["quantity"]) for fill in fills), Fraction(0))


def value(fills):
    return sum((Fraction(fill["quantity"]) * Fraction(fill["price"]) for fill in fills), Fraction(0))


# -- benchmarks ----------------------------------------------------------------------------------------------


def traded(order, fills, trades):
    """Shares and notional of the market after arrival, up to the latest time of the last fill; None if unknown."""
    last = last_fill(fills)
    if last is None or earliest(last, order) is None:
        return None
    inside = [trade for trade in trades if order["sent"] < trade["at"] <= latest(last)]
    return filled(inside), value(inside)


def vwap(order, fills, trades, *, without_own=False):
    found = traded(order, fills, trades)
    if found is None:
        return None
    volume, money = found
    if without_own:
        volume, money = volume - filled(fills), money - value(fills)
    return money / volume if volume > 0 and money > 0 else None


def participation(order, fills, trades):
    found = traded(order, fills, trades)
    if found is None or not filled(fills) <= found[0] or found[0] <= 0:
        return None
    return filled(fills) / found[0]


def pwp(order, fills, trades, rate):
    last = last_fill(fills)
    if last is None or earliest(last, order) is None:
        return None
    goal = left = filled(fills) / Fraction(rate)
    spent = Fraction(0)
    for trade in trades:
        if trade["at"] > order["sent"] and left > 0:
            taken = min(left, Fraction(trade["quantity"]))
            spent, left = spent + taken * Fraction(trade["price"]), left - taken
    return spent / goal if left == 0 else None


def twap(order, fills, quotes):
    """Mid weighted by time, None unless nine tenths are covered; and whether that is at the edge of rounding."""
    last = last_fill(fills)
    end = None if last is None else earliest(last, order)
    if end is None:
        return None, False
    start = order["sent"]
    if end == start:
        return mid_at(quotes, start), False
    edges = {start, end}
    for quote in quotes:
        edges |= {moment for moment in (quote["at"], quote["at"] + GRACE + 1) if start < moment < end}
    ordered = sorted(edges)
    total, covered = Fraction(0), 0
    for one, two in pairwise(ordered):
        mid = mid_at(quotes, one)
        if mid is not None:
            total, covered = total + mid * (two - one), covered + two - one
    unsure = abs(10 * covered - 9 * (end - start)) <= SECOND // 1000
    return (total / covered if 10 * covered >= 9 * (end - start) else None), unsure


def slippage(order, fills, benchmark):
    """Basis points and money against a benchmark price."""
    if not fills or benchmark is None:
        return None, None
    average = value(fills) / filled(fills)
    cost = side(order) * (average - benchmark)
    return 10_000 * cost / benchmark, cost * filled(fills)


# -- shortfall -----------------------------------------------------------------------------------------------


def times(shares, price, base, s):
    """Cost of a price move on some shares: nothing on none, whatever the prices are."""
    if shares == 0:
        return Fraction(0)
    return None if price is None or base is None else s * shares * (price - base)


def shortfall(order, fills, basis):
    """Delay, trading, opportunity, fees and total; None for each that is unknown."""
    ordered, done, paid = Fraction(order["quantity"]), filled(fills), value(fills)
    if done > ordered:
        return dict.fromkeys(("delay", "trading", "opportunity", "fees", "total"))
    decision, arrival, final = (exact(order[name]) for name in ("decision", "arrival", "final"))
    s, left = side(order), ordered - done
    due = any(exact(fill["commission"]) is None for fill in fills)
    fees = None if due else sum((Fraction(fill["commission"]) for fill in fills), Fraction(0))
    waited = ordered if basis == "order" else done
    delay = times(waited, arrival, decision, s)
    trading = Fraction(0) if done == 0 else None if arrival is None else s * (paid - done * arrival)
    since = arrival if basis == "order" else decision
    opportunity = times(left, final, since, s)
    total = None
    if fees is not None and (left == 0 or final is not None):
        at_end = Fraction(0) if left == 0 else final
        paper = s * ordered * (at_end - decision)
        real = s * (done * at_end - paid) - fees
        total = paper - real
    return {"delay": delay, "trading": trading, "opportunity": opportunity, "fees": fees, "total": total}


# -- spreads, markouts, reversion ----------------------------------------------------------------------------


def mean(pairs):
    """Weighted mean of (value, weight), without unknown values."""
    seen = [(number, weight) for number, weight in pairs if number is not None]
    weights = sum((weight for _, weight in seen), Fraction(0))
    return sum((number * weight for number, weight in seen), Fraction(0)) / weights if weights else None


def spreads(order, fills, quotes, horizon):
    s, rows, unobserved, later = side(order), [], 0, 0
    at_arrival = quote_at(quotes, order["sent"])
    touch = None if at_arrival is None else at_arrival[1 if s > 0 else 0]
    for fill in fills:
        when, price = earliest(fill, order), Fraction(fill["price"])
        quote = None if when is None else quote_at(quotes, when)
        then = None if when is None else mid_at(quotes, when + horizon)
        row = dict.fromkeys(("quoted", "effective", "realized", "impact", "capture"))
        if quote is None:
            unobserved += 1
        else:
            bid, ask = quote
            mid = (bid + ask) / 2
            row["quoted"] = 10_000 * (ask - bid) / mid
            row["effective"] = 20_000 * s * (price - mid) / mid
            row["capture"] = s * (mid - price) / ((ask - bid) / 2) if ask > bid else None
            if then is None:
                later += 1
            else:
                row["realized"] = 20_000 * s * (price - then) / mid
                row["impact"] = 20_000 * s * (then - mid) / mid
        row["improvement"] = None if touch is None else 10_000 * s * (touch - price) / touch
        rows.append((row, Fraction(fill["quantity"])))
    names = ("quoted", "effective", "realized", "impact", "capture", "improvement")
    found = {name: mean([(row[name], shares) for row, shares in rows]) for name in names}
    if later:
        found["realized"] = found["impact"] = None
    return found, unobserved, later


def markouts(orders, fills, quotes, horizon):
    """Mean, standard error, number and unobserved number of the markouts of fills, weighted by shares."""
    moves, unobserved = [], 0
    for fill in fills:
        order = orders[fill["order"]]
        when, price = earliest(fill, order), Fraction(fill["price"])
        mid = None if when is None else mid_at(quotes[order["symbol"]], when + horizon)
        if mid is None:
            unobserved += 1
        else:
            moves.append((10_000 * side(order) * (mid - price) / price, Fraction(fill["quantity"])))
    middle, count = mean(moves), len(moves)
    error = None
    if count > 1:
        spread = sum(weight**2 * (move - middle) ** 2 for move, weight in moves)
        error = math.sqrt(Fraction(count, count - 1) * spread) / float(sum(weight for _, weight in moves))
    return middle, error, count, unobserved


def reversion(order, fills, quotes, horizon):
    last = last_fill(fills)
    end = earliest(last, order)
    one, two = mid_at(quotes, end), None if end is None else mid_at(quotes, end + horizon)
    return None if one is None or two is None else 10_000 * side(order) * (one - two) / one


def seconds_to(order, fill):
    """Seconds from sending to a fill; negative where a clock is wrong."""
    if fill is None:
        return None
    when = earliest(fill, order)
    return Fraction((fill["at"] if when is None else when) - order["sent"], SECOND)
