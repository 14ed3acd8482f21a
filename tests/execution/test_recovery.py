"""Rounds of queries and what is recorded, with a broker whose answers are scripted here."""

import asyncio
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.evidence import Evidence
from stocklean_exec.errors import RunElsewhereError
from stocklean_exec.execution.recovery import Recovery, Restrictions
from stocklean_exec.execution.run_state import RunState

NOW = datetime(2026, 11, 23, 17, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 18, tzinfo=UTC)
A, B, C = "r-SPY-BUY", "r-TLT-BUY", "r-KO-BUY"
LIVES = OrderEvent("status", "r", A, NOW, status="SUBMITTED", order_id=1, client_id=7, perm_id=9)


def sent(name, order_id):
    return OrderEvent("sending", "r", name, NOW, order_id=order_id, client_id=7, attempt=1)


class Scripted:
    """Answers each query with the next (events, evidence) of a list, and the last one from then on."""

    lock_account, session, mode, account = "here", 3, "paper", "DU0000001"

    def __init__(self, *rounds):
        self.rounds, self.query_count, self.adopted, self.again = list(rounds), 0, [], []

    def now(self):
        return NOW

    def follow(self, _run_id, report):
        self.report = report

    def adopt(self, _run_id, orders):
        self.adopted += [order.client_order_id for order in orders]

    def allow_again(self, names):
        self.again += names

    async def collect_evidence(self):
        events, evidence = self.rounds[min(self.query_count, len(self.rounds) - 1)]
        self.query_count += 1
        if events:
            self.report(*events)
        return evidence


def evidence(**known):
    return Evidence(NOW, client_id=7, **{"next_id": 3, **known})


PLAN = pd.DataFrame(
    {
        "client_order_id": [A, B, C],
        "run_id": "r",
        "symbol": ["SPY", "TLT", "KO"],
        "side": "BUY",
        "quantity": [20.0, 40.0, 100.0],
        "order_type": "MKT",
        "account": "DU0000001",
        "payload_hash": "h",
        "approved": True,
    }
)
PLANNED = OrderEvent("session", "r", occurred_at=NOW, code="planned", attempt=1, client_id=7, order_id=1)


def plan(blotter, run_id="r", *, at=NOW, client_id=7, ids=PLANNED, rows=PLAN, account="DU0000001"):
    """Record a plan as it is when nothing of it was sent."""
    names = [name.replace("r-", f"{run_id}-", 1) for name in rows["client_order_id"]]
    header = {"run_id": run_id, "leg": 1, "mode": "paper", "account": account, "plan_hash": "h"}
    header |= dict.fromkeys(("nav", "parameters", "approved_by", "approved_at"))
    events = [OrderEvent("intent", run_id, name, at, client_id=client_id) for name in names]
    events += [ids._replace(run_id=run_id, occurred_at=at)] if ids is not None else []
    blotter.record_plan(rows.assign(client_order_id=names, run_id=run_id), header, events).result()


@pytest.fixture
def blotter():
    """A run of three approved orders, none of which was sent: client 7 planned it, and id 1 was its next one."""
    with sx.open_blotter() as one:
        plan(one)
        yield one


def recover(
    broker, blotter, events=(), *, run_id="r", in_flight_seconds=0.0, resend=True, is_new=False, **restrictions
):
    blotter.record(events).result()

    async def run():
        quantities = {A: 20.0, B: 40.0, C: 100.0}
        names = {name.replace("r-", f"{run_id}-", 1): shares for name, shares in quantities.items()}
        record = RunState(run_id, blotter, names)
        record.follow(broker)
        terms = {"in_flight_seconds": in_flight_seconds, "resend": resend, "is_new": is_new}
        recovery = Recovery(broker, blotter, record, **terms, restrictions=Restrictions(**restrictions))
        return await recovery.run()

    return asyncio.run(run())


@pytest.mark.slow
def test_open_orders_are_adopted_and_unsent_ones_released_after_one_round(blotter):
    broker = Scripted(([LIVES], evidence(next_id=2, open_orders=frozenset({A}), refs=frozenset({A}))))
    found = recover(broker, blotter, [sent(A, 1)])
    assert (found.session, found.unsent, found.again) == (3, [B, C], [])
    assert (broker.query_count, broker.adopted) == (1, [A])
    assert blotter.orders("r").set_index("client_order_id")["state"].to_dict() == {
        A: "WORKING",
        B: "INTENT",
        C: "INTENT",
    }


