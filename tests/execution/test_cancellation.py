"""Own working orders cancelled before a new plan: each by its id, each confirmed, no other client's."""

import asyncio
import json
import threading
import time

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import BrokerError, HaltedError
from stocklean_exec.execution.cancellation import CancelOutcome, cancel_orders, cancel_runs, own_working_orders
from tests.approved_buys import approved_buys

QUOTES = {"ABC": 25.0, "XYZ": 50.0}
RESTS = pd.DataFrame({"symbol": ["ABC", "XYZ"], "action": "rest"})


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


class Slow(MockBroker):
    """A broker that confirms a cancel a while after it was requested."""

    def __init__(self):
        super().__init__(QUOTES, cash=50_000.0, fill_plan=RESTS)
        self.asked, self.collected, self.adopted = [], 0, []

    def adopt(self, run_id, orders):
        self.adopted += [(run_id, order.client_order_id, order.quantity) for order in orders]
        super().adopt(run_id, orders)

    async def collect_evidence(self):
        self.collected += 1
        return await super().collect_evidence()

    def cancel(self, client_order_id):
        self.asked.append(client_order_id)
        threading.Timer(1.5, super().cancel, [client_order_id]).start()


class Silent(MockBroker):
    """A broker that does not answer to the cancel of some orders."""

    def __init__(self, *deaf, **given):
        super().__init__(QUOTES, cash=50_000.0, fill_plan=RESTS, **given)
        self.deaf, self.asked = deaf, []

    def cancel(self, client_order_id):
        self.asked.append(client_order_id)
        if client_order_id not in self.deaf:
            super().cancel(client_order_id)

    def cancel_all(self):
        raise AssertionError("a global cancel was requested")


def trade(broker, blotter, run_id, targets=None, **changed):
    options = {"approve": "me", "dry_run": False, "timeout": 0.3, "limits": sx.Limits(duplicate_window=None)}
    targets = {"ABC": 0.5, "XYZ": 0.4} if targets is None else targets
    return sx.rebalance(targets, broker, blotter, run_id=run_id, **(options | changed))


def working(broker):
    return sorted(broker.open_orders()["client_order_id"])


@pytest.mark.slow
def test_the_working_orders_of_earlier_runs_are_found_and_no_others(blotter):
    broker = Silent()
    with sx.open_blotter() as other:
        trade(broker, other, "theirs", {"ABC": 0.1})
    trade(broker, blotter, "1", {"XYZ": 0.4})
    found = own_working_orders(broker, blotter, "2")
    assert found["client_order_id"].tolist() == ["1-XYZ-BUY"]
    assert (found.index.tolist(), found.columns.tolist()) == ([0], broker.open_orders().columns.tolist())
    assert own_working_orders(broker, blotter, "1").empty


@pytest.mark.slow
def test_own_working_orders_are_cancelled_and_planned_again(blotter):
    broker = Silent()
    trade(broker, blotter, "1")
    assert working(broker) == ["1-ABC-BUY", "1-XYZ-BUY"]
    states = trade(broker, blotter, "2", on_open_orders="cancel")
    assert broker.asked == ["1-ABC-BUY", "1-XYZ-BUY"]
    assert working(broker) == ["2-ABC-BUY", "2-XYZ-BUY"]  # 198 % of the targets would be working otherwise
    assert states["quantity"].tolist() == blotter.orders("1")["quantity"].tolist()
    assert blotter.orders("1")["status"].tolist() == ["CANCELLED", "CANCELLED"]  # on record, too
    warnings = sx.input_warnings(states)
    texts = warnings.loc[warnings["code"] == "cancelled_first", "detail"].tolist()
    assert len(texts) == 2
    assert texts[0].endswith("ABC (1-ABC-BUY) was cancelled before this plan was made")


@pytest.mark.slow
def test_a_cancel_that_is_confirmed_within_the_timeout_is_waited_for(blotter):
    broker = Slow()
    trade(broker, blotter, "1")
    trade(broker, blotter, "0", {"XYZ": 0.1}, foreign_orders="net")
    names, before = ["1-ABC-BUY", "1-XYZ-BUY"], broker.collected
    broker.adopted.clear()
    assert asyncio.run(cancel_orders(broker, blotter, names, 30.0)) == {}
    assert broker.collected == before + 1  # what was missed since the run ended
    assert broker.asked == names
    assert broker.adopted == [("1", "1-ABC-BUY", 1_000.0), ("1", "1-XYZ-BUY", 400.0)]  # of that run, and no other
    assert blotter.orders("1")["status"].tolist() == ["CANCELLED", "CANCELLED"]
    assert asyncio.run(cancel_orders(broker, blotter, [], 30.0)) == {}


