from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.order_state import derive_order
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import FILL_PLAN, MockBroker
from stocklean_exec.errors import BrokerError, InputError, OrderNotWorkingError
from stocklean_exec.fees import IBKR_US_FIXED

AT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def ticket(symbol, side, quantity, limit=math.nan, **changes):
    fields = {
        "client_order_id": f"r-{symbol}-{side}",
        "run_id": "r",
        "symbol": symbol,
        "side": side,
        "quantity": float(quantity),
        "order_type": "MKT" if math.isnan(limit) else "LMT",
        "limit_price": limit,
        "tif": "DAY",
        "currency": "USD",
        "sec_type": "STK",
        "exchange": "SMART",
        "account": "DU0000001",
    }
    return Ticket(**{**fields, **changes})


def place(broker, *tickets):
    """Send the tickets, and return the published events."""
    events = []
    broker.follow("r", events.append)
    for one in tickets:
        asyncio.run(broker.place(one))
    return events


def state(events, one):
    return derive_order(one.quantity, [event for event in events if event.client_order_id == one.client_order_id])


def executions(events):
    return [(event.quantity, event.price) for event in events if event.kind == "execution"]


def quotes(*rows):
    names = ["symbol", "bid", "ask", "last", "close", "bid_size", "ask_size"]
    return pd.DataFrame([dict(zip(names, row, strict=False)) for row in rows]).assign(quoted_at=AT)


# -- fills -----------------------------------------------------------------------------------------------------


def test_a_market_order_fills_at_the_given_price():
    events = place(MockBroker({"SPY": 123.0}), order := ticket("SPY", "BUY", 2))
    assert executions(events) == [(2.0, 123.0)]
    assert state(events, order).status == "FILLED"


def test_a_buy_pays_the_ask_and_a_sell_gets_the_bid():
    broker = MockBroker(quotes(("SPY", 99.0, 101.0)), positions={"SPY": 5})
    assert executions(place(broker, ticket("SPY", "BUY", 2))) == [(2.0, 101.0)]
    assert executions(place(broker, ticket("SPY", "SELL", 2))) == [(2.0, 99.0)]


def test_an_order_larger_than_the_size_shown_fills_in_several_executions():
    broker = MockBroker(quotes(("SPY", 99.0, 101.0, 100.0, 100.0, 300.0, 200.0)))
    events = place(broker, order := ticket("SPY", "BUY", 450))
    assert executions(events) == [(200.0, 101.0), (200.0, 101.0), (50.0, 101.0)]
    assert len({event.exec_id for event in events if event.kind == "execution"}) == 3
    assert state(events, order).status == "FILLED"


@pytest.mark.parametrize(
    ("side", "limit", "status", "price"),
    [
        ("BUY", 101.0, "FILLED", 101.0),
        ("BUY", 102.0, "FILLED", 101.0),  # a better price than the limit
        ("BUY", 100.99, "SUBMITTED", None),
        ("SELL", 99.0, "FILLED", 99.0),
        ("SELL", 98.0, "FILLED", 99.0),
        ("SELL", 99.01, "SUBMITTED", None),
    ],
)
def test_a_limit_order_trades_at_its_limit_or_better_or_rests(side, limit, status, price):
    events = place(MockBroker(quotes(("SPY", 99.0, 101.0))), order := ticket("SPY", side, 2, limit))
    assert state(events, order).status == status
    assert executions(events) == ([] if price is None else [(2.0, price)])


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
def test_an_immediate_order_that_cannot_fill_is_cancelled(tif):
    order = ticket("SPY", "BUY", 2, 90.0, tif=tif)
    broker = MockBroker({"SPY": 100.0})
    events = place(broker, order)
    assert (state(events, order).status, state(events, order).reason) == ("CANCELLED", f"{tif.lower()}_unfilled")
    assert len(broker.open_orders()) == 0


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
def test_an_immediate_order_fills_if_it_can(tif):
    order = ticket("SPY", "BUY", 2, 100.0, tif=tif)
    assert state(place(MockBroker({"SPY": 100.0}), order), order).status == "FILLED"


@pytest.mark.parametrize(
    "market",
    [
        {"TLT": 50.0},
        {"SPY": 0.0, "TLT": 50.0},
        {"SPY": math.nan},
        quotes(("SPY", 101.0, 99.0)),  # crossed
        quotes(("SPY", 99.0, math.nan, 100.0)),  # no ask
        None,
    ],
    ids=str,
)
def test_an_order_without_a_price_is_rejected_as_price_unavailable(market):
    broker = MockBroker(market, cash=1_000.0)
    events = place(broker, order := ticket("SPY", "BUY", 2))
    assert (state(events, order).status, state(events, order).reason) == ("REJECTED", "price_unavailable")
    assert broker.cash() == 1_000.0


# -- fill plans ------------------------------------------------------------------------------------------------


