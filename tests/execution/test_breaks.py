"""Every kind of difference, from frames written by hand, and none where both sides agree."""

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.base import ORPHAN_COLUMNS
from stocklean_exec.brokers.evidence import Evidence
from stocklean_exec.execution.breaks import DIFFERENCES, Books, compare, looks_like_ours

NOW = datetime(2026, 11, 23, 17, tzinfo=UTC)
NAN = float("nan")
BEFORE, LATER = pd.Timestamp("2026-11-23 15:00", tz="UTC"), pd.Timestamp("2026-11-23 16:00", tz="UTC")
HOUR = pd.Timedelta("1h")


def orders_of(*rows):
    frame = pd.DataFrame(
        rows, columns=["client_order_id", "symbol", "side", "quantity", "filled_quantity", "status"]
    )
    return frame.assign(arrived_at=LATER)


def fills_of(*rows):
    frame = pd.DataFrame(
        rows, columns=["exec_id", "client_order_id", "symbol", "side", "quantity", "price", "commission"]
    )
    return frame.assign(filled_at=LATER)


def opening_of(cash, **held):
    rows = [("cash", "", cash), *(("position", symbol, shares) for symbol, shares in held.items())]
    return pd.DataFrame(rows, columns=["what", "symbol", "quantity"]).assign(taken_at=BEFORE)


def positions_of(**held):
    return pd.DataFrame({"symbol": list(held), "quantity": list(held.values())})


FILLED_NOW = fills_of(("x.1", "r-SPY-BUY", "SPY", "BUY", 4.0, 100.0, 1.0)).assign(filled_at=pd.Timestamp(NOW))
"""A fill right before the broker was asked: at no place of the earth has a day begun since."""


def open_of(*rows):
    return pd.DataFrame(rows, columns=["client_order_id", "symbol", "quantity", "filled_quantity"])


def foreign_executions_of(*rows):
    return pd.DataFrame(rows, columns=["order_ref", "symbol", "side", "quantity", "price", "exec_id"])


def books(**changed):
    """Ten shares of SPY wanted, four of them filled at 100 for a dollar; the rest works."""
    agreed = {
        "orders": orders_of(("r-SPY-BUY", "SPY", "BUY", 10.0, 4.0, "PARTIAL")),
        "fills": fills_of(("x.1", "r-SPY-BUY", "SPY", "BUY", 4.0, 100.0, 1.0)),
        "duplicates": frozenset(),
        "opening": opening_of(1_000.0, KO=5.0),
        "open_orders": open_of(("r-SPY-BUY", "SPY", 10.0, 4.0)),
        "positions": positions_of(SPY=4.0, KO=5.0),
        "cash": 1_000.0 - 4 * 100.0 - 1.0,
        "foreign_executions": foreign_executions_of(),
        "evidence": Evidence(NOW, executions=frozenset({"x.1"})),
    }
    return Books(**{**agreed, **changed})


def test_two_sides_that_agree_have_no_difference():
    found = compare(books())
    assert found.empty
    assert found.dtypes.astype("str").to_dict() == DIFFERENCES


def change(number, limit):
    return OrderEvent("modifying", client_order_id="r-SPY-BUY", attempt=number, price=limit)


def answer(number, limit=None, code=None):
    kind = "modify_refused" if limit is None else "modified"
    return OrderEvent(kind, client_order_id="r-SPY-BUY", attempt=number, price=limit, code=code)


def with_limits(own, there, *changes, **changed):
    """Books of the order with a limit of its own, one at the broker, and changes in between."""
    return {
        "orders": books().orders.assign(limit_price=own, order_type="LMT", tif="DAY"),
        "open_orders": books().open_orders.assign(limit_price=there, order_type="LMT", tif="DAY"),
        "limit_changes": {"r-SPY-BUY": changes},
    } | changed


