"""Working orders of a run: limits that follow the market, deadlines, slices; over the mock filler, in its time."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.execution.order_worker import OrderWorker

START = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
MARKET = {"SPY": (99.98, 100.02), "TLT": (49.90, 50.10)}


def quotes(market=MARKET):
    rows = [(symbol, bid, ask, (bid + ask) / 2, START) for symbol, (bid, ask) in market.items()]
    return pd.DataFrame(rows, columns=["symbol", "bid", "ask", "last", "quoted_at"])


def connect(**options):
    return sx.connect("mock://", quotes=quotes(), **({"cash": 10_000} | options))


def approved(broker, targets=None, *, limits=None, run_id="r", **options):
    options = {"order_type": "LMT", "limit_offset_bps": -5} | options
    targets = {"TLT": 0.5} if targets is None else targets
    state = broker.account_state(targets)
    orders = sx.plan_orders(targets, state, run_id=run_id, **options)
    review = sx.review_orders(sx.check_orders(orders, limits, state))
    review.approve_all(by="me")
    return review.result()


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


def seconds(event):
    return round((event.occurred_at - START).total_seconds(), 1)


def of_kind(blotter, *kinds, run_id="r"):
    return [event for event in blotter.recorded_events(run_id) if event.kind in kinds]


def changes(blotter):
    return [(seconds(event), event.code, event.price) for event in of_kind(blotter, "modifying")]


def reasons(blotter):
    return [event.message for event in of_kind(blotter, "message") if event.code == "not_repriced"]


# -- limits that follow the market ---------------------------------------------------------------------------


def test_a_limit_goes_to_the_mid_and_is_marketable_at_the_deadline(blotter):
    broker = connect()  # TLT is 49.90 to 50.10; a limit 5 bp below the mid is 49.97
    policy = sx.WorkPolicy(reprice_seconds=10, reprices=3, deadline=60)
    states = sx.submit_orders(approved(broker), broker, blotter, work=policy)
    # To the mid once: the market stands still. At the deadline 50.10 * 1.005 = 50.3505, a buy rounds down.
    assert changes(blotter) == [(10.0, "reprice", 50.0), (60.0, "deadline", 50.35)]
    assert [event.message for event in of_kind(blotter, "modifying")] == [
        "limit 49.97 to 50: the mid, change 1 of 3",
        "limit 50 to 50.35: 50 bp beyond the far touch, at its deadline",
    ]
    assert states[["status", "avg_fill_price"]].to_numpy().tolist() == [["FILLED", 50.10]]
    assert blotter.runs()["message"].tolist() == [
        "all orders have ended; the limits of 1 order were changed 2 times"
    ]


def test_a_change_is_recorded_with_its_market_before_it_leaves(blotter):
    broker, order_of_things = connect(), []

    async def modify(ticket, number):
        kinds = [event.kind for event in blotter.recorded_events("r")]
        order_of_things.append((kinds.count("modifying"), number, ticket.quantity))
        await MockBroker.modify(broker, ticket, number)

    broker.modify = modify
    sx.submit_orders(approved(broker), broker, blotter, work=sx.WorkPolicy(reprice_seconds=10, deadline=60))
    assert order_of_things == [(1, 1, 100.0), (2, 2, 100.0)]
    (first, _) = of_kind(blotter, "modifying")
    assert (first.bid, first.ask, first.quantity, first.attempt) == (49.90, 50.10, 100.0, 1)


def test_a_sell_works_the_other_way_round(blotter):
    broker = connect(positions={"TLT": 100}, cash=5_000)
    plan = approved(broker, {"TLT": 0.25}, limit_offset_bps=-5)  # sells 50
    policy = sx.WorkPolicy(reprice_seconds=10, reprice_to="near", reprices=1, deadline=30)
    states = sx.submit_orders(plan, broker, blotter, work=policy)
    # To the ask, and at the deadline 49.90 * 0.995 = 49.6505, a sell rounds up.
    assert changes(blotter) == [(10.0, "reprice", 50.10), (30.0, "deadline", 49.66)]
    (message, _) = (event.message for event in of_kind(blotter, "modifying"))
    assert message == "limit 50.03 to 50.1: the near touch, change 1 of 1"
    assert states["avg_fill_price"].tolist() == [49.90]


def test_one_policy_by_order_works_only_that_order(blotter):
    broker = connect()
    plan = approved(broker, {"TLT": 0.3, "SPY": 0.3})
    states = sx.submit_orders(plan, broker, blotter, work={"r-SPY-BUY": sx.WorkPolicy(deadline=20)})
    assert states.set_index("symbol")["status"].to_dict() == {"SPY": "FILLED", "TLT": "SUBMITTED"}
    assert {event.client_order_id for event in of_kind(blotter, "modifying")} == {"r-SPY-BUY"}


def test_a_refused_change_leaves_the_order_working_and_the_next_one_is_made(blotter):
    plan = [{"symbol": "TLT", "action": "refuse_change", "code": "2102", "message": "being processed"}]
    broker = connect(fill_plan=pd.DataFrame(plan))
    policy = sx.WorkPolicy(reprice_seconds=10, reprices=2, deadline=60)
    states = sx.submit_orders(approved(broker), broker, blotter, work=policy)
    (refused,) = of_kind(blotter, "modify_refused")
    assert (refused.attempt, refused.code, refused.message) == (1, "2102", "being processed")
    assert [one[:2] for one in changes(blotter)] == [(10.0, "reprice"), (20.0, "reprice"), (60.0, "deadline")]
    assert states["status"].tolist() == ["FILLED"]


def test_a_change_that_gets_no_answer_is_queried_once_and_the_next_one_counts(blotter):
    broker, asked = connect(), []

    async def silent(ticket, number):
        if number > 1:
            await MockBroker.modify(broker, ticket, number)

    async def collect():
        asked.append(seconds_now(broker))
        return await MockBroker.collect_evidence(broker)

    broker.modify, broker.collect_evidence = silent, collect
    sx.submit_orders(
        approved(broker), broker, blotter, work=sx.WorkPolicy(reprice_seconds=10, reprices=2, deadline=60)
    )
    assert 15.0 in asked  # five seconds behind the change
    assert changes(blotter) == [(10.0, "reprice", 50.0), (20.0, "reprice", 50.0), (60.0, "deadline", 50.35)]


def seconds_now(broker):
    return round((broker.now() - START).total_seconds(), 1)


def test_an_order_that_has_just_ended_is_not_changed_and_that_is_on_record(blotter):
    broker = connect()

    async def modify(ticket, number):
        broker.cancel(ticket.client_order_id)  # by hand, at the last moment
        await MockBroker.modify(broker, ticket, number)

    broker.modify = modify
    states = sx.submit_orders(approved(broker), broker, blotter, work=sx.WorkPolicy(deadline=20))
    (refused,) = of_kind(blotter, "modify_refused")
    assert (refused.code, refused.attempt) == ("not_sent", 1)
    assert states["status"].tolist() == ["CANCELLED"]


# -- what keeps a limit where it is --------------------------------------------------------------------------


def test_a_higher_limit_that_the_cash_does_not_pay_for_is_not_sent(blotter):
    broker = connect(cash=5_003)  # 100 shares at 49.97 and a dollar are 4,998; at 50.35 they are 5,036
    plan = approved(broker, {"TLT": 0.9989}, reserve=0.0)
    assert plan["quantity"].tolist() == [100.0]
    states = sx.submit_orders(
        plan, broker, blotter, work=sx.WorkPolicy(reprice_seconds=10, reprices=1, deadline=20)
    )
    assert changes(blotter) == [(10.0, "reprice", 50.0)]  # 5,001 is there
    assert reasons(blotter) == ["the cash for a higher limit is not there"]
    assert states["status"].tolist() == ["SUBMITTED"]
    assert broker.cash() == 5_003


def test_a_limit_that_the_price_collar_does_not_allow_is_not_sent(blotter):
    broker = connect()
    limits = sx.Limits(price_collar=0.003)  # marketable is 50.35, 0.7 % through the mid
    plan = approved(broker, limits=limits)
    sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(deadline=20, collar_bps=30))
    assert changes(blotter) == []
    (reason,) = reasons(blotter)
    assert "over the collar of 0.3%" in reason


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"quoted_at": START - timedelta(seconds=30)}, "s old"),
        ({"data_type": 3}, "the quote is not live"),
        ({"bid": float("nan")}, "are no market"),
    ],
)
def test_without_a_live_quote_of_the_moment_no_limit_is_changed(blotter, change, text):
    broker = connect()
    plan = approved(broker)
    broker.quotes_age = True

    async def fetch(symbols):
        fresh = await MockBroker.fetch_quotes(broker, symbols)
        return fresh.assign(**({"data_type": 1, "quoted_at": broker.now()} | change))

    sent = sx.WorkPolicy(deadline=20, reprice_seconds=5)

    async def work():
        task = asyncio.ensure_future(sx.submit_orders_async(plan, broker, blotter, work=sent, timeout=1.0))
        return await task

    broker.fetch_quotes = fetch
    if "bid" not in change:
        states = asyncio.run(work())
        assert states["status"].tolist() == ["SUBMITTED"]
        assert changes(blotter) == []
        assert text in reasons(blotter)[0]


def test_changes_count_for_the_cap_on_orders_per_minute(blotter):
    broker = connect()
    limits = sx.Limits(max_orders_per_minute=1)
    sx.submit_orders(
        approved(broker, limits=limits), broker, blotter, work=sx.WorkPolicy(deadline=20), timeout=1.0
    )
    assert changes(blotter) == []
    assert reasons(blotter) == ["max_orders_per_minute is reached by orders and changes of limits"]


def test_the_efficiency_ratio_of_the_day_counts_earlier_runs(blotter):
    broker = connect(cash=100_000)
    for number in range(3):  # three orders and three cancels of earlier runs
        run_id = f"before-{number}"
        plan = approved(broker, {"TLT": 0.01 * (number + 1)}, run_id=run_id)
        sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(deadline=5, at_deadline="cancel"))
    plan = approved(broker, {"SPY": 0.01}, run_id="r", limit_offset_bps=-5)
    # 6 messages before, 1 of this run: the eighth is over 3 for each execution (none), working order (1) and one.
    sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(deadline=5, max_efficiency_ratio=3), timeout=1.0)
    assert changes(blotter) == []
    assert reasons(blotter) == ["the order efficiency ratio of the day would be over 3"]


def test_nothing_is_changed_while_the_blotter_is_halted(blotter):
    broker = connect()
    plan = approved(broker)

    async def fetch(symbols):
        if broker.now() > START + timedelta(seconds=5):
            await asyncio.to_thread(blotter.halt, "stop")
        return await MockBroker.fetch_quotes(broker, symbols)

    broker.fetch_quotes = fetch
    with pytest.raises(sx.HaltedError):
        sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(deadline=20), timeout=1.0)
    refused = of_kind(blotter, "modify_refused")
    assert {event.code for event in refused} == {"not_sent"}
    assert of_kind(blotter, "modified") == []


# -- at the deadline -----------------------------------------------------------------------------------------


def test_an_order_is_cancelled_at_its_deadline(blotter):
    broker = connect()
    states = sx.submit_orders(
        approved(broker), broker, blotter, work=sx.WorkPolicy(deadline=20, at_deadline="cancel")
    )
    assert states["status"].tolist() == ["CANCELLED"]
    (said,) = [event for event in of_kind(blotter, "message") if event.code == "deadline"]
    assert (seconds(said), said.message) == (20.0, "cancelled at its deadline")


def test_an_order_that_waits_for_its_market_to_open_is_cancelled_at_its_deadline(blotter):
    broker = connect()

    async def place(ticket):
        await MockBroker.place(broker, ticket)
        text = OrderEvent("message", status="WAITING", code="399", message="trades at the open")
        broker._publish(broker._orders[ticket.client_order_id], text)

    broker.place = place
    policy = sx.WorkPolicy(reprice_seconds=5, deadline=20, at_deadline="cancel")
    states = sx.submit_orders(approved(broker), broker, blotter, work=policy)
    assert changes(blotter) == []
    assert states["status"].tolist() == ["CANCELLED"]


def test_a_run_that_ends_before_its_later_slices_says_that_they_are_not_sent(blotter):
    broker = connect()
    plan = approved(broker, order_type="MKT", limit_offset_bps=None)
    broker.skip_to = lambda moment: not moment  # the process ends before anything more is due
    sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(slices=3, end=60), timeout=-60.0)
    assert blotter.runs()["message"].tolist() == ["2 orders are not sent"]


def test_an_order_is_left_at_its_deadline(blotter):
    broker = connect()
    policy = sx.WorkPolicy(reprice_seconds=10, deadline=15, at_deadline="leave")
    states = sx.submit_orders(approved(broker), broker, blotter, work=policy)
    assert states["status"].tolist() == ["SUBMITTED"]
    assert changes(blotter) == [(10.0, "reprice", 50.0)]


def test_the_confirmed_rest_of_an_order_is_sent_at_the_market(blotter):
    steps = [{"action": "fill", "quantity": 30, "price": 49.97}, {"action": "rest"}]
    broker = connect(
        fill_plan=pd.DataFrame([{"symbol": "TLT", "client_order_id": "r-TLT-BUY"} | one for one in steps])
    )
    policy = sx.WorkPolicy(deadline=20, at_deadline="MKT")
    states = sx.submit_orders(approved(broker), broker, blotter, work=policy)
    columns = ["client_order_id", "quantity", "order_type", "status", "filled_quantity"]
    assert states[columns].to_numpy().tolist() == [
        ["r-TLT-BUY", 100.0, "LMT", "CANCELLED", 30.0],
        ["r-TLT-BUY-2", 70.0, "MKT", "FILLED", 70.0],
    ]
    assert states["replaces"].tolist()[1] == "r-TLT-BUY"
    assert states["approved_by"].tolist() == ["me", "me"]
    assert blotter.runs()["status"].tolist() == ["done"]  # all that was approved is filled


def test_the_rest_of_an_order_in_another_currency_has_its_rate_and_its_lot(blotter):
    market = quotes({"SAP": (149.0, 151.0)}).assign(currency="EUR", lot_size=10.0)
    broker = sx.connect("mock://", quotes=market, cash=10_000, fx={"EUR": 1.2})
    targets = pd.DataFrame({"symbol": ["SAP"], "weight": [0.5], "currency": ["EUR"]})
    states = sx.submit_orders(
        approved(broker, targets), broker, blotter, work=sx.WorkPolicy(deadline=20, at_deadline="MKT")
    )
    # 5,000 of 10,000 at 150 * 1.2 are 27.8 shares: nearest are 3 lots of 10, of which none fills below the mid.
    columns = ["client_order_id", "quantity", "currency", "status", "avg_fill_price"]
    assert states[columns].to_numpy().tolist()[1] == ["r-SAP-BUY-2", 30.0, "EUR", "FILLED", 151.0]


def test_no_rest_is_sent_of_an_order_that_a_person_cancels(blotter):
    broker = connect()
    plan = approved(broker)

    async def fetch(symbols):
        if broker.now() > START + timedelta(seconds=5):
            broker.cancel("r-TLT-BUY")
        return await MockBroker.fetch_quotes(broker, symbols)

    broker.fetch_quotes = fetch
    policy = sx.WorkPolicy(reprice_seconds=10, deadline=20, at_deadline="MKT")
    states = sx.submit_orders(plan, broker, blotter, work=policy)
    assert states[["client_order_id", "status"]].to_numpy().tolist() == [["r-TLT-BUY", "CANCELLED"]]


def test_the_rest_counts_once_for_the_caps_on_value(blotter):
    broker = connect()
    plan = approved(broker, limits=sx.Limits(max_total_notional=5_000))  # 100 shares at 50 are all of it
    states = sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(deadline=20, at_deadline="MKT"))
    assert states["status"].tolist() == ["CANCELLED", "FILLED"]


def test_submitting_the_run_again_sends_nothing_and_needs_no_policy(blotter):
    broker = connect()
    plan = approved(broker)
    first = sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(deadline=20, at_deadline="MKT"))
    count = len(blotter.recorded_events("r"))
    again = sx.submit_orders(plan, broker, blotter)
    assert again["filled_quantity"].tolist() == first["filled_quantity"].tolist()
    assert len(blotter.recorded_events("r")) == count


# -- slices --------------------------------------------------------------------------------------------------


def test_slices_are_sent_at_their_times_and_each_is_an_order_of_its_own(blotter):
    broker = connect()
    plan = approved(broker, order_type="MKT", limit_offset_bps=None)
    states = sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(slices=4, start=10, end=50))
    assert states["quantity"].tolist() == [25.0] * 4
    assert states["status"].tolist() == ["FILLED"] * 4
    sent = [(event.client_order_id, seconds(event)) for event in of_kind(blotter, "sending")]
    assert sent == [(f"r-TLT-BUY-S{number}", 10.0 * number) for number in (1, 2, 3, 4)]


def test_a_slice_that_is_not_filled_takes_the_market_when_the_next_one_starts(blotter):
    broker = connect()
    sx.submit_orders(approved(broker), broker, blotter, work=sx.WorkPolicy(slices=2, deadline=40))
    found = [(event.client_order_id, seconds(event), event.price) for event in of_kind(blotter, "modifying")]
    assert found == [("r-TLT-BUY-S1", 20.0, 50.35), ("r-TLT-BUY-S2", 40.0, 50.35)]


def test_slices_that_have_not_started_are_given_up_when_the_run_is_cancelled(blotter):
    broker, is_waiting = connect(), threading.Event()
    plan = approved(broker, order_type="MKT", limit_offset_bps=None)
    broker.skip_to = lambda moment: bool(moment) and is_waiting.set()  # time stands still
    run = sx.start_run(plan, broker, blotter, work=sx.WorkPolicy(slices=2, end=7_200))
    assert is_waiting.wait(30)
    run.cancel_all(by="me")
    states = run.wait(30)
    assert states["status"].tolist() == ["FILLED", "REJECTED"]
    assert states["reason"].tolist()[1] == "run_cancelled"


def test_a_slice_waits_while_the_side_has_as_many_orders_as_the_broker_takes(blotter):
    broker = connect()
    plan = approved(broker, order_type="MKT", limit_offset_bps=None)
    others = pd.DataFrame({"client_order_id": [""] * 15, "symbol": "TLT", "side": "BUY"})
    full = [True]

    def open_orders():
        known = MockBroker.open_orders(broker)
        if full and broker.now() > START + timedelta(seconds=29):
            full.clear()
        return pd.concat([known, others], ignore_index=True) if full else known

    broker.open_orders = open_orders
    states = sx.submit_orders(plan, broker, blotter, work=sx.WorkPolicy(start=10), funding="margin")
    assert states["status"].tolist() == ["FILLED"]
    assert [seconds(event) for event in of_kind(blotter, "sending")] == [30.0]
    assert reasons(blotter) == ["15 orders of this side work in TLT: it waits for one to end"]


def test_of_two_slices_that_wait_one_is_sent_where_there_is_room_for_one(blotter):
    broker = connect()
    plan = approved(broker, order_type="MKT", limit_offset_bps=None)
    others = pd.DataFrame({"client_order_id": [""] * 15, "symbol": "TLT", "side": "BUY"})

    def open_orders():
        left = others if broker.now() < START + timedelta(seconds=29) else others.iloc[1:]
        return pd.concat([MockBroker.open_orders(broker), left], ignore_index=True)

    broker.open_orders = open_orders
    policy = sx.WorkPolicy(slices=2, start=10, end=14)  # at 10 and 12, and again every two seconds
    states = sx.submit_orders(plan, broker, blotter, work=policy, funding="margin")
    assert states["status"].tolist() == ["FILLED", "FILLED"]
    assert [seconds(event) for event in of_kind(blotter, "sending")] == [30.0, 32.0]


def test_buys_wait_for_sells_that_are_worked(blotter):
    broker = connect(positions={"TLT": 100}, cash=100.0)
    plan = approved(broker, {"SPY": 0.9, "TLT": 0.0}, order_type="LMT", limit_offset_bps=0)
    work = {"r-TLT-SELL": sx.WorkPolicy(slices=2, deadline=200)}
    states = sx.submit_orders(plan, broker, blotter, work=work, timeout=1.0)
    sent = {event.client_order_id: seconds(event) for event in of_kind(blotter, "sending")}
    assert sent["r-SPY-BUY"] >= 200.0  # long after a timeout of a second
    assert states.set_index("client_order_id")["status"]["r-TLT-SELL-S2"] == "FILLED"
    assert broker.cash() >= 0


# -- the record ----------------------------------------------------------------------------------------------


def test_another_process_continues_by_the_recorded_terms(blotter):
    broker = connect()
    plan = approved(broker)
    broker.skip_to = lambda moment: False  # noqa: ARG005 - the first process ends before anything is due
    sx.submit_orders(
        plan, broker, blotter, work=sx.WorkPolicy(reprice_seconds=9, reprices=1, deadline=60), timeout=-60.0
    )
    assert changes(blotter) == []
    del broker.skip_to
    states = sx.resume("r", broker, blotter)
    assert [one[1:] for one in changes(blotter)] == [("reprice", 50.0), ("deadline", 50.35)]
    assert states["status"].tolist() == ["FILLED"]


def test_a_policy_that_cannot_work_the_plan_records_nothing(blotter):
    broker = connect()
    plan = approved(broker, order_type="MKT", limit_offset_bps=None)
    for send in (sx.submit_orders, sx.start_run):
        with pytest.raises(sx.InputError, match="only limits of plain LMT orders"):
            send(plan, broker, blotter, work=sx.WorkPolicy(reprice_seconds=5))
    assert blotter.runs().empty
    with pytest.raises(sx.InputError, match="only limits of plain LMT orders"):
        sx.rebalance({"TLT": 0.5}, broker, blotter, run_id="r", work=sx.WorkPolicy(reprice_seconds=5))


def sealed(broker, work):
    state = broker.account_state({"TLT": 0.5})
    orders = sx.plan_orders({"TLT": 0.5}, state, run_id="r", order_type="LMT", limit_offset_bps=-5)
    review = sx.review_orders(sx.check_orders(orders, None, state), broker, work=work)
    review.approve_all(by="me")
    return review.result()


def test_a_policy_that_was_reviewed_is_a_part_of_the_approval(blotter, tmp_path):
    broker, policy = connect(), sx.WorkPolicy(deadline=30)
    plan = sealed(broker, policy)
    plan.to_csv(tmp_path / "plan.csv", index=False)
    states = sx.submit_orders(pd.read_csv(tmp_path / "plan.csv"), broker, blotter)  # without naming it again
    assert states["status"].tolist() == ["FILLED"]
    assert changes(blotter) == [(30.0, "deadline", 50.35)]


def test_another_policy_than_the_one_that_was_reviewed_is_refused(blotter):
    broker = connect()
    plan = sealed(broker, sx.WorkPolicy(deadline=30))
    for send in (sx.submit_orders, sx.start_run):
        with pytest.raises(sx.ApprovalError, match="r-TLT-BUY: approved with another work policy"):
            send(plan, broker, blotter, work=sx.WorkPolicy(deadline=60))
    changed = plan.assign(work_policy=plan["work_policy"].str.replace("30", "90"))
    with pytest.raises(sx.ApprovalError, match="changed since they were approved"):
        sx.submit_orders(changed, broker, blotter)
    assert blotter.runs().empty


def test_a_run_whose_times_have_passed_may_be_submitted_again(blotter):
    broker = connect()
    moment = START + timedelta(seconds=30)
    plan = sealed(broker, sx.WorkPolicy(slices=2, deadline=moment))
    first = sx.submit_orders(plan, broker, blotter)
    assert broker.now() >= moment
    again = sx.submit_orders(plan, broker, blotter)
    assert (
        again["client_order_id"].tolist() == first["client_order_id"].tolist() == ["r-TLT-BUY-S1", "r-TLT-BUY-S2"]
    )
    assert sx.start_run(plan, broker, blotter).wait(30)["status"].tolist() == ["FILLED", "FILLED"]


def test_a_rebalance_is_worked(blotter):
    broker = connect()
    states = sx.rebalance(
        {"TLT": 0.5},
        broker,
        blotter,
        run_id="r",
        approve="me",
        dry_run=False,
        order_type="LMT",
        limit_offset_bps=-5,
        work=sx.WorkPolicy(deadline=30),
    )
    assert states["status"].tolist() == ["FILLED"]
    assert changes(blotter) == [(30.0, "deadline", 50.35)]


def test_the_live_view_shows_slices_rests_and_changes(blotter):
    broker = connect()
    policy = sx.WorkPolicy(slices=2, deadline=40, at_deadline="MKT")
    run = sx.start_run(approved(broker), broker, blotter, work=policy)
    run.wait(30)
    shown = run.live.update()
    names = [row["client_order_id"] for row in shown["rows"]]
    assert names == ["r-TLT-BUY-S1", "r-TLT-BUY-S2", "r-TLT-BUY-3", "r-TLT-BUY-4"]
    assert shown["filled_quantity"] == 100.0
    assert "cancelled at its deadline, for a market order of what is left" in {
        row["text"] for row in shown["messages"]
    }


def test_a_resume_sends_the_rest_that_an_ended_run_has_left_and_does_so_once(blotter, monkeypatch):
    broker = connect()
    with monkeypatch.context() as patch:

        async def none(self):
            self._cancelled = set()
            return []

        patch.setattr(OrderWorker, "_replacements", none)
        sx.submit_orders(approved(broker), broker, blotter, work=sx.WorkPolicy(deadline=20, at_deadline="MKT"))
    assert blotter.orders("r")["status"].tolist() == ["CANCELLED"]
    for _ in range(2):
        states = sx.resume("r", broker, blotter)
        assert states[["quantity", "status"]].to_numpy().tolist() == [[100.0, "CANCELLED"], [100.0, "FILLED"]]
    assert len(of_kind(blotter, "run_started")) == 2
