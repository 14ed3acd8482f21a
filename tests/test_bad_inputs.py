"""Every bad input that the package handles: what is done about it, and its code.

``ERROR``: one exception for the whole call that lists all offenders; nothing was done. ``REJECTED``: a row that
stays in the table with a reason. ``WARNING``: kept, and listed by ``input_warnings``. ``BLOCK`` and ``WARN``:
verdicts of the checks. ``FINE``: taken as it is.
"""

import ast
import inspect
import math
import re
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets
from stocklean_exec.schema.order_input import parse_open_orders, parse_orders

NAN, INF = math.nan, math.inf
WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")
PRICES = {"AAA": 50.0, "BBB": 20.0, "CCC": 10.0}
TAKEN = {"symbol": ["AAA", "BBB"], "quoted_at": [WHEN, WHEN], "order_types": ["LMT MOC", "LMT MKT"]}
STATE = sx.AccountState.of(None, PRICES, nav=10_000)
ONE_CONTRACT = pd.DataFrame({"symbol": ["AAA"], "weight": [0.5], "con_id": [1]})


class Case(NamedTuple):
    """``at``: rows (their labels), symbols or columns at fault; ``detail``: how a rejected row's detail begins."""

    name: str
    call: Any
    kind: str
    code: str = ""
    at: Any = None
    detail: str = ""


def frame(**columns):
    return pd.DataFrame(columns)


def weights(*values, **columns):
    names = ["AAA", "BBB", "CCC", "DDD"][: len(values)]
    return pd.DataFrame({"symbol": names, "weight": list(values)} | columns, index=range(10, 10 + len(values)))


def targets(data, **options):
    return lambda: parse_targets(data, **options)


def named(symbol):
    return targets(frame(symbol=pd.Series([symbol, "SPY"], dtype="object"), weight=[0.5, 0.5]))


def plan(data=None, positions=None, quotes=None, **options):
    given = {"nav": 10_000, "run_id": "r"} | options
    return lambda: sx.plan_orders(
        {"AAA": 0.5} if data is None else data, positions, PRICES if quotes is None else quotes, **given
    )


def priced(**quote):
    """A plan in AAA, whose quote is the given one, and in BBB, whose quote is fine."""
    rows = [{"symbol": "AAA", "quoted_at": WHEN} | quote, {"symbol": "BBB", "quoted_at": WHEN, "last": 20.0}]
    return plan({"AAA": 0.5, "BBB": 0.5}, None, pd.DataFrame(rows))


def quotes(**columns):
    return lambda: parse_quotes(frame(**({"symbol": ["AAA", "BBB"], "quoted_at": [WHEN, WHEN]} | columns)))


def order_frame(**columns):
    usual = {"run_id": "r", "symbol": ["AAA", "BBB"], "side": "BUY", "quantity": [10, 20], "order_type": "MKT"}
    columns = usual | columns
    return pd.DataFrame({name: columns[name] for name in columns}, index=[3, 4])


def order(**columns):
    """Two orders; the first has what is given."""
    pairs = {
        name: pd.Series([value, other], index=[3, 4], dtype="object") for name, (value, other) in columns.items()
    }
    return lambda: parse_orders(order_frame(**pairs))


def limit_order(**columns):
    return order(order_type=("LMT", "MKT"), limit_price=(50.0, None), **columns)


def checked(limits=None, quote=None, columns=None, **context):
    """Checks of an order to buy 10 AAA at about 50 and of one to buy 20 BBB at 20."""
    rows = [
        {"symbol": "AAA", "quoted_at": WHEN, "bid": 49.99, "ask": 50.01} | (quote or {}),
        {"symbol": "BBB", "quoted_at": WHEN, "bid": 19.99, "ask": 20.01},
    ]
    given = {"cash": 1e6, "quotes": pd.DataFrame(rows), "now": WHEN} | context
    return lambda: sx.check_orders(order_frame(**(columns or {})), sx.Limits(**(limits or {})), **given)


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

