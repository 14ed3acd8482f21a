"""Asking in rounds, and what is written down: with a broker whose every answer is given here."""

import asyncio
from datetime import UTC, datetime

import pytest

import stocklean_exec as sx
from stocklean_exec.errors import RunElsewhereError
from stocklean_exec.facts import Fact
from stocklean_exec.recovering import Recovery
from stocklean_exec.recovery import Evidence
from stocklean_exec.run_record import RunRecord

NOW = datetime(2026, 11, 23, 17, tzinfo=UTC)
A, B, C = "r-SPY-BUY", "r-TLT-BUY", "r-KO-BUY"
LIVES = Fact("status", "r", A, NOW, status="SUBMITTED", order_id=1, client_id=7, perm_id=9)


def sent(name, order_id):
    return Fact("sending", "r", name, NOW, order_id=order_id, client_id=7, attempt=1)


class Scripted:
    """Answers each sweep with the next (facts, evidence) of a list, and the last one from then on."""

    lease, session, mode = "here", 3, "paper"

    def __init__(self, *rounds):
        self.rounds, self.asked, self.adopted, self.again = list(rounds), 0, [], []

    def now(self):
        return NOW

    def follow(self, _run_id, tell):
        self.tell = tell

    def adopt(self, _run_id, orders):
        self.adopted += [order.client_order_id for order in orders]

    def allow_again(self, names):
        self.again += names

    async def sweep(self):
        facts, evidence = self.rounds[min(self.asked, len(self.rounds) - 1)]
        self.asked += 1
        if facts:
            self.tell(*facts)
        return evidence


def evidence(**known):
    return Evidence(NOW, client_id=7, **{"next_id": 3, **known})


@pytest.fixture
def blotter():
    """A run of three approved orders, none of which was sent."""
    with sx.open_blotter() as one:
        broker = sx.connect("mock://", quotes={"SPY": 100.0, "TLT": 50.0, "KO": 20.0}, cash=10_000)
        orders = sx.plan_orders({"SPY": 0.2, "TLT": 0.2, "KO": 0.2}, None, broker.quotes(), nav=10_000, run_id="r")
        review = sx.review_orders(sx.check_orders(orders, quotes=broker.quotes(), cash=10_000))
        review.approve_all(by="me")
        one.halt("nothing is sent here")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(review.result(), broker, one)
        yield one


def recover(broker, blotter, facts=(), *, settle=0.0, resend=True, is_new=False):
    blotter.record(facts).result()

    async def run():
        record = RunRecord("r", blotter, {A: 20.0, B: 40.0, C: 100.0})
        record.follow(broker)
        recovery = Recovery(broker, blotter, record, settle=settle, resend=resend, is_new=is_new)
        return await recovery.run()

    return asyncio.run(run())


def test_what_is_there_is_adopted_what_never_left_may_be_sent_and_one_round_is_enough(blotter):
    broker = Scripted(([LIVES], evidence(open_orders=frozenset({A}), refs=frozenset({A}))))
    found = recover(broker, blotter, [sent(A, 1)])
    assert (found.session, found.unsent, found.again) == (3, [B, C], [])
    assert (broker.asked, broker.adopted) == (1, [A])
    assert blotter.orders("r").set_index("client_order_id")["state"].to_dict() == {
        A: "WORKING",
        B: "INTENT",
        C: "INTENT",
    }


def test_orders_in_doubt_are_asked_for_until_two_rounds_are_quiet_and_go_out_again_by_their_ids(blotter):
    nothing = ([], evidence())
    broker = Scripted(([LIVES], evidence(open_orders=frozenset({A}))), nothing, nothing, nothing)
    broker.rounds = [(facts, evidence(open_orders=frozenset({A}), next_id=2)) for facts, _ in broker.rounds]
    found = recover(broker, blotter, [sent(A, 1), sent(B, 3), sent(C, 2)])
    assert found.again == [C, B]  # by their ids and not as planned, or TWS would refuse the lower one
    assert (found.unsent, broker.again) == ([], [C, B])
    assert broker.asked == 3  # the first told something new, two did not


def test_an_order_that_is_slow_to_arrive_is_waited_for_as_long_as_it_may_take(blotter):
    empty = ([], evidence(next_id=1))
    late = ([LIVES], evidence(open_orders=frozenset({A}), next_id=2))
    broker = Scripted(empty, empty, empty, late)
    found = recover(broker, blotter, [sent(A, 1)], settle=0.4)
    assert found.again == []
    assert blotter.orders("r").set_index("client_order_id").loc[A, "status"] == "SUBMITTED"


def test_without_leave_to_send_again_a_doubt_is_on_record_with_its_evidence(blotter):
    broker = Scripted(([], evidence(next_id=1)))
    found = recover(broker, blotter, [sent(A, 1)], resend=False)
    assert (found.again, broker.again) == ([], [])
    row = blotter.orders("r").set_index("client_order_id").loc[A]
    assert row["status"] == "UNKNOWN"
    assert "order id 1 is not used" in row["reason"]


def test_evidence_that_never_is_complete_proves_nothing(blotter):
    broker = Scripted(([], evidence(next_id=1, is_complete=False, gap="no completed orders within 3 s")))
    found = recover(broker, blotter, [sent(A, 1)])
    assert found.again == []
    assert "no completed orders within 3 s" in blotter.unresolved()["reason"].tolist()[0]


def test_what_was_there_and_is_not_is_missing_and_may_be_found_again(blotter):
    gone = Scripted(([], evidence()))
    recover(gone, blotter, [sent(A, 1), LIVES])
    assert blotter.orders("r").set_index("client_order_id").loc[A, "state"] == "MISSING"
    there = Scripted(([], evidence(open_orders=frozenset({A}))))
    recover(there, blotter)
    assert blotter.orders("r").set_index("client_order_id").loc[A, "state"] == "WORKING"
    recover(gone, blotter)
    assert blotter.orders("r").set_index("client_order_id").loc[A, "state"] == "MISSING"


def test_orders_of_a_new_run_that_the_broker_knows_already_are_somebody_elses(blotter):
    for ref in (A, "r-PG-SELL", "r-PG-SELL-2"):
        broker = Scripted(([], evidence(refs=frozenset({ref, "another", "run-r-PG-SELL"}))))
        with pytest.raises(RunElsewhereError, match=ref):
            recover(broker, blotter, is_new=True)


def test_orders_of_another_run_with_a_longer_name_are_nobodys_business(blotter):
    broker = Scripted(([], evidence(refs=frozenset({"r-core-PG-SELL", "rr-PG-SELL", "2-r-PG-SELL"}))))
    assert recover(broker, blotter, is_new=True).unsent == [A, B, C]


def test_a_broker_that_nobody_else_can_reach_is_not_asked_about_a_new_run(blotter):
    broker = Scripted(([], evidence()))
    broker.lease = None
    assert recover(broker, blotter, is_new=True).unsent == [A, B, C]
    assert broker.asked == 0