def planned(*rows, market=None, **options):
    return MockBroker({"SPY": 100.0} if market is None else market, fill_plan=pd.DataFrame(rows), **options)


def step(action, **values):
    return {"symbol": "SPY", "action": action, **values}


def test_two_planned_fills_give_average_prices_100_and_106():
    # 4 at 100, then 6 at 110: partial at 100, and filled at (400 + 660) / 10 = 106.
    broker = planned(step("fill", quantity=4.0, price=100.0), step("fill", quantity=6.0, price=110.0))
    events = place(broker, order := ticket("SPY", "BUY", 10))
    second = [number for number, event in enumerate(events) if event.kind == "execution"][1]
    partial, filled = derive_order(10, events[:second]), state(events, order)
    assert (partial.status, partial.filled, partial.avg_fill_price) == ("PARTIAL", 4.0, 100.0)
    assert (filled.status, filled.filled, filled.avg_fill_price) == ("FILLED", 10.0, 106.0)
    again = derive_order(10, [*reversed(events), *events])
    assert again == filled


def test_the_remainder_of_a_partial_fill_rests():
    broker = planned(step("fill", quantity=4.0))
    events = place(broker, order := ticket("SPY", "BUY", 10))
    assert state(events, order).status == "PARTIAL"
    assert broker.open_orders()[["client_order_id", "quantity", "filled_quantity"]].iloc[0].tolist() == [
        "r-SPY-BUY",
        10.0,
        4.0,
    ]


def test_a_planned_fill_without_quantity_and_price_is_the_remainder_at_the_touch():
    broker = planned(step("fill", quantity=4.0, price=90.0), step("fill"))
    assert executions(place(broker, ticket("SPY", "BUY", 10))) == [(4.0, 90.0), (6.0, 100.0)]


def test_no_plan_fills_more_than_the_order_quantity():
    broker = planned(step("fill", quantity=99.0), step("fill", quantity=5.0))
    events = place(broker, order := ticket("SPY", "BUY", 10))
    assert executions(events) == [(10.0, 100.0)]
    assert state(events, order).status == "FILLED"


@pytest.mark.parametrize(
    ("steps", "status", "reason", "filled"),
    [
        ([step("rest")], "SUBMITTED", None, 0.0),
        ([step("reject", code="201", message="margin")], "REJECTED", "201", 0.0),
        ([step("reject")], "REJECTED", "rejected", 0.0),
        ([step("cancel", code="202")], "CANCELLED", "202", 0.0),
        ([step("fill", quantity=4.0), step("cancel")], "CANCELLED", "cancelled", 4.0),
        ([step("fill", quantity=4.0), step("rest"), step("fill")], "PARTIAL", None, 4.0),
        ([step("fill", price=100.01)], "SUBMITTED", None, 0.0),  # beyond the limit of 100
        ([step("fill", quantity=4.0), step("fill", price=101.0)], "PARTIAL", None, 4.0),
    ],
)
def test_a_plan_decides_the_outcome_of_an_order(steps, status, reason, filled):
    events = place(planned(*steps), order := ticket("SPY", "BUY", 10, 100.0))
    found = state(events, order)
    assert (found.status, found.reason, found.filled) == (status, reason, filled)


def test_the_remainder_of_a_partly_filled_immediate_order_is_cancelled():
    events = place(planned(step("fill", quantity=4.0)), order := ticket("SPY", "BUY", 10, 100.0, tif="IOC"))
    assert (state(events, order).status, state(events, order).reason) == ("CANCELLED", "ioc_unfilled")
    assert state(events, order).filled == 4.0


def test_a_plan_gives_a_price_where_the_market_has_none():
    broker = planned(step("fill", price=55.0), market={"TLT": 1.0})
    assert executions(place(broker, ticket("SPY", "BUY", 1))) == [(1.0, 55.0)]


def test_a_planned_fill_at_the_touch_without_a_market_is_rejected():
    events = place(planned(step("fill"), market={"TLT": 1.0}), order := ticket("SPY", "BUY", 1))
    assert (state(events, order).status, state(events, order).reason) == ("REJECTED", "price_unavailable")


def test_a_plan_row_for_one_order_takes_precedence_over_rows_of_its_symbol():
    broker = planned(step("rest"), step("fill", client_order_id="special"))
    usual, special = ticket("SPY", "BUY", 1), ticket("SPY", "BUY", 1, client_order_id="special")
    events = place(broker, usual, special)
    assert (state(events, usual).status, state(events, special).status) == ("SUBMITTED", "FILLED")


def test_a_bad_plan_is_an_error_before_anything_trades():
    with pytest.raises(InputError) as caught:
        planned(step("fill", quantity=-1.0))
    assert caught.value.codes == ("quantity_invalid",)
    assert "action" in FILL_PLAN.names


# -- changes of the limit --------------------------------------------------------------------------------------