POSITIONS = {
    35: [
        Case(
            "not finite",
            lambda: parse_positions({"A": NAN, "B": INF, "C": 1}),
            "ERROR",
            "position_not_finite",
            ["A", "B"],
        ),
        Case("absurd", lambda: parse_positions({"A": 1e300}), "ERROR", "position_out_of_range", ["A"]),
        Case("text", lambda: parse_positions({"A": "10"}), "ERROR", "position_dtype", ["A"]),
        Case(
            "average cost",
            lambda: parse_positions(frame(symbol=["A"], quantity=1, avg_cost="x")),
            "ERROR",
            "avg_cost_dtype",
            ["A"],
        ),
        Case(
            "contract",
            lambda: parse_positions(frame(symbol=["A"], quantity=1, con_id=1.5)),
            "ERROR",
            "con_id_dtype",
            ["A"],
        ),
        Case("contract of an order", order(con_id=("<b>", 5)), "ERROR", "con_id_dtype", ["AAA"]),
    ],
    36: [
        Case(
            "part of a share",
            plan({"AAA": 0.1, "BBB": 0}, {"BBB": 1.5}),
            "WARNING",
            "fractional_position",
            ["BBB"],
        )
    ],
    37: [
        Case(
            "two accounts",
            lambda: parse_positions(frame(symbol=["A", "B", "A"], quantity=1)),
            "ERROR",
            "ambiguous_position",
            [0, 2],
        )
    ],
    38: [
        Case(
            "two currencies",
            lambda: parse_positions(frame(symbol=["A", "A"], quantity=1, currency=["USD", "EUR"])),
            "ERROR",
            "ambiguous_instrument",
            [0, 1],
        ),
        Case(
            "an option for a share",
            plan(None, frame(symbol=["AAA"], quantity=1, sec_type="OPT")),
            "ERROR",
            "ambiguous_instrument",
            ["AAA"],
        ),
    ],
    38.05: [
        Case(
            "another contract",
            plan(ONE_CONTRACT, frame(symbol=["AAA"], quantity=100, con_id=2), unlisted="close"),
            "REJECTED",
            "other_contract",
            ["AAA"],
            "other_contract: AAA (2) is another contract",
        ),
        Case(
            "its quote",
            plan(ONE_CONTRACT, None, frame(symbol=["AAA"], last=50.0, quoted_at=WHEN, con_id=2)),
            "REJECTED",
            "contract_mismatch",
            ["AAA"],
            "contract_mismatch: the quote of AAA is of contract 2",
        ),
    ],
    38.1: [
        Case("cash", lambda: parse_positions({"A": 5, "USD": 5_000}), "WARNING", "cash_row", [1]),
        Case("sold", plan(None, {"AAA": 1, "USD": 5}, unlisted="close"), "WARNING", "cash_row", ["USD"]),
        Case("unlisted", plan(None, {"AAA": 1, "CASH": 5}), "WARNING", "cash_row", ["CASH"]),
        Case("opening", lambda: sx.connect("mock://", positions={"USD": 5}), "ERROR", "cash_row", ["USD"]),
        Case("in a simulator", lambda: sx.connect("sim://", positions={"USD": 5}), "ERROR", "cash_row", ["USD"]),
    ],
    39: [Case("unlisted", plan(None, {"BBB": 5, "CCC": 1}), "ERROR", "unlisted_position", ["BBB", "CCC"])],
    40: [
        Case(repr(nav), plan(nav=nav), "ERROR", "nav_invalid")
        for nav in (0, -1, NAN, INF, None, "10000", True, 1e300, Decimal("sNaN"))
    ],
    41: [
        Case("no cash", checked(cash=None), "ERROR", "cash_missing"),
        Case("NaN cash", checked(cash=NAN), "ERROR", "cash_missing"),
        Case("no nav", checked({"max_gross": 1.0, "min_cash_after": None}, cash=None), "ERROR", "nav_missing"),
    ],
    42: [
        Case("holdings above nav", plan(None, {"AAA": 300}), "WARNING", "negative_cash"),
        Case("less than a share", plan({"AAA": 0.001, "BBB": 0.5}), "WARNING", "below_one_lot", ["AAA"]),
        Case(
            "no tariff for the currency",
            plan(
                frame(symbol=["AAA"], weight=0.5, currency="NOK"),
                quotes=frame(symbol=["AAA"], last=100.0, currency="NOK", quoted_at=WHEN),
                fx={"NOK": 0.1},
            ),
            "WARNING",
            "tariff_unknown",
        ),
        Case(
            "cash that working buys take",
            plan(
                {"AAA": 1.0},
                open_orders=frame(symbol=["BBB"], side="BUY", quantity=10.0, order_type="LMT", limit_price=50.0),
                on_open_orders="net",
            ),
            "WARNING",
            "cash_committed",
        ),
    ],
    43: [
        Case(
            "currency",
            plan(None, frame(symbol=["AAA"], quantity=1, currency="EUR")),
            "ERROR",
            "currency_mismatch",
            ["AAA"],
        )
    ],
    47: [
        Case(
            "working order",
            plan(open_orders=frame(symbol=["AAA"], side="BUY", quantity=5)),
            "REJECTED",
            "open_order_exists",
            ["AAA"],
        ),
        Case(
            "elsewhere",
            plan(open_orders=frame(symbol=["CCC"], side="BUY", quantity=5)),
            "WARNING",
            "open_order_exists",
            ["CCC"],
        ),
        Case(
            "without quantity",
            lambda: parse_open_orders(frame(symbol=["A", "B"], side="BUY", quantity=[NAN, 1])),
            "ERROR",
            "open_order_invalid",
            [0],
        ),
        Case(
            "without side",
            lambda: parse_open_orders(frame(symbol=["A"], side="?", quantity=1)),
            "ERROR",
            "side_invalid",
            [0],
        ),
    ],
}

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

