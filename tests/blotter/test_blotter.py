"""The blotter as its owner sees it: plans, resolutions, halts, locks, forks, and the end of a program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec import clock
from stocklean_exec.blotter.blotter import Blotter, open_blotter, read_blotter
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_history import IdTrail
from stocklean_exec.errors import (
    BlotterClosedError,
    BlotterError,
    BlotterLockedError,
    HaltedError,
    InputError,
)
from tests.processes import holding

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVIL = "x'; DROP TABLE facts; SELECT * FROM '/etc/passwd' --"


def plan(run_id="run-1", names=("a", "b"), **columns):
    rows = {"client_order_id": list(names), "run_id": run_id, "symbol": "SPY", "side": "BUY", "quantity": 10.0}
    return pd.DataFrame(
        {**rows, "order_type": "MKT", "payload_hash": [f"hash of {name}" for name in names], **columns}
    )


def header(run_id="run-1", **changed):
    made = {"run_id": run_id, "leg": 1, "mode": "mock", "account": "DU1", "nav": 1e6, "parameters": "{}"}
    return {**made, "plan_hash": "h", "approved_by": "me", "approved_at": NOON, **changed}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "paper.duckdb"


@pytest.fixture
def blotter(path):
    with open_blotter(path) as opened:
        yield opened


def run_script(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# -- plans ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_plan_and_its_first_events_are_one_transaction(blotter):
    blotter.record_plan(plan(), header(), [OrderEvent("intent", "run-1", "a")]).result()
    refused = blotter.record_plan(plan("run-2", ("c", "a")), header("run-2"), [OrderEvent("intent", "run-2", "c")])
    with pytest.raises(BlotterError, match="nothing of this was recorded"):
        refused.result()  # the id of an order is used once
    assert blotter.runs()["run_id"].tolist() == ["run-1"]
    assert blotter.orders()["client_order_id"].tolist() == ["a", "b"]
    assert blotter.events()["run_id"].tolist() == ["run-1"]
    blotter.record_plan(plan("run-2", ("c",)), header("run-2"), [OrderEvent("intent", "run-2", "c")]).result()
    assert blotter.orders("run-2")["state"].tolist() == ["INTENT"]


@pytest.mark.slow
def test_a_plan_is_recorded_once(blotter):
    blotter.record_plan(plan(), header(), []).result()
    with pytest.raises(BlotterError):
        blotter.record_plan(plan(), header(), []).result()
    assert len(blotter.orders()) == 2


@pytest.mark.slow
def test_a_refused_plan_does_not_discard_the_events_of_others(blotter):
    blotter.record_plan(plan(), header(), []).result()
    futures = []
    for number in range(20):
        futures.append(blotter.record([OrderEvent("message", "run-1", message=str(number))]))
        refused = blotter.record_plan(plan(), header(), [])
    for future in futures:
        future.result()
    with pytest.raises(BlotterError):
        refused.result()
    assert len(blotter.events()) == 20


@pytest.mark.slow
def test_orders_are_returned_in_plan_sequence_whatever_the_index_labels(blotter):
    frame = plan(names=("z", "a", "m")).set_index(pd.Index([7, 7, 3]))
    blotter.record_plan(frame, header(), []).result()
    assert blotter.orders("run-1")["client_order_id"].tolist() == ["z", "a", "m"]
    assert blotter.planned("run-1") == {"z": "hash of z", "a": "hash of a", "m": "hash of m"}


@pytest.mark.slow
def test_a_row_without_a_quantity_is_kept(blotter):
    blotter.record_plan(
        plan(quantity=[float("nan"), 5.0]), header(), [OrderEvent("refused", "run-1", "a", code="x")]
    ).result()
    orders = blotter.orders()
    assert orders["quantity"].isna().tolist() == [True, False]
    assert orders["status"].tolist() == ["REJECTED", "NEW"]


@pytest.mark.slow
def test_a_plan_without_rows_is_a_run(blotter):
    blotter.record_plan(plan(names=()), header(), []).result()
    assert blotter.runs()["run_id"].tolist() == ["run-1"]


@pytest.mark.slow
def test_the_row_of_a_run_has_the_values_it_was_given(blotter):
    blotter.record_plan(plan(), header(), []).result()
    row = blotter.runs().iloc[0]
    assert (row["mode"], row["status"], row["account"], row["nav"]) == ("mock", "queued", "DU1", 1e6)
    assert (row["plan_hash"], row["approved_by"], row["approved_at"]) == ("h", "me", NOON)
    assert row["code_version"] == sx.__version__


@pytest.mark.slow
def test_events_are_read_as_they_were_recorded(blotter):
    events = [
        OrderEvent(
            "sending", "run-1", "a", NOON, attempt=1, bid=1.0, ask=2.0, last=1.5, quoted_at=NOON, data_type=3
        ),
        OrderEvent("status", "run-1", "a", NOON, "SUBMITTED", 1, 2**62, 3, 0.0, 10.0),
        OrderEvent(
            "execution", "run-1", "a", NOON, exec_id="x", symbol="SPY", side="BUY", quantity=0.1, price=1e-7
        ),
        OrderEvent("commission", "run-1", None, None, exec_id="x", commission=-0.1, commission_currency="USD"),
        OrderEvent("message", "run-1", message=EVIL),
    ]
    blotter.record(events).result()
    assert blotter.recorded_events("run-1") == events
    assert blotter.recorded_events("run-2") == []


def test_changes_of_limits_are_read_by_order_in_sequence(blotter):
    first = OrderEvent("modifying", "run-1", "run-1-SPY-BUY", attempt=1, price=100.5, quantity=10.0, bid=99.9)
    events = [
        OrderEvent("status", "run-1", "run-1-TLT-BUY", status="SUBMITTED"),
        first,
        OrderEvent("modified", "run-1", "run-1-SPY-BUY", attempt=1, price=100.5),
        OrderEvent("modify_refused", "run-2", "run-2-KO-SELL", attempt=1, code="110"),
    ]
    blotter.record(events).result()
    assert blotter.limit_changes(["run-1-SPY-BUY", "run-1-TLT-BUY"]) == {"run-1-SPY-BUY": events[1:3]}
    assert list(blotter.limit_changes({"run-1-SPY-BUY", "run-2-KO-SELL"}).values()) == [events[1:3], events[3:]]
    assert blotter.limit_changes([]) == {}


def overtaking(blotter, events=(), approved="ab", **later):
    """Runs that overtake run-1, which has a (symbol SPY) and b (TLT), both of them approved and not sent."""
    for run_id, columns in (("run-1", {}), ("run-2", later)):
        rows = plan(run_id, [f"{run_id}-a", f"{run_id}-b"], account="DU1", symbol=["SPY", "TLT"])
        kinds = ["intent" if one in approved or run_id == "run-1" else "not_approved" for one in "ab"]
        given = [OrderEvent(kind, run_id, f"{run_id}-{one}") for kind, one in zip(kinds, "ab", strict=True)]
        blotter.record_plan(rows.assign(**columns), header(run_id), given).result()
    blotter.record(events).result()
    return blotter.overtaken_by("run-1")


@pytest.mark.slow
def test_a_plan_is_overtaken_only_by_a_later_plan_with_orders_in_the_same_symbols(blotter):
    assert overtaking(blotter) == {"run-2": ["SPY", "TLT"]}
    assert blotter.overtaken_by("run-2") == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "later", "found"),
    [
        ([], {"symbol": ["KO", "TLT"]}, {"run-2": ["TLT"]}),
        ([], {"account": "DU2"}, {}),
        ([], {"approved": "b"}, {"run-2": ["TLT"]}),
        # of what cannot be sent any more nothing is overtaken, and it overtakes nothing
        ([OrderEvent("sending", "run-1", "run-1-a", attempt=1)], {}, {"run-2": ["TLT"]}),
        ([OrderEvent("refused", "run-1", "run-1-a", code="run_cancelled")], {}, {"run-2": ["TLT"]}),
        ([OrderEvent("refused", "run-2", "run-2-a", code="approval_expired")], {}, {"run-2": ["TLT"]}),
        ([OrderEvent("withdrawn", "run-2", "run-2-b", code="not_funded")], {}, {"run-2": ["SPY"]}),
        # what was sent counts, whatever happened to it
        ([OrderEvent("sending", "run-2", "run-2-a", attempt=1)], {}, {"run-2": ["SPY", "TLT"]}),
        ([OrderEvent("status", "run-2", "run-2-a", status="CANCELLED")], {}, {"run-2": ["SPY", "TLT"]}),
    ],
)
def test_only_orders_that_were_or_may_be_sent_overtake_unsent_orders(blotter, events, later, found):
    assert overtaking(blotter, events, **later) == found


@pytest.mark.slow
def test_a_run_is_not_overtaken_by_its_own_later_batch(blotter):
    assert overtaking(blotter, symbol=["KO", "XOM"]) == {}
    leg = plan("run-1", ["run-1-c"], account="DU1", symbol="SPY")
    blotter.record_plan(leg, header("run-1", leg=2), [OrderEvent("intent", "run-1", "run-1-c")]).result()
    assert blotter.overtaken_by("run-1") == {}


@pytest.mark.slow
def test_sql_in_a_text_is_stored_as_text(blotter):
    orders = plan(EVIL, (EVIL,), symbol=EVIL, note=EVIL)
    blotter.record_plan(
        orders, header(EVIL), [OrderEvent("rejected", EVIL, EVIL, code=EVIL, message=EVIL)]
    ).result()
    row = blotter.orders(EVIL).iloc[0]
    assert (row["run_id"], row["symbol"], row["reason"], row["note"]) == (EVIL, EVIL, EVIL, EVIL)
    assert blotter.orders("' OR 1 = 1 --").empty
    assert blotter.events(EVIL)["message"].tolist() == [EVIL]
    assert blotter.planned(EVIL) == {EVIL: f"hash of {EVIL}"}


@pytest.mark.slow
def test_a_dataframe_of_the_caller_does_not_shadow_a_blotter_table(blotter):
    events = orders = new_rows = pd.DataFrame({"client_order_id": ["mine"]})
    blotter.record_plan(plan(), header(), []).result()
    assert blotter.orders()["client_order_id"].tolist() == ["a", "b"]
    assert len(events) == len(orders) == len(new_rows) == 1


@pytest.mark.slow
def test_the_quotes_of_a_run_are_recorded(blotter):
    quotes = pd.DataFrame(
        {"symbol": ["SPY"], "bid": [1.0], "quoted_at": pd.Series([NOON], dtype="datetime64[us, UTC]")}
    )
    blotter.record_quotes("run-1", quotes).result()
    row = blotter.quotes("run-1").iloc[0]
    assert (row["symbol"], row["bid"], row["quoted_at"]) == ("SPY", 1.0, NOON)


# -- what a later run or a restart asks of the record ----------------------------------------------------------


@pytest.fixture
def memory():
    with open_blotter() as opened:
        yield opened


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def sendings(run_id, *rows):
    """Events of orders that were sent: (name, order id, minute), and those that did not leave after all."""
    made = []
    for name, order_id, minute, is_sent in rows:
        made.append(
            OrderEvent("sending", run_id, name, at(minute), order_id=order_id, client_id=7, attempt=order_id)
        )
        if not is_sent:
            made.append(OrderEvent("not_sent", run_id, name, at(minute), attempt=order_id))
    return made


def test_the_holdings_of_an_account_are_those_of_its_latest_run(memory):
    held = pd.DataFrame({"symbol": ["TLT", "SPY", "TLT"], "quantity": [10.0, 5.0, -2.0]})
    memory.record_book("run-1", "DU1", at(0), held, 100.0)
    memory.record_book("run-2", "DU1", at(5), held.head(1), 50.0)
    memory.record_book("run-1", "DU1", at(1), held, 70.0)  # resumed
    memory.record_book("run-3", "DU2", at(9), held, 30.0).result()
    assert memory.last_book("DU1").to_numpy().tolist() == [
        ["cash", "", 50.0, at(5)],
        ["position", "TLT", 10.0, at(5)],
    ]
    assert memory.last_book("DU2")[["symbol", "quantity"]].to_numpy().tolist() == [
        ["", 30.0],
        ["SPY", 5.0],
        ["TLT", 8.0],
    ]
    assert memory.last_book("DU3").empty
    assert [memory.cash_at_start(name) for name in ("run-1", "run-2", "run-9")] == [100.0, 50.0, None]


def test_cash_that_is_unknown_at_the_start_is_not_zero(memory):
    memory.record_book("run-1", "DU1", NOON, pd.DataFrame({"symbol": [], "quantity": []}), None).result()
    assert memory.cash_at_start("run-1") is None


def test_the_greatest_ids_of_a_client_are_those_that_the_broker_has_reported(memory):
    memory.record(
        [
            OrderEvent("status", "run-1", "a", NOON, "SUBMITTED", 7, 1, 3),
            OrderEvent("execution", "run-1", "a", NOON, order_id=9, client_id=3, exec_id="x", quantity=1.0),
            OrderEvent("rejected", "run-1", "b", NOON, order_id=8, client_id=3, code="201"),
            OrderEvent("sending", "run-1", "b", NOON, order_id=30, client_id=3, attempt=1),  # not a report
            OrderEvent("session", "run-1", occurred_at=NOON, order_id=12, client_id=3),
            OrderEvent("session", "run-1", occurred_at=at(1), order_id=11, client_id=3),
            OrderEvent("status", "run-1", "c", NOON, "SUBMITTED", 50, 2, 4),
        ]
    ).result()
    assert [memory.id_marks(client) for client in (3, 4, 5)] == [(9, 12), (50, 0), (0, 0)]


def test_messages_of_the_day_are_those_of_other_runs_of_the_account(memory):
    for run_id, account in (("run-1", "DU1"), ("run-2", "DU1"), ("run-3", "DU2")):
        name = f"{run_id}-x"
        memory.record_plan(plan(run_id, [name], account=account), header(run_id), [])
        memory.record(
            [
                OrderEvent("sending", run_id, name, NOON, attempt=1),
                OrderEvent("modifying", run_id, name, NOON, attempt=1, price=1.0),
                OrderEvent("modified", run_id, name, NOON, attempt=1),
                OrderEvent("cancel_requested", run_id, name, NOON),
                OrderEvent("execution", run_id, name, NOON, exec_id=f"{run_id}.b.c.01", quantity=1.0, price=1.0),
            ]
        ).result()
    long_ago, soon = at(-1_000_000), clock.now() + timedelta(hours=1)
    assert memory.message_counts(long_ago, "DU1", except_run="run-1") == (3, 1)
    assert memory.message_counts(long_ago, "DU1", except_run="none") == (6, 2)
    assert memory.message_counts(soon, "DU1", except_run="none") == (0, 0)


@pytest.mark.parametrize(
    ("reported", "trail"),
    [
        (21, IdTrail(21, 21, 0, 0)),  # as expected: 20 was sent, and 21 did not leave
        (25, IdTrail(25, 25, 25, 21)),  # another process has sent 21 to 24 as this client
        (None, IdTrail(20, 21, 0, 0)),
    ],
)
def test_an_id_beyond_the_expected_one_shows_another_process_of_this_client(memory, reported, trail):
    rows = plan(account="DU1")
    session = OrderEvent("session", "run-1", occurred_at=at(1), order_id=20, client_id=7)
    # An earlier run of this client, at a TWS whose ids were higher, does not count.
    memory.record_plan(
        plan("run-0", "z", account="DU1"), header("run-0"), [session._replace(run_id="run-0", order_id=90)]
    )
    memory.record_plan(rows, header(), [OrderEvent("intent", "run-1", "a", at(0)), session])
    memory.record(sendings("run-1", ("a", 20, 2, True), ("b", 21, 3, False)))
    if reported is not None:
        memory.record([session._replace(occurred_at=at(4), order_id=reported)])
    memory.record([session._replace(occurred_at=at(5), order_id=70, client_id=8)]).result()
    assert memory.id_trails("run-1", 7, "DU1") == {at(0): trail}
    assert memory.id_trails("run-1", 7, "DU2") == {}
    assert memory.id_trails("run-2", 7, "DU1") == {}


@pytest.mark.parametrize(
    ("first", "trail"),
    [
        (20, IdTrail(21, 22, 0, 0)),  # 20 and 21 were sent, and TWS had accepted neither
        (90, IdTrail(21, 21, 21, 20)),  # TWS has reset its ids since: what was sent before explains nothing
    ],
)
def test_ids_that_were_sent_before_another_batch_and_accepted_after_it_are_expected(memory, first, trail):
    session = OrderEvent("session", "run-1", occurred_at=at(0), order_id=first, client_id=7)
    intents = [OrderEvent("intent", "run-1", name, at(0)) for name in "ab"]
    memory.record_plan(plan(names="ab", account="DU1"), header(), [*intents, session])
    memory.record(sendings("run-1", ("a", 20, 2, True), ("b", 21, 3, True)))
    rest = [OrderEvent("intent", "run-1", "c", at(4)), session._replace(occurred_at=at(4), order_id=20)]
    memory.record_plan(plan(names="c", account="DU1"), header() | {"leg": 2}, rest)
    memory.record([session._replace(occurred_at=at(5), order_id=21)]).result()
    assert memory.id_trails("run-1", 7, "DU1")[at(4)] == trail


@pytest.fixture
def sent(memory, monkeypatch):
    """Run-1 has sent a (1,000 USD) and b (500 EUR at 1.1), not c; run-2 has sent d of another account."""
    monkeypatch.setattr(clock, "now", lambda: at(60))
    money = {"notional": [1_000.0, 500.0, 70.0], "fx_rate": [None, 1.1, None], "account": "DU1"}
    intents = [OrderEvent("intent", "run-1", name, at(0)) for name in "abc"]
    memory.record_plan(plan(names="abc", **money), header(), intents + sendings("run-1", ("a", 1, 0, True)))
    memory.record_plan(
        plan("run-2", "d", notional=9.0, account="DU2"), header("run-2", account="DU2"), []
    ).result()
    monkeypatch.setattr(clock, "now", lambda: at(61))
    memory.record(sendings("run-1", ("b", 2, 5, True), ("c", 3, 5, False)))
    memory.record(sendings("run-2", ("d", 1, 5, True))).result()
    return memory


def test_the_value_sent_counts_each_order_once_in_base_currency(sent):
    assert sent.notional_sent(at(0), "DU1") == {"run-1": 1_550.0}
    assert sent.notional_sent(at(1), "DU1") == {"run-1": 550.0}
    assert sent.notional_sent(at(6), "DU1") == {}
    assert sent.notional_sent(at(0), "DU2") == {"run-2": 9.0}
    sent.record(sendings("run-1", ("a", 4, 6, True))).result()  # again
    assert sent.notional_sent(at(0), "DU1") == {"run-1": 1_550.0}
    assert [sent.run_spent(name) for name in ("run-1", "run-2", "run-3")] == [1_550.0, 9.0, 0.0]


def test_the_value_of_a_basket_counts_from_its_export_until_it_is_closed_and_from_its_first_report(sent):
    def exported(name, second):
        return OrderEvent("held_back", "run-3", name, at(second), code="exported")

    rows = plan("run-3", "xyz", notional=[100.0, 20.0, 3.0], fx_rate=[None, 2.0, None], account="DU1")
    events = [exported("x", 10), exported("y", 10), exported("z", 10)]
    held = OrderEvent("held_back", "run-3", "x", at(9), code="other")
    sent.record_plan(rows, header("run-3"), [*events, held]).result()
    assert sent.notional_sent(at(10), "DU1") == {"run-3": 143.0}  # 100 + 20 at 2 + 3
    assert sent.run_spent("run-3") == 143.0
    assert sent.notional_sent(at(11), "DU1") == {}
    sent.record([OrderEvent("resolved", "run-3", name, at(20), status="CANCELLED") for name in "xy"]).result()
    assert sent.notional_sent(at(10), "DU1") == {"run-3": 3.0}
    # TWS has y after all, from the next day on; z it shows as rejected.
    sent.record(
        [
            OrderEvent("status", "run-3", "y", at(30), status="SUBMITTED", filled=0.0),
            OrderEvent("status", "run-3", "y", at(40), status="SUBMITTED", filled=1.0),
            OrderEvent("rejected", "run-3", "z", at(31), code="201"),
            OrderEvent("message", "run-3", "x", at(32), code="399", message="a remark"),
        ]
    ).result()
    assert sent.notional_sent(at(30), "DU1") == {"run-3": 43.0}
    assert sent.notional_sent(at(31), "DU1") == {"run-3": 3.0}
    assert sent.notional_sent(at(32), "DU1") == {}
    assert sent.run_spent("run-3") == 43.0


def test_the_times_of_sent_orders_are_those_of_this_computer(sent):
    assert sent.sent_times(at(60), "DU1") == [at(60), at(61)]
    assert sent.sent_times(at(61), "DU1") == [at(61)]
    assert sent.sent_times(at(62), "DU1") == []
    assert sent.sent_times(at(0), "DU2") == [at(61)]


def test_purchases_of_runs_that_may_use_unsettled_money_are_found(memory):
    allowed = json.dumps({"funding": {"unsettled": "allow"}})
    named = {"account": "DU1", "currency": ["EUR", None, None], "symbol": ["SAP", "SPY", "KO"]}
    named |= {"exchange": ["SMART", None, None], "primary_exchange": ["IBIS", None, None]}
    memory.record_plan(plan(names="abc", **named), header(parameters=allowed), [])
    other = {"account": ["DU1"], "symbol": "XOM"}
    memory.record_plan(plan("run-2", "d", **other), header("run-2"), [])
    fills = [
        ("run-1", "a", "SAP", "BUY", 1),
        ("run-1", "b", "SPY", "BUY", 2),
        ("run-1", "b", "SPY", "BUY", 9),
        ("run-1", "c", "KO", "SELL", 3),
        ("run-2", "d", "XOM", "BUY", 4),
    ]
    for run_id, name, symbol, side, minute in fills:
        fill = OrderEvent(
            "execution", run_id, name, at(minute), exec_id=f"{name}{minute}", symbol=symbol, side=side
        )
        memory.record([fill._replace(quantity=1.0, price=1.0)]).result()
    assert sorted(memory.bought_unsettled("DU1", at(1))) == [
        ("SAP", "EUR", at(1), "SMART", "IBIS"),
        ("SPY", "USD", at(9), "", ""),
    ]
    assert memory.bought_unsettled("DU1", at(2)) == [("SPY", "USD", at(9), "", "")]
    assert memory.bought_unsettled("DU2", at(0)) == []


def test_each_batch_of_a_run_has_its_parameters_and_limits(memory):
    memory.record_plan(plan(), header(parameters=json.dumps({"limits": {"max_orders": 5}})), [])
    memory.record_plan(plan(names="c"), header(leg=2, parameters='{"of": "residuals"}'), [])
    memory.record_plan(plan("run-2", "d"), header("run-2", parameters=None), []).result()
    assert memory.parameters("run-1") == [{"limits": {"max_orders": 5}}, {"of": "residuals"}]
    assert memory.limits("run-1") == [{"max_orders": 5}]
    assert (memory.parameters("run-2"), memory.limits("run-2"), memory.parameters("run-3")) == ([{}], [], [])
    assert [memory.last_batch(name) for name in ("run-1", "run-2", "run-3")] == [2, 1, 0]
    assert memory.own(["a", "d", "x"]) == {"a", "d"}
    assert memory.own([]) == set()


# -- resolutions ---------------------------------------------------------------------------------------------


@pytest.fixture
def unsure(blotter):
    sent = OrderEvent("sending", "run-1", "a", NOON, attempt=1)
    blotter.record_plan(plan(), header(), [OrderEvent("intent", "run-1", "b"), sent]).result()
    return blotter


@pytest.mark.slow
def test_an_order_that_was_sent_and_not_answered_is_unresolved(unsure):
    assert unsure.unresolved()["client_order_id"].tolist() == ["a"]


@pytest.mark.slow
def test_a_person_resolves_an_order_with_a_reason(unsure):
    unsure.resolve("a", "CANCELLED", reason="not in TWS")
    assert unsure.unresolved().empty
    row = unsure.orders().iloc[0]
    assert (row["state"], row["status"], row["reason"]) == ("RESOLVED", "CANCELLED", "resolved: not in TWS")
    assert unsure.events()["kind"].tolist() == ["intent", "sending", "resolved"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "reason", "codes"),
    [
        ("b", "CANCELLED", "x", ("not_unresolved",)),
        ("no such order", "CANCELLED", "x", ("not_unresolved",)),
        ("a", "FILLED", "x", ("status_invalid",)),
        ("a", "cancelled", "x", ("status_invalid",)),
        ("a", "CANCELLED", " ", ("reason_missing",)),
        ("a", "CANCELLED", None, ("reason_missing",)),
        ([], {}, 5, ("not_unresolved", "status_invalid", "reason_missing")),
    ],
)
def test_a_resolution_is_refused_with_every_problem_named(unsure, name, status, reason, codes):
    with pytest.raises(InputError) as caught:
        unsure.resolve(name, status, reason=reason)
    assert caught.value.codes == codes
    assert unsure.unresolved()["client_order_id"].tolist() == ["a"]


@pytest.mark.slow
def test_nothing_is_resolved_twice(unsure):
    unsure.resolve("a", "REJECTED", reason="x")
    with pytest.raises(InputError):
        unsure.resolve("a", "CANCELLED", reason="y")


# -- the kill switch -----------------------------------------------------------------------------------------

HALT = """
import sys
from stocklean_exec.blotter.kill_switch import HaltJournal
HaltJournal(sys.argv[1]).halt("from outside")
"""


@pytest.mark.slow
def test_a_halt_is_in_force_and_recorded(blotter):
    blotter.halt("fat finger")
    assert blotter.halted == "fat finger"
    with pytest.raises(HaltedError, match="fat finger"):
        blotter.check_halt()
    blotter.clear_halt("checked")
    assert blotter.halted is None
    blotter.check_halt()
    assert blotter.events()[["kind", "message"]].to_numpy().tolist() == [
        ["halted", "fat finger"],
        ["halt_cleared", "checked"],
    ]


@pytest.mark.slow
def test_a_halt_survives_a_restart(path):
    with open_blotter(path) as blotter:
        blotter.halt("fat finger")
    with open_blotter(path) as blotter:
        assert blotter.halted == "fat finger"


@pytest.mark.slow
def test_a_halt_of_another_process_applies_at_once_and_is_recorded_at_closing(path):
    with open_blotter(path) as blotter:
        blotter.check_halt()
        assert run_script(HALT, path).returncode == 0
        assert blotter.halted == "from outside"
        assert blotter.events().empty
    for _ in range(2):  # and once only
        with open_blotter(path) as blotter:
            assert blotter.events()["message"].tolist() == ["from outside"]


@pytest.mark.slow
def test_a_blotter_in_memory_can_be_halted_too():
    with open_blotter() as blotter:
        blotter.halt("x")
        assert blotter.halted == "x"


@pytest.mark.slow
def test_a_closed_blotter_can_still_be_halted(path):
    blotter = open_blotter(path)
    blotter.close()
    with pytest.raises(BlotterClosedError):
        blotter.halt("late")
    with open_blotter(path) as again:
        assert again.halted == "late"


# -- one owner -----------------------------------------------------------------------------------------------

HOLD = """
import sys
import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
blotter.record([OrderEvent("message", "r", message="recorded")]).result()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(path):
    with holding(HOLD, path, says="open") as process:
        yield process


