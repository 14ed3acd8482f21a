from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.schema.tables import FILLS, ORDERS
from stocklean_exec.tca.completion import (
    completion,
    completion_summary,
    fill_curve,
    fill_progress,
    fill_times,
    incomplete_reasons,
    kaplan_meier,
    participation,
)
from tests.tca.four_orders import AT, FILLS_, ORDERS_, seconds

NAN = math.nan


# -- completion ------------------------------------------------------------------------------------------------


def test_completion_gives_requested_filled_and_remaining_quantities_and_times():
    table = completion(ORDERS_, FILLS_)
    assert table["quantity"].tolist() == [10.0, 20.0, 5.0, 8.0]
    assert table["filled_quantity"].tolist() == [10.0, 10.0, 0.0, 8.0]
    assert table["remaining_quantity"].tolist() == [0.0, 10.0, 5.0, 0.0]
    assert table["fill_ratio"].tolist() == [1.0, 0.5, 0.0, 1.0]
    np.testing.assert_allclose(table["first_fill_seconds"], [0.5, 3.5, NAN, 1.0])
    np.testing.assert_allclose(table["last_fill_seconds"], [2.0, 3.5, NAN, 1.0])
    assert table["status"].tolist() == ["FILLED", "PARTIAL", "REJECTED", "FILLED"]
    assert table["reason"].fillna("").tolist() == ["", "working", "price_unavailable", ""]


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("NEW", None, "not_sent"),
        ("SUBMITTED", None, "working"),
        ("SUBMITTED", "not placed until 2022-12-30", "working"),
        ("UNKNOWN", None, "unknown"),
        ("UNKNOWN", "the submission failed", "the submission failed"),
        ("CANCELLED", "not_approved", "not_approved"),
        ("CANCELLED", None, "cancelled"),
        (None, None, ""),
    ],
)
def test_an_unfilled_quantity_has_a_reason(status, reason, expected):
    orders = ORDERS_.iloc[[2]].assign(status=status, reason=reason)
    assert completion(orders, FILLS_.iloc[:0])["reason"].fillna("").tolist() == [expected]


def test_an_overfill_is_its_own_reason():
    orders = ORDERS_.iloc[[3]].assign(quantity=5.0)
    row = completion(orders, FILLS_[FILLS_["client_order_id"] == "d"]).iloc[0]
    assert (row["remaining_quantity"], row["fill_ratio"], row["reason"]) == (0.0, 1.6, "overfilled")


def test_parts_of_a_share_add_up_exactly():
    # 0.1 + 0.2 is 0.30000000000000004 in floating point; nothing is overfilled and nothing is left.
    orders = ORDERS_.iloc[[0]].assign(quantity=0.3)
    fills = pd.DataFrame({"client_order_id": ["a", "a"], "quantity": [0.1, 0.2], "price": [100.0, 100.0]})
    row = completion(orders, fills).iloc[0]
    assert (row["filled_quantity"], row["remaining_quantity"], row["fill_ratio"]) == (0.3, 0.0, 1.0)
    assert pd.isna(row["reason"])


@pytest.mark.parametrize("quantity", [0.0, NAN])
def test_an_order_without_a_quantity_has_no_ratio(quantity):
    row = completion(ORDERS_.iloc[[2]].assign(quantity=quantity), FILLS_.iloc[:0]).iloc[0]
    assert math.isnan(row["fill_ratio"])
    assert row["reason"] == "price_unavailable"


def test_without_times_there_are_no_seconds():
    table = completion(ORDERS_.drop(columns="arrived_at"), FILLS_.drop(columns="filled_at"))
    assert table[["first_fill_seconds", "last_fill_seconds"]].isna().all(axis=None)


# -- many orders -------------------------------------------------------------------------------------------------


