"""The model of a live view against hand calculations: totals, changes, corrections, noise, and event order."""

import json
import math
import threading
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.execution import run_monitor
from stocklean_exec.execution.run_monitor import RunMonitor

NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
A, B = "r-SPY-BUY", "r-KO-SELL"
ORDERS = pd.DataFrame(
    [(A, "SPY", "BUY", 10.0), (B, "KO", "SELL", 20.0)], columns=["client_order_id", "symbol", "side", "quantity"]
)
SENT_A = OrderEvent("sending", "r", A, NOON, attempt=1, bid=99.0, ask=101.0)
SENT_B = OrderEvent("sending", "r", B, NOON, attempt=1, last=50.0)
FIRST = "0000e0d5.67fe667b.01.01"


def fill(name, exec_id, quantity, price, seconds=1):
    return OrderEvent(
        "execution", "r", name, NOON + timedelta(seconds=seconds), exec_id=exec_id, quantity=quantity, price=price
    )


@pytest.fixture
def model():
    return RunMonitor("r", ORDERS, [SENT_A, SENT_B])


def test_totals_are_those_of_a_hand_calculation(model):
    model.add(fill(A, FIRST, 4.0, 100.5))  # 0.50 worse than the mid of 100, on 4: 2 dollars
    model.add(fill(B, "0000e0d5.67fe667c.01.01", 20.0, 49.9))  # 0.10 worse than 50, on 20: 2 dollars
    model.add(OrderEvent("commission", "r", A, exec_id=FIRST, commission=1.0))
    update = model.update()
    assert update["counts"] == {"FILLED": 1, "PARTIAL": 1}
    assert (update["orders"], update["ended"], update["quantity"], update["filled_quantity"]) == (2, 1, 30.0, 24.0)
    assert update["notional"] == 4 * 100.5 + 20 * 49.9
    assert update["commission"] == 1.0
    assert update["slippage_cost"] == pytest.approx(4.0)
    assert update["slippage_bps"] == pytest.approx(4.0 / (400 + 1000) * 1e4, abs=1e-4)


def test_before_any_fill_unknown_figures_are_none(model):
    update = model.update()
    assert (update["commission"], update["slippage_cost"], update["slippage_bps"], update["curve"]) == (
        None,
        None,
        None,
        [],
    )
    assert update["counts"] == {"UNKNOWN": 2}  # sent, and not answered yet


def test_only_changes_are_in_the_next_update(model):
    first = model.update()
    assert {row["client_order_id"] for row in first["rows"]} == {A, B}
    again = model.update(first["version"])
    assert (again["rows"], again["fills"], again["version"]) == ([], [], first["version"])
    model.add(fill(A, FIRST, 4.0, 100.5))
    then = model.update(first["version"])
    assert [row["client_order_id"] for row in then["rows"]] == [A]
    assert [row["quantity"] for row in then["fills"]] == [4.0]
    assert model.update(then["version"])["fills"] == []
    assert len(model.update()["rows"]) == 2  # a new view, or a page that was reloaded


@pytest.mark.parametrize("missing", ["exec_id", "quantity", "price"])
def test_an_execution_without_an_id_or_a_number_is_not_shown_as_a_fill(model, missing):
    model.add(fill(A, FIRST, 4.0, 100.5)._replace(**{missing: None}))
    assert model.update()["fills"] == []


def test_a_corrected_and_a_busted_execution_replace_the_old_one(model):
    model.add(fill(A, FIRST, 4.0, 100.5))
    model.add(fill(A, FIRST[:-1] + "2", 4.0, 100.0))
    update = model.update()
    assert (update["filled_quantity"], update["slippage_cost"], update["notional"]) == (4.0, 0.0, 400.0)
    model.add(fill(A, FIRST[:-1] + "3", 0.0, 0.0))
    assert model.update()["filled_quantity"] == 0.0


def test_important_messages_are_shown_and_noise_is_not(model):
    model.add(OrderEvent("message", "r", A, NOON, code="399", message="will be placed at the open"))
    model.add(OrderEvent("rejected", "r", B, NOON, code="201", message="no permission"))
    model.add(OrderEvent("link_lost", "r", None, NOON, message="the connection is gone"))
    update = model.update()["messages"]
    assert [(row["what"], row["code"], row["client_order_id"]) for row in update] == [
        ("rejected", "201", B),
        ("connection lost", None, None),
    ]


def test_a_repeated_event_counts_and_is_shown_once(model):
    model.add(fill(A, FIRST, 4.0, 100.5))
    model.add(fill(A, FIRST, 4.0, 100.5))
    update = model.update()
    assert (len(update["fills"]), update["filled_quantity"], update["events"]) == (1, 4.0, 3)


def test_a_slow_update_does_not_block_the_publisher_of_events(model, monkeypatch):
    deriving, may_continue = threading.Event(), threading.Event()
    state = run_monitor.OrderAccumulator.state

    def slow(*arguments):
        deriving.set()
        assert may_continue.wait(20)
        return state(*arguments)

    monkeypatch.setattr(run_monitor.OrderAccumulator, "state", slow)
    updates = []
    teller = threading.Thread(target=lambda: updates.append(model.update()))
    teller.start()
    assert deriving.wait(20)
    model.add(fill(A, FIRST, 4.0, 100.5))  # would never return if it waited for the update
    may_continue.set()
    teller.join()
    assert (updates[0]["filled_quantity"], updates[0]["fills"], updates[0]["events"]) == (0.0, [], 2)
    then = model.update(updates[0]["version"])
    assert (then["filled_quantity"], len(then["fills"]), then["events"]) == (4.0, 1, 3)


