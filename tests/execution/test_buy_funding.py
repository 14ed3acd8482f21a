"""Buys wait for the cash that pays for them; amounts are calculated by hand.

OLD is held, 1,000 shares at 50 each, and 1,000 are in cash. NEW costs 20: 0.95 of 51,000 is for 2,422 shares,
of which 49 can be paid for before OLD is sold.
"""

from __future__ import annotations

import math
import threading

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import BrokerError, HaltedError, InputError
from stocklean_exec.execution.funding import buy_cost, cash_effect
from stocklean_exec.execution.tickets import tickets_of

QUOTES = {"OLD": 50.0, "NEW": 20.0, "TOO": 10.0}
NAN = math.nan
LONG_SHORT = sx.Limits(allow_short=True)


@pytest.fixture
def blotter():
    with sx.open_blotter() as blotter:
        yield blotter


def opened(scheme, steps, **options):
    """A broker at which the order of OLD goes as ``steps`` say, in the words of the simulator's scenarios."""
    given = {"quotes": QUOTES, "positions": {"OLD": 1_000}, "cash": 1_000.0} | options
    if scheme == "sim":
        return sx.connect("sim://?seed=7", scenario={"order": [{"symbol": "OLD", "steps": steps}]}, **given)
    actions = {"fill": "fill", "rest": "rest", "reject": "reject", "cancel": "cancel"}
    rows = [
        {"symbol": "OLD", "action": actions[name], "quantity": value if name == "fill" else NAN}
        for step in steps
        for name, value in step.items()
    ]
    return sx.connect("mock://?seed=7", fill_plan=pd.DataFrame(rows), **given)


def submit_unaware(broker, blotter, targets, run_id="r"):
    """Submit a plan that was made and checked without the working orders of the account."""
    quotes = broker.quotes(targets)
    orders = sx.plan_orders(targets, None, quotes, nav=10_000.0, run_id=run_id)
    review = sx.review_orders(sx.check_orders(orders, quotes=quotes, cash=10_000.0))
    review.approve_all(by="ann")
    return sx.submit_orders(review.result(), broker, blotter, timeout=2)