INSTRUMENTS = {
    71: [
        Case("planned", plan(weights(0.5, sec_type="OPT")), "REJECTED", "sec_type_unsupported", ["AAA"]),
        Case(
            "unlisted",
            plan(None, frame(symbol=["BBB"], quantity=2, sec_type="FUT"), unlisted="close"),
            "REJECTED",
            "sec_type_unsupported",
            ["BBB"],
        ),
        Case("ordered", order(sec_type=("OPT", "STK")), "REJECTED", "sec_type_unsupported", ["AAA"]),
    ],
    73: [Case("share class", targets({"BRK.B": 1.0}), "WARNING", "symbol_mapped", ["BRK B"])],
    74: [
        Case(
            "planned",
            plan(order_type="LMT", limit_offset_bps=5, tick_size={"BBB": 0.01}),
            "REJECTED",
            "tick_unknown",
            ["AAA"],
        ),
        Case(
            "ordered",
            order(order_type=("LMT", "MKT"), limit_price=(50.0, NAN), tick_size=(0.0, 0.01)),
            "REJECTED",
            "tick_unknown",
            ["AAA"],
        ),
    ],
    75: [
        *(
            Case(repr(lot), targets(weights(0.5, 0.5, lot_size=[lot, 100])), "ERROR", "lot_size", [10])
            for lot in (0, -1, INF, 1.5, 1e-9, 0.00015)
        ),
        Case("text", targets(weights(0.5, lot_size="100")), "ERROR", "lot_size_dtype", [10]),
        Case("ordered", order(lot_size=(0.0, 1.0)), "REJECTED", "lot_size", ["AAA"]),
        Case("odd", order(lot_size=(100.0, 10.0)), "WARNING", "lot_size", ["AAA"]),
    ],
}

