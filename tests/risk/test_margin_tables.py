from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError

MARKET = {"SPY": 100.0, "TLT": 50.0, "KO": 10.0}
WEIGHTS = {"SPY": 0.5, "TLT": 0.2, "KO": 0.0}


def planned(held=None, weights=WEIGHTS, cash=10_000.0):
    broker = sx.connect("mock://", quotes=MARKET, positions=held, cash=cash)
    state = broker.account_state(weights)
    return broker, state, sx.plan_orders(weights, state, run_id="r", reserve=0)


def test_the_margin_of_a_plan_begins_with_the_account_and_adds_each_order():
    broker, state, orders = planned(held={"KO": 100})
    # 100 KO at 10 are sold; of 11,000: 55 SPY at 100 and 44 TLT at 50 are bought.
    assert orders[["symbol", "quantity"]].to_numpy().tolist() == [["KO", 100.0], ["SPY", 55.0], ["TLT", 44.0]]
    limits = sx.Limits(max_initial_margin=4_350.0, min_excess_liquidity=8_000.0)
    checked = sx.check_orders(orders, limits, state, previews=sx.preview_orders(orders, broker))
    table = sx.plan_margin(checked)
    # now 1,000 x 50 % and 25 %; with 5,500 previewed and 2,200 by Regulation T, and nothing for the sale
    assert table["now"].tolist() == [500.0, 250.0, 11_000.0, 10_750.0]
    assert table["bound"].tolist()[:2] == [500.0 + 2_750.0 + 1_100.0, 250.0 + 1_375.0 + 550.0]
    fees = 11_000.0 - table["bound"]["equity_with_loan"]
    assert 3.0 <= fees < 3.1  # three minima of 1.00, and the levies of the sale
    assert table["bound"]["excess_liquidity"] == pytest.approx(11_000.0 - fees - 2_175.0)
    assert table["limit"].dropna().to_dict() == {"initial_margin": 4_350.0, "excess_liquidity": 8_000.0}
    assert checked["verdict"].tolist() == ["pass"] * 3

    rows = sx.margin_by_symbol(checked).set_index("symbol")
    assert rows["basis"].to_dict() == {"KO": "frees", "SPY": "preview", "TLT": "regulation_t"}
    assert rows["initial_margin"].to_dict() == {"KO": 0.0, "SPY": 2_750.0, "TLT": 1_100.0}
    assert rows["orders"].tolist() == [1, 1, 1]
    assert rows["previewed_at"].notna().to_dict() == {"KO": False, "SPY": True, "TLT": False}


def test_orders_that_add_margin_are_blocked_where_all_together_are_over_a_limit():
    _, state, orders = planned(held={"KO": 100})
    checked = sx.check_orders(orders, sx.Limits(max_initial_margin=4_349.0), state)
    assert checked.set_index("symbol")["reasons"].dropna().to_dict() == {
        "SPY": "max_initial_margin",
        "TLT": "max_initial_margin",
    }
    results = sx.check_results(checked)
    assert results.loc[results["check"] == "max_initial_margin", "value"].unique().tolist() == [4_350.0]
    notes = sx.input_warnings(checked).set_index("code")["detail"]
    assert notes["margin_assumed"].startswith("0 of 3 orders have a preview of their margin")
    least = sx.check_orders(orders, sx.Limits(min_excess_liquidity=8_825.0), state)
    assert least["reasons"].fillna("").tolist() == ["", "min_excess_liquidity", "min_excess_liquidity"]


def test_an_edit_that_brings_the_plan_below_its_limit_lifts_the_block():
    _, state, orders = planned()
    review = sx.review_orders(sx.check_orders(orders, sx.Limits(max_initial_margin=3_400.0), state))
    assert review.result()["verdict"].tolist() == ["block", "block"]  # 50 SPY and 40 TLT need 3,500
    review.edit("r-TLT-BUY", quantity=36)
    assert review.result()["verdict"].tolist() == ["pass", "pass"]
    assert sx.plan_margin(review.orders)["bound"]["initial_margin"] == 3_400.0


def test_without_the_accounts_figures_margin_is_unknown_and_what_may_add_to_it_is_blocked():
    _, _, orders = planned(held={"KO": 100})
    options = {"positions": {"KO": 100}, "quotes": MARKET, "cash": 10_000.0}
    checked = sx.check_orders(orders, sx.Limits(max_initial_margin=1e9), **options)
    assert checked["reasons"].fillna("").tolist() == ["", "margin_unknown", "margin_unknown"]
    assert "UNKNOWN" in sx.input_warnings(checked).set_index("code")["detail"]["margin_unknown"]
    table = sx.plan_margin(sx.check_orders(orders, sx.Limits(), **options))
    assert table[["now", "bound"]].isna().all(axis=None)


def test_working_orders_count_and_one_without_a_price_makes_the_bound_unknown():
    _, state, orders = planned()
    working = pd.DataFrame({"symbol": ["KO", "GLD"], "side": ["BUY", "SELL"], "quantity": [100.0, 1.0]})
    limits = sx.Limits(max_initial_margin=1e9, min_cash_after=None)

    def checked(rows):
        return sx.check_orders(orders, limits, replace(state, _open_orders=rows))

    # 3,500 for the plan, and half of 100 KO at 10
    found = checked(working.iloc[:1])
    assert sx.plan_margin(found)["bound"]["initial_margin"] == 4_000.0
    assert sx.plan_margin(found)["bound"]["equity_with_loan"] == 10_000.0 - 3.0
    rows = sx.margin_by_symbol(found).set_index("symbol")
    assert rows.loc["KO", ["orders", "basis", "initial_margin"]].tolist() == [0, "regulation_t", 500.0]
    unknown = checked(working)
    assert unknown["reasons"].tolist() == ["margin_unknown"] * 2
    assert "working orders in GLD" in sx.input_warnings(unknown).set_index("code")["detail"]["margin_unknown"]


def test_a_preview_from_before_the_account_traded_does_not_count():
    broker, state, orders = planned(held={"KO": 100})
    orders = orders[orders["symbol"] == "KO"]
    previews = sx.preview_orders(orders, broker)
    assert previews["initial_margin_after"].tolist() == [0.0]  # the sale of all
    sold = replace(state, _positions=state.positions.iloc[:0], initial_margin=0.0, maintenance_margin=0.0)
    checked = sx.check_orders(orders, sx.Limits(allow_short=True), sold, previews=previews)
    assert checked["reasons"].tolist() == ["preview_outdated"]
    # 100 KO at 10 are sold short: half of them, and 5.00 a share to be kept, which is as much
    assert sx.plan_margin(checked)["bound"].tolist()[:2] == [500.0, 500.0]


def test_a_frame_that_was_not_checked_is_an_error():
    _, _, orders = planned()
    for table in (sx.plan_margin, sx.margin_by_symbol):
        with pytest.raises(InputError, match="was not checked"):
            table(orders)
