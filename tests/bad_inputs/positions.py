"""Positions, and what does not fit the targets."""

from decimal import Decimal

import stocklean_exec as sx
from stocklean_exec.schema.inputs import parse_positions
from stocklean_exec.schema.order_input import parse_open_orders
from tests.bad_inputs.makers import INF, NAN, ONE_CONTRACT, WHEN, Case, checked, frame, order, plan

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