def change(broker, ticket, number, limit, **changes):
    """Change the limit of a ticket, and return it as it is from now on."""
    changed = replace(ticket, limit_price=limit, **changes)
    asyncio.run(broker.modify(changed, number))
    return changed


def answers(events):
    kinds = ("modified", "modify_refused", "execution")
    return [(one.kind, one.attempt, one.price, one.quantity, one.code) for one in events if one.kind in kinds]


@pytest.mark.parametrize(
    ("side", "own", "limit", "fills"),
    [
        ("BUY", 99.0, 100.1, [(300.0, 100.1), (50.0, 100.1)]),  # the far touch, at most the size shown
        ("BUY", 99.0, 100.5, [(300.0, 100.1), (50.0, 100.1)]),
        ("BUY", 99.0, 99.5, []),
        ("SELL", 101.0, 99.9, [(200.0, 99.9), (150.0, 99.9)]),
        ("SELL", 101.0, 100.0, []),
    ],
)
def test_an_order_with_a_new_limit_is_held_against_the_market_at_once(side, own, limit, fills):
    broker = MockBroker(quotes(("SPY", 99.9, 100.1, 100.0, 98.0, 200.0, 300.0)), positions={"SPY": 350.0})
    events = place(broker, order := ticket("SPY", side, 350, own))
    change(broker, order, 1, limit)
    expected = [("execution", None, price, quantity, None) for quantity, price in fills]
    assert answers(events) == [("modified", 1, limit, None, None), *expected]
    assert state(events, order).status == ("FILLED" if fills else "SUBMITTED")
    assert broker.open_orders()["limit_price"].tolist() == ([] if fills else [limit])
    assert len({(one.order_id, one.perm_id) for one in events}) == 1
    assert len({event.occurred_at for event in events if event.kind in ("status", "modified")}) > 1


def test_an_order_that_is_filled_in_part_trades_no_more_than_its_whole_quantity():
    broker = planned(step("fill", quantity=4.0, price=99.0))
    events = place(broker, order := ticket("SPY", "BUY", 10, 99.0))
    change(broker, order, 1, 101.0)
    assert executions(events) == [(4.0, 99.0), (6.0, 100.0)]
    assert state(events, order).status == "FILLED"


def test_a_plan_goes_on_behind_a_rest_once_the_limit_is_changed():
    broker = planned(step("rest"), step("fill", quantity=4.0, price=101.0), step("rest"))
    events = place(broker, order := ticket("SPY", "BUY", 10, 99.0))
    change(broker, order, 1, 100.5)
    assert executions(events) == []  # still beyond its limit
    change(broker, order, 2, 101.0)
    assert executions(events) == [(4.0, 101.0)]
    change(broker, order, 3, 102.0)  # nothing is left of the plan: the market at 100
    assert executions(events) == [(4.0, 101.0), (6.0, 100.0)]


def test_a_plan_refuses_a_change_and_the_order_works_on():
    broker = planned(step("rest"), step("refuse_change", code="110", message="off tick"), step("rest"))
    events = place(broker, order := ticket("SPY", "BUY", 10, 99.0))
    change(broker, order, 1, 100.0)
    assert answers(events) == [("modify_refused", 1, None, None, "110")]
    assert broker.open_orders()["limit_price"].tolist() == [99.0]
    assert (state(events, order).status, state(events, order).reason) == ("SUBMITTED", None)
    change(broker, order, 2, 99.5)
    assert answers(events)[1:] == [("modified", 2, 99.5, None, None)]
    broker.cancel("r-SPY-BUY")
    assert (state(events, order).status, state(events, order).reason) == ("CANCELLED", "cancel_requested")


def test_a_plan_may_reject_what_is_left_of_an_order_at_a_change():
    broker = planned(step("fill", quantity=4.0), step("rest"), step("reject", code="201"))
    events = place(broker, order := ticket("SPY", "BUY", 10, 100.0))
    change(broker, order, 1, 101.0)
    assert (state(events, order).status, state(events, order).filled) == ("CANCELLED", 4.0)


@pytest.mark.parametrize("end", [lambda broker: broker.cancel("r-SPY-BUY"), lambda broker: broker.cancel_all()])
def test_an_order_that_does_not_work_is_not_changed(end):
    broker = planned(step("rest"))
    events = place(broker, order := ticket("SPY", "BUY", 10, 99.0))
    with pytest.raises(OrderNotWorkingError, match="r-TLT-BUY is not an order of this broker"):
        change(broker, ticket("TLT", "BUY", 10, 99.0), 1, 100.0)
    end(broker)
    with pytest.raises(OrderNotWorkingError, match="has ended"):
        change(broker, order, 1, 100.0)
    assert answers(events) == []