CASES = {
    "a limit that was changed and is confirmed": (
        with_limits(100.0, 101.0, change(1, 101.0), answer(1, 101.0)),
        [],
    ),
    "a limit of a change without an answer": (with_limits(100.0, 101.0, change(1, 101.0)), []),
    "a limit that a change without an answer has not reached": (with_limits(100.0, 100.0, change(1, 101.0)), []),
    "a limit that has been changed since": (
        with_limits(100.0, 100.0, change(1, 101.0), answer(1, 101.0)),
        [("order_changed", "warn", "SPY", "r-SPY-BUY", 101.0, 100.0)],
    ),
    "a limit of a change that was refused": (
        with_limits(100.0, 101.0, change(1, 101.0), answer(1, code="110")),
        [("order_changed", "warn", "SPY", "r-SPY-BUY", 100.0, 101.0)],
    ),
    "a limit that neither we nor the record know": (
        with_limits(100.0, 105.0, change(1, 101.0), answer(1, 101.0), change(2, 102.0)),
        [("order_changed", "warn", "SPY", "r-SPY-BUY", 101.0, 105.0)],
    ),
    "a buy within a limit that it had once": (
        with_limits(99.0, 99.5, change(1, 100.0), answer(1, 100.0), change(2, 99.5), answer(2, 99.5)),
        [],
    ),
    "a buy within a limit whose change had no answer": (with_limits(99.0, 99.0, change(1, 100.0)), []),
    "a buy beyond every limit that it had": (
        with_limits(99.0, 99.5, change(1, 99.5), answer(1, 99.5), change(2, 100.0), answer(2, code="not_sent")),
        [("fill_beyond_limit", "warn", "SPY", "r-SPY-BUY", 99.5, 100.0)],
    ),
    "a sell within a limit that it had once": (
        with_limits(
            101.0,
            100.0,
            change(1, 100.0),
            answer(1, 100.0),
            fills=books().fills.assign(side="SELL"),
            positions=positions_of(SPY=-4.0, KO=5.0),
            cash=1_000.0 + 400.0 - 1.0,
        )
        | {"orders": books().orders.assign(side="SELL", limit_price=101.0, order_type="LMT", tif="DAY")},
        [],
    ),
    "changes of an order that is not of this account": (
        {"orders": books().orders.assign(limit_price=100.0), "limit_changes": {"q-TLT-BUY": [change(1, 90.0)]}},
        [],
    ),
    "an order of ours that is not on record": (
        {"open_orders": open_of(("r-SPY-BUY", "SPY", 10.0, 4.0), ("q-TLT-SELL", "TLT", 3.0, 0.0))},
        [("order_orphan", "halt", "TLT", "q-TLT-SELL", NAN, 3.0)],
    ),
    "strategies that hold all of a position, and a part of one": (
        {"strategies": {"SPY": {"A": 6.0, "B": -2.0}, "KO": {"A": 3.0}}},
        [],
    ),
    "strategies that hold more than the account": (
        {"strategies": {"KO": {"A": 4.0, "B": 2.0}}},  # five are held, so that -1 is unassigned
        [("strategies_differ", "warn", "KO", None, 5.0, 5.0)],
    ),
    "strategies and unassigned shares that do not add up to the position": (
        {"strategies": {"KO": {"A": 3.0}}, "positions": positions_of(SPY=4.0, KO=4.0)},
        [
            ("position_differs", "warn", "KO", None, 5.0, 4.0),
            ("strategies_differ", "warn", "KO", None, 5.0, 4.0),
        ],
    ),
    "unassigned shares that others have traded": (
        {
            "strategies": {"KO": {"A": 3.0}},
            "positions": positions_of(SPY=4.0, KO=7.0),
            "foreign_executions": foreign_executions_of(("by hand", "KO", "BUY", 2.0, 60.0, "y.1")),
        },
        [
            ("execution_foreign", "info", "KO", None, NAN, 2.0),
            ("position_of_others", "info", "KO", None, 5.0, 7.0),
        ],
    ),
    "strategies that have more cash than the account": (
        {"strategy_cash": 600.02},
        [("strategy_cash_differs", "warn", None, None, 600.02, 599.0)],
    ),
    "strategies that have less cash than the account": ({"strategy_cash": 500.0}, []),
    "strategies in a symbol whose shares have changed as in a split": (
        {"opening": opening_of(0.0).iloc[:0], "strategies": {"KO": {"A": 1.0}}, "splits": {"KO": "5:1"}},
        [("suspected_split", "warn", "KO", None, 1.0, 5.0)],
    ),
    "strategies that hold what the account does not, before any run is on record": (
        {"opening": opening_of(0.0).iloc[:0], "strategies": {"KO": {"A": 6.0}}},
        [("strategies_differ", "warn", "KO", None, 6.0, 5.0)],
    ),
    "an order of another program": (
        {"open_orders": open_of(("r-SPY-BUY", "SPY", 10.0, 4.0), ("by hand", "TLT", 3.0, 0.0))},
        [],
    ),
    "an ended order that is working at the broker": (
        {"orders": orders_of(("r-SPY-BUY", "SPY", "BUY", 10.0, 4.0, "CANCELLED"))},
        [("order_alive", "halt", "SPY", "r-SPY-BUY", 0.0, 6.0)],
    ),
    "an order that was changed in TWS": (
        {"open_orders": open_of(("r-SPY-BUY", "SPY", 12.0, 4.0))},
        [("order_changed", "warn", "SPY", "r-SPY-BUY", 10.0, 12.0)],
    ),
    "a limit price that was changed at the broker": (
        {
            "orders": books().orders.assign(limit_price=300.0, order_type="LMT", tif="DAY"),
            "open_orders": books().open_orders.assign(limit_price=405.0, order_type="LMT", tif="DAY"),
        },
        [("order_changed", "warn", "SPY", "r-SPY-BUY", 300.0, 405.0)],
    ),
    "a limit price, order type and time in force that were changed at the broker": (
        {
            "orders": books().orders.assign(limit_price=300.0, order_type="LMT", tif="DAY"),
            "open_orders": books().open_orders.assign(limit_price=NAN, order_type="MKT", tif="GTC"),
        },
        [
            ("order_changed", "warn", "SPY", "r-SPY-BUY", 300.0, NAN),
            ("order_changed", "warn", "SPY", "r-SPY-BUY", NAN, NAN),
            ("order_changed", "warn", "SPY", "r-SPY-BUY", NAN, NAN),
        ],
    ),
    "terms that agree, of an order without a limit": (
        {
            "orders": books().orders.assign(limit_price=NAN, order_type="MKT", tif="DAY"),
            "open_orders": books().open_orders.assign(limit_price=NAN, order_type="MKT", tif="DAY"),
        },
        [],
    ),
    "every other term that was changed at the broker": (
        {
            "orders": books().orders.assign(
                order_type="STP",
                tif="GTD",
                aux_price=95.0,
                good_till=LATER,
                good_after=LATER - HOUR,
                outside_rth=False,
            ),
            "open_orders": books().open_orders.assign(
                order_type="STP",
                tif="GTD",
                aux_price=94.0,
                good_till=LATER + HOUR,
                good_after=LATER,
                outside_rth=True,
            ),
        },
        [
            ("order_changed", "warn", "SPY", "r-SPY-BUY", 95.0, 94.0),
            ("order_changed", "warn", "SPY", "r-SPY-BUY", NAN, NAN),
            ("order_changed", "warn", "SPY", "r-SPY-BUY", NAN, NAN),
            ("order_changed", "warn", "SPY", "r-SPY-BUY", NAN, NAN),
        ],
    ),
    "terms that agree, of which the broker repeats no algorithm and cannot be read in one": (
        {
            "orders": books().orders.assign(
                order_type="LMT", limit_price=105.0, tif="GTD", good_till=LATER, outside_rth=True, algo="Vwap"
            ),
            "open_orders": books().open_orders.assign(
                order_type="LMT", limit_price=105.0, tif="GTD", good_till=pd.NaT, outside_rth=True
            ),
        },
        [],
    ),
    "an order of another symbol and side under the id of ours": (
        {"open_orders": open_of(("r-SPY-BUY", "TLT", 10.0, 4.0)).assign(side="SELL")},
        [
            ("order_changed", "warn", "SPY", "r-SPY-BUY", NAN, NAN),
            ("order_changed", "warn", "SPY", "r-SPY-BUY", NAN, NAN),
        ],
    ),
    "a start that the broker no longer shows, of an order that works": (
        {
            "orders": books().orders.assign(order_type="LMT", limit_price=105.0, good_after=LATER),
            "open_orders": books().open_orders.assign(order_type="LMT", limit_price=105.0, good_after=pd.NaT),
        },
        [],
    ),
    "an end within a second, which goes out as a whole one": (
        {
            "orders": books().orders.assign(
                order_type="LMT", limit_price=105.0, tif="GTD", good_till=LATER + pd.Timedelta("900ms")
            ),
            "open_orders": books().open_orders.assign(
                order_type="LMT", limit_price=105.0, tif="GTD", good_till=LATER
            ),
        },
        [],
    ),
    "an order that pegs itself, at a price of its own": (
        {
            "orders": books().orders.assign(order_type="REL", limit_price=NAN, aux_price=0.0),
            "open_orders": books().open_orders.assign(order_type="REL", limit_price=100.1, aux_price=NAN),
        },
        [],
    ),
    "a cap that was removed at the broker": (
        {
            "orders": books().orders.assign(order_type="MIDPRICE", limit_price=101.0),
            "open_orders": books().open_orders.assign(order_type="MIDPRICE", limit_price=NAN),
        },
        [("order_changed", "warn", "SPY", "r-SPY-BUY", 101.0, NAN)],
    ),
    "a buy above its limit": (
        {"orders": books().orders.assign(limit_price=99.5)},
        [("fill_beyond_limit", "warn", "SPY", "r-SPY-BUY", 99.5, 100.0)],
    ),
    "a buy at its limit": ({"orders": books().orders.assign(limit_price=100.0)}, []),
    "a sell below its limit": (
        {
            "orders": books().orders.assign(side="SELL", limit_price=100.5),
            "fills": books().fills.assign(side="SELL"),
            "positions": positions_of(SPY=-4.0, KO=5.0),
            "cash": 1_000.0 + 400.0 - 1.0,
        },
        [("fill_beyond_limit", "warn", "SPY", "r-SPY-BUY", 100.5, 100.0)],
    ),
    "shares that only the order's status counts": (
        {"open_orders": open_of(("r-SPY-BUY", "SPY", 10.0, 6.0))},
        [("filled_differs", "warn", "SPY", "r-SPY-BUY", 4.0, 6.0)],
    ),
    "an order that the broker does not have": (
        {"open_orders": open_of()},
        [("order_not_open", "warn", "SPY", "r-SPY-BUY", NAN, NAN)],
    ),
    "an order with an unknown outcome": (
        {"orders": orders_of(("r-SPY-BUY", "SPY", "BUY", 10.0, 4.0, "UNKNOWN")), "open_orders": open_of()},
        [("order_unresolved", "warn", "SPY", "r-SPY-BUY", NAN, NAN)],
    ),
    "more filled than ordered": (
        {
            "orders": orders_of(("r-SPY-BUY", "SPY", "BUY", 3.0, 4.0, "FILLED")),
            "open_orders": open_of(),
        },
        [("overfill", "halt", "SPY", "r-SPY-BUY", 3.0, 4.0)],
    ),
    "two orders under one id": (
        {"duplicates": frozenset({"r-SPY-BUY"})},
        [("duplicate_order", "halt", None, "r-SPY-BUY", NAN, NAN)],
    ),
    "an execution that the broker does not report": (
        {"evidence": Evidence(NOW, executions=frozenset({"another"})), "fills": FILLED_NOW},
        [("execution_phantom", "halt", "SPY", "r-SPY-BUY", 4.0, 0.0)],
    ),
    "an execution that the broker does not report, of two that are as old": (
        {
            "evidence": Evidence(NOW, executions=frozenset({"x.1"})),
            "fills": fills_of(
                ("x.1", "r-SPY-BUY", "SPY", "BUY", 1.0, 100.0, 0.5),
                ("x.2", "r-SPY-BUY", "SPY", "BUY", 3.0, 100.0, 0.5),
            ),
        },
        [("execution_phantom", "halt", "SPY", "r-SPY-BUY", 3.0, 0.0)],
    ),
    "an execution that may be of TWS's day before": (
        {"evidence": Evidence(NOW, executions=frozenset({"another"}))},
        [("executions_not_told", "warn", None, None, 1.0, 0.0)],
    ),
    "a broker that reports no executions": (
        {"evidence": Evidence(NOW)},
        [("executions_not_told", "warn", None, None, 1.0, 0.0)],
    ),
    "an execution of another side under the id of an order on record": (
        {
            "foreign_executions": foreign_executions_of(("r-SPY-BUY", "SPY", "SELL", 2.0, 100.0, "x.9")),
            "positions": positions_of(SPY=2.0, KO=5.0),
        },
        [
            ("execution_orphan", "halt", "SPY", "r-SPY-BUY", NAN, 2.0),
            ("position_of_others", "info", "SPY", None, 4.0, 2.0),
        ],
    ),
    "an execution of an order of ours that is not on record": (
        {
            "foreign_executions": foreign_executions_of(("q-KO-BUY", "KO", "BUY", 2.0, 60.0, "x.9")),
            "positions": positions_of(SPY=4.0, KO=7.0),
        },
        [
            ("execution_orphan", "halt", "KO", "q-KO-BUY", NAN, 2.0),
            ("position_of_others", "info", "KO", None, 5.0, 7.0),
        ],
    ),
    "a foreign execution": (
        {
            "foreign_executions": foreign_executions_of(("", "KO", "SELL", 5.0, 60.0, "x.9")),
            "positions": positions_of(SPY=4.0),
        },
        [
            ("execution_foreign", "info", "KO", None, NAN, 5.0),
            ("position_of_others", "info", "KO", None, 5.0, 0.0),
        ],
    ),
    "a position that we trade and that does not add up": (
        {"positions": positions_of(SPY=8.0, KO=5.0)},
        [("position_differs", "halt", "SPY", None, 4.0, 8.0)],
    ),
    "a position that we do not trade and that moved": (
        {"positions": positions_of(SPY=4.0, KO=6.0)},
        [("position_differs", "warn", "KO", None, 5.0, 6.0)],
    ),
    "cash that does not add up": ({"cash": 500.0}, [("cash_differs", "warn", None, None, 599.0, 500.0)]),
    "cash that is off by the rounding of a cent": ({"cash": 599.01}, []),
    "no opening positions on record": (
        {"opening": opening_of(0.0).iloc[:0], "positions": positions_of(SPY=99.0), "cash": 1.0},
        [],
    ),
}


