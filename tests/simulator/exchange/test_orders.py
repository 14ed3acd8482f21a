import pytest

from stocklean_exec.simulator.exchange.orders import execution_time, open_fields


@pytest.mark.parametrize(
    ("form", "version", "text"),
    [
        ("zone", 176, "20230413 15:27:04 US/Eastern"),  # captured form at 200
        ("utc", 176, "20230413-19:27:04"),
        ("naive", 176, "20230413  15:27:04"),
        ("zone", 173, "20230413  15:27:04"),  # captured form at 173
    ],
)
def test_execution_times(form, version, text):
    assert execution_time(1681414024.9, "US/Eastern", form, version) == text


def test_the_trailing_stop_of_a_limit_order_is_one_off_its_limit_until_the_price_changes(connect):
    peer = connect()
    bought = peer.place(1, order_type="LMT", limit="390.00")[0]
    assert bought[114] == "391.0"  # captured: a buy limit shows its price plus one
    changed = peer.place(1, order_type="LMT", limit="391.00")[0]
    assert changed[114] == "1.7976931348623157E308"
    assert peer.place(2)[0][114] == "1.7976931348623157E308"


def test_a_partly_filled_order_has_an_average_price_and_a_remaining_quantity(connect):
    peer = connect({"order": [{"steps": [{"fill": 40, "price": 400.0}, {"fill": 20, "price": 403.0}]}]})
    peer.place(1, quantity=100)
    order = peer.venue.ledger.find(1, 1)
    assert (order.remaining, order.average, order.active) == (40, 401.0, True)
    assert open_fields(order)["status"] == "Submitted"