@pytest.mark.slow
def test_the_error_of_a_second_process_names_the_owner_of_the_blotter(path, owner):
    with pytest.raises(BlotterLockedError, match=str(owner.pid)) as caught:
        open_blotter(path)
    assert caught.value.owner["pid"] == owner.pid
    with read_blotter(path) as snapshot:
        assert snapshot.events()["message"].tolist() == ["recorded"]


@pytest.mark.slow
def test_after_kill_9_of_its_owner_a_blotter_opens_with_all_that_was_acknowledged(path, owner):
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    with open_blotter(path) as blotter:
        assert blotter.events()["message"].tolist() == ["recorded"]


@pytest.mark.slow
def test_a_blotter_is_open_once_in_a_process(path, blotter):
    with pytest.raises(BlotterLockedError, match="open in this process"):
        open_blotter(path)
    blotter.record([OrderEvent("message", "r", message="x")]).result()


@pytest.mark.slow
def test_a_copy_or_a_second_attempt_does_not_let_another_process_open_the_blotter(path, blotter, tmp_path):
    shutil.copyfile(path, tmp_path / "copy")  # this drops DuckDB's own lock
    with pytest.raises(BlotterLockedError):
        open_blotter(path)
    done = run_script("import sys, stocklean_exec as sx; sx.open_blotter(sys.argv[1])", path)
    assert "BlotterLockedError" in done.stderr
    assert str(os.getpid()) in done.stderr