@pytest.mark.parametrize(
    "changes", [{"quantity": 6.0}, {"side": "SELL"}, {"tif": "GTC"}, {"limit_price": math.nan}]
)
def test_nothing_but_the_limit_is_changed(changes):
    broker = planned(step("rest"))
    events = place(broker, order := ticket("SPY", "BUY", 10, 99.0))
    with pytest.raises(BrokerError, match="only its limit can be changed"):
        asyncio.run(broker.modify(replace(order, **{"limit_price": 100.0, **changes}), 1))
    assert answers(events) == []


def test_a_closed_broker_changes_nothing():
    broker = planned(step("rest"))
    place(broker, order := ticket("SPY", "BUY", 10, 99.0))
    broker.close()
    with pytest.raises(BrokerError, match="closed"):
        change(broker, order, 1, 100.0)


def test_a_stop_limit_order_that_is_held_stays_held_on_its_new_limit():
    broker = MockBroker({"SPY": 100.0})
    events = place(broker, order := ticket("SPY", "BUY", 10, 105.0, order_type="STP LMT", aux_price=103.0))
    change(broker, order, 1, 106.0)
    assert answers(events) == [("modified", 1, 106.0, None, None)]
    assert state(events, order).status == "SUBMITTED"


# -- money -----------------------------------------------------------------------------------------------------


def test_a_buy_moves_cash_by_price_and_commission():
    # 10,000 - 41 x 123 - 1.00 (the minimum) = 4,956; NAV loses the commission alone.
    broker = MockBroker({"SPY": 123.0}, cash=10_000.0)
    place(broker, ticket("SPY", "BUY", 41))
    assert broker.cash() == 4_956.0
    assert broker.nav() == 9_999.0
    assert broker.positions()[["symbol", "quantity", "avg_cost"]].iloc[0].tolist() == ["SPY", 41.0, 123.0]


@pytest.mark.parametrize(
    ("quantity", "price", "commission"),
    [(100, 25.0, 1.0), (1_000, 25.0, 5.0), (1_000, 0.25, 2.5), (1, 50.0, 0.5)],
)
def test_commissions_are_those_that_the_broker_publishes(quantity, price, commission):
    events = place(MockBroker({"SPY": price}, cash=1e9), ticket("SPY", "BUY", quantity))
    assert [event.commission for event in events if event.kind == "commission"] == [commission]


def test_the_commissions_of_partial_fills_add_up_to_that_of_the_order():
    # 1,000 shares at 0.005 are 5.00: the first 100 cost the minimum of 1.00, 300 reach 2.00, 1,000 reach 5.00.
    broker = planned(*[step("fill", quantity=shares) for shares in (100.0, 200.0, 700.0)], cash=1e6)
    events = place(broker, ticket("SPY", "BUY", 1_000))
    assert [event.commission for event in events if event.kind == "commission"] == [1.0, 0.5, 3.5]
    assert IBKR_US_FIXED.order(1_000, 100.0) == 5.0
    assert broker.cash() == 1e6 - 100_000 - 5.0


@pytest.mark.parametrize(
    ("held", "trades", "quantity", "avg_cost"),
    [
        (None, [("BUY", 10, 100.0), ("BUY", 30, 120.0)], 40.0, 115.0),  # (1,000 + 3,600) / 40
        (None, [("BUY", 10, 100.0), ("SELL", 4, 150.0)], 6.0, 100.0),  # a sale does not change the average cost
        (None, [("SELL", 10, 100.0), ("SELL", 10, 80.0)], -20.0, 90.0),  # short at (1,000 + 800) / 20
        (None, [("SELL", 10, 100.0), ("BUY", 4, 90.0)], -6.0, 100.0),
        (None, [("BUY", 10, 100.0), ("SELL", 15, 120.0)], -5.0, 120.0),  # flipped: a new short at 120
        (None, [("SELL", 10, 100.0), ("BUY", 15, 90.0)], 5.0, 90.0),
        ({"quantity": 10.0, "avg_cost": 50.0}, [("BUY", 10, 100.0)], 20.0, 75.0),
        (None, [("BUY", 10, 100.0), ("SELL", 10, 120.0), ("BUY", 2, 90.0)], 2.0, 90.0),
    ],
)
def test_quantity_and_average_cost_follow_the_trades(held, trades, quantity, avg_cost):
    plan = [
        {"symbol": "SPY", "action": "fill", "price": price, "client_order_id": f"o{number}"}
        for number, (_, _, price) in enumerate(trades)
    ]
    positions = None if held is None else pd.DataFrame([{"symbol": "SPY", **held}])
    broker = planned(*plan, positions=positions)
    place(
        broker,
        *[
            ticket("SPY", side, size, client_order_id=f"o{number}")
            for number, (side, size, _) in enumerate(trades)
        ],
    )
    row = broker.positions().set_index("symbol").loc["SPY"]
    assert (row["quantity"], row["avg_cost"]) == (quantity, pytest.approx(avg_cost))


