from __future__ import annotations

import asyncio

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.brokers.order_preview import OrderPreview
from stocklean_exec.errors import BrokerError, ConnectionLostError, InputError
from stocklean_exec.execution.order_previews import PREVIEW_COLUMNS, preview_orders_async
from stocklean_exec.execution.tickets import tickets_of

QUOTES = {"SPY": 400.0, "TLT": 100.0, "KO": 50.0}
ROWS = [("SPY", "BUY", 10.0), ("TLT", "BUY", 100.0), ("KO", "SELL", 300.0)]


def orders(**columns):
    frame = pd.DataFrame(ROWS, columns=["symbol", "side", "quantity"])
    return frame.assign(run_id="r", order_type="MKT", decision_price=[400.0, 100.0, 50.0], **columns)


class Answering(MockBroker):
    """A mock broker whose previews are given, or raised, and noted."""

    def __init__(self, answers):
        super().__init__(QUOTES, cash=100_000.0)
        self.answers, self.asked = answers, []

    async def preview(self, ticket):
        self.asked.append(ticket.symbol)
        answer = self.answers.get(ticket.symbol, OrderPreview())
        if isinstance(answer, Exception):
            raise answer
        return answer


def asked(frame, answers=(), **options):
    broker = Answering(dict(answers))
    return sx.preview_orders(frame, broker, **options), broker.asked


def test_the_largest_order_is_previewed_and_every_order_has_a_row():
    previews, names = asked(orders(), {"KO": OrderPreview(1.0, 2.0, 3.0, 4.0, 10.0, 9.0, 0.5, "USD", "careful")})
    assert names == ["KO"]  # 15,000 against 10,000 and 4,000
    assert previews.dtypes.astype(str).to_dict() == PREVIEW_COLUMNS
    assert previews["preview"].tolist() == ["not_previewed", "not_previewed", "ok"]
    row = previews.iloc[2]
    assert row[["client_order_id", "initial_margin_after", "excess_liquidity_before"]].tolist() == [
        "r-KO-SELL",
        2.0,
        7.0,
    ]
    assert row[["excess_liquidity_after", "commission", "message"]].tolist() == [5.0, 0.5, "careful"]


def test_orders_that_enlarge_a_position_come_before_those_that_reduce_one():
    held = {"current_quantity": [0.0, 0.0, 300.0], "target_quantity": [10.0, 100.0, 0.0]}
    assert asked(orders(**held), most=1)[1] == ["TLT"]
    assert asked(orders(**held), most=3)[1] == ["TLT", "SPY", "KO"]
    assert asked(orders(**held), most=0)[1] == []


def test_value_counts_in_the_base_currency():
    assert asked(orders(fx_rate=[10.0, 1.0, 1.0]))[1] == ["SPY"]  # 40,000


def test_rejected_and_blocked_orders_are_not_previewed_unless_they_are_named():
    frame = orders(verdict=["pass", "pass", "block"])
    assert asked(frame)[1] == ["TLT"]
    assert asked(frame, names=["r-KO-SELL", "r-SPY-BUY", "r-KO-SELL"])[1] == ["KO", "SPY"]
    assert asked(frame, names="r-SPY-BUY")[1] == ["SPY"]


def test_unknown_names_and_a_number_below_zero_are_errors():
    with pytest.raises(InputError, match=r"'r-X-BUY' is none of the orders[\s\S]*'r-Y-BUY'"):
        asked(orders(), names=["r-X-BUY", "r-Y-BUY"])
    with pytest.raises(InputError, match="most"):
        asked(orders(), most=-1)


def test_a_refusal_and_silence_are_distinguished():
    answers = {"KO": OrderPreview(refusal="too large (201)"), "TLT": BrokerError("no answer within 10 s")}
    previews, _ = asked(orders(), answers, most=3)
    assert previews["preview"].tolist() == ["ok", "no_answer", "refused"]
    assert previews["message"].tolist()[1:] == ["no answer within 10 s", "too large (201)"]


def test_a_lost_connection_is_no_silence():
    with pytest.raises(ConnectionLostError):
        asked(orders(), {"KO": ConnectionLostError("gone")})


def test_a_broker_without_previews_says_so_in_each_row():
    class Plain(MockBroker):
        preview = sx.Broker.preview

    previews = sx.preview_orders(orders(), Plain(QUOTES))
    assert previews["message"].tolist()[2] == "Plain gives no previews of orders"


