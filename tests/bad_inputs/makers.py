"""What the lists of bad inputs are made of: a case, and short ways to the calls that take the input."""

import math
from typing import Any, NamedTuple

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.schema.inputs import parse_quotes, parse_targets
from stocklean_exec.schema.order_input import parse_orders

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
