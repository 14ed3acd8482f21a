"""The trades that a plan left out, computed by hand."""

import pandas as pd
import pytest

import stocklean_exec as sx

# NAV 10,000. A: 160 / 150 is 1.07 shares, 1 is bought. B: 20 of 200 is 0.1, no share.
# C: 10 are held, 1,010 / 100 is 10.1.
TARGETS = {"A": 0.016, "B": 0.002, "C": 0.101}
PRICES = {"A": 150.0, "B": 200.0, "C": 100.0}
LEFT_OUT = [["B", 0.1, 20.0, "below_one_lot"], ["C", 0.1, 10.0, "below_one_lot"]]


def left_out(frame):
    found = sx.held_back(frame)
    assert found.dtypes.astype(str).to_dict() == {
        "symbol": "str",
        "wish": "float64",
        "notional": "float64",
        "reason": "str",
    }
    return found.round(9).to_numpy().tolist()


def plan(**changed):
    given = {"targets": TARGETS, "positions": {"C": 10}, "quotes": PRICES, "nav": 10_000, "run_id": "r"} | changed
    return sx.plan_orders(**given)


def test_a_plan_lists_what_is_less_than_one_lot():
    assert plan()["symbol"].tolist() == ["A"]
    assert left_out(plan()) == LEFT_OUT


def test_nothing_is_left_out_of_a_plan_of_fractions_that_fit():
    assert left_out(plan(fractional=True)) == []
    assert left_out(pd.DataFrame()) == []


def test_nothing_is_left_out_of_a_book_that_is_and_stays_empty():
    orders = plan(targets={}, positions=None, quotes=None, unlisted="close", allow_liquidation=True)
    assert left_out(orders) == []


def test_less_than_a_share_that_is_to_be_sold_is_listed_as_a_sell():
    assert left_out(plan(targets={"A": 0.3}, positions={"C": 0.5}, unlisted="close")) == [
        ["C", -0.5, -50.0, "below_one_lot"]
    ]
    assert left_out(plan(targets={"A": 0.3}, positions={"C": 0.5}, unlisted="keep")) == []


def test_lots_and_currencies_count():
    targets = pd.DataFrame({"symbol": ["X"], "weight": 0.5, "lot_size": 100.0, "currency": "EUR"})
    # 5,000 USD are 4,000 EUR, 40 shares of 100 EUR: less than a lot of 100; its value is in dollars.
    assert left_out(plan(targets=targets, positions=None, quotes={"X": 100.0}, fx={"EUR": 1.25})) == [
        ["X", 40.0, 5_000.0, "below_one_lot"]
    ]


def test_a_lot_that_cannot_be_paid_for_says_so():
    # 6,500 of 10,000 are reserved, and one share costs 4,000.
    prices = {"A": 4_000.0}
    assert left_out(plan(targets={"A": 0.4}, positions=None, quotes=prices, reserve=6_500.0)) == [
        ["A", 1.0, 4_000.0, "not_affordable"]
    ]


def test_what_a_rule_leaves_less_than_a_lot_of_has_the_reason_of_the_rule():
    # 49.4 shares are wanted and 44 held: 5.4 away. A cap of 0.1 % of NAV is 10, a tenth of a share.
    book = {"targets": {"A": 0.494}, "positions": {"A": 44}, "quotes": {"A": 100.0}}
    assert left_out(plan(**book, max_turnover=0.001)) == [["A", 5.4, 540.0, "turnover_cap"]]
    # 44.4 are wanted: 0.4 of a share is less than a lot by itself.
    small = book | {"targets": {"A": 0.444}}
    assert left_out(plan(**small, band=0.001, band_to="edge")) == [["A", 0.4, 40.0, "below_one_lot"]]


def test_a_rejected_symbol_is_an_order_row_and_not_left_out():
    orders = plan(quotes={"A": 150.0, "C": 100.0})
    assert orders.set_index("symbol")["reason"].to_dict()["B"] == "price_unavailable"
    assert left_out(orders) == LEFT_OUT[1:]