@pytest.mark.slow
def test_fills_in_another_currency_count_at_the_rate_of_their_orders():
    usual = books()
    rate = 1.25
    orders = usual.orders.assign(fx_rate=rate)
    opening = usual.opening.loc[usual.opening["what"] == "cash", "quantity"].iloc[0]
    spent = opening - 599.0  # as in the usual case, at a rate of 1
    found = compare(books(orders=orders, cash=opening - spent * rate))
    assert found.empty
    # The rate may have moved by 5 % of the traded value since.
    assert compare(books(orders=orders, cash=opening - spent * rate * 0.96)).empty
    assert compare(books(orders=orders, cash=opening - spent * rate * 0.8))["kind"].tolist() == ["cash_differs"]


@pytest.mark.parametrize("name", CASES)
def test_each_difference_is_a_row(name):
    changed, expected = CASES[name]
    found = compare(books(**changed))
    columns = ["kind", "severity", "symbol", "client_order_id", "blotter", "broker"]
    rows = found[columns].astype("object").where(found[columns].notna(), None).to_numpy().tolist()
    wanted = [[None if one != one else one for one in row] for row in expected]  # noqa: PLR0124 - NaN
    assert rows == wanted
    assert found["detail"].str.len().gt(10).all()


def test_a_cash_difference_reports_how_many_commissions_are_due():
    fills = fills_of(("x.1", "r-SPY-BUY", "SPY", "BUY", 4.0, 100.0, NAN))
    (row,) = compare(books(fills=fills, cash=599.0)).to_dict("records")
    assert (row["blotter"], row["difference"]) == (600.0, -1.0)
    assert "1 commissions are not reported yet" in row["detail"]


