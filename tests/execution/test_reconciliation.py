"""An account compared with its record, over the wire."""

import asyncio
import shutil
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.execution import reconciliation
from stocklean_exec.execution.breaks import compare
from stocklean_exec.simulator import Simulator

NAN = float("nan")
QUOTES = pd.DataFrame(
    [("SPY", 399.90, 400.10, 400.00, 300.0, 300.0), ("KO", 62.60, 62.62, 62.61, 1_000.0, 1_000.0)],
    columns=["symbol", "bid", "ask", "last", "bid_size", "ask_size"],
).assign(currency="USD", close=NAN, quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))


@pytest.fixture
def venue():
    with Simulator(seed=7, quotes=QUOTES, clock="brisk", positions={"KO": (500.0, 60.0)}) as running:
        yield running


def connect(venue, client_id=7):
    return IBBroker(port=venue.port, client_id=client_id, rate=0.0, seconds=5.0)


@pytest.fixture
def broker(venue):
    with connect(venue) as one:
        yield one


@pytest.fixture
def blotter(tmp_path):
    with sx.open_blotter(tmp_path / "paper.duckdb") as one:
        yield one


def run(broker, blotter, run_id="r", **targets):
    return sx.rebalance(
        targets or {"SPY": 0.1, "KO": 0.05},
        broker,
        blotter,
        run_id=run_id,
        approve="me",
        dry_run=False,
        limits=sx.Limits(duplicate_window=None, min_cash_after=None),
    )


def trade(broker, name, symbol="SPY", quantity=5.0):
    ticket = Ticket(name, "x", symbol, "BUY", quantity, "MKT", NAN, "DAY", "USD", "STK", "SMART", "DU0000001")
    asyncio.run(broker.place(ticket))


@pytest.mark.slow
def test_broker_and_blotter_agree_after_a_run(broker, blotter):
    run(broker, blotter)
    assert sx.reconcile(broker, blotter).empty
    run(broker, blotter, "r2", SPY=0.2, KO=0.0)
    assert sx.reconcile(broker, blotter).empty
    assert blotter.halted is None


@pytest.mark.slow
def test_an_account_without_runs_has_no_breaks(broker, blotter):
    assert sx.reconcile(broker, blotter).empty


@pytest.mark.slow
def test_an_order_sent_by_another_blotter_is_reported_and_halts(venue, broker, blotter):
    run(broker, blotter)
    with connect(venue, client_id=9) as other:
        trade(other, "q-SPY-BUY")
    venue_sees_all(venue)
    found = sx.reconcile(broker, blotter).set_index("kind")
    assert found.loc["execution_orphan", ["severity", "client_order_id", "broker"]].tolist() == [
        "halt",
        "q-SPY-BUY",
        5.0,
    ]
    assert "1 execution_orphan" in blotter.halted
    with pytest.raises(sx.HaltedError):
        run(broker, blotter, "next", SPY=0.3, KO=0.0)


def venue_sees_all(venue):
    venue.event("switch", set={"executions": "all"})


@pytest.mark.slow
def test_a_trade_of_another_program_is_reported_without_a_halt(venue, broker, blotter):
    run(broker, blotter)
    venue_sees_all(venue)
    venue.event("manual_order", symbol="KO", side="BUY", quantity=10)
    found = sx.reconcile(broker, blotter)
    assert found["kind"].tolist() == ["cash_differs", "execution_foreign", "position_of_others"]
    assert blotter.halted is None


@pytest.mark.slow
def test_a_position_break_halts_unless_halting_is_switched_off(venue, broker, blotter):
    run(broker, blotter)
    with connect(venue, client_id=9) as other:
        trade(other, "by-hand")  # executions of another client are not reported
    found = sx.reconcile(broker, blotter, halt=False)
    assert found.iloc[0][["kind", "severity", "symbol", "difference"]].tolist() == [
        "position_differs",
        "halt",
        "SPY",
        5.0,
    ]
    assert blotter.halted is None
    sx.reconcile(broker, blotter)
    assert "1 position_differs" in blotter.halted


@pytest.mark.slow
def test_events_missed_while_disconnected_are_recorded_and_reported(venue, blotter):
    with connect(venue) as broker:
        orders = pd.DataFrame(
            [("SPY", "BUY", 5.0, "LMT", 390.0)],
            columns=["symbol", "side", "quantity", "order_type", "limit_price"],
        ).assign(run_id="r")
        review = sx.review_orders(sx.check_orders(orders, quotes=QUOTES, cash=1e6))
        review.approve_all(by="me")
        sx.submit_orders(review.result(), broker, blotter, timeout=0.2)
    venue.event("fill", symbol="SPY")
    with connect(venue) as broker:
        found = sx.reconcile(broker, blotter)
        assert found[["kind", "severity", "client_order_id", "blotter", "broker"]].to_numpy().tolist() == [
            ["order_caught_up", "info", "r-SPY-BUY", 0.0, 5.0]
        ]
        assert found["difference"].tolist() == [5.0]
        assert blotter.orders("r")["status"].tolist() == ["FILLED"]
        agreed = sx.reconcile(broker, blotter)
        assert agreed.empty
        assert agreed.dtypes.equals(found.dtypes)


