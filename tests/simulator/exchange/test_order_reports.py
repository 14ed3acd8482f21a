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