@pytest.mark.slow
def test_an_order_that_cannot_be_cancelled_is_not_waited_for(blotter):
    class Refuses(Silent):
        def cancel(self, client_order_id):
            self.asked.append(client_order_id)
            raise BrokerError("not connected")

    broker = Refuses()
    trade(broker, blotter, "1", {"ABC": 0.5})
    found = asyncio.run(cancel_orders(broker, blotter, ["1-ABC-BUY"], 600.0))  # longer than any test may take
    assert found == {"1-ABC-BUY": "it cannot be cancelled: not connected"}


@pytest.mark.slow
def test_the_orders_of_a_run_that_is_working_here_are_cancelled_and_recorded_by_it(blotter):
    with sx.connect("sim://?seed=7") as broker:
        run = sx.start_run(approved_buys(["AAPL"], {"AAPL": 100.0}, limit=1.0, run_id="1"), broker, blotter)
        until = time.monotonic() + 60.0
        while not working(broker):
            assert time.monotonic() < until, "the order did not come to the broker"
            threading.Event().wait(0.01)
        assert not run.is_done
        assert asyncio.run(cancel_orders(broker, blotter, working(broker), 60.0)) == {}
        assert run.wait(60.0)["status"].tolist() == ["CANCELLED"]


@pytest.mark.slow
@pytest.mark.parametrize("foreign", ["reject", "ignore", "net"])
def test_the_symbol_of_an_order_that_may_still_be_working_is_rejected(blotter, foreign):
    broker = Silent("1-ABC-BUY")
    trade(broker, blotter, "1")
    states = trade(broker, blotter, "2", on_open_orders="cancel", foreign_orders=foreign).set_index("symbol")
    assert states["status"].to_dict() == {"ABC": "REJECTED", "XYZ": "SUBMITTED"}
    assert states.loc["ABC", "reason"] == "open_order_exists"
    assert working(broker) == ["1-ABC-BUY", "2-XYZ-BUY"]
    warnings = sx.input_warnings(states).set_index("code")["detail"]
    assert warnings["not_cancelled"] == (
        "1-ABC-BUY may still be working: its cancel was not confirmed within 0.3 s"
    )


@pytest.mark.slow
def test_a_dry_run_cancels_nothing_and_plans_as_after_the_cancels(blotter):
    broker = Silent()
    trade(broker, blotter, "1")
    plan = trade(broker, blotter, "2", on_open_orders="cancel", dry_run=True)
    assert broker.asked == []
    assert plan["quantity"].tolist() == blotter.orders("1")["quantity"].tolist()
    assert plan["verdict"].tolist() == ["pass", "pass"]  # the cash of the orders that would be cancelled is free
    codes = sx.input_warnings(plan)["code"].tolist()
    assert codes.count("would_cancel") == 2


@pytest.mark.slow
def test_orders_of_others_stay_and_are_subject_to_foreign_orders(blotter):
    broker = Silent()
    with sx.open_blotter() as other:
        trade(broker, other, "theirs", {"ABC": 0.5})
    trade(broker, blotter, "1", {"XYZ": 0.4})
    states = trade(broker, blotter, "2", on_open_orders="cancel").set_index("symbol")
    assert broker.asked == ["1-XYZ-BUY"]
    assert states["reason"].fillna("").to_dict() == {"ABC": "open_order_exists", "XYZ": ""}
    assert working(broker) == ["2-XYZ-BUY", "theirs-ABC-BUY"]


@pytest.mark.slow
def test_a_halt_and_unreadable_targets_leave_the_orders_where_they_are(blotter):
    broker = Silent()
    trade(broker, blotter, "1")
    with pytest.raises(sx.InputError):
        trade(broker, blotter, "2", {"ABC": "x"}, on_open_orders="cancel")
    blotter.halt("drill")
    with pytest.raises(HaltedError):
        trade(broker, blotter, "2", on_open_orders="cancel")
    assert broker.asked == []