ORDERS = {
    76: [
        *(
            Case(repr(side), order(side=(side, "BUY")), "ERROR", "side_invalid", [3])
            for side in ("B", "", None, 1, "BUY!")
        ),
        Case("lower case", order(side=("buy", "BUY")), "WARNING", "side_mapped", ["AAA"]),
    ],
    77: [Case("zero", order(quantity=(0, 20)), "REJECTED", "quantity_zero", ["AAA"])],
    78: [Case("negative", order(quantity=(-10, 20)), "REJECTED", "quantity_negative", ["AAA"])],
    79: [
        Case(repr(value)[:20], order(quantity=(value, 20)), "REJECTED", "quantity_invalid", ["AAA"])
        for value in (NAN, INF, None, "100", True, 10**400, Decimal("sNaN"))
    ],
    80: [
        Case(repr(q), order(quantity=(q, 20)), "REJECTED", "fractional_not_allowed", ["AAA"])
        for q in (10.5, 1e-9, 5.0000001)
    ],
    81: [
        Case(repr(q), order(quantity=(q, 20)), "REJECTED", "quantity_too_large", ["AAA"])
        for q in (2147483647, 1e18)
    ]
    + [Case("planned", plan(nav=1e12, quotes={"AAA": 0.01}), "REJECTED", "quantity_too_large", ["AAA"])],
    82: [
        *(
            Case(
                repr(p),
                order(order_type=("LMT", "MKT"), limit_price=(p, NAN)),
                "REJECTED",
                "limit_missing",
                ["AAA"],
            )
            for p in (NAN, None, pd.NA, 0.0, -1.0, INF, 1.7976931348623157e308)
        ),
        Case("text", order(order_type=("LMT", "MKT"), limit_price=("50", NAN)), "ERROR", "limit_price_dtype", [3]),
        Case("planned", plan(order_type="LMT"), "REJECTED", "limit_missing", ["AAA"]),
    ],
    83: [
        Case("ordered", order(limit_price=(50.0, NAN)), "REJECTED", "limit_on_market", ["AAA"]),
        Case("planned", plan(weights(0.5, limit_price=50.0)), "REJECTED", "limit_on_market", ["AAA"]),
    ],
    84: [
        Case(
            repr(p),
            order(order_type=("LMT", "MKT"), limit_price=(p, NAN)),
            "REJECTED",
            "off_tick",
            ["AAA"],
            detail,
        )
        for p, detail in (
            (100.123, "off_tick: 100.123 is not a multiple of 0.01; 100.12 or 100.13 are"),
            (0.12345, "off_tick: 0.12345 is not a multiple of 0.0001; 0.1234 or 0.1235 are"),
        )
    ]
    + [Case("noise", order(order_type=("LMT", "MKT"), limit_price=(0.1 + 0.2, NAN)), "FINE")],
    85: [
        Case(
            "through",
            checked(columns={"order_type": ["LMT", "MKT"], "limit_price": [60.0, NAN]}),
            "BLOCK",
            "limit_collar",
            ["AAA"],
        )
    ],
    86: [
        *(
            Case(repr(t), order(order_type=(t, "MKT")), "REJECTED", "order_type_unsupported", ["AAA"])
            for t in ("MIT", "limit", "TRAIL LIMIT", None)
        ),
        Case("planned", plan(weights(0.5, order_type="MIT")), "REJECTED", "order_type_unsupported", ["AAA"]),
        Case("no trigger", order(order_type=("STP", "MKT")), "REJECTED", "aux_price_missing", ["AAA"]),
        Case("trigger", order(aux_price=(5.0, None)), "REJECTED", "aux_price_not_used", ["AAA"]),
        Case(
            "zero trigger",
            order(order_type=("STP", "MKT"), aux_price=(0.0, None)),
            "REJECTED",
            "aux_price_invalid",
            ["AAA"],
        ),
        Case(
            "reached",
            order(order_type=("STP", "MKT"), aux_price=(50.0, None), decision_price=(51.0, 20.0)),
            "WARNING",
            "stop_triggered",
            ["aux_price"],
        ),
        Case("no offset", order(limit_reference=("mid", None)), "REJECTED", "limit_offset_missing", ["AAA"]),
        Case("reference", order(limit_reference=("ask", None)), "REJECTED", "limit_reference_invalid", ["AAA"]),
        Case(
            "two limits",
            order(order_type=("LMT", "MKT"), limit_price=(50.0, None), limit_offset_bps=(5.0, None)),
            "REJECTED",
            "limit_given_twice",
            ["AAA"],
        ),
        Case("algorithm", order(algo=("Iceberg", None)), "REJECTED", "algo_unknown", ["AAA"]),
        Case("no algorithm", order(algo_params=("{}x", None)), "REJECTED", "algo_missing", ["AAA"]),
        Case("parameters", order(algo=("Adaptive", None)), "REJECTED", "algo_params_invalid", ["AAA"]),
        Case(
            "algorithm at the close",
            order(order_type=("MOC", "MKT"), algo=("Twap", None)),
            "REJECTED",
            "algo_not_allowed",
            ["AAA"],
        ),
        Case(
            "not taken there",
            lambda: parse_orders(order_frame(), parse_quotes(frame(**TAKEN))),
            "REJECTED",
            "order_type_not_permitted",
            ["AAA"],
        ),
        Case("hours", order(outside_rth=("perhaps", None)), "ERROR", "outside_rth_dtype", [3]),
        Case(
            "hours at the close",
            order(order_type=("MOC", "MKT"), outside_rth=(True, None)),
            "REJECTED",
            "outside_rth_not_allowed",
            ["AAA"],
        ),
    ],
    87: [
        *(Case(t, order(tif=(t, "DAY")), "REJECTED", "tif_invalid", ["AAA"]) for t in ("AUC", "NEVER")),
        Case("blank", order(tif=(" ", "DAY")), "FINE"),
        Case("planned", plan(weights(0.5, tif="AUC")), "REJECTED", "tif_invalid", ["AAA"]),
        *(Case(t, order(tif=(t, "DAY")), "REJECTED", "tif_not_allowed", ["AAA"]) for t in ("FOK", "IOC", "GTD")),
        Case(
            "a contract that takes no market orders",
            checked(quote={"order_types": "LMT GTC"}),
            "BLOCK",
            "order_type_not_permitted",
            ["AAA"],
        ),
        Case("no end", limit_order(tif=("GTD", "DAY")), "REJECTED", "good_till_missing", ["AAA"]),
        Case("an end", order(good_till=(WHEN, None)), "REJECTED", "good_till_not_used", ["AAA"]),
        Case(
            "past end",
            limit_order(tif=("GTD", "DAY"), good_till=(WHEN, None), decided_at=(WHEN, None)),
            "REJECTED",
            "good_till_past",
            ["AAA"],
        ),
        Case(
            "late start",
            limit_order(tif=("IOC", "DAY"), good_after=(WHEN, None)),
            "REJECTED",
            "good_after_not_allowed",
            ["AAA"],
        ),
    ],
    88: [Case("no id", order(), "FINE")],
    89: [
        Case("id twice", order(client_order_id=("x", "x")), "ERROR", "duplicate_client_order_id", [3, 4]),
        Case("made twice", order(symbol=("AAA", "AAA")), "ERROR", "duplicate_client_order_id", [3, 4]),
        Case(
            "planned",
            plan({"X/YZ": 0.1, "X YZ": 0.1}, None, {"X/YZ": 1.0, "X YZ": 1.0}),
            "ERROR",
            "duplicate_client_order_id",
        ),
    ],
    92: [
        *(
            Case(ascii(name)[:12], order(client_order_id=(name, "ok")), "ERROR", "client_order_id_invalid", [3])
            for name in ("x" * 41, "é", "a b", " a", "a\0", "a'b", 5)
        ),
        Case("run", order(run_id=("a b", "r")), "ERROR", "run_id_invalid", [3]),
        Case("no run", order(run_id=(None, "r")), "ERROR", "run_id_invalid", [3]),
        Case("planned run", plan(run_id="a b"), "ERROR", "run_id_invalid"),
        Case("account", order(account=("DU\u202e1", "DU1")), "ERROR", "text_invalid", [3]),
        Case("status", order(status=("rejected", "NEW")), "ERROR", "status_invalid", [3]),
        Case("rejected for no reason", order(status=("REJECTED", "NEW")), "REJECTED", "rejected", ["AAA"]),
    ],
    93: [
        Case("notional", checked({"max_order_notional": 499.0}), "BLOCK", "max_notional", ["AAA"]),
        Case("quantity", checked({"max_order_quantity": 15.0}), "BLOCK", "max_qty", ["BBB"]),
        Case(
            "position",
            checked({"max_position_ratio": 0.045}, nav=10_000.0),
            "BLOCK",
            "max_position_ratio",
            ["AAA"],
        ),
        Case("gross", checked({"max_gross": 0.08}, nav=10_000.0), "BLOCK", "max_gross", ["AAA", "BBB"]),
        Case("total", checked({"max_total_notional": 800.0}), "BLOCK", "max_total_notional", ["AAA", "BBB"]),
        Case("restricted", checked({"restricted": {"bbb"}}), "BLOCK", "restricted", ["BBB"]),
    ],
    94: [
        Case("in the checks", checked(cash=850.0), "BLOCK", "insufficient_cash", ["AAA", "BBB"]),
        Case("planned", plan({"AAA": 1.0}, {"BBB": 100}, unlisted="keep"), "ERROR", "insufficient_cash"),
    ],
    95: [
        Case(
            "sell",
            checked(columns={"side": ["SELL", "BUY"]}, positions={"AAA": 9}),
            "BLOCK",
            "sell_exceeds_position",
            ["AAA"],
        )
    ],
    96: [Case("cross", order(symbol=("AAA", "aaa"), side=("BUY", "SELL")), "ERROR", "self_cross", [3, 4])],
    97: [
        Case(
            "again",
            checked(columns={"symbol": "AAA", "quantity": 10, "client_order_id": ["a", "b"]}),
            "BLOCK",
            "suspected_duplicate",
        )
    ],
}