@pytest.mark.slow
@pytest.mark.parametrize(("address", "initial"), [("mock://", 0.5), ("sim://?seed=7", 0.25)])
def test_a_preview_shows_the_account_before_and_after_and_trades_nothing(address, initial):
    held = pd.DataFrame({"symbol": ["KO"], "quantity": [300.0], "avg_cost": [40.0]})
    with sx.connect(address, quotes=QUOTES, positions=held, cash=100_000.0) as broker:
        previews = sx.preview_orders(orders(), broker, most=3).set_index("symbol")
        assert previews["preview"].tolist() == ["ok"] * 3
        # 300 KO are 15,000; with 10 SPY 19,000, with 100 TLT 25,000, without KO nothing
        assert (previews["initial_margin_before"] == 15_000 * initial).all()
        assert previews["initial_margin_after"].tolist() == [19_000 * initial, 25_000 * initial, 0.0]
        assert previews["excess_liquidity_before"].tolist() == [115_000 - 15_000 * 0.25] * 3
        assert previews["commission"].round(2).tolist() == [1.0, 1.0, 1.5]
        assert broker.open_orders().empty
        assert broker.positions()["quantity"].tolist() == [300.0]
        assert broker.cash() == 100_000.0


@pytest.mark.slow
def test_an_order_that_tws_would_refuse_says_why():
    frame = orders().assign(symbol=["SPY", "TLT", "NOPE"])
    with sx.connect("sim://?seed=7", quotes=QUOTES, cash=100_000.0) as broker:
        previews = sx.preview_orders(frame, broker, most=2)
    assert previews["preview"].tolist() == ["not_previewed", "ok", "refused"]
    assert "No security definition" in previews["message"].iloc[2]


@pytest.mark.slow
def test_orders_that_were_prepared_before_a_preview_are_sent_under_later_ids():
    with sx.connect("sim://?seed=7", quotes=QUOTES, cash=100_000.0) as broker, sx.open_blotter() as blotter:
        checked = sx.check_orders(orders().iloc[:2], quotes=QUOTES, cash=100_000.0)
        review = sx.review_orders(checked)
        review.approve_all(by="me")
        tickets = tickets_of(checked.assign(account=broker.account))
        asyncio.run(broker.prepare(tickets))
        before = broker.order_id_for("r-SPY-BUY")[0]
        sx.preview_orders(checked, broker)
        states = sx.submit_orders(review.result(), broker, blotter)
        assert states["status"].tolist() == ["FILLED", "FILLED"]
        assert broker.order_id_for("r-SPY-BUY")[0] > before


@pytest.mark.slow
def test_previews_keep_their_pause(monkeypatch):
    with sx.connect("sim://?seed=7", quotes=QUOTES, cash=100_000.0) as broker:
        waits = []

        async def sleep(seconds):
            waits.append(seconds)

        assert broker.preview_pause == 0.0
        broker.preview_pause = 60.0
        monkeypatch.setattr("stocklean_exec.brokers.ib.broker.asyncio.sleep", sleep)
        sx.preview_orders(orders(), broker, most=3)
        assert waits[0] == 0.0
        assert all(55.0 < seconds <= 60.0 for seconds in waits[1:])
        assert len(waits) == 3


def test_the_check_compares_previews_with_the_limits_and_an_edit_outdates_them():
    broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000)
    state = broker.account_state({"SPY": 0.5})
    plan = sx.plan_orders({"SPY": 0.5}, state, run_id="r")
    previews = sx.preview_orders(plan, broker)
    # half of 4,900 or 5,000
    assert previews["initial_margin_after"].between(2_400, 2_500).all()
    limits = sx.Limits(max_initial_margin=2_000.0, max_adv_ratio=None)
    checked = sx.check_orders(plan, limits, state, previews=previews)
    assert checked["reasons"].tolist() == ["max_initial_margin"]
    review = sx.review_orders(sx.check_orders(plan, sx.Limits(), state, previews=previews))
    review.edit("r-SPY-BUY", quantity=10)
    assert review.result()["reasons"].tolist() == ["preview_outdated"]


def test_the_awaitable_form_gives_the_same_table():
    broker = Answering({})
    previews = asyncio.run(preview_orders_async(orders(), broker))
    assert previews["preview"].tolist() == ["not_previewed", "not_previewed", "ok"]