@pytest.mark.slow
def test_over_the_wire_a_cancel_is_confirmed_and_recorded(blotter):
    with sx.connect("sim://?seed=7") as broker:
        far = pd.DataFrame({"symbol": ["AAPL"], "weight": 0.3, "order_type": "LMT", "limit_price": [1.0]})
        limits = sx.Limits(price_collar=None, duplicate_window=None)
        trade(broker, blotter, "1", far, limits=limits, timeout=1)
        assert blotter.orders("1")["status"].tolist() == ["SUBMITTED"]
        trade(broker, blotter, "2", far, limits=limits, on_open_orders="cancel", timeout=5)
        assert blotter.orders("1")["status"].tolist() == ["CANCELLED"]
        assert working(broker) == ["2-AAPL-BUY"]


def test_a_plan_by_itself_counts_own_orders_as_gone():
    orders = pd.DataFrame(
        {
            "symbol": ["ABC", "XYZ"],
            "side": "BUY",
            "quantity": [100.0, 10.0],
            "order_type": ["STP", "MKT"],
            "is_own": [True, False],
        }
    )
    state = sx.AccountState.of(None, QUOTES, nav=50_000, open_orders=orders)
    plan = sx.plan_orders({"ABC": 0.5, "XYZ": 0.4}, state, run_id="r", reserve=0, on_open_orders="cancel")
    found = plan.set_index("symbol")
    assert found["quantity"].to_dict() == {"ABC": 1_000.0, "XYZ": 400.0}
    assert found["status"].to_dict() == {"ABC": "NEW", "XYZ": "REJECTED"}


OTHER = {"client_order_id": None, "symbol": "MCD", "side": "BUY", "quantity": 3.0, "filled_quantity": 0.0}
OTHER |= {"client_id": 3, "whose": "of client id 3"}


def test_an_outcome_reads_back_from_json():
    outcome = CancelOutcome(("a",), ("b",), {"c": "why"}, {"c": 7}, (OTHER,))
    assert CancelOutcome.of(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_what_another_connection_has_ended_is_no_failure_any_more():
    first = CancelOutcome(
        ("a",), ("b",), {"c": "of client id 7", "d": "of client id 8"}, {"c": 7, "d": 8}, (OTHER,)
    )
    second = CancelOutcome(("c",), (), {"d": "in use"}, {}, (OTHER,))
    assert first.merged(second) == CancelOutcome(("a", "c"), ("b",), {"d": "in use"}, {"d": 8}, (OTHER,))


@pytest.mark.slow
def test_runs_are_cancelled_one_or_all_and_orders_of_others_are_named(blotter):
    broker = Silent()
    with sx.open_blotter() as other:
        trade(broker, other, "theirs", {"ABC": 0.1})
        trade(broker, blotter, "1", {"XYZ": 0.4}, foreign_orders="net")
        trade(broker, blotter, "2", {"ABC": 0.2}, foreign_orders="net")
        found = asyncio.run(cancel_runs(broker, blotter, "1", by="ann", timeout=5.0))
        assert (found.ended, found.unsent, found.failed, found.elsewhere) == (("1-XYZ-BUY",), (), {}, {})
        assert [(one["client_order_id"], one["whose"]) for one in found.others] == [
            ("theirs-ABC-BUY", "not on record here"),
            ("2-ABC-BUY", "run 2 of this record"),
        ]
        assert blotter.runs()["status"].tolist() == ["cancelled", "failed"]
        found = asyncio.run(cancel_runs(broker, blotter, None, by="ann", timeout=5.0))
        assert found.ended == ("2-ABC-BUY",)
        assert working(broker) == ["theirs-ABC-BUY"]
        assert asyncio.run(cancel_runs(broker, blotter, None, by="ann", timeout=5.0)).ended == ()


@pytest.mark.slow
def test_a_cancel_that_is_not_confirmed_is_named(blotter):
    broker = Silent("1-ABC-BUY")
    trade(broker, blotter, "1")
    found = asyncio.run(cancel_runs(broker, blotter, "1", by="ann", timeout=0.2))
    assert found.ended == ("1-XYZ-BUY",)
    assert found.failed == {"1-ABC-BUY": "its cancel was not confirmed within 0.2 s"}
