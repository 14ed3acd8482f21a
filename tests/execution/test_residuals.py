"""The residual orders of a run: only of ended orders, with new ids, once."""

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.execution import residuals
from stocklean_exec.execution.residuals import _next_names, are_filled
from stocklean_exec.execution.tickets import tickets_of

QUOTES = {"SPY": 100.0, "TLT": 50.0, "KO": 20.0, "PG": 10.0}
PLAN = pd.DataFrame(
    [
        ("SPY", "fill", 30.0),
        ("SPY", "cancel", None),
        ("TLT", "reject", None),
        ("KO", "fill", 40.0),
        ("KO", "rest", None),
    ],
    columns=["symbol", "action", "quantity"],
)
TARGETS = {"SPY": 0.5, "TLT": 0.2, "KO": 0.2, "PG": 0.05}


@pytest.fixture
def broker():
    return sx.connect("mock://", quotes=QUOTES, cash=10_000, fill_plan=PLAN)


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


def run(broker, blotter):
    return sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="me", dry_run=False)


@pytest.mark.slow
def test_ended_orders_are_ordered_again_and_possibly_open_ones_are_not(broker, blotter):
    states = run(broker, blotter).set_index("symbol")
    assert states["status"].to_dict() == {"SPY": "CANCELLED", "TLT": "REJECTED", "KO": "PARTIAL", "PG": "FILLED"}
    rest = sx.residual_orders("r", blotter).set_index("symbol")
    assert rest["client_order_id"].to_dict() == {"SPY": "r-SPY-BUY-2", "TLT": "r-TLT-BUY-2", "KO": "r-KO-BUY-2"}
    assert rest["replaces"].to_dict() == {"SPY": "r-SPY-BUY", "TLT": "r-TLT-BUY", "KO": "r-KO-BUY"}
    asked = states["quantity"]
    assert rest.loc[["SPY", "TLT"], "quantity"].to_dict() == {"SPY": asked["SPY"] - 30, "TLT": asked["TLT"]}
    assert rest["status"].to_dict() == {"SPY": "NEW", "TLT": "NEW", "KO": "REJECTED"}
    assert rest.loc["KO", "reason"] == "order_alive"
    # What is held once the rest is filled is what was wanted at first.
    assert (rest["current_quantity"] + rest["quantity"]).to_dict() == states.loc[
        rest.index, "target_quantity"
    ].to_dict()


def submit_rest(broker, blotter, **changes):
    rest = sx.residual_orders("r", blotter, quotes=QUOTES).assign(**changes)
    review = sx.review_orders(sx.check_orders(rest, quotes=broker.quotes(), cash=broker.cash(), blotter=blotter))
    review.approve_all(by="me")
    return sx.submit_orders(review.result(), broker, blotter)


@pytest.mark.slow
def test_residual_orders_are_the_next_batch_of_the_run_and_are_sent_once(broker, blotter):
    run(broker, blotter)
    broker._steps.clear()  # from now on the market fills
    states = submit_rest(broker, blotter).set_index("client_order_id")
    assert states["leg"].to_dict()["r-SPY-BUY-2"] == 2
    assert states.loc[["r-SPY-BUY-2", "r-TLT-BUY-2"], "status"].tolist() == ["FILLED", "FILLED"]
    assert states.loc["r-KO-BUY-2", ["status", "reason"]].tolist() == ["REJECTED", "order_alive"]
    held = broker.positions().set_index("symbol")["quantity"]
    assert held["SPY"] == states.loc["r-SPY-BUY", "quantity"]
    left = sx.residual_orders("r", blotter)
    assert left["replaces"].tolist() == ["r-KO-BUY"]  # SPY and TLT are done


class Secretive(MockBroker):
    """The mock broker, which reports no execution of SPY until ``reports_all``."""

    reports_all = False

    def _publish(self, order, event):
        if self.reports_all or event.kind not in ("execution", "commission") or order.ticket.symbol != "SPY":
            super()._publish(order, event)
        else:
            self.kept.append((order, event))

    def __init__(self, *arguments, **options):
        self.kept = []
        super().__init__(*arguments, **options)

    def report_kept(self):
        self.reports_all = True
        for order, event in self.kept:
            self._publish(order, event)


