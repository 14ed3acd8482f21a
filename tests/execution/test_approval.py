from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import duckdb
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import ApprovalError, InputError
from stocklean_exec.execution.approval import check_age, limits_of, restore, seal, shorter, verify

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
QUOTES = {"SPY": 123.0, "TLT": 33.33, "BIG": 10.0, "LEFT": 7.0}


@pytest.fixture
def approved():
    """SPY and TLT approved, LEFT excluded, BIG blocked by a check, GONE refused by the plan."""
    weights = {"SPY": 0.3, "TLT": 0.2, "BIG": 0.4, "LEFT": 0.05, "GONE": 0.05}
    orders = sx.plan_orders(
        weights, None, QUOTES, nav=10_000, run_id="run-1", order_type="LMT", limit_offset_bps=-10
    )
    checked = sx.check_orders(orders, sx.Limits(max_order_notional=3_500), quotes=QUOTES, cash=10_000)
    review = sx.OrderReview(checked, now=lambda: NOW)
    review.approve("run-1-SPY-BUY", "run-1-TLT-BUY", by="ann")
    review.reject("run-1-LEFT-BUY", by="bob")
    return review.result()


def refused(frame):
    with pytest.raises(ApprovalError) as caught:
        verify(restore(frame))
    return str(caught.value)


def row(frame, symbol):
    return frame.index[frame["symbol"] == symbol][0]


def test_a_plan_is_restored_with_its_own_columns_whatever_the_index_of_its_rows(approved):
    assert list(restore(approved.iloc[::-1]).columns) == list(approved.columns)


@pytest.mark.parametrize(("count", "named"), [(10, "S-BUY; review"), (11, "S-BUY, ...; review")])
def test_of_the_rows_that_changed_the_first_ten_are_named(count, named):
    weights = {"ABCDEFGHIJS"[-number:][0] + "S" * (number > 1): 0.05 for number in range(1, count + 1)}
    orders = sx.plan_orders(weights, None, dict.fromkeys(weights, 10.0), nav=10_000, run_id="r")
    review = sx.OrderReview(
        sx.check_orders(orders, quotes=dict.fromkeys(weights, 10.0), cash=10_000), now=lambda: NOW
    )
    review.approve_all(by="ann")
    plan = review.result()
    why = refused(plan.assign(quantity=plan["quantity"] + 1))
    assert why.startswith(f"{count} rows changed since they were approved: r-")
    assert named in why
    assert why.count("-BUY") == 10


def test_the_shorter_of_two_optional_durations_is_used():
    assert shorter(60.0, 30.0) == 30.0
    assert shorter(60.0, None) == 60.0
    assert shorter(None, 30.0) == 30.0
    assert shorter(None, None) is None


def test_the_limits_of_a_plan_are_those_of_all_its_rows(approved):
    assert limits_of(approved) == sx.Limits(max_order_notional=3_500)
    lost = approved.copy()
    lost.loc[row(lost, "SPY"), "limits"] = None
    with pytest.raises(InputError, match="was not checked, or has lost the limits"):
        limits_of(lost)
    mixed = approved.copy()
    mixed.loc[row(mixed, "SPY"), "limits"] = sx.Limits().to_json()  # one of two different limits
    with pytest.raises(InputError, match="checked against different limits"):
        limits_of(mixed)


def test_an_approved_plan_is_verified_and_its_fingerprint_is_a_function_of_it(approved):
    assert verify(restore(approved)) == verify(restore(approved.copy()))
    assert len(verify(restore(approved))) == 64
    assert approved["approved"].sum() == 2
    assert {*restore(approved).columns} == {*approved.columns}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("client_order_id", "run-1-SPY-BUY-2"),
        ("run_id", "run-2"),
        ("symbol", "SPX"),
        ("side", "SELL"),
        ("quantity", 25.0),
        ("order_type", "MKT"),
        ("limit_price", 122.99),
        ("limit_price", float("nan")),
        ("tif", "GTC"),
        ("currency", "EUR"),
        ("sec_type", "CFD"),
        ("exchange", "NYSE"),
        ("account", "DU0000002"),
        ("decision_price", 124.0),
        ("target_quantity", 25.0),
        ("status", "FILLED"),
        ("status", "REJECTED"),
        ("reason", "because"),
        ("verdict", "warn"),
        ("verdict", "block"),
        ("approved", False),
        ("approved_by", "eve"),
        ("approved_at", NOW + timedelta(seconds=1)),
        ("order_hash", "0" * 64),
    ],
)
def test_a_change_of_any_cell_that_matters_is_refused_and_the_row_named(approved, column, value):
    approved.loc[row(approved, "SPY"), column] = value
    text = refused(approved)
    assert "1 rows changed" in text
    assert "run-1-SPY-BUY" in text


