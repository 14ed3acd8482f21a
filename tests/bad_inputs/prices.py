"""Quotes and prices, and their age."""

from datetime import timedelta

import stocklean_exec as sx
from stocklean_exec.schema.inputs import parse_quotes
from tests.bad_inputs.makers import (
    INF,
    NAN,
    PRICES,
    STATE,
    WHEN,
    Case,
    checked,
    frame,
    plan,
    priced,
    quotes,
    weights,
)

UNSET = (-1.0, 1.7976931348623157e308, 2147483647.0, 9223372036854775807.0)
LOCAL = WHEN.tz_localize(None)
PRICE_LINES = {
    48: [
        Case(
            "no quote",
            plan({"AAA": 0.5, "ZZZ": 0.1}),
            "REJECTED",
            "price_unavailable",
            ["ZZZ"],
            "price_unavailable: there is",
        ),
        Case("in the checks", checked(columns={"symbol": ["ZZZ", "BBB"]}), "BLOCK", "price_unavailable", ["ZZZ"]),
    ],
    49: [
        Case("NaN", priced(last=NAN), "REJECTED", "price_unavailable", ["AAA"], "price_not_finite: "),
        Case("-inf", priced(last=-INF), "REJECTED", "price_unavailable", ["AAA"], "price_not_finite: "),
        Case("absurd", priced(last=2e9), "REJECTED", "price_unavailable", ["AAA"], "price_out_of_range: "),
    ],
    50: [Case("zero", priced(last=0.0), "REJECTED", "price_unavailable", ["AAA"], "price_zero: ")],
    51: [Case("negative", priced(last=-2.5), "REJECTED", "price_unavailable", ["AAA"], "price_negative: ")],
    52: [
        Case(str(v), priced(last=v), "REJECTED", "price_unavailable", ["AAA"], "price_unset_sentinel: ")
        for v in UNSET
    ],
    53: [Case(text, quotes(last=[1.0, text]), "ERROR", "price_dtype", [1]) for text in ("101.5", "1,015.00")],
    54: [
        Case(
            "stale",
            checked({"max_quote_age": 60.0}, {"quoted_at": WHEN - timedelta(seconds=61)}),
            "BLOCK",
            "price_stale",
            ["AAA"],
        )
    ],
    55: [
        Case(
            "future", checked(quote={"quoted_at": WHEN + timedelta(seconds=60)}), "BLOCK", "price_future", ["AAA"]
        )
    ],
    56: [
        Case("steps", quotes(last=1.0, price_steps=["0:0.01", "1:0.01"]), "ERROR", "price_steps_invalid", [1]),
        Case("naive", quotes(last=1.0, quoted_at=[LOCAL, LOCAL]), "ERROR", "naive_time", [0, 1]),
        Case("text", quotes(last=1.0, quoted_at=["2026-11-23 14:30", WHEN]), "ERROR", "naive_time", [0]),
        Case("number", quotes(last=1.0, quoted_at=[1763908200, WHEN]), "ERROR", "time_dtype", [0]),
        Case("out of time", quotes(last=1.0, quoted_at=["99999-01-01T00:00Z", WHEN]), "ERROR", "time_dtype", [0]),
        Case("decision", plan(decided_at=LOCAL), "ERROR", "naive_time"),
    ],
    57: [Case("mixed zones", quotes(last=1.0, quoted_at=[WHEN, WHEN.tz_convert("Asia/Tokyo")]), "FINE")],
    58: [
        Case(
            "crossed",
            priced(bid=51.0, ask=50.0, last=50.5),
            "REJECTED",
            "quote_crossed",
            ["AAA"],
            "quote_crossed: ",
        ),
        Case("in the checks", checked(quote={"bid": 51.0, "ask": 50.0}), "BLOCK", "quote_crossed", ["AAA"]),
    ],
    59: [Case("locked", checked(quote={"bid": 50.0, "ask": 50.0}), "WARN", "quote_locked", ["AAA"])],
    60: [
        Case("one side", priced(bid=50.0), "REJECTED", "price_unavailable", ["AAA"], "quote_one_sided: "),
        Case(
            "one side and a trade", checked(quote={"ask": NAN, "last": 50.0}), "WARN", "quote_one_sided", ["AAA"]
        ),
    ],
    61: [Case("wide", checked(quote={"bid": 45.0, "ask": 50.0}), "WARN", "wide_spread", ["AAA"])],
    62: [
        Case("jump", checked(quote={"close": 35.0}), "BLOCK", "price_collar", ["AAA"]),
        Case("moved", checked(columns={"decision_price": [40.0, 20.0]}), "BLOCK", "price_moved", ["AAA"]),
    ],
    63: [Case("split", checked(quote={"close": 100.0}), "BLOCK", "suspected_split", ["AAA"])],
    64: [
        Case("no rate", plan(weights(0.5, currency="EUR")), "REJECTED", "currency_unsupported", ["AAA"]),
        Case("pence", plan(weights(0.5, currency="GBp")), "REJECTED", "minor_currency", ["AAA"]),
        Case("a quote in pence", priced(last=50.0, currency="GBp"), "REJECTED", "minor_currency", ["AAA"]),
        Case("a quote in euros", priced(last=50.0, currency="EUR"), "REJECTED", "currency_unsupported", ["AAA"]),
        *(Case(f"rate {rate!r}", plan(fx={"EUR": rate}), "ERROR", "fx_invalid") for rate in (0, -1.1, "1.1", INF)),
        Case("two base currencies", plan(fx={"USD": 1.1}), "ERROR", "fx_invalid"),
        Case("NAV beside a state", plan(positions=STATE), "ERROR", "state_and_input"),
        Case(
            "a state that contradicts itself",
            lambda: sx.AccountState.of({"AAA": 10}, PRICES, nav=10_000, cash=1.0),
            "ERROR",
            "account_state_inconsistent",
        ),
        Case(
            "a state without prices or cash",
            lambda: sx.AccountState.of({"OLD": 10}, nav=10_000),
            "ERROR",
            "cash_missing",
        ),
    ],
    65: [
        Case("one time", quotes(symbol=["A", "A"], last=[1.0, 2.0]), "ERROR", "duplicate_price", [0, 1]),
        Case(
            "no time",
            lambda: parse_quotes(frame(symbol=["A", "A"], last=[1.0, 2.0], quoted_at=None)),
            "ERROR",
            "duplicate_price",
            [0, 1],
        ),
        Case(
            "two times", quotes(symbol=["A", "A"], last=[1.0, 2.0], quoted_at=[WHEN, WHEN + timedelta(1)]), "FINE"
        ),
    ],
    66: [Case("delayed", checked(quote={"data_type": 3}), "WARN", "delayed_price", ["AAA"])],
    67: [Case("halted", checked(quote={"halted": True}), "BLOCK", "symbol_halted", ["AAA"])],
}