def rotate(broker, blotter, targets=None, **options):
    given = {"run_id": "r", "approve": "ann", "dry_run": False, "unlisted": "close", "timeout": 2} | options
    return sx.rebalance({"NEW": 0.95} if targets is None else targets, broker, blotter, **given).set_index(
        "symbol"
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
@pytest.mark.parametrize(
    ("steps", "status"),
    [([{"rest": True}], "SUBMITTED"), ([{"reject": 201}], "REJECTED"), ([{"cancel": True}], "CANCELLED")],
)
def test_a_buy_is_not_sent_if_the_sell_that_funds_it_does_not_trade(blotter, scheme, steps, status):
    with opened(scheme, steps, cash=15.0) as broker:
        states = rotate(broker, blotter)
        assert broker.cash() == 15.0
        assert "NEW" not in set(broker.positions()["symbol"]) | set(broker.open_orders()["symbol"])
    assert states["status"].to_dict() == {"OLD": status, "NEW": "CANCELLED"}
    assert states.loc["NEW", "reason"] == "not_funded"
    (withdrawn,) = blotter.events("r").query("kind == 'withdrawn'")["message"]
    # 0.95 of 50,015: 2,376 x 20.00 and 11.88 of commission
    assert withdrawn == "it may cost 47,531.88, and 15.00 of cash was available"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_a_buy_is_sent_for_the_shares_that_the_cash_pays_for(blotter, scheme):
    # 1,000.00 pay for 49 x 20 and 1.00 of commission, and 0.4 % of both: 984.92. 50 would need 1,005.00.
    with opened(scheme, [{"reject": 201}]) as broker:
        states = rotate(broker, blotter)
        assert broker.cash() == pytest.approx(1_000 - 980 - 1.0)
    new = states.loc["NEW"]
    assert (new["status"], new["reason"], new["quantity"]) == ("CANCELLED", "not_funded", 2_422.0)
    assert (new["sent_quantity"], new["filled_quantity"]) == (49.0, 49.0)
    (sent,) = blotter.events("r").query("kind == 'sending' and client_order_id == 'r-NEW-BUY'")["message"]
    assert sent == "sent for 49 of 2,422 shares: 1,000.00 of cash was available"
    assert blotter.runs()["status"].tolist() == ["partial"]
    rest = sx.residual_orders("r", blotter, quotes=QUOTES).set_index("symbol")
    assert rest.loc["NEW", "quantity"] == 2_422.0 - 49.0


@pytest.mark.slow
def test_a_buy_is_made_smaller_by_whole_lots(blotter):
    targets = pd.DataFrame({"symbol": ["NEW"], "weight": 0.95, "lot_size": 20.0})
    with opened("mock", [{"reject": 201}]) as broker:
        states = rotate(broker, blotter, targets)
    assert states.loc["NEW", ["quantity", "filled_quantity"]].tolist() == [2_420.0, 40.0]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_proceeds_of_a_partial_sell_fund_buys_in_plan_sequence(blotter, scheme):
    # 400 OLD bring 20,000 less 2.00, so 20,998.00 are there. TOO wants 1,530 x 10 + 7.65 = 15,307.65, and NEW more
    # than what is left.
    with opened(scheme, [{"fill": 400}, {"rest": True}]) as broker:
        states = rotate(broker, blotter, {"TOO": 0.3, "NEW": 0.65})
        assert states["status"].to_dict() == {"OLD": "PARTIAL", "TOO": "FILLED", "NEW": "CANCELLED"}
        assert states["reason"].to_dict()["NEW"] == "not_funded"
        # 5,690.35 are left: 283 x 20 and 1.42 of commission with 0.4 % are 5,684.06, of 284 they are 5,704.15.
        assert states["filled_quantity"].to_dict()["NEW"] == 283.0
        assert broker.cash() == pytest.approx(
            1_000 + 20_000 - 2.0 - 15_300 - 7.65 - 5_660 - 1.415, abs=0.006
        )  # to the cent


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_available_cash_funds_a_later_buy_if_an_earlier_one_is_too_large(blotter, scheme):
    # NEW comes first and needs all of OLD's money; TOO wants 510.00 + 1.00 of the 1,000.00 that are there.
    with opened(scheme, [{"rest": True}]) as broker:
        states = rotate(broker, blotter, {"NEW": 0.9, "TOO": 0.01})
    assert states["status"].to_dict() == {"OLD": "SUBMITTED", "NEW": "CANCELLED", "TOO": "FILLED"}
    # Then 24 NEW are sent, with an order id after that of TOO from the start: no attempt is taken back.
    assert states.loc["NEW", "sent_quantity"] == 24.0
    attempts = blotter.events("r").query("kind in ('sending', 'not_sent')")
    assert attempts["client_order_id"].tolist() == ["r-OLD-SELL", "r-TOO-BUY", "r-NEW-BUY"]
    assert attempts["order_id"].dropna().is_monotonic_increasing


@pytest.mark.slow
def test_a_buy_is_sent_once_its_cash_has_arrived(blotter):
    with opened("sim", [{"rest": True}, {"wait": 0.5}, {"fill": "rest"}]) as broker:
        states = rotate(broker, blotter, timeout=20)
        assert states["status"].tolist() == ["FILLED", "FILLED"]
        assert broker.cash() >= 0
    fills = blotter.events("r")
    last_sell = fills.query("kind == 'execution' and client_order_id == 'r-OLD-SELL'")["event_number"].max()
    assert fills.query("kind == 'sending' and client_order_id == 'r-NEW-BUY'")["event_number"].min() > last_sell


@pytest.mark.slow
def test_orders_do_not_wait_for_cash_if_the_cash_check_is_off(blotter):
    with opened("mock", [{"rest": True}]) as broker:
        states = rotate(broker, blotter, limits=sx.Limits(min_cash_after=None))
    assert states.loc["NEW", "status"] == "FILLED"


@pytest.mark.slow
def test_a_run_that_ignores_cash_still_ignores_it_when_resumed(blotter):
    with opened("mock", [{"rest": True}]) as broker:
        blotter.halt("look first")
        with pytest.raises(HaltedError):
            rotate(broker, blotter, limits=sx.Limits(min_cash_after=None))
        blotter.clear_halt("looked")
        states = sx.resume("r", broker, blotter).set_index("symbol")
    assert states.loc["NEW", "status"] == "FILLED"


@pytest.mark.slow
def test_the_minimum_cash_after_trading_is_not_spent(blotter):
    with opened("mock", [{"rest": True}]) as broker:
        states = rotate(
            broker, blotter, {"TOO": 0.01, "NEW": 0.9}, limits=sx.Limits(min_cash_after=600.0), reserve=600.0
        )
    assert states.loc["TOO", "reason"] == "not_funded"  # 511.00 would leave 489.00


@pytest.mark.slow
def test_unfunded_buys_are_residual_orders(blotter):
    with opened("mock", [{"rest": True}]) as broker:
        rotate(broker, blotter)
        broker.cancel("r-OLD-SELL")
        until(lambda: set(blotter.orders("r")["status"]) == {"CANCELLED"})
        rest = sx.residual_orders("r", blotter, quotes=broker.quotes()).set_index("symbol")
    assert rest["quantity"].to_dict() == {"OLD": 1_000.0, "NEW": 2_422.0 - 49.0}  # 49 could be paid for
    assert rest["status"].tolist() == ["NEW", "NEW"]


@pytest.mark.slow
def test_two_runs_do_not_spend_the_same_cash(blotter):
    # 10,000 are there; each run wants 9,001.00 of it.
    broker = MockBroker(
        QUOTES | {"REST": 20.0}, cash=10_000.0, fill_plan=pd.DataFrame([{"symbol": "NEW", "action": "rest"}])
    )
    states = submit_unaware(broker, blotter, {"NEW": 0.9}, "one")
    assert states["status"].tolist() == ["SUBMITTED"]
    # 450 x 20 and 2.25 of commission are 9,002.25, and 0.4 % of it 36.01: 961.74 are left, for 47 x 20 and 1.00
    # with 0.4 %, 944.76. A rebalance counts the commission and not the margin, and the 941.00 of the second run.
    states = submit_unaware(broker, blotter, {"REST": 0.9}, "two")
    assert states[["reason", "filled_quantity"]].to_numpy().tolist() == [["not_funded", 47.0]]
    states = rotate(broker, blotter, {"REST": 0.9}, run_id="three", nav=10_000.0, unlisted="keep")
    assert states[["quantity", "status"]].to_numpy().tolist() == [[1.0, "FILLED"]]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_the_cash_of_a_buy_that_was_cancelled_after_its_run_is_spent_by_the_next(blotter, scheme):
    with sx.connect(f"{scheme}://?seed=7", quotes=QUOTES, cash=10_000.0) as broker:
        resting = {"order_type": "LMT", "limit_price": 15.0}  # 600 x 15 = 9,000 below the market
        targets = pd.DataFrame([{"symbol": "NEW", "weight": 0.9, **resting}])
        states = rotate(broker, blotter, targets, run_id="one", timeout=0.5)
        assert states["status"].tolist() == ["SUBMITTED"]
        broker.cancel_all()
        until(lambda: broker.open_orders().empty)
        states = rotate(broker, blotter, {"TOO": 0.9}, run_id="two")
        assert states[["quantity", "filled_quantity"]].to_numpy().tolist() == [[900.0, 900.0]]


@pytest.mark.slow
def test_cash_for_working_buys_of_other_clients_is_not_spent_again(blotter):
    with sx.connect("sim://?seed=7", quotes=QUOTES, cash=10_000.0) as broker:
        address = f"ib://127.0.0.1:{broker._endpoint.port}?client_id=5"
        with sx.connect(address) as other, sx.open_blotter() as record:
            frame = pd.DataFrame({"run_id": ["x"], "symbol": "TOO", "side": "BUY", "quantity": 900.0})
            frame = frame.assign(
                order_type="LMT", limit_price=9.0
            )  # below the market: it rests, and may cost 8,100
            review = sx.review_orders(sx.check_orders(frame, quotes=QUOTES, cash=10_000))
            review.approve_all(by="bob")
            assert sx.submit_orders(review.result(), other, record, timeout=1)["status"].tolist() == ["SUBMITTED"]
        states = submit_unaware(broker, blotter, {"NEW": 0.2})  # 100 x 20 = 2,000
        assert states["reason"].tolist() == ["not_funded"]
        states = rotate(broker, blotter, {"NEW": 0.2}, unlisted="keep", run_id="s")
        assert states["reason"].tolist() == ["insufficient_cash"]


@pytest.mark.slow
def test_a_run_that_waits_for_cash_can_be_halted(blotter):
    with opened("sim", [{"rest": True}]) as broker:
        run = sx.start_run(waiting(broker, blotter).result(), broker, blotter, timeout=60)
        until(lambda: len(broker.open_orders()))
        blotter.halt("look first")
        with pytest.raises(HaltedError, match="look first"):
            run.wait(30)
    assert blotter.orders("r").set_index("symbol")["status"].to_dict() == {"OLD": "SUBMITTED", "NEW": "NEW"}


@pytest.mark.slow
def test_a_run_that_waits_for_cash_can_be_cancelled(blotter):
    with opened("sim", [{"rest": True}]) as broker:
        run = sx.start_run(waiting(broker, blotter).result(), broker, blotter, timeout=60)
        until(lambda: len(broker.open_orders()))
        run.cancel_all(by="ann")
        states = run.wait(30).set_index("symbol")
    assert states["status"].to_dict() == {"OLD": "CANCELLED", "NEW": "REJECTED"}
    assert states.loc["NEW", "reason"] == "run_cancelled"


@pytest.mark.slow
def test_a_run_resumed_between_sells_and_buys_is_funded_by_its_sells(blotter):
    class Stopping(MockBroker):
        async def place(self, ticket):
            await super().place(ticket)
            blotter.halt("between")

    broker = Stopping(QUOTES, positions={"OLD": 1_000}, cash=1_000.0)
    with pytest.raises(HaltedError):
        rotate(broker, blotter)
    blotter.clear_halt("go on")
    broker.__class__ = MockBroker
    states = sx.resume("r", broker, blotter).set_index("symbol")
    assert states["status"].to_dict() == {"OLD": "FILLED", "NEW": "FILLED"}
    assert broker.cash() == pytest.approx(1_000 + 50_000 - 5.0 - 48_440 - 12.11)


@pytest.mark.slow
def test_a_plan_without_cash_check_is_resumed_without_waiting_for_cash(blotter):
    broker = opened("mock", [{"rest": True}])
    blotter.halt("look first")
    with pytest.raises(HaltedError):
        sx.submit_orders(waiting(broker, blotter, sx.Limits(min_cash_after=None)).result(), broker, blotter)
    blotter.clear_halt("looked")
    states = sx.resume("r", broker, blotter).set_index("symbol")
    assert states["status"].to_dict() == {"OLD": "SUBMITTED", "NEW": "FILLED"}


@pytest.mark.slow
def test_a_cash_figure_older_than_the_runs_own_buys_is_not_used(blotter):
    """Account values of TWS are minutes old: a run that is picked up must not spend what its buys have spent."""

    class Stale(MockBroker):
        def cash(self):
            return 10_000.0

    class Stopping(Stale):
        send_window = 1

        async def place(self, ticket):
            await super().place(ticket)
            blotter.halt("between")

    # NEW takes 6,000 and 1.50 of the 10,000; TOO wants 5,000 and 2.50, and 3,998.50 are left.
    orders = pd.DataFrame(
        {"run_id": "r", "symbol": ["NEW", "TOO"], "side": "BUY", "quantity": [300.0, 500.0], "order_type": "MKT"}
    )
    review = sx.review_orders(sx.check_orders(orders, quotes=QUOTES, cash=20_000))
    review.approve_all(by="ann")
    first = Stopping(QUOTES)
    with pytest.raises(HaltedError):
        sx.submit_orders(review.result(), first, blotter)
    blotter.clear_halt("go on")
    second = Stale(QUOTES)  # as a new process has it: no ledger yet, and the same account
    second._orders, second._events, second._time = first._orders, first._events, first._time
    states = sx.resume("r", second, blotter).set_index("symbol")
    assert states["status"].to_dict() == {"NEW": "FILLED", "TOO": "CANCELLED"}


def waiting(broker, blotter, limits=None):
    """The approved plan of a rotation whose sell rests."""
    orders = sx.plan_orders(
        {"NEW": 0.95},
        broker.positions(),
        broker.quotes(["OLD", "NEW"]),
        nav=broker.nav(),
        run_id="r",
        unlisted="close",
    )
    held = broker.positions()
    review = sx.review_orders(
        sx.check_orders(orders, limits, positions=held, quotes=QUOTES, cash=broker.cash()), broker, blotter
    )
    review.approve_all(by="ann")
    return review


def until(holds):
    pause = threading.Event()
    for _ in range(600):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come about")


# -- what the broker allows ----------------------------------------------------------------------------------


class CashAccount(MockBroker):
    """A cash account; ``settles`` says whether the broker credits the proceeds of sales at once."""

    settles = False
    settled = 1_000.0

    def account_figures(self):
        figures = super().account_figures()
        settled = figures.cash if self.settles else min(figures.cash, self.settled)
        return figures._replace(settled_cash=settled, available_funds=settled, buying_power=settled)


def rotated(kind, blotter, **options):
    broker = kind(QUOTES, positions={"OLD": 1_000}, cash=1_000.0)
    return broker, rotate(broker, blotter, **options)


@pytest.mark.slow
def test_only_settled_cash_buys_in_a_cash_account(blotter):
    # OLD is sold for 50,000 less 5.00; 1,000.00 are settled, for 49 x 20 with 1.00 and 0.4 %.
    broker, states = rotated(CashAccount, blotter)
    assert states["status"].to_dict() == {"OLD": "FILLED", "NEW": "CANCELLED"}
    assert states.loc["NEW", ["reason", "filled_quantity"]].tolist() == ["not_funded", 49.0]
    (sent,) = blotter.events("r").query("kind == 'sending' and client_order_id == 'r-NEW-BUY'")["message"]
    assert sent.startswith(
        "sent for 49 of 2,422 shares: 1,000.00 of settled cash was available, of 50,993.42 of cash"
    )
    assert broker.cash() == pytest.approx(1_000 + 49_995 - 981.0)


@pytest.mark.slow
def test_the_message_names_the_settlement_day(blotter):
    broker = CashAccount(QUOTES, positions={"OLD": 1_000}, cash=15.0)
    broker.settled = 15.0
    broker._time = pd.Timestamp("2026-11-27 15:00", tz="UTC").to_pydatetime()  # a Friday
    rotate(broker, blotter)
    (why,) = blotter.events("r").query("kind == 'withdrawn'")["message"]
    # 15.00, and of OLD 50,000 less 5.00, 1,000 x 0.000195 and 27.80 per million; nothing of it has settled.
    assert "and 15.00 of settled cash was available, of 50,008.42 of cash" in why
    assert "settle on 2026-11-30 at the earliest" in why


@pytest.mark.slow
def test_a_cash_account_that_credits_sales_at_once_buys_with_them(blotter):
    class Instant(CashAccount):
        settles = True

    _, states = rotated(Instant, blotter)
    assert states["status"].to_dict() == {"OLD": "FILLED", "NEW": "FILLED"}


@pytest.mark.slow
@pytest.mark.parametrize("option", [{"unsettled": "allow"}, {"account_kind": "margin"}, {"funding": "margin"}])
def test_the_caller_may_say_that_unsettled_cash_buys(blotter, option):
    _, states = rotated(CashAccount, blotter, **option)
    if option == {"account_kind": "margin"}:  # then available funds and cash without short proceeds count
        assert blotter.parameters("r")[0]["funding"]["account_kind"] == "margin"
    assert states["status"].to_dict() == {"OLD": "FILLED", "NEW": "FILLED"}


@pytest.mark.slow
def test_shares_bought_with_unsettled_money_are_not_sold_before_they_settle(blotter):
    broker, _ = rotated(CashAccount, blotter, unsettled="allow")
    states = rotate(broker, blotter, {"NEW": 0.5}, run_id="s")
    assert states.loc["NEW", ["status", "reason"]].tolist() == ["REJECTED", "free_riding"]
    (why,) = blotter.events("s").query("kind == 'refused'")["message"]
    assert "in a cash account it can be sold from 20" in why
    states = rotate(broker, blotter, {"NEW": 0.5}, run_id="t", account_kind="margin")
    assert states.loc["NEW", "status"] == "FILLED"
    assert (
        rotate(broker, blotter, {"TOO": 0.1, "NEW": 0.5}, run_id="u", unsettled="allow").loc["TOO", "status"]
        == "FILLED"
    )


@pytest.mark.slow
def test_a_long_short_book_is_funded_by_available_funds(blotter):
    # 128 % long, 30 % short of 100,000: the short brings 30,000, and available funds of 85,000 allow twice that.
    with sx.connect("mock://?seed=7", quotes=QUOTES, cash=100_000.0) as broker:
        states = rotate(
            broker, blotter, {"OLD": 1.28, "NEW": -0.3}, allow_short=True, max_gross=1.6, limits=LONG_SHORT
        )
        assert states["status"].to_dict() == {"OLD": "FILLED", "NEW": "FILLED"}
        assert broker.cash() >= 0


@pytest.mark.slow
def test_the_proceeds_of_a_short_sale_buy_nothing_in_a_cash_account(blotter):
    # 100,000 of settled cash pay for OLD at 50.00 with 0.4 %: less than the 1.28 that short proceeds would pay.
    class Strict(MockBroker):
        def account_figures(self):
            figures = super().account_figures()
            return figures._replace(settled_cash=100_000.0, available_funds=math.nan, buying_power=math.nan)

    broker = Strict(QUOTES, cash=100_000.0)
    states = rotate(
        broker, blotter, {"OLD": 1.28, "NEW": -0.3}, allow_short=True, max_gross=1.6, limits=LONG_SHORT
    )
    assert states.loc["OLD", ["status", "reason"]].tolist() == ["CANCELLED", "not_funded"]
    assert states.loc["OLD", "filled_quantity"] == 1_991.0  # 99,550 and 9.955 with 0.4 % are 99,958.16


@pytest.mark.slow
def test_cash_that_must_buy_back_a_short_position_pays_for_no_other_buy(blotter):
    class Thin(MockBroker):
        def account_figures(self):
            return super().account_figures()._replace(available_funds=10_000.0)

    # 60,000 of cash, of which 1,000 NEW sold short at 20 are 20,000: 40,000 are left, more than twice the 10,000.
    broker = Thin(QUOTES, cash=60_000.0, positions={"NEW": -1_000})
    orders = sx.plan_orders({"OLD": 0.98}, None, {"OLD": 50.0}, nav=50_000.0, run_id="r")
    review = sx.review_orders(
        sx.check_orders(orders, sx.Limits(max_gross=2.0), quotes={"OLD": 50.0}, cash=50_000.0)
    )
    review.approve_all(by="ann")
    states = sx.submit_orders(review.result(), broker, blotter, timeout=2, account_kind="margin")
    # 980 were wanted. 796 are 39,800 and 3.98 with 0.4 %, 39,963.20; 797 would be 40,013.40.
    assert states[["quantity", "filled_quantity"]].to_numpy().tolist() == [[980.0, 796.0]]


@pytest.mark.parametrize("name", ["funding", "account_kind", "unsettled", "funding_timeout"])
@pytest.mark.parametrize("value", ["lend", -1, math.nan, True])
def test_an_unknown_funding_option_is_an_error_before_anything_is_recorded(blotter, name, value):
    broker = MockBroker(QUOTES, cash=10_000.0)
    with pytest.raises(InputError, match=name):
        rotate(broker, blotter, {"NEW": 0.5}, **{name: value})
    assert blotter.runs().empty


@pytest.mark.slow
def test_an_order_that_is_sent_again_keeps_the_quantity_it_was_sent_for(blotter):
    """A resend with the same order id must not ask for the shares that were never sent."""

    class Failing(MockBroker):
        async def place(self, ticket):
            if ticket.symbol == "NEW":
                raise BrokerError("the line is dead")
            await super().place(ticket)

    broker = opened("mock", [{"reject": 201}])
    broker.__class__ = Failing
    with pytest.raises(BrokerError):
        rotate(broker, blotter)
    broker.__class__ = MockBroker
    states = sx.resume("r", broker, blotter).set_index("symbol")
    assert states.loc["NEW", ["status", "filled_quantity", "sent_quantity"]].tolist() == ["CANCELLED", 49.0, 49.0]
    assert broker.cash() == pytest.approx(1_000 - 981.0)


@pytest.mark.slow
def test_working_buys_of_unknown_cost_make_the_available_cash_zero(blotter):
    class Crowded(MockBroker):
        """Somebody has a market order working in a symbol that has no quote."""

        def open_orders(self):
            row = {
                "client_order_id": None,
                "symbol": "GONE",
                "side": "BUY",
                "quantity": 5.0,
                "filled_quantity": 0.0,
            }
            return pd.DataFrame([{**row, "order_type": "MKT", "limit_price": NAN}])

    with Crowded(QUOTES, cash=10_000.0) as broker:
        states = submit_unaware(broker, blotter, {"NEW": 0.2})
        assert states["reason"].tolist() == ["not_funded"]
        assert rotate(broker, blotter, {"NEW": 0.2}, run_id="s")["reason"].tolist() == ["insufficient_cash"]
    (why,) = blotter.events("r").query("kind == 'withdrawn'")["message"]
    assert why == "it may cost 2,001.00, and the working buys of others have no known price"


# -- one estimate for plan, check and funding ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "rate", "quantity", "price", "listing", "fees"),
    [
        ("EUR", 1.25, 1_000, 20.0, "", 10.0),  # 0.05 % of 20,000
        ("EUR", 1.25, 100, 20.0, "IBIS", 3.0),  # the minimum
        ("EUR", 1.25, 1_000, 20.0, "SBF", 90.0),  # and 0.4 % French tax
        ("GBP", 1.25, 1_000, 20.0, "", 111.5),  # 10, stamp duty of 100, PTM levy of 1.50
        ("GBP", 1.25, 1_000, 20.0, "LSEETF", 10.0),
        ("JPY", 0.0078125, 100, 3_000.0, "", 240.0),  # 0.08 % of 300,000
        ("JPY", 0.0078125, 10, 3_000.0, "", 80.0),
        ("USD", 1.0, 1_000, 20.0, "", 5.0),
    ],
)
def test_plan_check_and_funding_agree_on_the_cost_of_a_buy(currency, rate, quantity, price, listing, fees):
    value = quantity * price * rate
    targets = pd.DataFrame({"symbol": ["X"], "weight": [value / 1e6], "currency": currency})
    account = {"nav": 1e6, "quotes": {"X": price}, "fx": {} if currency == "USD" else {currency: rate}}
    orders = sx.plan_orders(targets.assign(primary_exchange=listing), run_id="r", account="DU1", **account)
    assert orders["quantity"].tolist() == [quantity]
    summary = sx.plan_summary(orders, targets, **account)
    checked = sx.check_orders(orders, cash=1e6, **account)
    after = sx.check_results(checked).set_index("check").loc["insufficient_cash", "value"]
    (order,) = tickets_of(checked)
    assert summary["reserved_fees"] == pytest.approx(fees * rate, abs=1e-6)
    assert 1e6 - after == pytest.approx(value + fees * rate, abs=1e-6)
    assert buy_cost(order, price, None, NAN) == pytest.approx(value + fees * rate, abs=1e-6)
    assert cash_effect(order, quantity, quantity * price, NAN) == pytest.approx(-value - fees * rate, abs=1e-6)