def test_a_position_that_was_sold_completely_is_removed():
    broker = MockBroker({"SPY": 100.0}, positions={"SPY": 10})
    place(broker, ticket("SPY", "SELL", 10))
    assert len(broker.positions()) == 0
    assert broker.positions().dtypes["quantity"] == "float64"


def test_nav_is_unknown_if_a_holding_has_no_price():
    broker = MockBroker({"SPY": 100.0}, positions={"OLD": 10})
    with pytest.raises(BrokerError, match="OLD"):
        broker.nav()


def test_a_short_position_reduces_nav():
    broker = MockBroker({"SPY": 100.0}, positions={"SPY": -3}, cash=1_000.0)
    assert broker.nav() == 700.0


@pytest.mark.parametrize("cash", [math.nan, math.inf, True])
def test_cash_must_be_an_amount(cash):
    with pytest.raises(InputError) as caught:
        MockBroker(cash=cash)
    assert caught.value.codes == ("cash_missing",)


@pytest.mark.parametrize("account", ["U1234567", "", "DUMMY"])
def test_the_mock_broker_has_one_paper_account(account):
    with pytest.raises(InputError) as caught:
        MockBroker(account=account)
    assert caught.value.codes == ("account_invalid",)


# -- working orders --------------------------------------------------------------------------------------------


def test_a_resting_order_can_be_cancelled():
    broker = MockBroker({"SPY": 100.0})
    events = place(broker, order := ticket("SPY", "BUY", 2, 90.0))
    broker.cancel("r-SPY-BUY")
    assert (state(events, order).status, state(events, order).reason) == ("CANCELLED", "cancel_requested")
    assert len(broker.open_orders()) == 0
    published = len(events)
    broker.cancel("r-SPY-BUY")  # again: nothing more happens
    assert len(events) == published


def test_a_filled_order_stays_filled_when_it_is_cancelled():
    broker = MockBroker({"SPY": 100.0})
    events = place(broker, order := ticket("SPY", "BUY", 2))
    broker.cancel("r-SPY-BUY")
    assert state(events, order).status == "FILLED"


def test_cancelling_everything_leaves_nothing_open():
    broker = MockBroker({"SPY": 100.0, "TLT": 50.0})
    orders = ticket("SPY", "BUY", 2, 90.0), ticket("TLT", "BUY", 2, 40.0), ticket("TLT", "SELL", 2)
    events = place(broker, *orders)
    broker.cancel_all()
    assert [state(events, order).status for order in orders] == ["CANCELLED", "CANCELLED", "FILLED"]


def test_a_failing_listener_does_not_keep_an_order_open():
    broker = MockBroker({"SPY": 100.0, "TLT": 50.0})
    place(broker, ticket("SPY", "BUY", 2, 90.0), ticket("TLT", "BUY", 2, 40.0))

    def fail(event):
        raise RuntimeError("the record is closed")

    broker.follow("r", fail)
    with pytest.raises(RuntimeError):
        broker.cancel_all()
    assert len(broker.open_orders()) == 0


def test_an_unknown_order_cannot_be_cancelled():
    with pytest.raises(InputError) as caught:
        MockBroker({"SPY": 1.0}).cancel("r-SPY-BUY")
    assert caught.value.codes == ("order_unknown",)


def test_an_order_id_cannot_be_used_twice():
    broker = MockBroker({"SPY": 100.0}, cash=1_000.0)
    place(broker, ticket("SPY", "BUY", 2))
    with pytest.raises(BrokerError, match="placed before"):
        place(broker, ticket("SPY", "BUY", 2))
    assert broker.cash() == 799.0  # 1,000 - 200 - 1.00


def test_a_closed_mock_broker_refuses_orders():
    broker = MockBroker({"SPY": 100.0})
    broker.close()
    with pytest.raises(BrokerError, match="closed"):
        place(broker, ticket("SPY", "BUY", 2))


def test_open_orders_are_a_typed_table_also_when_there_are_none():
    dtypes = MockBroker().open_orders().dtypes
    assert (str(dtypes["symbol"]), str(dtypes["quantity"])) == ("str", "float64")


def test_quotes_exclude_unknown_symbols():
    broker = MockBroker({"SPY": 100.0, "TLT": 50.0})
    assert broker.quotes(["TLT", "GONE"])["symbol"].tolist() == ["TLT"]
    assert asyncio.run(broker.fetch_quotes(["SPY"]))["last"].tolist() == [100.0]
    assert broker.quotes()["symbol"].tolist() == ["SPY", "TLT"]


def test_the_market_cannot_be_changed_through_a_frame_that_was_given_out():
    broker = MockBroker({"SPY": 100.0})
    frame = broker.quotes()
    frame["last"] = 1.0
    assert broker.nav() == 1_000_000.0
    assert broker.quotes()["last"].tolist() == [100.0]


# -- determinism -----------------------------------------------------------------------------------------------