@pytest.fixture
def secretive():
    return Secretive(QUOTES, cash=10_000, fill_plan=PLAN)


@pytest.mark.slow
def test_shares_reported_filled_are_not_ordered_again_before_their_executions_arrive(secretive, blotter):
    states = run(secretive, blotter).set_index("symbol")
    assert states.loc["SPY", ["state", "status", "filled_quantity"]].tolist() == ["UNCONFIRMED", "UNKNOWN", 0.0]
    assert states.loc["SPY", "reported_quantity"] == 30.0
    rest = sx.residual_orders("r", blotter).set_index("symbol")
    assert rest.loc["SPY", ["status", "reason"]].tolist() == ["REJECTED", "order_unresolved"]
    assert blotter.unresolved()["client_order_id"].tolist() == ["r-SPY-BUY"]
    assert "1 orders are unresolved" in blotter.runs()["message"].tolist()[0]
    secretive.report_kept()
    states = sx.resume("r", secretive, blotter).set_index("symbol")
    assert states.loc["SPY", ["state", "filled_quantity", "reported_quantity"]].tolist() == [
        "CANCELLED",
        30.0,
        30.0,
    ]
    rest = sx.residual_orders("r", blotter).set_index("symbol")
    assert rest.loc["SPY", "quantity"] == states.loc["SPY", "quantity"] - 30


@pytest.mark.slow
def test_shares_reported_filled_are_not_ordered_again_even_after_a_resolution(secretive, blotter):
    asked = run(secretive, blotter).set_index("symbol").loc["SPY", "quantity"]
    blotter.resolve("r-SPY-BUY", "CANCELLED", reason="seen in TWS")
    rest = sx.residual_orders("r", blotter).set_index("symbol")
    assert rest.loc["SPY", ["status", "quantity"]].tolist() == ["NEW", asked - 30]


@pytest.mark.slow
def test_a_fill_that_was_withdrawn_is_ordered_again(secretive, blotter):
    asked = run(secretive, blotter).set_index("symbol").loc["SPY", "quantity"]
    secretive.report_kept()
    sx.resume("r", secretive, blotter)
    order, fill = next((order, event) for order, event in secretive.kept if event.kind == "execution")
    secretive._publish(order, fill._replace(exec_id=fill.exec_id[:-1] + "2", quantity=0.0))
    blotter.record([]).result()
    rest = sx.residual_orders("r", blotter).set_index("symbol")
    assert rest.loc["SPY", ["status", "quantity"]].tolist() == ["NEW", asked]


@pytest.mark.slow
def test_the_same_residual_is_not_ordered_twice(broker, blotter):
    run(broker, blotter)
    rest = sx.residual_orders("r", blotter, quotes=QUOTES)
    twin = rest.assign(client_order_id=rest["client_order_id"].str.replace("-2", "-9"))
    broker._steps.clear()
    submit_rest(broker, blotter)
    review = sx.review_orders(
        sx.check_orders(twin, sx.Limits(duplicate_window=None), quotes=broker.quotes(), cash=broker.cash())
    )
    review.approve_all(by="me")
    with pytest.raises(
        sx.InputError, match="r-SPY-BUY-9 is not in the plan of this run, and does not complete"
    ) as caught:
        sx.submit_orders(review.result(), broker, blotter)
    assert [problem.symbol for problem in caught.value.problems] == ["SPY", "TLT"]


@pytest.mark.slow
def test_the_residual_of_a_possibly_open_order_is_refused_with_its_symbol(broker, blotter):
    run(broker, blotter)
    with pytest.raises(sx.InputError, match="r-KO-BUY is PARTIAL: cancel, resolve or resume it first") as caught:
        residuals.check_batch(sx.residual_orders("r", blotter).assign(status="NEW"), blotter.orders("r"))
    assert [(problem.code, problem.symbol) for problem in caught.value.problems] == [("order_alive", "KO")]