def test_completion_of_a_run_and_of_groups():
    table = completion_summary(ORDERS_, FILLS_)
    row = table.loc["all"]
    assert row[["orders", "fills"]].tolist() == [4, 4]
    assert row["fill_ratio"] == pytest.approx(28 / 43)
    # notional at arrival: 10 x 100 + 20 x 50 + 5 x 10 + 8 x 25 = 2,250 requested; 1,000 + 500 + 200 done
    assert row["notional_ratio"] == pytest.approx(1_700 / 2_250)
    assert row["completion_rate"] == 0.5
    assert row["residual_notional"] == pytest.approx(550)
    assert row["fills_per_order"] == pytest.approx(4 / 3)
    assert row["rejected_rate"] == 0.25
    by_side = completion_summary(ORDERS_, FILLS_, by="side")
    assert by_side["completion_rate"].tolist() == [0.5, 0.5]
    assert by_side.index.tolist() == ["BUY", "SELL"]


def test_unfilled_quantities_by_reason():
    table = incomplete_reasons(ORDERS_, FILLS_)
    assert table[["status", "reason", "orders"]].to_numpy().tolist() == [
        ["PARTIAL", "working", 1],
        ["REJECTED", "price_unavailable", 1],
    ]
    assert table["residual_notional"].tolist() == [500, 50]
    assert table["share"].tolist() == [0.25, 0.25]


def test_published_kaplan_meier_of_uncensored_data():
    # Cox and Oakes, table 1.1 (leukemia, control), as in dokumen.tips' lecture 2: S(10) = 8/21 = 0.381, error
    # 0.106
    weeks = np.array([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], dtype="float64")
    curve = kaplan_meier(weeks, np.ones(21, dtype=bool)).set_index("seconds")
    assert curve.loc[8, "unfilled_share"] == pytest.approx(8 / 21)
    assert curve.loc[8, "standard_error"] == pytest.approx(0.106, abs=5e-4)
    assert curve.loc[1, "unfilled_share"] == pytest.approx(0.905, abs=5e-4)
    assert curve.loc[2, "unfilled_share"] == pytest.approx(17 / 21)  # printed as 0.809, cut and not rounded


def test_unfilled_orders_are_censored_and_make_percentiles_longer():
    # a and d are done after 2 s and 1 s; b after 3.5 s is half done, watched till the end of the record at 3.5 s;
    # c was rejected, with no end recorded: observed too. Of four at risk, one is done at 1 s and one at 2 s.
    curve = fill_curve(ORDERS_, FILLS_)
    assert curve["seconds"].tolist() == [1, 2]
    assert curve["unfilled_share"].tolist() == [0.75, 0.5]
    table = fill_times(ORDERS_, FILLS_, shares=[0, 0.5, 1], percentiles=[0.5, 0.75])
    assert table["reached"].tolist() == [3, 3, 2]
    assert table["censored"].tolist() == [1, 1, 2]
    # first fills at 0.5, 1, 3.5; half at 2 (a: 4 of 10 at 0.5 s), 1, 3.5; all at 1 and 2
    np.testing.assert_allclose(table["p50_seconds"], [1, 2, 2])
    np.testing.assert_allclose(table["p75_seconds"], [3.5, 3.5, NAN])


def test_a_cancelled_order_is_observed_until_its_cancellation():
    orders = ORDERS_.assign(ended_at=[pd.NaT, pd.NaT, AT + pd.Timedelta(seconds=0.75), pd.NaT])
    orders["ended_at"] = orders["ended_at"].astype("datetime64[us, UTC]")
    # c was at risk for 0.75 s only: at 1 s one of three is done, at 2 s one of two
    np.testing.assert_allclose(fill_curve(orders, FILLS_)["unfilled_share"], [2 / 3, 1 / 3])
    # and all that are not done, if the record is watched longer
    later = fill_curve(orders, FILLS_, until=AT + pd.Timedelta(hours=1))
    np.testing.assert_allclose(later["unfilled_share"], [2 / 3, 1 / 3])