OPTIONS = {
    "options": [
        Case("limits", lambda: sx.Limits(max_gross=-1), "ERROR", "limit_invalid"),
        Case("unknown limit", lambda: sx.Limits.of({"max_gros": 1}), "ERROR", "limit_unknown"),
        Case("unlisted", plan(unlisted="kepe"), "ERROR", "option_invalid", ["unlisted"]),
        Case("buffer", plan(cash_buffer=1.0), "ERROR", "cash_buffer_invalid"),
        Case("buffer in percent", plan(cash_buffer="10%"), "ERROR", "cash_buffer_invalid"),
        Case(
            "edited",
            lambda: sx.plan_summary(plan()(), {"BBB": 0.5}, None, PRICES, nav=1),
            "ERROR",
            "unlisted_order",
            ["AAA"],
        ),
    ]
    + [
        Case(name, order(**{name: ("x", 1.0)}), "ERROR", f"{name}_dtype", [3])
        for name in (
            *("decision_price", "arrival_bid", "arrival_ask", "arrival_price", "target_weight", "notional"),
            *("current_quantity", "target_quantity", "filled_quantity", "avg_fill_price", "commission"),
            *("tick_size", "planned_quantity", "max_gross"),
        )
    ]
}

# NAV 1,000 USD, and the account's own rate: one euro is 1.25 dollars.
EURO_STATE = sx.AccountState.of(None, {"AAA": 10.0}, nav=1_000, fx={"EUR": 1.25, "JPY": 0.0067})