def test_a_run_without_approved_orders_has_totals_too():
    update = RunMonitor("r", ORDERS.iloc[:0]).update()
    assert (update["orders"], update["counts"], update["filled_quantity"], update["slippage_bps"]) == (
        0,
        {},
        0.0,
        None,
    )


def test_a_message_about_no_order_is_shown_once(model):
    first = model.update()
    model.add(OrderEvent("link_lost", "r", None, NOON, message="the connection is gone"))
    then = model.update(first["version"])
    assert [row["what"] for row in then["messages"]] == ["connection lost"]
    assert model.update(then["version"])["messages"] == []


def test_fills_and_messages_are_numbered_in_the_sequence_received(model):
    model.add(fill(A, FIRST, 4.0, 100.5))
    model.add(OrderEvent("link_lost", "r", None, NOON, message="gone"))
    model.add(fill(A, "0000e0d5.67fe667b.02.01", 1.0, 100.5))
    update = model.update()
    assert [row["number"] for row in update["fills"]] == [1, 3]
    assert [row["number"] for row in update["messages"]] == [2]


def test_the_curve_runs_from_submission_to_the_last_fill(model):
    model.add(fill(A, FIRST, 5.0, 100.0, seconds=2))
    model.update()
    model.add(fill(B, "0000e0d5.67fe667c.01.01", 10.0, 50.0, seconds=6))
    assert model.update()["curve"] == [(2.0, 5 / 30, 0.0), (6.0, 15 / 30, 0.0)]


def test_a_fill_within_a_second_of_submission_has_its_own_point_on_the_curve(model):
    model.add(fill(A, FIRST, 5.0, 100.0, seconds=0.5))
    model.update()
    model.add(OrderEvent("commission", "r", A, exec_id=FIRST, commission=1.0))
    assert model.update()["curve"] == [(0.5, 5 / 30, 0.0)]


def test_without_a_submission_time_there_is_no_curve():
    model = RunMonitor("r", ORDERS, [SENT_A._replace(occurred_at=None)])
    model.add(fill(A, FIRST, 4.0, 100.5))
    update = model.update()
    assert (update["slippage_cost"], update["curve"]) == (pytest.approx(2.0), [])


def test_the_arrival_price_of_a_locked_market_is_its_single_price():
    model = RunMonitor("r", ORDERS, [SENT_A._replace(bid=100.0, ask=100.0)])
    model.add(fill(A, FIRST, 4.0, 100.5))
    assert model.update()["slippage_cost"] == pytest.approx(2.0)


def test_the_latest_two_hundred_fills_are_shown(model):
    for number in range(1, 202):
        model.add(fill(B, f"x.{number}.01.01", 0.001, 50.0))
    fills = model.update()["fills"]
    assert [fills[0]["number"], fills[-1]["number"], len(fills)] == [2, 201, 200]


@pytest.mark.slow
def test_a_long_curve_stays_short(model):
    for number in range(2_000):
        model.add(fill(B, f"x.{number}.01.01", 0.001, 50.0, seconds=number))
        model.update()
    assert len(model.update()["curve"]) <= 600


@pytest.mark.slow
def test_a_curve_sent_in_updates_equals_the_whole_curve(model):
    pieces, since = [], 0
    for number in range(1_500):
        model.add(fill(B, f"x.{number}.01.01", 0.001, 50.0, seconds=number))
        update = model.update(since) if number % 7 == 0 else model.update()  # another view updates, too
        if number % 7 == 0:
            pieces[update["curve_from"] :] = update["curve"]
            since = update["version"]
            assert pieces == model.update()["curve"]
    assert len(model.update(since)["curve"]) < 7  # old points are not sent again


@pytest.mark.parametrize("ask", [math.inf, 1e300, 2e9 - 99.0, math.nan])  # a mid of a billion is none
def test_an_invalid_quote_at_submission_makes_the_slippage_unknown(ask):
    model = RunMonitor("r", ORDERS)
    model.add(SENT_A._replace(bid=99.0, ask=ask, last=None))
    model.add(fill(A, FIRST, 4.0, 100.5))
    update = model.update()
    assert (update["filled_quantity"], update["slippage_bps"]) == (4.0, None)


def test_an_order_sent_again_has_the_arrival_price_of_its_last_submission(model):
    model.add(SENT_A._replace(attempt=2, bid=109.0, ask=111.0))
    model.add(SENT_A)  # repeated, late
    model.add(fill(A, FIRST, 1.0, 110.0))
    assert model.update()["slippage_cost"] == 0.0


def test_updates_are_plain_json_and_can_be_read_by_many_threads(model):
    def add_all(part):
        for number in range(500):
            model.add(fill(A, f"{part}.{number}.01.01", 0.001, 100.0))

    threads = [threading.Thread(target=add_all, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        json.dumps(model.update(), allow_nan=False)
    for thread in threads:
        thread.join()
    assert model.update()["filled_quantity"] == pytest.approx(2.0)
    assert model.update()["events"] == 2_002


@pytest.mark.parametrize("kind", [3, 4])
def test_delayed_data_give_no_arrival_price(kind):
    model = RunMonitor("r", ORDERS, [SENT_A._replace(data_type=kind), SENT_B._replace(data_type=1)])
    model.add(fill(A, FIRST, 4.0, 100.5))
    assert model.update()["slippage_cost"] is None
    model.add(fill(B, "0000e0d5.67fe667c.01.01", 20.0, 49.9))
    assert model.update()["slippage_cost"] == pytest.approx(2.0)