def test_an_order_that_was_never_sent_is_not_observed():
    orders = ORDERS_.assign(arrived_at=pd.Series([AT, AT, None, AT], dtype="datetime64[us, UTC]"))
    row = fill_times(orders, FILLS_, shares=[1.0]).iloc[0]
    assert row[["orders", "not_watched"]].tolist() == [3, 1]


def test_progress_is_one_row_per_fill_in_time():
    table = fill_progress(ORDERS_, FILLS_)
    assert table["client_order_id"].tolist() == ["a", "a", "b", "d"]
    assert table["seconds"].tolist() == [0.5, 2.0, 3.5, 1.0]
    assert table["filled_quantity"].tolist() == [4, 10, 10, 8]
    assert table["filled_share"].tolist() == [0.4, 1.0, 0.5, 1.0]


def test_participation_is_our_share_of_the_volume():
    trades = pd.DataFrame(
        {
            "symbol": ["AAA", "AAA", "AAA", "BBB"],
            "traded_at": seconds(0.0, 1.0, 2.0, 1.0),
            "price": 100.0,
            "volume": [500.0, 30.0, 10.0, 5.0],
        }
    )
    table = participation(ORDERS_, FILLS_, trades)
    # a: 10 of the 40 that traded after its arrival, up to its last fill at 2 s; b: 10 of 5 cannot be
    np.testing.assert_array_equal(table["market_volume"], [40, 5, NAN, NAN])
    np.testing.assert_array_equal(table["participation"], [0.25, NAN, NAN, NAN])


@pytest.mark.slow
def test_empty_input_gives_typed_empty_output():
    orders, fills = ORDERS.empty(), FILLS.empty()
    assert completion_summary(orders, fills).loc["all", ["orders", "fills"]].tolist() == [0, 0]
    assert len(incomplete_reasons(orders, fills)) == 0
    assert len(fill_progress(orders, fills)) == 0
    assert len(fill_curve(orders, fills)) == 0
    assert fill_times(orders, fills)["orders"].tolist() == [0, 0, 0, 0]
    trades = pd.DataFrame({"symbol": ["A"], "traded_at": [AT], "price": [1.0], "volume": [1.0]})
    assert len(participation(orders, fills, trades)) == 0


def test_fill_times_within_or_before_the_second_of_submission_are_not_negative():
    # TWS reports execution times in whole seconds, so a fill may seem to come up to a second before its order.
    at = pd.Timestamp("2026-11-23 15:00:00.700", tz="UTC")
    orders = pd.DataFrame(
        {"client_order_id": ["a", "b"], "symbol": "A", "side": "BUY", "quantity": 10.0, "arrived_at": at}
    )
    fills = pd.DataFrame(
        {
            "client_order_id": ["a", "b"],
            "quantity": 10.0,
            "price": 1.0,
            "filled_at": [at.floor("s"), at - pd.Timedelta(seconds=5)],
        }
    )
    assert completion(orders, fills)["first_fill_seconds"].tolist() == [0.0, -5.0]


# a is filled 20 s after arrival, b is cancelled after 8 s, c is cancelled after 15 s, d arrives after 12 s
WATCHED = pd.DataFrame(
    {
        "client_order_id": ["a", "b", "c", "d"],
        "symbol": "A",
        "side": "BUY",
        "quantity": 10.0,
        "arrived_at": [AT, AT, AT, AT + pd.Timedelta(seconds=12)],
        "ended_at": [pd.NaT, AT + pd.Timedelta(seconds=8), AT + pd.Timedelta(seconds=15), pd.NaT],
    }
)
LATER_FILLS = pd.DataFrame(
    {"client_order_id": ["a", "d"], "quantity": 10.0, "price": 1.0, "filled_at": AT + pd.Timedelta(seconds=20)}
)