def rated(**fx):
    def plan_and_check():
        orders = sx.plan_orders({"AAA": 0.5}, EURO_STATE, run_id="r", fx=fx)
        return sx.check_orders(orders, None, EURO_STATE, fx=fx)

    return plan_and_check


def of_state(**given):
    return lambda: sx.AccountState.of(None, {"AAA": 10.0}, **({"nav": 1_000} | given))


STATES = {
    "rates": [
        Case("inverted", rated(JPY=149.0), "WARNING", "fx_suspicious", ["JPY"]),
        Case("ten times", rated(EUR=12.5), "WARNING", "fx_suspicious", ["EUR"]),
        Case("a tenth", rated(EUR=0.125), "WARNING", "fx_suspicious", ["EUR"]),
        Case("near", rated(EUR=1.1), "FINE"),
        Case("of another currency", rated(GBP=1.3), "FINE"),
        Case("zero", rated(EUR=0.0), "ERROR", "fx_invalid"),
        Case("negative", rated(EUR=-1.1), "ERROR", "fx_invalid"),
        Case("text", rated(EUR="1.1"), "ERROR", "fx_invalid"),
        Case("of the base currency", rated(USD=1.1), "ERROR", "fx_invalid"),
    ],
    "amounts": [
        Case("cash", of_state(cash=NAN), "ERROR", "cash_missing"),
        Case("nav", of_state(nav=NAN), "ERROR", "nav_invalid"),
        Case("two base currencies", of_state(fx={"USD": 1.1}), "ERROR", "fx_invalid"),
        Case(
            "another base currency",
            lambda: sx.plan_orders({"AAA": 0.5}, EURO_STATE, run_id="r", base_currency="EUR"),
            "ERROR",
            "state_and_input",
        ),
    ],
}

CASES = [
    (f"{line}-{ascii(case.name)[1:-1][:30]}", case)
    for table in (TARGETS, POSITIONS, PRICE_LINES, INSTRUMENTS, ORDERS, OPTIONS, STATES)
    for line, cases in table.items()
    for case in cases
]


def cases_of(*kinds):
    return [pytest.param(case, id=name) for name, case in CASES if case.kind in kinds]


@pytest.mark.parametrize("case", cases_of("ERROR"))
def test_an_invalid_table_is_one_error_that_names_every_problem(case):
    with pytest.raises(sx.InputError) as caught:
        case.call()
    assert case.code in caught.value.codes
    if case.at is not None:
        found = [problem for problem in caught.value.problems if problem.code == case.code]
        named = [(problem.row, problem.symbol, problem.column) for problem in found]
        assert len(found) == len(case.at)
        assert all(at in where for at, where in zip(case.at, named, strict=True))


@pytest.mark.parametrize("case", cases_of("REJECTED"))
def test_a_row_that_cannot_trade_is_kept_with_its_reason_and_others_continue(case):
    orders = case.call()
    refused = orders[orders["status"] == "REJECTED"]
    assert refused["symbol"].tolist() == case.at
    assert refused["reason"].tolist() == [case.code] * len(case.at)
    if case.code != "rejected":
        assert refused["detail"].str.startswith(case.detail or f"{case.code}: ").all()
    assert set(orders["status"]) <= {"REJECTED", "NEW"}


