"""Orders as real clients write them, decoded: the expected values are those the clients were set to send."""

import math

import pytest

from stocklean_exec.simulator.protocol.order_request import OrderRequest, parse_order
from stocklean_exec.simulator.protocol.requests import BadRequest


def orders(recorded, client, version):
    return [parse_order(fields, version) for fields in recorded[client, version] if fields[0] == "3"]


@pytest.mark.parametrize("version", [176, 178])
def test_a_market_order_of_ib_async(recorded, version):
    order = orders(recorded, "ib_async", version)[0]
    assert (order.action, order.quantity, order.order_type, order.tif) == ("BUY", 100, "MKT", "DAY")
    assert (order.order_ref, order.account, order.transmit) == ("run-1-AAPL-BUY", "DU0000001", True)
    assert order.contract.con_id == 265598
    assert math.isnan(order.limit_price)
    assert math.isnan(order.aux_price)
    assert order.echo == ()


@pytest.mark.parametrize("version", [176, 178])
def test_a_market_order_of_the_official_client_is_the_same_order(recorded, version):
    order = orders(recorded, "official", version)[0]
    assert (order.action, order.quantity, order.order_type, order.tif) == ("BUY", 100, "MKT", "DAY")
    assert (order.order_ref, order.account, order.transmit) == ("run-2-AAPL-BUY", "", True)
    assert math.isnan(order.limit_price)
    assert order.echo == ()


@pytest.mark.parametrize("client", ["ib_async", "official"])
def test_a_limit_order_and_an_adaptive_one(recorded, client):
    _, limit, adaptive = orders(recorded, client, 176)[:3]
    assert (limit.side, limit.quantity, limit.limit_price, limit.tif) == ("SELL", 10, 140.5, "GTC")
    assert (adaptive.algo, adaptive.algo_params) == ("Adaptive", (("adaptivePriority", "Normal"),))
    assert adaptive.limit_price == 120.25


@pytest.mark.parametrize("client", ["ib_async", "official"])
def test_what_if_is_found_after_all_variable_parts(recorded, client):
    flags = [order.what_if for order in orders(recorded, client, 176)]
    assert flags[-1] is True
    assert not any(flags[:-1])


def test_an_order_of_an_older_client_may_end_early(recorded):
    fields = next(fields for fields in recorded["official", 176] if fields[0] == "3")
    order = parse_order(fields[:87], 176)
    assert isinstance(order, OrderRequest)
    assert not order.what_if


def test_an_order_without_its_core_fields_is_invalid(recorded):
    fields = next(fields for fields in recorded["official", 176] if fields[0] == "3")
    assert isinstance(parse_order(fields[:60], 176), BadRequest)


def test_an_invalid_price_is_reported_with_the_order_id(join, make_venue):
    fields = join(make_venue()).order_fields(9, order_type="LMT", limit="NaN")
    assert parse_order(fields, 176) == BadRequest("placeOrder", 9, "field lmtPrice cannot be read: 'NaN'")


def test_fields_that_differ_from_their_default_are_echoed(join, make_venue):
    fields = join(make_venue()).order_fields(9)
    fields[29] = "1"  # blockOrder
    fields[31] = "50"  # displaySize
    assert parse_order(fields, 176).echo == (("blockOrder", "1"), ("displaySize", "50"))


def test_combo_legs_are_skipped(join, make_venue):
    fields = join(make_venue()).order_fields(9, sec_type="BAG")
    legs = ["2", *["1", "1", "BUY", "SMART", "0", "0", "", "-1"] * 2, "0", "1", "NonGuaranteed", "1"]
    order = parse_order([*fields[:35], *legs, *fields[35:]], 176)
    assert (order.contract.sec_type, order.what_if) == ("BAG", False)


def test_an_empty_text_is_not_echoed_in_a_numeric_field(connect):
    """Strict clients cannot read a number from an empty text: openOrder keeps its default."""
    peer = connect()
    fields = peer.order_fields(1, order_type="LMT", limit="390.00")
    for place in (29, 30, 31, 32, 34):  # block order, sweep to fill, display size, trigger method, hidden
        fields[place] = ""
    order = next(one for one in peer.send(*fields) if one[0] == "5")
    plain = next(one for one in peer.place(2, order_type="LMT", limit="390.00") if one[0] == "5")
    differ = [at for at, (a, b) in enumerate(zip(order, plain, strict=True)) if a != b]
    assert differ == [1, 25, 30]  # order id, permanent id, and the allocation that names it


def test_numbers_beside_the_prices_are_read_by_their_name(join, make_venue):
    terms = {"percent_offset": "0.01", "trail_stop": "398.5", "trail_percent": "1.5", "limit_offset": "0.1"}
    order = parse_order(join(make_venue()).order_fields(9, trigger_method="8", **terms), 176)
    names = ("percentOffset", "trailStopPrice", "trailingPercent", "lmtPriceOffset", "triggerMethod")
    assert [order.detail(name) for name in names] == [0.01, 398.5, 1.5, 0.1, 8.0]
    plain = parse_order(join(make_venue()).order_fields(9), 176)
    assert all(math.isnan(plain.detail(name)) for name in names)
