from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

import stocklean_exec as sx
from stocklean_exec.schema.tables import FILLS, ORDER_EVENTS, ORDERS, QUOTES, RUNS
from stocklean_exec.tca.trade_record import TradeRecord


def test_a_trade_record_counts_rows_in_its_repr_and_is_immutable():
    record = TradeRecord(ORDERS.empty(), FILLS.empty(), QUOTES.empty(), ORDER_EVENTS.empty(), RUNS.empty())
    assert repr(record) == "<TradeRecord: 0 runs, 0 orders, 0 fills>"
    with pytest.raises(FrozenInstanceError):
        record.fills = record.orders


def test_the_public_trade_record_is_this_class():
    assert sx.TradeRecord is TradeRecord