@pytest.mark.slow
def test_orders_in_doubt_are_queried_until_two_quiet_rounds_and_resent_by_id(blotter):
    nothing = ([], evidence())
    broker = Scripted(([LIVES], evidence(open_orders=frozenset({A}))), nothing, nothing, nothing)
    broker.rounds = [(events, evidence(open_orders=frozenset({A}), next_id=2)) for events, _ in broker.rounds]
    found = recover(broker, blotter, [sent(A, 1), sent(B, 3), sent(C, 2)])
    assert found.again == [C, B]  # by their ids and not as planned, or TWS would refuse the lower one
    assert (found.unsent, broker.again) == ([], [C, B])
    assert broker.query_count == 3  # the first reported something new, two did not


@pytest.mark.slow
def test_an_order_in_flight_is_awaited_for_the_in_flight_time(blotter):
    empty = ([], evidence(next_id=1))
    late = ([LIVES], evidence(open_orders=frozenset({A}), next_id=2))
    broker = Scripted(empty, empty, empty, late)
    found = recover(broker, blotter, [sent(A, 1)], in_flight_seconds=2.0)
    assert found.again == []
    assert blotter.orders("r").set_index("client_order_id").loc[A, "status"] == "SUBMITTED"


@pytest.mark.slow
def test_without_permission_to_resend_an_order_is_unknown_with_its_evidence(blotter):
    broker = Scripted(([], evidence(next_id=1)))
    found = recover(broker, blotter, [sent(A, 1)], resend=False)
    assert (found.again, broker.again) == ([], [])
    row = blotter.orders("r").set_index("client_order_id").loc[A]
    assert row["status"] == "UNKNOWN"
    assert "order id 1 is not used" in row["reason"]


@pytest.mark.slow
def test_incomplete_evidence_never_permits_a_resend(blotter):
    broker = Scripted(([], evidence(next_id=1, is_complete=False, gap="no completed orders within 3 s")))
    found = recover(broker, blotter, [sent(A, 1)])
    assert found.again == []
    assert "no completed orders within 3 s" in blotter.unresolved()["reason"].tolist()[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lead", "words"),
    [
        (-24 * 3600.0, "; the clock of this computer is 24 h behind TWS"),
        (7200.0, "; the clock of this computer is 2 h ahead of TWS"),
        (-600.0, "blotter.resolve(...)"),
        (5400.0, "; the clock of this computer is 2 h ahead of TWS"),
    ],
)
def test_a_wrong_clock_is_named_where_the_day_of_an_order_decides(lead, words, blotter):
    broker = Scripted(([], evidence(next_id=1)))

    async def clock_lead():
        return lead

    broker.clock_lead = clock_lead
    recover(broker, blotter, [sent(A, 1)._replace(occurred_at=NOW - timedelta(days=1))])
    (reason,) = blotter.unresolved()["reason"]
    assert "of an earlier day" in reason
    assert reason.endswith(words)


@pytest.mark.slow
def test_an_order_that_disappears_is_missing_and_may_reappear(blotter):
    gone = Scripted(([], evidence()))
    recover(gone, blotter, [sent(A, 1), LIVES])
    assert blotter.orders("r").set_index("client_order_id").loc[A, "state"] == "MISSING"
    there = Scripted(([], evidence(open_orders=frozenset({A}))))
    recover(there, blotter)
    assert blotter.orders("r").set_index("client_order_id").loc[A, "state"] == "WORKING"
    recover(gone, blotter)
    assert blotter.orders("r").set_index("client_order_id").loc[A, "state"] == "MISSING"


@pytest.mark.slow
def test_orders_of_a_new_run_already_at_the_broker_are_not_sent(blotter):
    for ref in (A, "r-PG-SELL", "r-PG-SELL-2"):
        broker = Scripted(([], evidence(refs=frozenset({ref, "another", "run-r-PG-SELL"}))))
        with pytest.raises(RunElsewhereError, match=ref):
            recover(broker, blotter, is_new=True)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "end"), [(5, "r-S4-BUY. Another"), (6, "r-S4-BUY, .... Another")])
def test_five_orders_of_another_process_are_named_and_more_are_hinted_at(count, end, blotter):
    refs = frozenset(f"r-S{number}-BUY" for number in range(count))
    with pytest.raises(RunElsewhereError) as raised:
        recover(Scripted(([], evidence(refs=refs))), blotter, is_new=True)
    assert end in str(raised.value)
    assert "r-S5-BUY" not in str(raised.value)


@pytest.mark.slow
def test_orders_of_a_run_whose_name_contains_this_ones_are_ignored(blotter):
    broker = Scripted(([], evidence(refs=frozenset({"r-core-PG-SELL", "rr-PG-SELL", "2-r-PG-SELL"}))))
    assert recover(broker, blotter, is_new=True).unsent == [A, B, C]


@pytest.mark.slow
def test_a_broker_without_other_clients_is_not_queried_for_a_new_run(blotter):
    broker = Scripted(([], evidence()))
    broker.lock_account = None
    assert recover(broker, blotter, is_new=True).unsent == [A, B, C]
    assert broker.query_count == 0