def story(seed):
    market = quotes(("SPY", 99.0, 101.0, 100.0, 100.0, 300.0, 200.0), ("TLT", 49.0, 50.0))
    plan = pd.DataFrame([{"symbol": "TLT", "action": "fill", "quantity": 3.0}])
    broker = MockBroker(market, fill_plan=plan, seed=seed)
    orders = ticket("SPY", "BUY", 450), ticket("TLT", "BUY", 10), ticket("GONE", "BUY", 1)
    events = place(broker, *orders)
    broker.cancel_all()
    return events


def test_two_runs_with_one_seed_have_equal_events():
    assert story(7) == story(7)


def test_another_seed_changes_times_and_execution_ids_and_nothing_else():
    seven, eight = story(7), story(8)
    blank = {"exec_id": None, "occurred_at": None}
    assert [event._replace(**blank) for event in seven] == [event._replace(**blank) for event in eight]
    assert {event.exec_id for event in seven}.isdisjoint({event.exec_id for event in eight if event.exec_id})
    assert [event.occurred_at for event in seven] != [event.occurred_at for event in eight]


def test_time_starts_at_the_latest_quote_and_moves_only_forward():
    market = quotes(("SPY", 99.0, 101.0), ("TLT", 49.0, 50.0))
    market.loc[1, "quoted_at"] = pd.NaT
    broker = MockBroker(market)
    assert broker.now() == AT
    before = broker.now()
    place(broker, ticket("SPY", "BUY", 5))
    assert broker.now() > before


def test_the_events_of_an_order_are_reported_in_the_sequence_of_their_times():
    events = [event for event in story(7) if event.client_order_id == "r-SPY-BUY" and event.kind != "commission"]
    times = [event.occurred_at for event in events]
    assert times == sorted(times)
    assert times[0] > AT


def test_a_commission_is_reported_after_its_execution():
    events = place(MockBroker({"SPY": 100.0}), ticket("SPY", "BUY", 5))
    times = {event.kind: event.occurred_at for event in events}
    assert times["commission"] > times["execution"]


def test_an_execution_has_its_exchange_and_took_liquidity():
    (event,) = (
        one for one in place(MockBroker({"SPY": 100.0}), ticket("SPY", "BUY", 5)) if one.kind == "execution"
    )
    assert (event.exchange, event.liquidity, event.account) == ("MOCK", "removed", "DU0000001")
    assert (event.symbol, event.side, event.quantity, event.price) == ("SPY", "BUY", 5.0, 100.0)


def test_every_event_of_an_order_has_its_run_ids_and_time():
    events = place(MockBroker({"SPY": 100.0, "TLT": 50.0}), ticket("SPY", "BUY", 5), ticket("TLT", "BUY", 5))
    ids = {
        (event.run_id, event.client_order_id, event.order_id, event.perm_id, event.client_id) for event in events
    }
    assert ids == {("r", "r-SPY-BUY", 1, 1_000_000_001, 0), ("r", "r-TLT-BUY", 2, 1_000_000_002, 0)}
    assert all(event.occurred_at is not None for event in events)


def test_a_status_has_filled_and_remaining_quantity():
    events = place(planned(step("fill", quantity=4.0), step("cancel")), ticket("SPY", "BUY", 10))
    reported = [(event.status, event.filled, event.remaining) for event in events if event.kind == "status"]
    assert reported == [("SUBMITTED", 0.0, 10.0), ("CANCELLED", 4.0, 6.0)]


def test_an_order_that_rests_takes_ten_milliseconds():
    broker = MockBroker(quotes(("SPY", 99.0, 101.0)))
    place(broker, ticket("SPY", "BUY", 5, limit=90.0), ticket("SPY", "SELL", 5, limit=110.0))
    assert (broker.now() - AT).total_seconds() == 0.02


# -- after the run ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_happens_after_the_run_has_ended_is_recorded():
    broker = planned(step("fill", quantity=4.0), cash=10_000.0)
    orders = pd.DataFrame({"run_id": ["r"], "symbol": "SPY", "side": "BUY", "quantity": 10.0, "order_type": "MKT"})
    with sx.open_blotter() as blotter:
        review = sx.review_orders(sx.check_orders(orders, quotes=broker.quotes(), cash=10_000))
        review.approve_all(by="me")
        assert sx.submit_orders(review.result(), broker, blotter)["status"].tolist() == ["PARTIAL"]
        broker.cancel_all()
        blotter.record([]).result()  # what was published before is on record once this is
        row = blotter.orders("r").iloc[0]
        assert (row["status"], row["filled_quantity"], row["reason"]) == ("CANCELLED", 4.0, "cancel_requested")
        assert blotter.runs()["status"].tolist() == ["partial"]


# -- currencies ------------------------------------------------------------------------------------------------


def in_euros():
    market = quotes(("SAP", 149.0, 151.0), ("SPY", 99.0, 101.0)).assign(currency=["EUR", "USD"])
    return MockBroker(market, cash=50_000.0, fx={"EUR": 1.25})