@pytest.mark.parametrize(("symbol", "column", "value"), [("BIG", "verdict", "pass"), ("GONE", "status", "NEW")])
def test_a_blocked_row_cannot_be_unblocked_in_the_frame(approved, symbol, column, value):
    place = row(approved, symbol)
    approved.loc[place, column] = value
    approved.loc[place, "approved"] = True
    assert symbol in refused(approved)


@pytest.mark.parametrize("symbol", ["BIG", "GONE", "LEFT"])
def test_a_row_that_was_not_approved_cannot_be_approved_in_the_frame(approved, symbol):
    approved.loc[row(approved, symbol), "approved"] = True
    assert symbol in refused(approved)


def test_a_blocked_row_cannot_be_approved_even_with_recomputed_hashes(approved):
    approved.loc[row(approved, "BIG"), "approved"] = True
    assert "blocked orders cannot be approved: run-1-BIG-BUY" in refused(seal(approved))


@pytest.mark.slow
def test_rows_in_another_sequence_are_the_same_plan(approved):
    assert verify(restore(approved.iloc[::-1])) == verify(restore(approved))
    assert verify(restore(approved.sample(frac=1, random_state=3))) == verify(restore(approved))


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.iloc[1:],
        lambda frame: frame[frame["approved"]],
        lambda frame: pd.concat([frame, frame.iloc[:1]]),
        lambda frame: pd.concat([frame, frame.iloc[:1].assign(approval_hash="x")]),
        lambda frame: frame.assign(approval_hash="0" * 64),
    ],
)
def test_rows_taken_out_or_added_are_refused(approved, change):
    assert "rows were added or removed" in refused(change(approved))


@pytest.mark.slow
def test_two_concatenated_approved_plans_are_refused(approved):
    other = seal(approved.drop(columns=["order_hash", "approval_hash"]).assign(run_id="run-2"))
    assert "rows were added or removed" in refused(pd.concat([approved, other]))


def test_columns_that_do_not_matter_may_change(approved):
    changed = approved.assign(note="seen", detail=None, checks=None)
    assert verify(restore(changed)) == verify(restore(approved))


@pytest.mark.parametrize("read", [{}, {"dtype": str}])
def test_an_approved_plan_survives_a_csv_file(approved, read):
    again = pd.read_csv(io.StringIO(approved.to_csv(index=False)), **read)
    restored = restore(again)
    assert verify(restored) == verify(restore(approved))
    # The text "False" must not become true.
    assert restored["approved"].tolist() == approved["approved"].tolist()
    assert restored["approved"].dtype == bool


# duckdb 2.0 asks pandas for something deprecated when it reads times with a zone
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_an_approved_plan_survives_a_parquet_file(approved, tmp_path):
    file = str(tmp_path / "plan.parquet")
    with duckdb.connect() as connection:
        connection.register("plan", approved)
        connection.execute("COPY (SELECT * FROM plan) TO ? (FORMAT parquet)", [file])
        connection.execute("SET TimeZone = 'America/New_York'")  # the same instants, written otherwise
        again = connection.execute("SELECT * FROM read_parquet(?)", [file]).df()
    assert verify(restore(again)) == verify(restore(approved))


def test_a_change_in_the_csv_file_is_refused(approved):
    text = approved.to_csv(index=False).replace("LMT", "MKT", 1)
    assert "rows changed" in refused(pd.read_csv(io.StringIO(text)))


@pytest.mark.parametrize("value", ["yes", None, 2, float("nan"), "TRUE", []])
def test_an_approval_that_is_neither_yes_nor_no_is_refused(approved, value):
    approved["approved"] = [value] * len(approved)
    assert "neither True nor False" in refused(approved)


@pytest.mark.parametrize("value", ["many", "10 shares"])
def test_a_cell_that_is_no_longer_a_number_is_refused(approved, value):
    changed = approved.astype({"quantity": "object"})
    changed.loc[row(changed, "SPY"), "quantity"] = value
    assert "rows changed" in refused(changed)


@pytest.mark.parametrize("frame", [None, {}, [], "run-1", pd.DataFrame(), pd.DataFrame({"symbol": ["SPY"]})])
def test_a_frame_without_an_approval_is_refused(frame):
    assert "carries no approval" in refused(frame)


def test_a_checked_plan_without_an_approval_is_refused(approved):
    assert "no order_hash, approval_hash" in refused(approved.drop(columns=["order_hash", "approval_hash"]))


def test_restoring_does_not_change_its_input(approved):
    before = approved.copy()
    restore(approved)
    pd.testing.assert_frame_equal(approved, before)


