"""Recipients of order reports; reports while the link is down."""

from stocklean_exec.simulator.exchange.order_reports import OrderReports
from stocklean_exec.simulator.scenarios.options import Switches


class Listener:
    """Records what is sent to it."""

    version = 176

    def __init__(self):
        self.received = []

    def send(self, kind, values, attributes):
        self.received.append((kind, values.get("clientId"), attributes["symbol"]))


def order_of(make_venue, join, client_id=1):
    venue = make_venue()
    join(venue, client_id).place(1, order_type="LMT", limit="390.00")
    return next(iter(venue.ledger.orders.values()))


def test_an_order_is_reported_to_its_client_and_the_master_client(make_venue, join):
    order = order_of(make_venue, join)
    owner, master, other = Listener(), Listener(), Listener()
    reports = OrderReports({1: owner, 5: master, 7: other}, Switches(master_client_id=5))
    reports.status(order)
    assert owner.received == master.received == [("orderStatus", 1, "SPY")]
    assert other.received == []


def test_a_master_client_receives_reports_of_its_own_orders_once(make_venue, join):
    order = order_of(make_venue, join, client_id=5)
    master = Listener()
    OrderReports({5: master}, Switches(master_client_id=5)).status(order)
    assert master.received == [("orderStatus", 5, "SPY")]


def test_nothing_is_sent_without_a_connected_client(make_venue, join):
    OrderReports({}, Switches()).status(order_of(make_venue, join))


def test_queued_messages_are_sent_in_order_or_discarded(make_venue, join):
    order = order_of(make_venue, join)
    for deliver, count in ((True, 2), (False, 0)):
        owner = Listener()
        reports = OrderReports({1: owner}, Switches())
        reports.queue_messages()
        reports.order(order)
        assert owner.received == []
        reports.release(deliver=deliver)
        assert len(owner.received) == count
        reports.status(order)
        assert len(owner.received) == count + 1


def test_a_cancel_by_another_client_is_reported_to_both_with_its_client_id(make_venue, join):
    order = order_of(make_venue, join)
    owner, canceller = Listener(), Listener()
    OrderReports({1: owner, 2: canceller}, Switches()).status(order, client_id=2)
    assert owner.received == canceller.received == [("orderStatus", 2, "SPY")]


def test_each_kind_of_report_is_sent_to_the_owner(make_venue, join):
    venue = make_venue()
    join(venue).place(1)
    ledger = venue.ledger
    order, fill = ledger.find(1, 1), ledger.fills[0]
    owner, other = Listener(), Listener()
    reports = OrderReports({1: owner, 2: other}, Switches())
    reports.order(order, only=True)
    reports.order(order)
    reports.execution(order, fill)
    reports.commission(order, fill)
    reports.error(order, 399, "text")
    assert [kind for kind, *_ in owner.received] == [
        "openOrder",
        "openOrder",
        "orderStatus",
        "execDetails",
        "commissionReport",
        "error",
    ]
    assert other.received == []
    reports.error(order, 10147, "of another client", client_id=2)
    assert [kind for kind, *_ in other.received] == ["error"]


def test_a_manual_order_is_reported_to_client_0(make_venue, join):
    venue = make_venue()
    join(venue)
    venue.events.run({"do": "manual_order", "symbol": "SPY", "quantity": 5, "price": 390.0})
    (order,) = venue.ledger.active.values()
    assert order.manual
    zero, one = Listener(), Listener()
    reports = OrderReports({0: zero, 1: one}, Switches())
    reports.status(order)
    reports.bound(order)
    assert [kind for kind, *_ in zero.received] == ["orderStatus", "orderBound"]
    assert one.received == []