def test_a_trade_moves_the_cash_of_its_own_currency():
    broker = in_euros()
    place(broker, ticket("SAP", "BUY", 100, currency="EUR"))
    # 100 x 151 and a fee of 0.05 %, 7.55, in euros; the dollars stay.
    assert broker.account_figures().currencies == {"USD": (50_000.0, 1.0), "EUR": (-15_107.55, 1.25)}
    assert broker.cash() == 50_000 - 15_107.55 * 1.25
    assert broker.nav() == 50_000 - 15_107.55 * 1.25 + 100 * 150 * 1.25
    assert broker.positions()[["symbol", "currency"]].to_numpy().tolist() == [["SAP", "EUR"]]


def test_the_figures_have_the_margin_of_longs_and_shorts_in_the_base_currency():
    broker = MockBroker(
        quotes(("SAP", 149.0, 151.0), ("SPY", 99.0, 101.0)).assign(currency=["EUR", "USD"]),
        positions=pd.DataFrame({"symbol": ["SAP", "SPY"], "quantity": [100.0, -50.0], "currency": ["EUR", "USD"]}),
        cash=50_000.0,
        fx={"EUR": 1.25},
    )
    # 100 x 150 euros are 18,750 dollars, and 50 x 100 dollars short 5,000: 23,750; NAV is 50,000 + 13,750
    figures = broker.account_figures()
    assert (figures.initial_margin, figures.maintenance_margin) == (11_875.0, 5_937.5)
    assert (figures.equity_with_loan, figures.is_margin_account) == (63_750.0, True)
    state = broker.account_state()
    assert (state.initial_margin, state.excess_liquidity) == (11_875.0, 57_812.5)
    assert state.is_margin_account
    assert "57,812.50 USD" in state._repr_html_()


def test_a_preview_values_the_position_at_the_market_whatever_the_limit_is():
    broker = MockBroker(quotes(("SPY", 99.0, 101.0)), cash=50_000.0)
    order = ticket("SPY", "BUY", 100, order_type="LMT", limit_price=80.0)
    assert asyncio.run(broker.preview(order)).initial_margin_after == 5_000.0


def test_a_sell_pays_the_commission_alone():
    broker = MockBroker(quotes(("SPY", 99.0, 101.0)), positions={"SPY": 100}, cash=0.0)
    place(broker, ticket("SPY", "SELL", 100))
    assert broker.cash() == 9_899.0  # the levies of sells are estimated and reserved, but not charged here


@pytest.mark.parametrize(("symbol", "currency"), [("SAP", "USD"), ("SPY", "EUR"), ("SPY", "CHF")])
def test_an_order_in_another_currency_than_its_symbol_or_without_a_rate_is_rejected(symbol, currency):
    broker = in_euros()
    events = place(broker, ticket(symbol, "BUY", 1, currency=currency))
    assert [(event.kind, event.code) for event in events] == [("rejected", "currency_unsupported")]
    assert broker.cash() == 50_000.0


def test_a_holding_without_a_rate_has_no_value():
    market = quotes(("SAP", 149.0, 151.0)).assign(currency="EUR")
    broker = MockBroker(market, positions={"SAP": 10}, cash=5.0)
    with pytest.raises(BrokerError, match="no usable price or exchange rate for SAP"):
        broker.nav()


def test_a_rate_that_is_no_number_above_0_is_an_error():
    with pytest.raises(InputError, match="the rate of EUR, 0"):
        MockBroker({"SPY": 1.0}, fx={"EUR": 0})


def test_nav_counts_shares_worth_less_than_a_unit():
    assert MockBroker({"A": 0.5}, positions={"A": 100}, cash=1_000.0).nav() == 1_050.0


# -- listings --------------------------------------------------------------------------------------------------


def prepared(broker, *listings):
    orders = [ticket("VOD", "BUY", 1, primary_exchange=code, client_order_id=f"r-{code}") for code in listings]
    return asyncio.run(broker.prepare(orders))


def test_an_order_for_another_listing_than_the_one_held_is_rejected_with_a_sentence():
    held = pd.DataFrame({"symbol": ["VOD"], "quantity": 10.0, "primary_exchange": "lse"})
    broker = MockBroker(quotes(("VOD", 9.0, 11.0)), positions=held)
    assert broker.positions()["primary_exchange"].tolist() == ["LSE"]
    found = prepared(broker, "LSE", "NASDAQ", "")
    assert list(found) == ["r-NASDAQ"]
    assert found["r-NASDAQ"][0] == "contract_mismatch"
    assert "names the listing of VOD at NASDAQ, and this account's is at LSE" in found["r-NASDAQ"][1]