def test_a_fill_counts_from_its_own_time_even_if_its_order_is_older():
    # The order was sent before the book was taken: what it filled before is in the book, what came after is not.
    orders = orders_of(("r-SPY-BUY", "SPY", "BUY", 10.0, 6.0, "PARTIAL")).assign(
        arrived_at=BEFORE - pd.Timedelta("1h")
    )
    fills = fills_of(
        ("x.1", "r-SPY-BUY", "SPY", "BUY", 4.0, 100.0, 1.0), ("x.2", "r-SPY-BUY", "SPY", "BUY", 2.0, 100.0, 0.0)
    )
    fills["filled_at"] = [BEFORE - pd.Timedelta("30min"), LATER]
    found = compare(
        books(
            orders=orders,
            fills=fills,
            opening=opening_of(1_000.0, SPY=4.0),
            open_orders=open_of(("r-SPY-BUY", "SPY", 10.0, 6.0)),
            positions=positions_of(SPY=6.0),
            cash=800.0,
            evidence=Evidence(NOW, executions=frozenset({"x.1", "x.2"})),
        )
    )
    assert found.empty


def test_the_most_severe_breaks_come_first():
    found = compare(books(positions=positions_of(SPY=8.0, KO=6.0), cash=0.0))
    assert found["severity"].tolist() == ["halt", "warn", "warn"]