# -- orders that another copy may have sent -----------------------------------------------------------------------


def held_by(found):
    """Why all three orders were held back; nothing else may come of them."""
    assert (found.unsent, found.again, set(found.held)) == ([], [], {A, B, C})
    (reason,) = set(found.held.values())
    return reason


def rows_of(blotter):
    return blotter.orders("r").set_index("client_order_id")


@pytest.mark.slow
def test_an_order_held_back_stays_new_with_its_latest_reason_reported_once(blotter):
    gap = Scripted(([], evidence(next_id=1, is_complete=False, gap="no completed orders within 3 s")))
    for _ in range(2):
        assert "no completed orders within 3 s" in held_by(recover(gap, blotter))
    rows = rows_of(blotter)
    assert (set(rows["status"]), set(rows["state"])) == ({"NEW"}, {"INTENT"})
    assert rows["reason"].str.contains("no completed orders within 3 s").all()
    assert (blotter.events("r")["kind"] == "held_back").sum() == 3
    later = Scripted(([], evidence(next_id=5)))
    assert "has passed order ids" in held_by(recover(later, blotter))
    assert rows_of(blotter)["reason"].str.contains("has passed order ids").all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "mine", "others"),
    [
        ([sent(A, 1)], "order id 1 is not used", "sent by client id 7"),
        ([], "does not receive", "client id 9 does not receive"),
    ],
)
def test_the_latest_reason_is_recorded_even_if_it_was_recorded_before(events, mine, others, blotter):
    def ask(client_id):
        moment = NOW + timedelta(seconds=len(blotter.events("r")))
        broker = Scripted(([], Evidence(moment, client_id=client_id, next_id=1)))
        broker.now = lambda: moment
        recover(broker, blotter, events, resend=False)
        return rows_of(blotter).loc[A, "reason"]

    asking = 7 if events else 8
    first = ask(asking)
    assert mine in first
    assert others in ask(9)
    assert ask(asking) == first
    count = len(blotter.events("r"))
    assert ask(asking) == first
    assert len(blotter.events("r")) == count + 1  # its session


@pytest.mark.slow
def test_a_conclusion_without_a_time_counts_as_the_oldest(blotter):
    broker = Scripted(([], evidence(next_id=1)))
    undated = OrderEvent("unknown", "r", A, None, message="of an earlier version", attempt=1)
    for events in ([sent(A, 1), undated], []):
        recover(broker, blotter, events, resend=False)
        assert "order id 1 is not used" in rows_of(blotter).loc[A, "reason"]
    assert (blotter.events("r")["kind"] == "unknown").sum() == 2  # the undated one, and one of two equal ones


@pytest.mark.slow
def test_unexplained_order_ids_hold_an_order_back_even_after_a_later_plan(blotter):
    broker = Scripted(([], evidence(next_id=5)))
    for _ in range(2):
        assert "(the next one was 5, and 1 by this blotter)" in held_by(recover(broker, blotter))
    plan(blotter, "later", ids=PLANNED._replace(order_id=9), at=LATER)
    assert "(the next one was 5, and 1 by this blotter)" in held_by(recover(broker, blotter))


@pytest.mark.slow
def test_order_ids_used_before_an_order_was_planned_do_not_hold_it_back(blotter):
    plan(blotter, "later", ids=PLANNED._replace(order_id=9), at=LATER)
    broker = Scripted(([], evidence(next_id=9)))
    found = recover(broker, blotter, run_id="later")
    assert found.unsent == [name.replace("r-", "later-", 1) for name in (A, B, C)]


@pytest.mark.slow
def test_order_ids_used_by_other_recorded_runs_do_not_hold_an_order_back(blotter):
    plan(blotter, "later", ids=PLANNED, at=LATER)
    names = [name.replace("r-", "later-", 1) for name in (A, B, C)]
    sends = [sent(name, number)._replace(run_id="later") for number, name in enumerate(names, start=4)]
    broker = Scripted(([], evidence(next_id=7)))
    found = recover(broker, blotter, sends)
    assert found.unsent == [A, B, C]


@pytest.mark.slow
def test_reserved_but_unused_order_ids_do_not_hide_unexplained_ones(blotter):
    plan(blotter, "later", ids=PLANNED, at=LATER)
    name = A.replace("r-", "later-", 1)
    taken = sent(name, 4)._replace(run_id="later")
    back = OrderEvent("not_sent", "later", name, NOW, attempt=1)
    broker = Scripted(([], evidence(next_id=3)))
    assert "(the next one was 3, and 1 by this blotter)" in held_by(recover(broker, blotter, [taken, back]))