@pytest.mark.parametrize("case", cases_of("WARNING"))
def test_harmless_oddities_are_kept_with_a_warning(case):
    warnings = sx.input_warnings(case.call())
    found = warnings[warnings["code"] == case.code]
    assert len(found) == (1 if case.at is None else len(case.at))
    where = found[["row", "symbol", "column"]].to_numpy().tolist()
    assert case.at is None or all(at in places for at, places in zip(case.at, where, strict=True))


@pytest.mark.parametrize("case", cases_of("BLOCK", "WARN"))
def test_findings_of_the_checks_are_verdicts(case):
    orders = case.call()
    found = orders[orders["reasons"].fillna("").str.split(", ").map(lambda codes: case.code in codes)]
    assert found["symbol"].tolist() == (case.at or ["AAA"])
    assert set(found["verdict"]) == {case.kind.lower()}
    if case.at == ["AAA"]:
        assert orders.loc[orders["symbol"] == "BBB", "verdict"].tolist() == ["pass"]


@pytest.mark.parametrize("case", cases_of("FINE"))
def test_unusual_but_unambiguous_input_is_accepted(case):
    frame = case.call()
    assert "REJECTED" not in set(frame.get("status", ()))


# -- files ---------------------------------------------------------------------------------------------------

FILES = [
    ("bom", b"\xef\xbb\xbfsymbol,weight\nSPY,1\n", None),
    ("blank lines", b"symbol,weight\n\nSPY,1\n\n", None),
    ("semicolons", b"symbol;weight\nSPY;0,5\n", "csv_format"),
    ("tabs", b"symbol\tweight\nSPY\t0.5\n", "csv_format"),
    ("decimal comma", b'symbol,weight\nSPY,"0,5"\n', "csv_format"),
    ("day and month", b"symbol,weight\n1-Mar,0.5\n", "csv_format"),
    ("month and year", b"symbol,weight\nMar-01,0.5\n", "csv_format"),
    ("date", b"symbol,weight\n2026-03-01,0.5\n", "csv_format"),
    ("percent", b"symbol,weight\nSPY,50%\n", "weight_dtype"),
    ("true", b"symbol,weight\nSPY,TRUE\n", "weight_dtype"),
    ("infinite", b"symbol,weight\nSPY,1e400\n", "weight_not_finite"),
    ("no weight", b"symbol,weight\nSPY,\n", "weight_missing"),
    ("no symbol", b"symbol,weight\n,0.5\n", "symbol_missing"),
    ("header twice", b"symbol,weight,weight\nSPY,0.5,0.6\n", "duplicate_column"),
    ("a cell too many", b"symbol,weight\nSPY,0.5,\n", "csv_format"),
    ("a cell too few", b"symbol,weight,tif\nSPY,0.5\n", "csv_format"),
    ("lines above", b"Fund\n\nsymbol,weight\nSPY,1\n", "csv_preamble"),
    ("empty", b"", "csv_format"),
    ("binary", b"PAR1\x00\xff\xfe", "csv_format"),
    ("utf-16", "symbol,weight\nSPY,1\n".encode("utf-16"), "csv_format"),
    ("open quote", b'symbol,weight\n"SPY,0.5\n', "csv_format"),
    ("header only", b"symbol,weight\n", "empty_targets"),
    ("too many rows", b"symbol,weight\n" + b"SPY,0\n" * 20_001, "too_many_rows"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("content", "code"), [pytest.param(*rest, id=name) for name, *rest in FILES])
def test_files_are_read_or_refused_with_a_hint(tmp_path, content, code):
    file = tmp_path / "targets.csv"
    file.write_bytes(content)
    if code is None:
        assert sx.read_targets(file)[["symbol", "weight"]].to_numpy().tolist() == [["SPY", 1.0]]
        return
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(file)
    assert caught.value.codes == (code,)


@pytest.mark.parametrize("symbol", ["NA", "TRUE", "NAN", "INF", "NULL", "1E5", "MAR"])
def test_symbols_that_look_like_something_else_stay_symbols(tmp_path, symbol):
    (tmp_path / "t.csv").write_text(f"symbol,weight\n{symbol},1\n")
    assert sx.read_targets(tmp_path / "t.csv")["symbol"].tolist() == [symbol]


@pytest.mark.parametrize("path", ["nowhere.csv", "x" * 5_000, "symbol,weight\nSPY,1\n", ".", "a\0b"])
def test_a_path_without_a_file_is_an_error(path):
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(path)
    assert caught.value.codes == ("file_missing",)


PARQUET = [
    ("one row too many", "SELECT 'A' || i AS symbol, 0.0 AS weight FROM range(20_001) r(i)", "too_many_rows"),
    ("as many rows as are allowed", "SELECT 'A' || i AS symbol, 1e-5 AS weight FROM range(20_000) r(i)", None),
    (
        "too many columns",
        "SELECT 'A' AS symbol, 0.5 AS weight, " + ", ".join(f"{number} AS c{number}" for number in range(999)),
        "too_many_columns",
    ),
    (
        "as many columns as are allowed",
        "SELECT 'A' AS symbol, 0.5 AS weight, " + ", ".join(f"{number} AS c{number}" for number in range(998)),
        None,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("query", "code"), [pytest.param(*rest, id=name) for name, *rest in PARQUET])
def test_a_parquet_file_has_bounds(tmp_path, query, code):
    file = tmp_path / "targets.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet)")
    if code is None:
        assert len(sx.read_targets(file)) in (1, 20_000)
        return
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(file)
    assert caught.value.codes == (code,)


def test_a_file_that_is_not_parquet_is_an_error(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"symbol,weight\nSPY,1\n")
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(tmp_path / "t.parquet")
    assert caught.value.codes == ("parquet_format",)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("l.toml", "max_gross = ", "limits_format"),
        ("l.json", "[1]", "limits_format"),
        ("l.toml", "x = 1", "limit_unknown"),
    ],
)
def test_unreadable_limits_are_an_error(tmp_path, name, text, code):
    (tmp_path / name).write_text(text)
    with pytest.raises(sx.InputError) as caught:
        sx.read_limits(tmp_path / name)
    assert caught.value.codes == (code,)


