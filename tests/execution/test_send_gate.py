"""The final check before an order is sent: counted against what was approved, and against caps."""

import math
from types import SimpleNamespace

import pytest

from stocklean_exec.errors import BrokerError, ConnectionLostError, HaltedError
from stocklean_exec.execution.send_gate import Caps, OrderRefusedError, SendBudget, SendGate


def ticket(name):
    return SimpleNamespace(client_order_id=name)


def gate_of(budget, *, session=1, broker_session=1, halt=None, now=lambda: 0.0):
    def check_halt():
        if halt:
            raise HaltedError(halt)

    return SendGate(SimpleNamespace(session=broker_session), session, check_halt, budget, now)


def passes(gate, *names):
    for name in names:
        with gate.open(ticket(name)):
            pass


def test_an_approved_order_passes_once():
    gate = gate_of(SendBudget({"a": 1, "b": 1}, {}))
    passes(gate, "a")
    with pytest.raises(OrderRefusedError, match="a was sent before") as caught:
        passes(gate, "a")
    assert caught.value.code == "not_approved_to_send"
    passes(gate, "b")
    assert gate.entered == {"a", "b"}


def test_an_order_of_unknown_value_is_over_every_cap_on_value():
    for caps, code in ((Caps(run_notional=1e9), "run_notional_cap"), (Caps(day_notional=1e9), "day_notional_cap")):
        with pytest.raises(OrderRefusedError, match="an unknown value") as caught:
            passes(gate_of(SendBudget({"a": 1}, {"a": math.nan}, caps)), "a")
        assert caught.value.code == code
    for notional in ({"a": math.nan}, {}):
        budget = SendBudget({"a": 2}, notional, Caps(orders_per_minute=5))
        passes(gate_of(budget), "a", "a")
        assert (budget.run_spent, budget.day_spent) == (0.0, 0.0)  # and where no cap counts it, it adds nothing


def test_only_an_approved_order_that_was_not_sent_may_be_sent():
    budget = SendBudget({"a": 1, "b": 0}, {})
    assert [budget.may_send(name) for name in "abz"] == [True, False, False]


def test_the_rest_of_an_order_is_counted_once_for_the_caps_on_value():
    budget = SendBudget({"a": 1}, {"a": 900.0}, Caps(run_notional=1_000.0, day_notional=1_000.0))
    gate = gate_of(budget)
    passes(gate, "a")
    budget.allow_rest("a-2", 600.0)  # 300 of a were filled
    assert budget.may_send("a-2")
    passes(gate, "a-2")
    assert (budget.run_spent, budget.day_spent) == (900.0, 900.0)
    with pytest.raises(OrderRefusedError, match="was sent before"):
        passes(gate, "a-2")


def test_a_rest_that_is_on_record_as_sent_is_counted_once_too():
    budget = SendBudget({}, {"a-2": 600.0}, run_spent=1_500.0, day_spent=1_500.0)  # 900 and 600, by the record
    budget.count_as_rest("a-2")
    assert (budget.run_spent, budget.day_spent) == (900.0, 900.0)


def test_changes_of_orders_count_for_the_cap_on_orders_in_a_minute():
    budget, now = SendBudget({"a": 1, "b": 1}, {}, Caps(orders_per_minute=2)), [0.0]
    gate = gate_of(budget, now=lambda: now[0])
    passes(gate, "a")
    assert budget.may_change(1.0)
    assert not budget.may_change(2.0)
    with pytest.raises(OrderRefusedError, match="order 3 within a minute"):
        passes(gate, "b")
    assert budget.may_change(61.0)  # that of the order is a minute old
    assert SendBudget({}, {}).may_change(0.0)


def test_an_unapproved_order_does_not_pass():
    with pytest.raises(OrderRefusedError, match="never approved"):
        passes(gate_of(SendBudget({"a": 1}, {})), "z")


def test_an_order_that_may_be_resent_passes_again_and_is_counted_once():
    for caps in (Caps(run_notional=100.0), Caps(day_notional=100.0)):
        budget = SendBudget({"a": 1}, {"a": 100.0}, caps)
        gate = gate_of(budget)
        passes(gate, "a")
        budget.allow_again("a")
        passes(gate, "a")
        assert (budget.run_spent, budget.day_spent, budget.may_send("a")) == (100.0, 100.0, False)


@pytest.mark.parametrize(
    ("caps", "spent", "code", "total"),
    [
        (Caps(run_notional=250.0), {}, "run_notional_cap", "the run to 300.00, over the cap of 250.00"),
        (Caps(run_notional=1_000.0), {"run_spent": 800.0}, "run_notional_cap", "the run to 1,100.00"),
        (Caps(day_notional=1_000.0), {"day_spent": 800.0}, "day_notional_cap", "the day to 1,100.00"),
    ],
)
def test_the_order_that_would_go_over_a_cap_is_refused_and_a_smaller_one_passes(caps, spent, code, total):
    # 100 + 100 fit in what is left (200 to 250), 100 more do not, 50 do where 250 are left.
    budget = SendBudget(dict.fromkeys("abc", 1), {"a": 100.0, "b": 100.0, "c": 100.0}, caps, **spent)
    gate = gate_of(budget)
    passes(gate, "a", "b")
    with pytest.raises(OrderRefusedError, match=f"c would bring {total}") as caught:
        passes(gate, "c")
    assert caught.value.code == code
    assert gate.entered == {"a", "b"}


def test_no_more_orders_a_minute_than_the_cap_and_more_in_the_next_minute():
    time = [0.0]
    gate = gate_of(SendBudget(dict.fromkeys("abcd", 1), {}, Caps(orders_per_minute=2)), now=lambda: time[0])
    passes(gate, "a")
    time[0] = 30.0
    passes(gate, "b")
    with pytest.raises(OrderRefusedError) as caught:
        passes(gate, "c")
    assert caught.value.code == "rate_cap"
    time[0] = 60.0  # "a" left a minute ago
    passes(gate, "c")
    with pytest.raises(OrderRefusedError):
        passes(gate, "d")


def test_no_order_passes_while_halted_unreconciled_or_closed():
    budget = SendBudget({"a": 1}, {})
    with pytest.raises(HaltedError):
        passes(gate_of(budget, halt="stop"), "a")
    with pytest.raises(ConnectionLostError, match="not reconciled"):
        passes(gate_of(budget, session=1, broker_session=2), "a")
    closed = gate_of(budget)
    closed.close()
    with pytest.raises(BrokerError, match="stopped"):
        passes(closed, "a")
    assert budget.may_send("a")  # none of them was counted


def test_an_order_whose_send_fails_is_still_in_flight():
    gate = gate_of(SendBudget({"a": 1}, {}))
    with pytest.raises(ValueError, match="wire"), gate.open(ticket("a")):
        raise ValueError("wire")
    assert [one.client_order_id for one in gate.in_flight] == ["a"]
    assert gate.entered == {"a"}
