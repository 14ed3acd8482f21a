"""The ledger of a venue; ids in the format of TWS."""

import re
from dataclasses import replace

import pytest

from stocklean_exec.simulator.exchange.accounts import Account
from stocklean_exec.simulator.exchange.journal import Journal
from stocklean_exec.simulator.exchange.ledger import Ledger


def empty(seed=7):
    return Ledger([Account("DU1")], seed, Journal())


def test_permanent_ids_have_ten_digits_and_increase():
    ledger = empty()
    ids = [ledger.next_perm_id() for _ in range(100)]
    assert ids == sorted(set(ids))
    assert all(len(str(one)) == 10 and one < 1 << 31 for one in ids)


def test_execution_ids_have_the_captured_format_and_are_unique():
    ledger = empty()
    ids = [ledger.next_exec_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{8}\.[0-9a-f]{8}\.01\.01", one) for one in ids)


def test_ids_depend_on_the_seed():
    assert empty().next_exec_id() == empty().next_exec_id() != empty(8).next_exec_id()
    assert empty().next_perm_id() == empty().next_perm_id() != empty(8).next_perm_id()


def test_the_next_valid_id_is_above_all_used_ids_of_its_client():
    ledger = empty()
    ledger.use_id(1, 7)
    ledger.use_id(1, 3)
    assert (ledger.next_valid_id(1), ledger.next_valid_id(2)) == (8, 1)
    ledger.reset_ids(1)
    assert ledger.next_valid_id(1) == 1


def test_orders_are_found_by_client_and_permanent_id_and_counted_by_side(connect):
    peer = connect()
    peer.place(1, order_type="LMT", limit="390.00")
    peer.place(2, action="SELL", order_type="LMT", limit="410.00")
    ledger = peer.venue.ledger
    order = ledger.find(1, 1)
    assert ledger.by_perm(order.perm_id) is order
    assert ledger.find(2, 1) is None
    assert ledger.active_count("DU0000001", order.contract.con_id, "BUY") == 1
    assert ledger.active_count("DU0000002", order.contract.con_id, "BUY") == 0


def test_an_execution_is_routed_to_the_exchange_of_its_order(connect):
    peer = connect()
    requested = next(fields for fields in peer.place(1, exchange="IEX") if fields[0] == "11")
    assert requested[17] == "IEX"
    smart = next(fields for fields in peer.place(2) if fields[0] == "11")
    assert smart[17] in {"ISLAND", "ARCA", "BATS", "IEX", "EDGEA", "NYSE"}


@pytest.mark.parametrize(
    ("currency", "price", "first", "second"),
    [
        ("USD", 390.0, 1.0, 0.0),  # 10 and 20 shares, at the minimum in all
        ("JPY", 3_000.0, 80.0, 0.0),  # 0.08 % of 90,000 is 72, below the minimum
        ("JPY", 30_000.0, 240.0, 480.0),
        ("GBP", 1_000.0, 5.0, 10.0),  # 0.05 %; stamp duty is not charged
    ],
)
def test_an_execution_pays_the_commission_of_its_currency_without_levies(connect, currency, price, first, second):
    peer = connect()
    peer.place(1, order_type="LMT", limit="390.00")
    ledger = peer.venue.ledger
    order = ledger.find(1, 1)
    order.contract = replace(order.contract, currency=currency)
    fees = [ledger.execute(order, quantity, price, 0.0, 2).commission for quantity in (10.0, 20.0)]
    assert fees == [first, second]


# -- corrections -------------------------------------------------------------------------------------------------


@pytest.fixture
def bought(connect):
    """A ledger in which 10 SPY were bought at 400.10 for a commission of 1.00 out of 5,000.00."""
    peer = connect(cash=5_000.0)
    peer.place(1, quantity=10)
    return peer.venue.ledger


def holdings(ledger):
    account = ledger.accounts["DU0000001"]
    return {one.quantity for one in account.positions.values()} - {0.0}, account.balances()["USD"]


def test_a_corrected_execution_replaces_the_first_one_in_order_and_account(bought):
    (fill,) = bought.fills
    assert holdings(bought) == ({10.0}, pytest.approx(5_000 - 4_001 - 1))
    fixed = bought.correct(fill, 8.0, 400.0, fill.at + 60)
    assert (fixed.exec_id, fixed.replaces) == (fill.exec_id[:-2] + "02", fill.exec_id)
    assert (fixed.quantity, fixed.price, fixed.commission, fixed.at) == (8.0, 400.0, 1.0, fill.at + 60)
    assert (fixed.cumulative, fixed.average) == (8.0, pytest.approx(400.0))
    assert (fill.superseded, fixed.superseded) == (True, False)
    order = bought.find(1, 1)
    assert (order.filled, order.average, order.last_price) == (8.0, pytest.approx(400.0), 400.0)
    assert holdings(bought) == ({8.0}, pytest.approx(5_000 - 3_200 - 1))
    assert bought.correct(fixed, 10.0, 399.0, fill.at + 90).exec_id.endswith(".03")
    assert holdings(bought) == ({10.0}, pytest.approx(5_000 - 3_990 - 1))


def test_a_busted_execution_takes_nothing_and_costs_nothing(bought):
    (fill,) = bought.fills
    bust = bought.correct(fill, 0.0, 400.10, fill.at + 60)
    assert (bust.quantity, bust.commission, bust.average) == (0.0, 0.0, 0.0)
    assert holdings(bought) == (set(), 5_000.0)


# -- ids and keys ------------------------------------------------------------------------------------------------


def test_an_order_id_that_was_received_is_not_valid_again():
    ledger = empty()
    ledger.receive_id(1, 5)
    ledger.receive_id(1, 4)
    assert (ledger.next_valid_id(1), ledger.next_valid_id(2)) == (6, 1)
    ledger.use_id(1, 9)
    ledger.reset_ids(3)
    assert (ledger.next_valid_id(1), ledger.next_valid_id(3)) == (3, 1)  # client 3 was never here


def test_an_order_under_an_id_that_is_used_again_keeps_its_older_namesake(connect):
    peer = connect()
    peer.place(1, order_type="LMT", limit="390.00")
    ledger = peer.venue.ledger
    old = ledger.find(1, 1)
    new = replace(old, perm_id=ledger.next_perm_id())
    ledger.add(new)
    assert ledger.find(1, 1) is new
    assert ledger.by_perm(old.perm_id) is old
    assert sorted(map(id, ledger.active.values())) == sorted(map(id, (old, new)))
    old.status = "Cancelled"
    ledger.changed(old)
    assert list(ledger.active.values()) == [new]
    ledger.remove(new)
    assert (ledger.find(1, 1), list(ledger.active.values())) == (None, [])


def test_the_latest_time_of_a_ledger_is_that_of_its_last_event(bought):
    (fill,) = bought.fills
    assert empty().latest() == 0.0
    assert bought.latest() == fill.at
    bought.correct(fill, 8.0, 400.0, fill.at + 60)
    assert bought.latest() == fill.at + 60


# -- after a restart ---------------------------------------------------------------------------------------------


def test_a_ledger_that_is_loaded_again_is_as_it_was_saved(make_venue, join, tmp_path):
    options = {"state": tmp_path / "venue.state", "cash": 50_000.0}
    venue = make_venue(positions={"XOM": (50, 90.0)}, **options)
    peer = join(venue)
    peer.place(1, quantity=10)
    peer.place(2, order_type="LMT", limit="390.00", order_ref="rests")
    before = venue.ledger
    before.correct(before.fills[0], 8.0, 400.0, before.fills[0].at + 60)
    before.changed(before.find(1, 1))
    before.open_account(Account("DU2"))
    before.roll_day(before.latest() - 3_600.0)
    before.roll_day(5.0)  # days do not go back
    venue.close()

    after = make_venue(**options).ledger
    assert repr(after.accounts) == repr(before.accounts)
    assert list(after.accounts) == ["DU0000001", "DU2"]
    assert [repr(one) for one in after.fills] == [repr(one) for one in before.fills]
    assert {key: repr(one) for key, one in after.orders.items()} == {
        key: repr(one) for key, one in before.orders.items()
    }
    assert list(after.active) == [(1, 2)]
    assert after.by_perm(after.find(1, 2).perm_id).request.order_ref == "rests"
    assert after.midnight == before.latest() - 3_600.0
    assert after.next_valid_id(1) == 3
    assert after.next_perm_id() not in {one.perm_id for one in before.orders.values()}
    assert after.next_exec_id()[:17] not in {one.exec_id[:17] for one in before.fills}
