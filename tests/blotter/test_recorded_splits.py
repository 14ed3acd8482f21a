"""A split on record: account and strategies follow it, once, and what is on record stays as it is."""

from datetime import UTC, datetime

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError

PRICES = {"SPY": 400.0, "TLT": 100.0}
OWN = {"value": {"SPY": 63}, "trend": {"SPY": 42}}
DAY = "2026-11-24"


@pytest.fixture
def blotter():
    with sx.open_blotter() as opened:
        yield opened


def rows_of(frame):
    return frame[["strategy", "symbol", "quantity"]].to_numpy().tolist()


def assign(blotter, positions, own=OWN):
    return sx.assign_positions(blotter, own, positions=positions, account="DU1", by="me")


def record(blotter, ratio, positions, symbol="SPY", **options):
    chosen = {"on": DAY, "by": "me", "positions": positions, "account": "DU1"} | options
    return sx.record_split(blotter, symbol, ratio, **chosen)


def test_each_strategy_has_its_new_shares(blotter):
    assign(blotter, {"SPY": 105})
    found = record(blotter, "10:1", {"SPY": 1050})
    assert rows_of(found) == [["trend", "SPY", 420.0], ["value", "SPY", 630.0]]


def test_the_same_split_again_changes_nothing(blotter):
    assign(blotter, {"SPY": 105})
    first = record(blotter, "1:10", {"SPY": 10})
    assert rows_of(first) == [["trend", "SPY", 4.0], ["value", "SPY", 6.0]]
    pd.testing.assert_frame_equal(record(blotter, 0.1, {"SPY": 10}, by="a colleague"), first)
    assert len(blotter.splits()) == 1


def test_what_was_recorded_has_ratio_person_reason_and_day(blotter):
    assign(blotter, {"SPY": 105})
    record(blotter, "10:1", {"SPY": 1050}, reason="as announced")
    midnight = pd.Timestamp("2026-11-24 05:00", tz="UTC")  # in New York
    assert blotter.splits().to_numpy().tolist()[0][:4] == [midnight, "DU1", "SPY", "10:1"]
    assert blotter.splits()["quantity"].isna().all()  # no run has told what the account held
    rows = blotter.assignments().iloc[-2:]
    assert rows.drop(columns="assigned_at").to_numpy().tolist() == [
        ["DU1", "trend", "SPY", 378.0, "me", "as announced 10:1"],
        ["DU1", "value", "SPY", 567.0, "me", "as announced 10:1"],
    ]
    assert rows["assigned_at"].tolist() == [midnight, midnight]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"ratio": "1:1"}, "split_ratio"),
        ({"on": "someday"}, "split_day"),
        ({"on": datetime(2026, 11, 24, 12, tzinfo=UTC).replace(tzinfo=None)}, "split_day"),
        ({"on": "2999-01-01"}, "split_day"),
        ({"by": ""}, "option_invalid"),
        ({"reason": " "}, "option_invalid"),
        ({"positions": None}, "positions_missing"),
        ({"symbol": ""}, "symbol_missing"),
        ({"positions": {"SPY": 104}, "ratio": "2:1"}, "split_mismatch"),  # strategies would have 210
    ],
)
def test_what_cannot_be_recorded_is_named_and_nothing_is(blotter, options, code):
    assign(blotter, {"SPY": 105})
    chosen = {"ratio": "10:1", "positions": {"SPY": 1050}, "symbol": "SPY"} | options
    with pytest.raises(InputError) as caught:
        record(blotter, chosen.pop("ratio"), chosen.pop("positions"), **chosen)
    assert [one.code for one in caught.value.problems] == [code]
    assert blotter.splits().empty
    assert len(blotter.assignments()) == 2


def test_another_split_of_that_day_or_a_later_one_stands_in_the_way(blotter):
    assign(blotter, {"SPY": 105})
    record(blotter, "10:1", {"SPY": 1050})
    for ratio, day in (("5:1", DAY), ("10:1", "2026-11-20")):
        with pytest.raises(InputError, match=r"a split of 10:1, of 2026-11-24, is on record"):
            record(blotter, ratio, {"SPY": 1050}, on=day)
    assert rows_of(record(blotter, "2:1", {"SPY": 2100}, on="2026-11-25"))[1] == ["value", "SPY", 1260.0]


# -- with runs ------------------------------------------------------------------------------------------------

MIDNIGHT = pd.Timestamp("2026-11-24", tz="America/New_York")


def mock(positions, prices=PRICES, at="2026-11-23 15:00", **options):
    stamp = pd.Timestamp(at, tz="UTC")
    quotes = pd.DataFrame({"symbol": list(prices), "last": list(prices.values()), "quoted_at": stamp})
    return sx.connect("mock://?seed=7", quotes=quotes, positions=positions, cash=60_000, **options)


SHARES = {"value": 0.6, "trend": 0.4}
LOOSE = sx.Limits(max_quote_age=None, duplicate_window=None)


def rebalance(broker, blotter, run_id, spy, tlt, **options):
    targets = sx.net_targets({"value": {"SPY": spy}, "trend": {"SPY": 0.412, "TLT": tlt}}, SHARES)
    chosen = {"approve": "me", "dry_run": False, "limits": LOOSE} | options
    return sx.rebalance(targets, broker, blotter, run_id=run_id, **chosen)


