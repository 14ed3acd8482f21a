"""openOrder and completedOrder against captured frames."""

import pytest

from stocklean_exec.simulator.protocol.field_layouts import fields_of
from stocklean_exec.simulator.protocol.order_layouts import NOT_AN_INSIDER

PLAIN = {
    "orderId": 5,
    "conId": 265598,
    "symbol": "AAPL",
    "secType": "STK",
    "exchange": "SMART",
    "currency": "USD",
    "localSymbol": "AAPL",
    "tradingClass": "NMS",
    "action": "BUY",
    "totalQuantity": 100.0,
    "orderType": "MKT",
    "account": "DU1234567",
    "clientId": 100,
    "permId": 600745656,
    "sharesAllocation": "600745656.0/DU1234567/100",
    "status": "PreSubmitted",
}


def test_an_open_order_equals_the_captured_one(captured):
    first = next(fields for _, _, fields in captured["market_order"] if fields[0] == "5")
    assert fields_of("openOrder", 173, PLAIN) == first
    assert fields_of("openOrder", 176, PLAIN) == first


# 136 at 176 are counted in captures; below, subtract later fields: 5 at 170, one each at 162, 160 and 158.
@pytest.mark.parametrize(
    ("version", "count"), [(157, 128), (158, 129), (160, 130), (162, 131), (170, 136), (176, 136), (178, 135)]
)
def test_an_open_order_has_the_fields_of_its_version(version, count):
    assert len(fields_of("openOrder", version, PLAIN)) == count


def test_constants_are_at_the_positions_that_clients_misread():
    fields = fields_of("openOrder", 176, PLAIN)
    where = {6: "0", 7: "?", 16: "0.0", 17: "0.0", 42: "-1", 49: "2147483647", 54: "3", 62: "None", 68: "?"}
    where |= {82: "2147483647", 88: "IB", 112: "None", 124: "1", 132: "100", 133: "0.02"}
    assert {place: fields[place] for place in where} == where
    assert set(fields[95:104]) == {"1.7976931348623157E308"}


def test_an_algo_order_carries_its_parameters():
    values = PLAIN | {"algo": ("Adaptive", "1", "adaptivePriority", "Normal")}
    fields = fields_of("openOrder", 176, values)
    assert len(fields) == 136 + 3
    at = fields.index("Adaptive")
    assert fields[at : at + 4] == ["Adaptive", "1", "adaptivePriority", "Normal"]


def test_a_completed_order_equals_the_captured_one(captured):
    seen = captured["completed"][0][2]
    skip = {"orderId", "clientId", "sharesAllocation"}
    values = {name: value for name, value in PLAIN.items() if name not in skip}
    values |= {"totalQuantity": 0, "permId": 1824933227, "status": "Filled", "filledQuantity": 100.0}
    values |= {"shareholder": NOT_AN_INSIDER, "completedStatus": "Filled Size: 100"}
    values |= {"completedTime": "20230306 12:28:30 America/Los_Angeles"}
    assert fields_of("completedOrder", 164, values) == seen
    assert len(fields_of("completedOrder", 176, values)) == len(seen) + 5
    assert len(fields_of("completedOrder", 178, values)) == len(seen) + 4