@pytest.mark.parametrize(
    ("ref", "ours"),
    [
        ("run-1-SPY-BUY", True),
        ("2026-11-22-core-BRK_B-SELL-2", True),
        ("2026-11-22-a-rather-long-strate-db366341", True),
        ("run-1-SPY-HOLD", False),
        ("SPY", False),
        ("", False),
        ("x" * 31 + "-notahash", False),
    ],
)
def test_references_that_look_like_our_order_ids(ref, ours):
    assert looks_like_ours(ref) is ours


def test_the_columns_of_foreign_executions_are_among_those_that_a_broker_keeps():
    assert set(foreign_executions_of().columns) <= set(ORPHAN_COLUMNS)


def of_two_clients(reported, client_id=8):
    """Ten shares of SPY by client 7 and five of KO by client 8, all filled today; reported to one client."""
    return books(
        orders=orders_of(
            ("r-SPY-BUY", "SPY", "BUY", 10.0, 10.0, "FILLED"), ("q-KO-BUY", "KO", "BUY", 5.0, 5.0, "FILLED")
        ),
        fills=fills_of(
            ("x.1", "r-SPY-BUY", "SPY", "BUY", 4.0, 100.0, 1.0),
            ("x.2", "r-SPY-BUY", "SPY", "BUY", 6.0, 100.0, 1.0),
            ("y.1", "q-KO-BUY", "KO", "BUY", 5.0, 60.0, 1.0),
        ),
        open_orders=open_of(),
        positions=positions_of(SPY=10.0, KO=10.0),
        cash=1_000.0 - 10 * 100.0 - 5 * 60.0 - 3.0,
        evidence=Evidence(NOW, client_id=client_id, executions=frozenset(reported)),
        clients={"r-SPY-BUY": 7, "q-KO-BUY": 8},
    )