@pytest.mark.parametrize(
    ("until", "reached", "censored", "not_watched", "p50"),
    [
        (10, 0, 3, 1, NAN),  # the fills have not happened, d has not been sent
        (12, 0, 4, 0, NAN),  # d has been watched for 0 s
        (19.999999, 0, 4, 0, NAN),
        (20, 2, 2, 0, 20.0),  # d: 1 of 4 after 8 s (b ends then); a: 1 of 1 after 20 s
        (None, 2, 2, 0, 20.0),
    ],
)
def test_times_to_fill_are_as_of_the_end_of_observation(until, reached, censored, not_watched, p50):
    end = None if until is None else AT + pd.Timedelta(seconds=until)
    row = fill_times(WATCHED, LATER_FILLS, shares=[1.0], until=end).iloc[0]
    assert row[["reached", "censored", "not_watched"]].tolist() == [reached, censored, not_watched]
    np.testing.assert_array_equal(row["p50_seconds"], p50)


def test_the_curve_of_times_to_fill_is_as_of_the_end_of_observation():
    assert len(fill_curve(WATCHED, LATER_FILLS, until=AT + pd.Timedelta(seconds=10))) == 0
    assert fill_curve(WATCHED, LATER_FILLS)["seconds"].tolist() == [8.0, 20.0]


# -- orders whose rest was ordered again -----------------------------------------------------------------------


def ordered_again():
    """100 shares of A, of which 30 were traded at 10 and 70 ordered again; of these 50 at 11."""
    orders = pd.DataFrame(
        {
            "client_order_id": ["a", "a-2", "b"],
            "symbol": ["A", "A", "B"],
            "side": ["BUY", "BUY", "SELL"],
            "quantity": [100.0, 70.0, 20.0],
            "status": ["CANCELLED", "CANCELLED", "FILLED"],
            "reason": ["cancel_requested", "cancelled", None],
            "decision_price": [10.0, 10.0, 5.0],
            "replaces": [None, "a", None],
        }
    )
    fills = pd.DataFrame(
        {"client_order_id": ["a", "a-2", "b"], "quantity": [30.0, 50.0, 20.0], "price": [10.0, 11.0, 5.0]}
    )
    return orders, fills


def test_shares_that_were_ordered_again_are_requested_once():
    orders, fills = ordered_again()
    found = sx.completion(orders, fills)
    columns = ["quantity", "filled_quantity", "remaining_quantity"]
    assert found[columns].to_numpy().tolist() == [[30.0, 30.0, 0.0], [70.0, 50.0, 20.0], [20.0, 20.0, 0.0]]
    assert found["reason"].fillna("").tolist() == ["", "cancelled", ""]
    # 100 of 120 shares; by value 300 + 500 + 100 of 1,100.
    summary = sx.completion_summary(orders, fills).loc["all"]
    assert summary["fill_ratio"] == pytest.approx(100 / 120)
    assert summary["notional_ratio"] == pytest.approx(900 / 1_100)
    assert summary["residual_notional"] == 200.0


def test_an_order_that_was_ordered_again_as_a_whole_has_nothing_left_and_says_why():
    orders, fills = ordered_again()
    orders.loc[1, "quantity"] = 100.0
    found = sx.completion(orders, fills[fills["client_order_id"] != "a"])
    assert found.loc["a", ["quantity", "remaining_quantity", "reason"]].tolist() == [0.0, 0.0, "ordered_again"]


def test_of_two_orders_for_one_rest_the_last_one_counts():
    orders, fills = ordered_again()
    second = orders.iloc[[1]].assign(client_order_id="a-3", status="FILLED")
    orders = pd.concat([orders.assign(status=["CANCELLED", "REJECTED", "FILLED"]), second], ignore_index=True)
    fills = fills.replace({"client_order_id": {"a-2": "a-3"}})
    assert sx.completion(orders, fills)["quantity"].tolist() == [30.0, 0.0, 20.0, 70.0]


def test_an_order_for_the_rest_of_one_that_is_not_in_the_table_is_requested_as_a_whole():
    orders, fills = ordered_again()
    found = sx.completion(orders.iloc[1:], fills.iloc[1:])
    assert found["quantity"].tolist() == [70.0, 20.0]