@pytest.fixture
def before(blotter):
    """The day before: 105 of SPY, 63 of value and 42 of trend, and trend buys TLT."""
    broker = mock({"SPY": 105})
    sx.assign_positions(blotter, OWN, positions=broker.account_state(), by="me")
    states = rebalance(broker, blotter, "monday", 0.412, 0.02)
    assert states[["symbol", "status"]].to_numpy().tolist() == [["TLT", "FILLED"]]
    return broker


NEW = {"SPY": 40.0, "TLT": 100.0}


@pytest.mark.slow
def test_account_and_strategies_follow_a_split_and_trade_on(before, blotter):
    tlt = before.positions().set_index("symbol").loc["TLT", "quantity"]
    broker = mock({"SPY": 1050, "TLT": tlt}, NEW, at="2026-11-24 15:00")
    found = sx.reconcile(broker, blotter, halt=False).set_index("kind")
    assert "sx.record_split" in found.loc["position_differs", "detail"]
    plan = rebalance(broker, blotter, "tuesday", 0.6, 0.02, dry_run=True)
    row = plan.set_index("symbol").loc["SPY"]
    assert (row["status"], row["reason"]) == ("REJECTED", "suspected_split")
    assert "a split of 10:1 that is not on record: sx.record_split" in row["detail"]
    sx.record_split(blotter, "SPY", "10:1", on=DAY, by="me", positions=broker.account_state())
    assert blotter.splits()["quantity"].tolist() == [945.0]
    assert [one for one in rows_of(blotter.strategy_positions()) if one[1] == "SPY"] == [
        ["trend", "SPY", 420.0],
        ["value", "SPY", 630.0],
    ]
    assert "position_differs" not in sx.reconcile(broker, blotter, halt=False)["kind"].tolist()
    done = rebalance(broker, blotter, "tuesday", 0.5, 0.02).set_index("symbol")
    assert done.loc["SPY", ["side", "status"]].tolist() == ["BUY", "FILLED"]
    held = blotter.strategy_positions(broker.positions())
    total = held[held["symbol"] == "SPY"]["quantity"].sum()
    assert total == broker.positions().set_index("symbol").loc["SPY", "quantity"]
    assert "unassigned" not in held["strategy"].tolist()


@pytest.mark.slow
def test_a_split_that_nobody_has_recorded_is_suspected_also_after_another_run(before, blotter):
    tlt = before.positions().set_index("symbol").loc["TLT", "quantity"]
    broker = mock({"SPY": 1050, "TLT": tlt}, NEW, at="2026-11-24 15:00")
    done = rebalance(broker, blotter, "tuesday", 0.6, 0.04).set_index("symbol")
    assert done["reason"].fillna("").to_dict() == {"SPY": "suspected_split", "TLT": ""}
    # That run has recorded the account as it is now; what strategies hold is still not known.
    assert blotter.strategy_book(broker.account_state()).splits == {"SPY": "10:1"}
    again = rebalance(broker, blotter, "wednesday", 0.6, 0.04)
    assert again.set_index("symbol").loc["SPY", "reason"] == "suspected_split"
    sx.record_split(blotter, "SPY", "10:1", on=DAY, by="me", positions=broker.account_state())
    assert blotter.strategy_book(broker.account_state()).splits == {}
    assert rebalance(broker, blotter, "thursday", 0.5, 0.04).set_index("symbol").loc["SPY", "status"] == "FILLED"


@pytest.mark.slow
def test_a_trade_by_hand_that_looks_like_a_split_is_settled_by_an_assignment(before, blotter):
    tlt = before.positions().set_index("symbol").loc["TLT", "quantity"]
    state = mock({"SPY": 210, "TLT": tlt}, at="2026-11-24 15:00").account_state()
    assert blotter.strategy_book(state).splits == {"SPY": "2:1"}
    sx.assign_positions(blotter, OWN, positions=state, by="me", reason="105 were bought by hand")
    assert blotter.strategy_book(state).splits == {}
    rows = [one for one in rows_of(blotter.strategy_positions(state)) if one[1] == "SPY"]
    assert rows == [["trend", "SPY", 42.0], ["value", "SPY", 63.0], ["unassigned", "SPY", 105.0]]


@pytest.mark.slow
def test_a_ratio_that_the_account_contradicts_is_refused(before, blotter):
    with pytest.raises(InputError, match="a split of 5:1 makes 525 of the 105 that the account held"):
        sx.record_split(blotter, "SPY", "5:1", on=DAY, by="me", positions=mock({"SPY": 1050}).account_state())


@pytest.mark.slow
def test_a_working_order_of_before_must_end_first(blotter):
    script = pd.DataFrame([("SPY", "rest", None)], columns=["symbol", "action", "quantity"])
    broker = mock({"SPY": 105}, fill_plan=script)
    sx.assign_positions(blotter, OWN, positions=broker.account_state(), by="me")
    rebalance(broker, blotter, "monday", 0.6, 0.0, timeout=0.2)
    with pytest.raises(InputError, match="monday-SPY-BUY is SUBMITTED") as caught:
        sx.record_split(blotter, "SPY", "10:1", on=DAY, by="me", positions=mock({"SPY": 1050}).account_state())
    assert caught.value.problems[0].code == "open_order_exists"