def test_executions_of_another_client_are_not_reported_as_missing():
    found = compare(of_two_clients({"y.1"}))
    reported = found[["kind", "severity", "blotter", "broker"]].to_numpy().tolist()
    assert reported == [["executions_not_visible", "info", 2.0, 0.0]]
    assert "client id 7 placed the orders of 2 executions of today" in found["detail"].iloc[0]
    assert "reconcile with client id 7" in found["detail"].iloc[0]


@pytest.mark.slow
def test_missing_executions_of_the_requesting_client_are_found_if_another_traded_too():
    found = compare(of_two_clients(set()))
    assert found["kind"].tolist() == ["executions_not_told", "executions_not_visible"]
    found = compare(of_two_clients({"x.1", "x.2"}, client_id=7))
    assert found["kind"].tolist() == ["executions_not_visible"]
    found = compare(of_two_clients({"x.1"}, client_id=7))
    assert found["kind"].tolist() == ["execution_phantom", "executions_not_visible"]


def test_a_client_that_receives_executions_of_another_finds_its_missing_ones():
    found = compare(of_two_clients({"x.1", "y.1"}, client_id=0))
    assert found[["kind", "client_order_id"]].to_numpy().tolist() == [["execution_phantom", "r-SPY-BUY"]]
    assert compare(of_two_clients({"x.1", "x.2", "y.1"}, client_id=0)).empty


def test_an_execution_whose_client_is_not_recorded_is_reported_as_missing():
    found = compare(replace(of_two_clients({"y.1"}), clients={"q-KO-BUY": 8}))
    assert found["kind"].tolist() == ["execution_phantom"] * 2
