"""Types, currencies and contracts."""

from tests.bad_inputs.makers import INF, NAN, Case, frame, order, plan, targets, weights

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