@pytest.mark.slow
def test_another_file_can_be_opened_at_the_same_time(blotter, tmp_path):
    with open_blotter(tmp_path / "other.duckdb") as other:
        assert other.orders().empty


FORK = """
import gc, os, sys
import stocklean_exec as sx
from stocklean_exec.errors import BlotterClosedError
from stocklean_exec.blotter.events import OrderEvent

path, way = sys.argv[1:]
blotter = sx.open_blotter(path)
blotter.record([OrderEvent("message", "r", message=f"before {n}") for n in range(100)]).result()
child = os.fork()
if not child:
    uses = [blotter.orders, blotter.runs, lambda: blotter.record([]), blotter.unresolved]
    for use in uses:
        try:
            use()
            print("not refused", flush=True)
        except BlotterClosedError as error:
            assert "fork" in str(error)
    print(repr(blotter), flush=True)
    blotter.close()
    if way == "leave":
        os._exit(0)
    if way == "forget":
        del uses, use
        del blotter
        gc.collect()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
blotter.record([OrderEvent("message", "r", message="after")]).result()
try:
    sx.open_blotter(path)
except sx.BlotterLockedError:
    print("locked", flush=True)
blotter.close()
with sx.open_blotter(path) as again:
    print(len(again.events("r")), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["leave", "exit", "forget"])
def test_a_forked_child_is_refused_and_its_parent_continues_to_work(path, way):
    done = run_script(FORK, path, way)
    assert done.stdout == "<Blotter paper.duckdb: closed>\nlocked\n101\n"
    assert "Traceback" not in done.stderr  # DuckDB's binding may list what a child leaves behind


# -- private files -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_file_of_a_blotter_is_private_whatever_the_umask(path):
    mask = os.umask(0)
    try:
        with open_blotter(path) as blotter:
            blotter.halt("x")
            for _ in range(2):
                blotter.record([OrderEvent("message", "r", occurred_at=NOON, message="y")]).result()
                names = {entry.name for entry in path.parent.iterdir()}
                assert names >= {path.name, f"{path.name}.lock", f"{path.name}.halt", f"{path.name}.wal"}
                assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(mask)


@pytest.mark.slow
def test_a_log_that_is_recreated_after_a_checkpoint_is_private_too(path):
    mask = os.umask(0)
    try:
        with open_blotter(path) as blotter:
            blotter.record([OrderEvent("message", "r", message="x")]).result()
            with blotter._connection.cursor() as cursor:
                cursor.execute("CHECKPOINT")
            blotter.record([OrderEvent("message", "r", message="y")]).result()
            assert stat.S_IMODE((path.parent / f"{path.name}.wal").stat().st_mode) == 0o600
    finally:
        os.umask(mask)


# -- the end -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_closing_writes_events_that_nothing_waited_for(path):
    blotter = open_blotter(path)
    futures = [blotter.record([OrderEvent("message", "r", message=str(number))]) for number in range(200)]
    blotter.close()
    assert all(future.done() and future.exception() is None for future in futures)
    with open_blotter(path) as again:
        assert again.events()["message"].tolist() == [str(number) for number in range(200)]


@pytest.mark.slow
def test_closing_twice_is_harmless_and_frees_the_file(path):
    blotter = open_blotter(path)
    blotter.close()
    blotter.close()
    assert repr(blotter) == "<Blotter paper.duckdb: closed>"
    open_blotter(path).close()


@pytest.mark.slow
def test_every_use_of_a_closed_blotter_is_refused(path):
    blotter = open_blotter(path)
    blotter.close()
    uses = [
        blotter.orders,
        blotter.runs,
        blotter.unresolved,
        lambda: blotter.recorded_events("r"),
        lambda: blotter.planned("r"),
        lambda: blotter.record([]),
        lambda: blotter.record_plan(plan(), header(), []),
        lambda: blotter.export(path.parent / "out"),
        lambda: blotter.resolve("a", "CANCELLED", reason="x"),
    ]
    for use in uses:
        with pytest.raises(BlotterClosedError, match="the blotter is closed"):
            use()


@pytest.mark.slow
def test_a_blotter_can_be_closed_from_any_thread_and_from_many_at_once(path):
    blotter = open_blotter(path)
    future = blotter.record([OrderEvent("message", "r", message="x")])
    problems = []

    def close():
        try:
            blotter.close()
            assert future.done()
        except BaseException as error:  # noqa: BLE001 - it is shown below
            problems.append(error)

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with open_blotter(path) as again:
        assert len(again.events()) == 1


@pytest.mark.slow
def test_an_error_within_the_with_block_closes_the_blotter_and_is_raised(path):
    with pytest.raises(LookupError), open_blotter(path):
        raise LookupError
    open_blotter(path).close()


def test_a_blotter_that_could_not_be_opened_leaves_no_lock(path):
    path.write_bytes(bytes(8) + b"DUCK" + bytes(20_000))
    for _ in range(2):
        with pytest.raises(BlotterError, match="cannot be opened"):
            open_blotter(path)


LEFT_OPEN = """
import sys
import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
memory = sx.open_blotter()
for number in range(500):
    blotter.record([OrderEvent("message", "r", message=str(number))])
    memory.record([OrderEvent("message", "r", message=str(number))])