@pytest.mark.slow
def test_more_than_the_residual_quantity_is_refused(broker, blotter):
    run(broker, blotter)
    with pytest.raises(sx.InputError, match="has 20 unfilled; plan the rest again") as caught:
        submit_rest(broker, blotter, quantity=21.0)
    assert caught.value.codes == ("rest_exceeded",)


@pytest.mark.slow
def test_a_residual_without_a_price_is_a_rejected_row(broker, blotter):
    run(broker, blotter)
    rest = sx.residual_orders("r", blotter, quotes={"TLT": 0.5}).set_index("symbol")
    assert rest.loc["SPY", ["status", "reason"]].tolist() == ["REJECTED", "price_unavailable"]
    assert rest.loc["TLT", ["status", "quantity", "decision_price", "notional"]].tolist() == [
        "NEW",
        40.0,
        0.5,
        20.0,
    ]


@pytest.mark.slow
def test_rows_refused_by_plan_or_person_have_no_residual(broker, blotter):
    review = sx.review_orders(
        sx.check_orders(
            sx.plan_orders(TARGETS, None, broker.quotes(), nav=10_000, run_id="r"),
            sx.Limits(restricted={"SPY"}),
            quotes=broker.quotes(),
            cash=10_000,
        )
    )
    review.approve_all(by="me")
    review.reject("r-TLT-BUY", by="me")
    sx.submit_orders(review.result(), broker, blotter)
    assert sx.residual_orders("r", blotter)["replaces"].tolist() == ["r-KO-BUY"]


@pytest.mark.slow
def test_an_unknown_run_is_an_error_and_a_finished_one_has_no_residuals(blotter):
    with pytest.raises(sx.InputError, match="there is no run 'r'"):
        sx.residual_orders("r", blotter)
    broker = sx.connect("mock://", quotes=QUOTES, cash=10_000)
    run(broker, blotter)
    rest = sx.residual_orders("r", blotter)
    assert rest.empty
    assert rest.columns.tolist()[-2:] == ["detail", "replaces"]


@pytest.mark.slow
def test_a_listing_stays_with_the_order_in_the_record_its_tickets_and_its_residual(broker, blotter):
    targets = pd.DataFrame({"symbol": ["SPY", "PG"], "weight": [0.5, 0.05], "primary_exchange": ["arca", None]})
    sx.rebalance(targets, broker, blotter, run_id="r", approve="me", dry_run=False)
    listings = {ticket.symbol: ticket.primary_exchange for ticket in tickets_of(blotter.orders("r"))}
    assert listings == {"SPY": "ARCA", "PG": ""}
    assert sx.residual_orders("r", blotter)[["symbol", "primary_exchange"]].to_numpy().tolist() == [
        ["SPY", "ARCA"]
    ]


@pytest.mark.parametrize(
    ("again", "status", "filled"),
    [
        (7.0, "FILLED", True),
        (7.0, "SUBMITTED", False),
        (6.0, "FILLED", False),  # a share was not ordered again
        (None, "FILLED", False),
    ],
)
def test_a_run_is_filled_once_the_rest_of_its_orders_is(again, status, filled):
    row = {"quantity": 10.0, "filled_quantity": 3.0, "reported_quantity": 3.0, "approved": True}
    rows = [row | {"client_order_id": "a", "status": "CANCELLED", "replaces": None}]
    if again is not None:
        rest = {"quantity": again, "filled_quantity": again if status == "FILLED" else 0.0}
        rows.append(row | rest | {"client_order_id": "a-2", "status": status, "replaces": "a"})
    orders = pd.DataFrame(rows)
    assert are_filled(orders) is filled
    assert are_filled(orders.drop(columns="replaces")) is False
    assert are_filled(orders[orders["status"] == "FILLED"].drop(columns="replaces")) is True


def test_the_id_of_a_residual_order_is_never_one_that_is_used():
    orders = sx.plan_orders({"SPY": 0.5}, None, {"SPY": 100.0}, nav=10_000, run_id="r")
    rows = pd.concat([orders, orders.assign(client_order_id="r-SPY-BUY-3")], ignore_index=True)
    names = _next_names("r", rows)["SPY", "BUY"]
    assert [next(names), next(names)] == ["r-SPY-BUY-4", "r-SPY-BUY-5"]