@pytest.mark.parametrize("currency", ["EUR", "GBP", "JPY", "SEK"])
def test_a_plan_of_all_the_money_passes_the_check_of_cash(currency):
    targets = pd.DataFrame({"symbol": ["X", "Y"], "weight": [0.5, 0.5], "currency": currency})
    account = {"nav": 100_000.0, "quotes": {"X": 20.0, "Y": 31.0}, "fx": {currency: 0.5}}
    orders = sx.plan_orders(targets, run_id="r", account="DU1", **account)
    checked = sx.check_orders(orders, cash=100_000.0, **account)
    assert set(checked["verdict"]) == {"warn" if currency == "SEK" else "pass"}
    codes = sx.input_warnings(orders)["code"].tolist()
    assert ("tariff_unknown" in codes) == (currency == "SEK")
    assert set(checked["reasons"].dropna()) == ({"tariff_unknown"} if currency == "SEK" else set())
    costs = [buy_cost(order, None, None, account["quotes"][order.symbol]) for order in tickets_of(checked)]
    assert 99_000.0 < sum(costs) <= 100_000.0


def test_the_tariff_of_the_day_of_the_decision_holds_from_plan_to_fill():
    # In June 2025 a sell paid 0.000166 a share to FINRA, and nothing to the SEC.
    quotes = pd.DataFrame(
        {"symbol": ["X"], "last": [20.0], "quoted_at": pd.Timestamp("2025-06-02 15:00", tz="UTC")}
    )
    account = {"nav": 20_000.0, "quotes": quotes, "positions": {"X": 1_000}}
    orders = sx.plan_orders({"X": 0.0}, run_id="r", account="DU1", allow_liquidation=True, **account)
    assert sx.plan_summary(orders, {"X": 0.0}, **account)["estimated_fees"] == pytest.approx(5.166)
    (order,) = tickets_of(orders)
    assert cash_effect(order, 1_000, 20_000.0, 5.0) == pytest.approx(20_000 - 5.166)