snapshot = sx.read_blotter(sys.argv[1])
{end}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "code", "noise"),
    [
        ("", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("del blotter, memory, snapshot", 0, ""),
        ("1 / 0", 1, "ZeroDivisionError"),
    ],
)
def test_a_program_that_ends_without_closing_loses_nothing_and_prints_nothing(path, end, code, noise):
    done = run_script(LEFT_OPEN.replace("{end}", end), path)
    assert done.returncode == code
    assert (noise in done.stderr) if noise else (done.stderr == "")
    assert "stocklean" not in done.stderr
    with open_blotter(path) as blotter:
        assert len(blotter.events("r")) == 500


STILL_RUNNING = """
import asyncio, threading
from concurrent.futures import CancelledError
from stocklean_exec.background import call

begun = threading.Event()

async def work():
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.wrap_future(blotter.record([OrderEvent("message", "end", message="wound up")]))

def caller():
    try:
        call(work())
    except CancelledError:
        pass

threading.Thread(target=caller, daemon=True).start()
assert begun.wait(60)
"""


@pytest.mark.slow
def test_work_still_running_at_program_exit_finishes_is_recorded_and_prints_nothing(path):
    done = run_script(LEFT_OPEN.replace("{end}", STILL_RUNNING), path)
    assert (done.returncode, done.stderr) == (0, "")
    with open_blotter(path) as blotter:
        assert blotter.events("end")["message"].tolist() == ["wound up"]


@pytest.mark.slow
def test_an_idle_background_loop_prints_nothing_when_a_program_ends(path):
    end = "import asyncio; from stocklean_exec.background import call; call(asyncio.sleep(0))"
    done = run_script(LEFT_OPEN.replace("{end}", end), path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_open_blotter_takes_a_path_a_text_or_nothing(path, tmp_path):
    with open_blotter(path) as one, open_blotter(str(tmp_path / "two.duckdb")) as two, open_blotter() as three:
        assert (one.path, two.path, three.path) == (path.resolve(), (tmp_path / "two.duckdb").resolve(), None)
        assert all(isinstance(each, Blotter) for each in (one, two, three))
