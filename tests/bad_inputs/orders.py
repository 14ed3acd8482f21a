"""Orders, and terms of orders."""

from decimal import Decimal

import pandas as pd

from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.order_input import parse_orders
from tests.bad_inputs.makers import (
    INF,
    NAN,
    TAKEN,
    WHEN,
    Case,
    checked,
    frame,
    limit_order,
    order,
    order_frame,
    plan,
    weights,
)

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