@pytest.mark.slow
@pytest.mark.parametrize("dry_run", [True, False])
def test_the_list_stays_with_the_plan_to_the_end(dry_run):
    checked = sx.check_orders(plan(), quotes=PRICES, cash=9_000.0, positions={"C": 10})
    assert left_out(checked) == LEFT_OUT
    review = sx.review_orders(checked)
    review.edit("r-A-BUY", tif="GTC")
    review.approve_all(by="me")
    assert left_out(review.orders) == left_out(review.result()) == LEFT_OUT
    broker = sx.connect("mock://", quotes=PRICES, positions={"C": 10}, cash=9_000.0)
    with sx.open_blotter() as blotter:
        done = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="me", dry_run=dry_run)
    assert done["status"].tolist() == ["NEW" if dry_run else "FILLED"]
    assert left_out(done) == LEFT_OUT


@pytest.mark.parametrize(
    ("held", "sold", "rest"),
    [
        (137, 100.0, [["7203", -37.0, -740.0, "odd_lot"]]),
        (200, 200.0, []),
        (37, None, [["7203", -37.0, -740.0, "below_one_lot"]]),
    ],
)
def test_a_holding_in_a_market_of_lots_is_sold_in_whole_lots(held, sold, rest):
    # Tokyo trades 100 shares or a multiple of them: the broker says so with the quote. 3,000 yen are 20 dollars.
    quotes = pd.DataFrame(
        {
            "symbol": ["7203", "A"],
            "last": [3_000.0, 150.0],
            "currency": ["JPY", "USD"],
            "lot_size": [100.0, float("nan")],
            "quoted_at": pd.Timestamp("2026-11-23T15:00Z"),
        }
    )
    positions = pd.DataFrame({"symbol": ["7203"], "quantity": [held], "currency": "JPY"})
    account = {"positions": positions, "quotes": quotes, "fx": {"JPY": 1 / 150}}
    orders = plan(targets={"A": 1.0}, unlisted="close", allow_liquidation=True, **account)
    found = orders.set_index("symbol")
    assert found["quantity"].get("7203") == sold
    assert left_out(orders) == rest
    # What stays is not spent: 10,000 less its value.
    stays = -sum(row[2] for row in rest)
    assert 10_000 - stays - 300 < found.loc["A", "quantity"] * 150 < 10_000 - stays


def test_a_trade_to_the_edge_that_is_no_share_is_one_row_with_the_whole_wish():
    # A is 240 under its target of 1,000 and 40 outside of a band of 200: 0.4 of a share of 100.
    orders = plan(targets={"A": 0.1}, positions={"A": 7.6}, quotes={"A": 100.0}, band=0.02, band_to="edge")
    assert left_out(orders) == [["A", 2.4, 240.0, "inside_band"]]


@pytest.mark.parametrize(
    ("held", "weight", "lot", "expected"),
    [
        (151, 0.0, 2.0, [["X", -1.0, -10.0, "odd_lot"]]),  # 150 of 151 are sold
        (151, 0.0, 1.0, []),
        (10.5, 0.0, 1.0, []),  # a part of a share is no odd lot
        (151, 0.5, 100.0, []),  # 349 of 500 are wished and 300 bought: it is no holding that is to be closed
    ],
)
def test_an_odd_lot_is_what_is_left_of_a_holding_that_is_closed_in_lots_of_the_exchange(
    held, weight, lot, expected
):
    quotes = pd.DataFrame(
        {"symbol": ["X"], "last": [10.0], "lot_size": [lot], "quoted_at": [pd.Timestamp(0, tz="UTC")]}
    )
    orders = plan(targets={"X": weight}, positions={"X": held}, quotes=quotes, allow_liquidation=True)
    assert left_out(orders) == expected