def test_the_listing_of_the_quotes_counts_and_else_that_of_the_first_order():
    quoted = quotes(("VOD", 9.0, 11.0)).assign(primary_exchange="LSE")
    assert list(prepared(MockBroker(quoted), "NASDAQ", "LSE")) == ["r-NASDAQ"]
    broker = MockBroker(quotes(("VOD", 9.0, 11.0)))
    assert list(prepared(broker, "NASDAQ", "LSE")) == ["r-LSE"]
    place(broker, ticket("VOD", "BUY", 1, primary_exchange="NASDAQ"))
    assert broker.positions()["primary_exchange"].tolist() == ["NASDAQ"]


def test_the_market_of_the_mock_filler_never_closes_and_has_its_own_time():
    saturday = pd.Timestamp("2026-11-28 08:00", tz="UTC")
    quotes = pd.DataFrame({"symbol": ["SPY"], "last": [400.0], "quoted_at": [saturday]})
    broker = sx.connect("mock://", quotes=quotes)
    state = broker.account_state(["SPY"])
    assert (state.never_closes, state.market_time) == (True, saturday)
    assert len(state.trading_hours) == 0
    assert sx.market_hours(["SPY"], broker)[["is_open", "hours_from"]].iloc[0].tolist() == [True, "broker"]
    assert sx.AccountState.of(None, {"SPY": 400.0}, nav=1_000).trading_hours is None


# -- terms of orders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "status", "reason", "fills"),
    [
        ({"order_type": "MOC"}, "FILLED", None, [(2.0, 100.5)]),
        ({"order_type": "LOC", "limit_price": 100.0}, "CANCELLED", "loc_unfilled", []),
        ({"tif": "OPG"}, "FILLED", None, [(2.0, 100.5)]),
        ({"order_type": "LMT", "limit_price": 100.0, "tif": "OPG"}, "CANCELLED", "opg_unfilled", []),
        ({"order_type": "MIDPRICE"}, "FILLED", None, [(2.0, 100.0)]),
        ({"order_type": "REL", "aux_price": 0.0}, "SUBMITTED", None, []),
        ({"order_type": "STP", "aux_price": 110.0}, "SUBMITTED", None, []),
        ({"order_type": "STP", "aux_price": 100.5}, "FILLED", None, [(2.0, 101.0)]),
        ({"order_type": "TRAIL", "aux_price": 1.0}, "SUBMITTED", None, []),
        ({"algo": "Twap"}, "FILLED", None, [(2.0, 101.0)]),
    ],
)
def test_each_order_type_ends_as_it_would_in_a_market_that_stands_still(terms, status, reason, fills):
    broker = MockBroker(quotes(("SPY", 99.0, 101.0, 100.5)))
    events = place(broker, order := ticket("SPY", "BUY", 2, **terms))
    found = state(events, order)
    assert (found.status, found.reason, executions(events)) == (status, reason, fills)
    assert len(broker.open_orders()) == (status == "SUBMITTED")


def test_a_stop_says_that_it_is_held_and_shows_its_trigger():
    broker = MockBroker(quotes(("SPY", 99.0, 101.0, 100.0)))
    events = place(broker, ticket("SPY", "BUY", 2, order_type="STP", aux_price=110.0))
    assert [event.message for event in events] == ["held: trigger"]
    assert broker.open_orders()[["order_type", "aux_price"]].to_numpy().tolist() == [["STP", 110.0]]


def test_an_order_with_an_end_is_cancelled_once_the_virtual_time_has_come():
    broker = MockBroker({"SPY": 100.0, "TLT": 50.0})
    end = broker.now() + timedelta(milliseconds=50)
    order = ticket("SPY", "BUY", 2, 90.0, tif="GTD", good_till=end)
    assert asyncio.run(broker.prepare([order])) == {}
    events = place(broker, order)
    assert broker.open_orders()["good_till"].tolist() == [end]
    for number in range(4):  # a hundredth of a second each, at least
        assert state(events, order).status == "SUBMITTED"
        asyncio.run(broker.place(ticket("TLT", "BUY", 1, 40.0, client_order_id=f"r-TLT-BUY-{number}")))
    found = state(events, order)
    assert (found.status, found.reason) == ("CANCELLED", "good_till_reached")
    assert "r-SPY-BUY" not in broker.open_orders()["client_order_id"].tolist()
    (code, _) = asyncio.run(broker.prepare([order]))["r-SPY-BUY"]
    assert code == "good_till_past"


def test_an_order_that_starts_later_is_refused():
    broker = MockBroker({"SPY": 100.0})
    late = ticket("SPY", "BUY", 2, good_after=broker.now() + timedelta(seconds=1))
    now = ticket("SPY", "BUY", 2, good_after=broker.now())
    (code, text) = asyncio.run(broker.prepare([late]))["r-SPY-BUY"]
    assert (code, "its time does not advance" in text) == ("order_type_not_permitted", True)
    assert asyncio.run(broker.prepare([now])) == {}
