"""Options of the calls, and account states."""

import stocklean_exec as sx
from tests.bad_inputs.makers import NAN, PRICES, Case, order, plan

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