@pytest.mark.slow
def test_order_ids_of_another_account_or_client_are_ignored(blotter):
    plan(blotter, "other", ids=PLANNED._replace(order_id=50), rows=PLAN.assign(account="DU7"), account="DU7")
    plan(blotter, "eight", client_id=8, ids=PLANNED._replace(client_id=8, order_id=60))
    assert recover(Scripted(([], evidence(next_id=1))), blotter).unsent == [A, B, C]
    assert "and 1 by this blotter" in held_by(recover(Scripted(([], evidence(next_id=40))), blotter))


@pytest.mark.slow
def test_a_client_sends_no_order_that_another_client_planned(blotter):
    other = Evidence(NOW, client_id=8, next_id=1)
    assert "resume with client id 7, which planned it" in held_by(recover(Scripted(([], other)), blotter))


@pytest.mark.slow
@pytest.mark.parametrize("place", range(3))
def test_a_record_that_lacks_an_order_of_the_run_sends_nothing_now_or_later(place, blotter):
    there = [A, B, C][place]
    lives = LIVES._replace(client_order_id=there, order_id=None)
    first = ([], evidence(next_id=1, refs=frozenset({there}), open_orders=frozenset({there})))
    for rounds in ([first, ([lives], first[1])], [first]):
        found = recover(Scripted(*rounds), blotter)
        assert found.unsent == []
        assert set(found.held) == {A, B, C} - {there}
        assert all(f"the broker has {there}" in reason for reason in found.held.values())


@pytest.mark.slow
def test_an_adopted_order_is_adopted_again_by_the_next_connection(blotter):
    for events in ([OrderEvent("unknown", "r", A, NOW, message="not sent from here")], [LIVES]):
        broker = Scripted(([], evidence(next_id=1, open_orders=frozenset({A}))))
        recover(broker, blotter, events)
        assert broker.adopted == [A]


@pytest.mark.slow
def test_newly_planned_orders_are_sent_whatever_else_the_evidence_contains(blotter):
    broker = Scripted(([], evidence(next_id=50, is_complete=False, gap="nothing is reported")))
    assert recover(broker, blotter, is_new=True).unsent == [A, B, C]
    found = recover(broker, blotter, cleared=frozenset({B}))
    assert (found.unsent, set(found.held)) == ([B], {A, C})


@pytest.mark.slow
def test_a_copied_record_sends_nothing_while_missing_orders_may_be_in_flight(blotter):
    nothing = ([], evidence(next_id=1))
    there = ([], evidence(next_id=2, refs=frozenset({A}), open_orders=frozenset({A})))
    broker = Scripted(nothing, nothing, nothing, there)
    found = recover(broker, blotter, in_flight_seconds=2.0)
    assert found.unsent == []
    assert set(found.held) == {B, C}


@pytest.mark.slow
def test_newly_planned_orders_are_sent_without_waiting(blotter):
    broker = Scripted(([], evidence(next_id=1)))
    assert recover(broker, blotter, cleared=frozenset({A, B, C}), in_flight_seconds=60.0).unsent == [A, B, C]
    assert broker.query_count == 1


@pytest.mark.slow
def test_an_expired_order_that_may_have_been_sent_is_held_back(blotter):
    broker = Scripted(([], evidence(next_id=5)))
    assert "has passed order ids" in held_by(recover(broker, blotter, expired={A: "too old"}))


@pytest.mark.slow
def test_an_expired_order_that_was_not_sent_is_refused(blotter):
    broker = Scripted(([], evidence(next_id=1)))
    found = recover(broker, blotter, expired={A: "its approval is older than 60 s"})
    assert (found.unsent, found.held) == ([B, C], {})
    assert rows_of(blotter).loc[A, ["status", "reason"]].tolist() == ["REJECTED", "approval_expired"]


@pytest.mark.slow
def test_an_expired_order_that_is_at_the_broker_is_adopted(blotter):
    there = evidence(next_id=2, refs=frozenset({A}), open_orders=frozenset({A}))
    found = recover(Scripted(([], there), ([LIVES], there)), blotter, expired={A: "too old"})
    assert set(found.held) == {B, C}
    assert rows_of(blotter).loc[A, "status"] == "SUBMITTED"


@pytest.mark.slow
def test_a_plan_that_was_overtaken_is_held_back(blotter):
    broker = Scripted(([], evidence(next_id=1)))
    assert held_by(recover(broker, blotter, overtaken="run r2 was planned later")) == "run r2 was planned later"


@pytest.mark.slow
def test_a_broker_that_forgets_nothing_proves_which_orders_were_not_sent(blotter):
    broker = Scripted(([], Evidence(NOW, forgets=False)))
    broker.lock_account = None
    assert recover(broker, blotter, overtaken="").unsent == [A, B, C]
    assert broker.query_count > 0