@pytest.mark.parametrize(
    ("seconds", "max_age", "words"),
    [
        (0, 3_600, None),
        (3_600, 3_600, None),
        (3_601, 3_600, "3,601 s old, over 3,600 s"),
        (10**9, None, None),
        (-60, 3_600, None),
        (-61, 3_600, "61 s in the future"),
    ],
)
def test_an_approval_is_valid_until_its_maximum_age(approved, seconds, max_age, words):
    now = NOW + timedelta(seconds=seconds)
    if words is None:
        check_age(approved, now, max_age)
    else:
        with pytest.raises(ApprovalError, match=words):
            check_age(approved, now, max_age)


def test_the_oldest_and_the_furthest_future_approval_are_checked(approved):
    approved.loc[row(approved, "TLT"), "approved_at"] = NOW - timedelta(hours=2)
    with pytest.raises(ApprovalError, match="7,200 s old"):
        check_age(approved, NOW, 3_600)
    approved.loc[row(approved, "TLT"), "approved_at"] = NOW + timedelta(hours=2)
    with pytest.raises(ApprovalError, match="in the future"):
        check_age(approved, NOW, 3_600)


def test_the_age_of_a_plan_without_approvals_is_not_checked(approved):
    check_age(approved[~approved["approved"]], NOW + timedelta(days=9), 1)


TERMS = {
    "order_type": ["LMT", "MKT", "STP"],
    "limit_offset_bps": [10.0, None, None],
    "limit_reference": ["last", None, None],
    "aux_price": [None, None, 12.5],
    "tif": ["GTD", "DAY", "GTC"],
    "good_till": [pd.Timestamp("2026-11-24 21:00", tz="UTC"), None, None],
    "good_after": [pd.Timestamp("2026-11-24 15:00", tz="UTC"), None, None],
    "outside_rth": [True, False, False],
    "algo": [None, "Vwap", None],
    "algo_params": [None, {"maxPctVol": 0.1}, None],
}


@pytest.fixture
def special():
    """Three approved orders with every term that an order can have."""
    wanted = pd.DataFrame({"symbol": ["SPY", "TLT", "BIG"], "weight": 0.2} | TERMS)
    orders = sx.plan_orders(wanted, None, QUOTES, nav=10_000, run_id="run-1", decided_at=pd.Timestamp(NOW))
    checked = sx.check_orders(
        orders, sx.Limits(price_collar=None, max_approval_age=None), quotes=QUOTES, cash=10_000
    )
    review = sx.OrderReview(checked, now=lambda: NOW)
    review.approve_all(by="ann")
    return review.result()


@pytest.mark.parametrize("read", [{}, {"dtype": str}])
def test_every_term_survives_a_csv_file(special, read):
    assert special["approved"].tolist() == [True] * 3
    restored = restore(pd.read_csv(io.StringIO(special.to_csv(index=False)), **read))
    assert verify(restored) == verify(restore(special))
    assert restored["outside_rth"].tolist() == special["outside_rth"].tolist()


@pytest.mark.parametrize(
    ("symbol", "column", "value"),
    [
        ("SPY", "good_till", pd.Timestamp("2026-11-25 21:00", tz="UTC")),
        ("SPY", "good_after", pd.NaT),
        ("SPY", "outside_rth", False),
        ("SPY", "limit_offset_bps", 11.0),
        ("SPY", "limit_reference", "mid"),
        ("TLT", "outside_rth", True),
        ("TLT", "algo", "Twap"),
        ("TLT", "algo_params", '{"maxPctVol": 0.5}'),
        ("BIG", "aux_price", 12.6),
    ],
)
def test_a_term_that_was_changed_since_the_approval_is_refused(special, symbol, column, value):
    changed = special.copy()
    changed.loc[row(changed, symbol), column] = value
    assert f"run-1-{symbol}-BUY" in refused(changed)


def test_what_is_neither_true_nor_false_is_no_plan(special):
    text = special.to_csv(index=False)
    changed = pd.read_csv(io.StringIO(text), dtype=str).assign(outside_rth="perhaps")
    with pytest.raises(ApprovalError, match="outside_rth is neither"):
        restore(changed)


@pytest.mark.slow
def test_the_record_has_every_term_as_it_was_approved(special, tmp_path):
    file = tmp_path / "record.duckdb"
    with sx.connect("mock://", quotes=QUOTES, cash=10_000) as broker, sx.open_blotter(file) as blotter:
        sx.submit_orders(special, broker, blotter, timeout=0.1, max_approval_age=None)
    with sx.read_blotter(file) as blotter:
        recorded = blotter.orders("run-1")
    names = [*TERMS, "limit_reference_price", "limit_price"]
    assert recorded["client_order_id"].tolist() == special["client_order_id"].tolist()
    for name in names:
        pd.testing.assert_series_equal(recorded[name], special[name].reset_index(drop=True))
