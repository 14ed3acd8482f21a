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