@pytest.mark.slow
def test_buys_of_very_different_size_are_all_sent_in_full(blotter):
    # Of 100,000 the plan buys SMALL for 20.00 and puts the rest in BIG and MORE, about 50,000 each: the margin of
    # the last of them, 0.4 % or about 200.00, is not covered by what SMALL costs, so the plan reserves the rest.
    quotes = {"BIG": 10.0, "SMALL": 10.0, "MORE": 10.0}
    targets = {"SMALL": 0.0002, "BIG": 0.5, "MORE": 0.4998}
    broker = MockBroker(quotes, cash=100_000.0)
    states = sx.rebalance(targets, broker, blotter, run_id="r", approve="ann", dry_run=False).set_index("symbol")
    assert states["status"].unique().tolist() == ["FILLED"]
    assert states["reason"].isna().all()
    assert states.loc["SMALL", "quantity"] == 2.0
    # 4,988 and 4,987 of them cost 24.94 + 24.94 + 0.20 of commission, and the margin is 199.48 - 20.00: 229.56.
    # Cash for one more share may be left.
    assert 100_000 - 10 * states["quantity"].sum() in (230.0, 240.0)


@pytest.mark.slow
def test_orders_sent_again_after_a_lost_connection_keep_their_sequence(blotter):
    # The connection breaks before the first order is read: all three are sent again under the ids they had. They
    # cost 60,000, for which 60,000 of the 100,000 are reserved since they were sent. The smallest is the first of
    # them; sent last, its id would be below those that TWS has accepted by then.
    fault = {"on": "placeOrder", "nth": 1, "do": "drop_before_read"}
    quotes = {"SMALL": 10.0, "BIG": 10.0, "MORE": 10.0}
    with sx.connect("sim://?seed=7", quotes=quotes, cash=100_000.0, scenario={"fault": [fault]}) as broker:
        targets = {"SMALL": 0.12, "BIG": 0.24, "MORE": 0.24}
        states = sx.rebalance(targets, broker, blotter, run_id="r", approve="ann", dry_run=False, timeout=10)
    assert states["status"].tolist() == ["FILLED"] * 3
    assert "link_lost" in set(blotter.events("r")["kind"])