@pytest.mark.slow
def test_an_old_copy_of_the_blotter_reports_its_missing_events(venue, tmp_path):
    file, copy = tmp_path / "file.duckdb", tmp_path / "copy.duckdb"
    with connect(venue) as broker:
        with sx.open_blotter(file) as first:
            run(broker, first)
        shutil.copy(file, copy)
        with sx.open_blotter(file) as first:
            run(broker, first, "r2", SPY=0.2, KO=0.0)
    with connect(venue) as broker, sx.open_blotter(copy) as old:
        found = sx.reconcile(broker, old)
        assert (found["kind"] == "execution_orphan").sum() >= 2
        assert "execution_orphan" in old.halted


@pytest.mark.slow
def test_the_mock_broker_agrees_with_its_blotter(blotter):
    broker = sx.connect("mock://", quotes={"SPY": 123.0, "KO": 60.0}, cash=10_000)
    run(broker, blotter, SPY=0.5, KO=0.2)
    assert sx.reconcile(broker, blotter).empty


@pytest.mark.slow
def test_two_clients_that_alternate_on_one_account_reconcile_without_a_halt(venue, broker, blotter):
    run(broker, blotter)
    with connect(venue, client_id=8) as other:
        run(other, blotter, "r2", SPY=0.2, KO=0.05)
        found = sx.reconcile(other, blotter)
    assert found[["kind", "severity"]].to_numpy().tolist() == [["executions_not_visible", "info"]]
    assert "reconcile with client id 7" in found["detail"].iloc[0]
    assert blotter.halted is None


@pytest.mark.slow
def test_fills_of_an_order_that_was_adopted_are_recorded(venue, broker, blotter):
    with sx.open_blotter() as copy:
        run(broker, blotter)
        orders = blotter.orders("r").assign(payload_hash="h", approved=True)
        header = {"run_id": "r", "leg": 1, "mode": "paper", "account": broker.account, "plan_hash": "h"}
        header |= dict.fromkeys(("nav", "parameters", "approved_by", "approved_at"))
        events = []
        for name in orders["client_order_id"]:  # what an earlier copy contains once the broker has reported it
            events += [
                OrderEvent("intent", "r", name),
                OrderEvent("unknown", "r", name, message="not sent from here"),
            ]
        copy.record_plan(orders, header, events).result()
        broker.close()
        with connect(venue) as again:
            sx.reconcile(again, copy, halt=False)
        assert copy.orders("r")["status"].tolist() == ["FILLED", "FILLED"]
        assert copy.fills("r")["exec_id"].tolist() == blotter.fills("r")["exec_id"].tolist()


@pytest.mark.slow
def test_an_order_belongs_to_the_client_that_sent_it_whichever_reports_it(broker, blotter, monkeypatch):
    run(broker, blotter)
    blotter.record(
        [OrderEvent("message", "r", "r-SPY-BUY", client_id=9, message="seen by another client")]
    ).result()
    seen = []

    def look(books):
        seen.append(books.clients)
        return compare(books)

    monkeypatch.setattr(reconciliation, "compare", look)
    assert sx.reconcile(broker, blotter).empty
    assert seen == [{"r-SPY-BUY": 7, "r-KO-BUY": 7}]


@pytest.mark.slow
def test_reconciliation_queries_runs_of_today_and_open_orders(blotter):
    plan = pd.DataFrame([{"symbol": "KO", "action": "rest"}])
    broker = sx.connect("mock://", quotes={"SPY": 100.0, "KO": 50.0}, cash=10_000, fill_plan=plan)
    run(broker, blotter, "filled", SPY=0.1)
    run(broker, blotter, "resting", KO=0.1, SPY=0.1)
    orders = blotter.orders()

    async def asked():
        return [record.run_id for record in reconciliation._records(orders, broker, blotter)]

    assert asyncio.run(asked()) == ["filled", "resting"]
    broker._time += timedelta(days=1)
    assert asyncio.run(asked()) == ["resting"]


@pytest.mark.parametrize(
    ("news", "complete", "rounds"),
    [
        pytest.param([0], [True], 1, id="nothing new: once"),
        pytest.param([3, 1, 0], [True, True, True], 3, id="news: until there are none"),
        pytest.param([0, 0, 0], [False, False, True], 3, id="a list is missing: until it is there"),
    ],
)
def test_the_broker_is_queried_until_its_lists_are_complete_and_bring_no_new_events(news, complete, rounds):
    record, asked = SimpleNamespace(received=0), []

    class Queried:
        async def collect_evidence(self):
            record.received += news[len(asked)]
            asked.append(complete[len(asked)])
            return SimpleNamespace(is_complete=asked[-1])

    assert asyncio.run(reconciliation._ask(Queried(), [record])).is_complete
    assert len(asked) == rounds


