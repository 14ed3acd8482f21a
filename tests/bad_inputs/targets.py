"""Targets: weights, symbols, cash rows and other columns."""

from decimal import Decimal

import numpy as np
import pandas as pd

from tests.bad_inputs.makers import INF, NAN, PRICES, WHEN, Case, frame, named, plan, targets, weights

TARGETS = {
    1: [
        Case("NaN", targets(weights(0.5, NAN, NAN)), "ERROR", "weight_missing", [11, 12]),
        Case(
            "None",
            targets(weights(0.5, None)),
            "ERROR",
            "weight_missing",
            [11],
        ),
        Case("NA", targets(weights(pd.NA, 0.5)), "ERROR", "weight_missing", [10]),
        Case("with another problem", targets(weights(NAN, "x")), "ERROR", "weight_missing", [10]),
        Case(
            "with a bad symbol",
            targets(frame(symbol=["", "B"], weight=[0.5, NAN])),
            "ERROR",
            "weight_missing",
            [1],
        ),
    ],
    2: [Case("infinite", targets(weights(INF, 0.5, -INF)), "ERROR", "weight_not_finite", [10, 12])],
    3: [
        Case(
            "twice",
            targets(frame(symbol=["A", "B", "A"], weight=[0.1, 0.1, 0.1])),
            "ERROR",
            "duplicate_symbol",
            [0, 2],
        )
    ],
    4: [
        Case(
            "case",
            targets(frame(symbol=["aapl ", "AAPL"], weight=[0.1, 0.1])),
            "ERROR",
            "duplicate_symbol_normalised",
            [0, 1],
        ),
        Case("class", targets({"BRK.B": 0.1, "BRK B": 0.1}), "ERROR", "duplicate_symbol_normalised", [0, 1]),
    ],
    5: [Case("over one", targets(weights(0.7, 0.4)), "ERROR", "weights_exceed_one")],
    6: [
        Case("gross", targets(weights(0.7, -0.5), allow_short=True), "ERROR", "gross_limit"),
        Case("leverage", targets(weights(1.5, 0.6), max_gross=2), "ERROR", "gross_limit"),
    ],
    7: [Case("short", targets(weights(0.5, -0.2, -0.1)), "ERROR", "short_not_allowed", [11, 12])],
    8: [Case("cash left", targets(weights(0.5, 0.47)), "WARNING", "residual_cash")],
    8.1: [
        Case("cash", targets(frame(symbol=["AAA", "USD"], weight=[0.9, 0.1])), "WARNING", "cash_row", [1]),
        Case(
            "cash in a file", targets({"AAA": 0.5, "CASH_USD": 0.2, "$CASH": 0.3}), "WARNING", "cash_row", [1, 2]
        ),
        Case("cash and too much", targets({"AAA": 0.9, "USD": 0.2}), "ERROR", "weights_exceed_one"),
        Case("a stock named so", targets(frame(symbol=["USD"], weight=1.0, sec_type="STK")), "FINE"),
        Case("Nokia", targets({"AAA": 0.5, "NOK": 0.5}), "WARNING", "currency_or_stock", ["NOK"]),
        Case(
            "planned", plan({"AAA": 0.9, "USD": 0.1}, None, PRICES | {"USD": 40.0}), "WARNING", "cash_row", ["USD"]
        ),
    ],
    9: [Case("percent", targets(weights(60, 40)), "ERROR", "weights_look_like_percent")],
    10: [
        Case("text", targets(weights("0.1", 0.2)), "ERROR", "weight_dtype", [10]),
        Case("percent", targets(weights("10%", "20%")), "ERROR", "weight_dtype", [10, 11]),
        Case("lone surrogate", targets({"AAA": "\ud800"}), "ERROR", "weight_dtype", [0]),
    ],
    11: [
        Case("bool", targets(weights(*[True, False])), "ERROR", "weight_dtype", [10, 11]),
        Case("complex", targets(weights(1j, 0.5)), "ERROR", "weight_dtype"),
        Case("time", targets(weights(WHEN, WHEN)), "ERROR", "weight_dtype", [10, 11]),
        Case("list", targets(weights([1], 0.5)), "ERROR", "weight_dtype", [10]),
        Case("array", targets({"AAA": np.array([1, 2])}), "ERROR", "weight_dtype", [0]),
        Case(
            "Decimal", targets(weights(Decimal("0.1"), Decimal("0.9"))), "WARNING", "decimal_converted", [10, 11]
        ),
        Case("signalling NaN", targets(weights(Decimal("sNaN"), 0.5)), "ERROR", "weight_missing", [10]),
        Case("integer beyond a float", targets(weights(10**400, 0.5)), "ERROR", "weight_not_finite", [10]),
    ],
    12: [
        Case("whole", targets(weights(0, 1)), "FINE"),
        Case("nullable", targets(weights(0, 1).astype({"weight": "Int64"})), "FINE"),
    ],
    13: [
        Case("no weight", targets(frame(symbol=["A"], wieght=[1.0])), "ERROR", "missing_column", ["weight"]),
        Case("no symbol", targets(frame(ticker=["A"], weight=[1.0])), "ERROR", "missing_column", ["symbol"]),
        Case(
            "filtered",
            targets(frame(ticker=["A"], weight=[1.0]).set_axis([5])),
            "ERROR",
            "missing_column",
            ["symbol"],
        ),
    ],
    14: [
        Case("extra", targets(weights(1.0, sector="x")), "FINE"),
        Case("near miss", targets(weights(1.0, curency="USD")), "WARNING", "unknown_column", ["curency"]),
        Case("unread term", targets(weights(1.0, limit_prise=5.0)), "ERROR", "order_term_unread", ["limit_prise"]),
    ],
    15: [
        Case(
            "twice",
            targets(pd.DataFrame([["A", 1.0, 2.0]], columns=["symbol", "weight", "weight"])),
            "ERROR",
            "duplicate_column",
        ),
        Case(
            "as text",
            targets(pd.DataFrame([["A", 1.0, 2, 3]], columns=["symbol", "weight", 5, "5"])),
            "ERROR",
            "duplicate_column",
        ),
    ],
    16: [
        Case("empty", targets(weights()), "ERROR", "empty_targets"),
        Case("empty dict", targets({}), "ERROR", "empty_targets"),
        Case("empty Series", targets(pd.Series(dtype="float64")), "ERROR", "empty_targets"),
        Case("empty, allowed", targets({}, allow_empty=True), "FINE"),
    ],
    17: [
        Case("empty closes nothing", plan({}, {"AAA": 5}, unlisted="close"), "ERROR", "empty_targets"),
        Case("with allow_liquidation", plan({}, {"AAA": 5}, unlisted="close", allow_liquidation=True), "FINE"),
    ],
    18: [
        Case("zeros", targets(weights(0.0, 0.0)), "ERROR", "full_liquidation"),
        Case("zeros, allowed", targets(weights(0, 0), allow_liquidation=True), "WARNING", "full_liquidation"),
    ],
    19: [
        Case("list", targets([("A", 1.0)]), "ERROR", "wrong_type"),
        Case("None", targets(None), "ERROR", "wrong_type"),
        Case("text", targets("A"), "ERROR", "wrong_type"),
        Case("Series", targets(pd.Series({"A": 1.0})), "FINE"),
        Case("dict", targets({"A": 1.0}), "FINE"),
    ],
    20: [
        Case("rows", targets(weights(0.5).set_index(["symbol", "weight"], drop=False)), "ERROR", "multiindex"),
        Case(
            "columns",
            targets(weights(0.5).set_axis(pd.MultiIndex.from_tuples([("a", "symbol"), ("a", "weight")]), axis=1)),
            "ERROR",
            "multiindex",
        ),
        Case(
            "Series",
            targets(weights(0.5).set_index(["symbol", "weight"], drop=False)["weight"]),
            "ERROR",
            "multiindex",
        ),
    ],
    21: [
        Case("named index", targets(weights(1.0).set_index("symbol")), "FINE"),
        Case("index and column", targets(weights(1.0).set_index("symbol", drop=False)), "FINE"),
        Case(
            "unnamed index",
            targets(weights(1.0).set_index("symbol").rename_axis(None)),
            "ERROR",
            "symbol_location",
        ),
        Case("Series by number", targets(pd.Series([0.5, 0.5])), "ERROR", "symbol_location"),
    ],
    22: [
        Case(
            "dates as rows",
            targets(frame(A=[0.5, 0.6], B=[0.5, 0.4]).set_axis(pd.date_range("2026", periods=2))),
            "ERROR",
            "looks_like_history",
        ),
        Case(
            "dates as a column",
            targets(frame(date=pd.date_range("2026", periods=2), A=[0.5, 0.6])),
            "ERROR",
            "looks_like_history",
        ),
        Case(
            "one symbol's dates",
            targets(pd.Series([0.5, 0.6], index=pd.date_range("2026", periods=2))),
            "ERROR",
            "looks_like_history",
        ),
    ],
    23: [Case(repr(name), named(name), "ERROR", "symbol_missing", [0]) for name in (NAN, None, pd.NA, "", "  ")],
    24: [Case(repr(name), named(name), "ERROR", "symbol_dtype", [0]) for name in (700, 7.5, True, WHEN)],
    25: [
        Case(ascii(name), named(name), "ERROR", "symbol_illegal_char", [0])
        for name in ("A\0B", "A\nB", "A\tB", "A\x1fB")
    ],
    26: [Case("33", named("A" * 33), "ERROR", "symbol_too_long", [0]), Case("32", named("A" * 32), "FINE")],
    27: [
        Case(ascii(name), named(name), "ERROR", "symbol_illegal_char", [0])
        for name in ("\uff21\uff21\uff30\uff2c", "A\u202eB", "E\u0301", "É")
    ],
    28: [
        Case(name, named(name), "ERROR", "symbol_illegal_char", [0])
        for name in ("x'); DROP TABLE orders;--", "<img onerror>", "=HYPERLINK()", "-SPY")
    ],
    29: [Case("surrogate", targets({"A\ud800": 1.0}), "ERROR", "symbol_illegal_char", [0])],
    30: [Case("noise", targets(weights(1e-17, 1.0)), "WARNING", "tiny_weight", [10])],
    31: [Case("damage", targets(weights(5e-324, 1e308, 0.5)), "ERROR", "weight_out_of_range", [10, 11])],
    32: [
        Case(
            "frame", targets(frame(symbol=[f"S{n}" for n in range(20_001)], weight=0.0)), "ERROR", "too_many_rows"
        ),
        Case("dict", targets({f"S{n}": 0.0 for n in range(20_001)}), "ERROR", "too_many_rows"),
    ],
    34: [
        Case("to come", plan(weights(0.5, as_of="2026-11-25"), decided_at=WHEN), "ERROR", "target_date", ["AAA"]),
        Case("old", plan(weights(0.5, as_of="2026-10-01"), decided_at=WHEN), "WARNING", "target_date", ["AAA"]),
        Case("no date", plan(weights(0.5, as_of="soon"), decided_at=WHEN), "ERROR", "time_dtype", ["AAA"]),
        Case("tomorrow begins in the east", plan(weights(0.5, as_of="2026-11-24"), decided_at=WHEN), "FINE"),
    ],
}