@pytest.mark.slow
def test_a_buy_that_waits_for_sells_of_the_same_auction_says_so_and_margin_sends_both():
    quotes, held = {"KO": 50.0, "SPY": 400.0}, {"KO": 100.0}
    waiting = {"switches": {"auctions": "wait"}}
    rows = [("KO", "SELL", 100.0), ("SPY", "BUY", 10.0)]
    frame = pd.DataFrame(rows, columns=["symbol", "side", "quantity"]).assign(order_type="MOC")
    for funding, statuses in (("fills", ["SUBMITTED", "CANCELLED"]), ("margin", ["SUBMITTED", "SUBMITTED"])):
        with (
            sx.connect("sim://?seed=7", quotes=quotes, positions=held, cash=100.0, scenario=waiting) as broker,
            sx.open_blotter() as blotter,
        ):
            orders = frame.assign(run_id=funding)
            checked = sx.check_orders(orders, sx.Limits(max_adv_ratio=None), held, quotes=quotes, cash=100.0)
            assert checked["reasons"].fillna("").tolist() == ["", "auction_funding"]
            review = sx.review_orders(checked)
            review.approve_all(by="me")
            states = sx.submit_orders(review.result(), broker, blotter, funding=funding, timeout=0.5)
            assert states["status"].tolist() == statuses
            if funding == "fills":
                events = blotter.events(funding)
                (text,) = events.loc[events["kind"] == "withdrawn", "message"]
                hint = (
                    "; a sell trades in an auction alone, and funding='margin' sends buys for it at the same time"
                )
                assert text.endswith(hint)