# -- the list is whole ---------------------------------------------------------------------------------------

PACKAGE = Path(sx.__file__).parent
MODULES = (
    "schema.frame_validator",
    "schema.inputs",
    "schema.order_input",
    "schema.order_terms",
    "schema.prices",
    "portfolio.account_state",
    "portfolio.alignment",
    "portfolio.planner",
    "portfolio.sizing",
    "schema.files",
    "risk.limits_file",
)
SNAKE = re.compile(r"[a-z]+(?:_[a-z]+)+")

NO_CODES = {
    *(name for table in sx.TABLES.values() for name in table.names),
    *inspect.signature(sx.plan_orders).parameters,
    *sx.plan_summary(plan()(), {"AAA": 0.5}, None, PRICES, nav=10_000).index,
    *(
        "as_of",
        "lot_size",
        "tick_size",
        "planned_quantity",
        "limit_reference_price",
        "order_types",
    ),  # optional columns of a table
    "to_pandas",  # a method of other libraries' tables
    *("account_state", "taken_at"),  # the name of a table; a column of the rates
    *("input_warnings", "held_back", "open_orders"),  # attributes of a frame; the name of a table
    *("strategy_crosses", "order_types"),  # an attribute of a frame; a column of a broker's quotes
} - {"lot_size"}  # which is a code too


def codes_in_source(module):
    """Every text with an underscore in the code of a module that is not the name of something else."""
    tree = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))
    exported = set(import_module(f"stocklean_exec.{module}").__all__)
    texts = {
        match[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        # a code stands alone, or at the start of a detail
        if (match := re.match(rf"{SNAKE.pattern}(?=$|: )", node.value))
    }
    return texts - exported - NO_CODES


def codes_of_cases():
    cases = [case for _, case in CASES]
    by_file = {code for *_, code in (*FILES, *PARQUET)} | {"file_missing", "parquet_format", "limits_format"}
    return {case.code for case in cases} | {case.detail.split(":")[0] for case in cases} | by_file


@pytest.mark.parametrize("module", MODULES)
def test_every_reason_code_in_the_source_is_produced_by_a_listed_case(module):
    assert codes_in_source(module) - codes_of_cases() == set()


def test_the_search_finds_reason_codes_in_the_source():
    found = {code for module in MODULES for code in codes_in_source(module)}
    assert {
        "weight_missing",
        "quote_crossed",
        "price_zero",
        "tif_invalid",
        "insufficient_cash",
        "csv_format",
    } <= found
    assert len(found) > 70