def test_an_order_that_the_query_brought_further_is_listed_with_what_is_new():
    names = ["client_order_id", "symbol", "status", "filled_quantity"]
    before = pd.DataFrame([("a", "SPY", "PARTIAL", 4.0), ("b", "KO", "FILLED", 9.0)], columns=names)
    after = pd.DataFrame([("a", "SPY", "FILLED", 10.0), ("b", "KO", "FILLED", 9.0)], columns=names)
    (row,) = reconciliation._found_out(before, after).to_dict("records")
    assert (row["client_order_id"], row["symbol"], row["severity"]) == ("a", "SPY", "info")
    assert (row["blotter"], row["broker"], row["difference"]) == (4.0, 10.0, 6.0)
    assert row["detail"] == "was PARTIAL on record; the broker now reports FILLED"


@pytest.mark.slow
def test_the_rows_of_a_reconciliation_are_numbered(blotter, monkeypatch):
    broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000)
    differences = reconciliation._found_out(blotter.orders(), blotter.orders())
    one = differences.reindex([0]).assign(kind="cash_differs", severity="warn")
    monkeypatch.setattr(reconciliation, "compare", lambda _: one)
    monkeypatch.setattr(reconciliation, "_found_out", lambda *_: one)
    assert sx.reconcile(broker, blotter).index.tolist() == [0, 1]


def resting_ticket(limit=390.0):
    return Ticket("r-SPY-BUY", "r", "SPY", "BUY", 5.0, "LMT", limit, "DAY", "USD", "STK", "SMART", "DU0000001")


def with_resting_order(broker, blotter):
    """An order for 5 SPY that rests at 390, of a run ``r``."""
    frame = pd.DataFrame({"symbol": ["SPY"], "side": "BUY", "quantity": 5.0, "order_type": "LMT"})
    limits = sx.Limits(price_collar=None, min_cash_after=None)
    checked = sx.check_orders(frame.assign(limit_price=390.0, run_id="r"), limits, quotes=QUOTES)
    review = sx.review_orders(checked)
    review.approve_all(by="me")
    sx.submit_orders(review.result(), broker, blotter, timeout=0.1)


def change(broker, blotter, number, limit):
    record = OrderEvent("modifying", "r", "r-SPY-BUY", attempt=number, price=limit, quantity=5.0)
    blotter.record([record]).result(5)
    asyncio.run(broker.modify(resting_ticket(limit), number))


@pytest.mark.slow
def test_a_limit_that_was_changed_from_here_is_no_difference(broker, blotter):
    with_resting_order(broker, blotter)
    change(broker, blotter, 1, 391.0)
    assert sx.reconcile(broker, blotter).empty
    change(broker, blotter, 2, 401.0)  # fills at 400.10, above the limit that was approved
    broker.open_orders()
    blotter.record([]).result(5)
    assert sx.reconcile(broker, blotter).empty
    assert blotter.fills("r")["price"].tolist() == [400.10]


@pytest.mark.slow
def test_a_limit_that_somebody_else_changed_is_one(venue, broker, blotter):
    with_resting_order(broker, blotter)
    change(broker, blotter, 1, 391.0)
    (order,) = venue.call(lambda one: list(one.ledger.active.values()))
    venue.call(lambda _: setattr(order, "request", replace(order.request, limit_price=395.0)))
    found = sx.reconcile(broker, blotter)
    assert found[["kind", "blotter", "broker"]].to_numpy().tolist() == [["order_changed", 391.0, 395.0]]


@pytest.mark.parametrize(
    ("cash", "base", "total"),
    [
        ({"a": {"USD": 100.0}, "b": {"USD": 50.5}}, "", 150.5),  # an unknown base currency is the dollar
        ({"a": {"EUR": 100.0}, "b": {"EUR": 50.5}}, "EUR", 150.5),
        ({"a": {"EUR": 100.0}, "b": {"USD": 50.5}}, "EUR", NAN),
        ({"a": {"EUR": 100.0}, "b": {"EUR": NAN}}, "EUR", NAN),
        ({}, "USD", NAN),
    ],
)
def test_the_cash_of_strategies_is_added_up_in_the_base_currency_alone(cash, base, total):
    found = reconciliation._total_cash(SimpleNamespace(cash=cash), base)
    assert found == pytest.approx(total, nan_ok=True)


def test_what_the_record_knows_of_the_account_is_compared(blotter, monkeypatch):
    asked, seen = [], []

    def book(_blotter, _positions, *, account):
        asked.append(account)
        return SimpleNamespace(holdings={"s": {}}, splits={"KO": "2 for 1"}, cash={"s": {"USD": 7.0}})

    monkeypatch.setattr(type(blotter), "strategy_book", book)
    monkeypatch.setattr(type(blotter), "limit_changes", lambda _blotter, names: {"names": names})
    monkeypatch.setattr(
        reconciliation, "compare", lambda books: seen.append(books) or pd.DataFrame({"severity": []})
    )
    with sx.connect("mock://?account=DU1234567", quotes={"KO": 50.0}, cash=100.0) as mock:
        sx.reconcile(mock, blotter)
    (books,) = seen
    assert asked == ["DU1234567"]
    assert (books.strategies, books.splits, books.strategy_cash) == ({"s": {}}, {"KO": "2 for 1"}, 7.0)
    assert books.limit_changes == {"names": set()}
    assert books.open_orders.empty
    assert books.cash == 100.0
