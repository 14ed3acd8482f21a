"""Layouts against captured frames: number, order and constants of the fields."""

import pytest

from stocklean_exec.simulator.protocol import messages
from stocklean_exec.simulator.protocol.field_layouts import fields_of

# kind, case, number of its message in the case, values of the message
SHORT = [
    ("managedAccounts", "managed_accounts", {"accounts": "DU9000001"}),
    ("nextValidId", "next_valid_id", {"orderId": 1}),
    ("contractDetailsEnd", "contract_details_end", {"reqId": 1001}),
    ("accountSummaryEnd", "account_summary_end", {"reqId": 1001}),
    ("positionEnd", "position_end", {}),
    ("tickSnapshotEnd", "tick_snapshot_end", {"reqId": 1001}),
    ("marketDataType", "market_data_type", {"reqId": 1001, "type": 3}),
    ("tickPrice", "tick_price", {"reqId": 1001, "tickType": 68, "price": 255.45, "size": 200}),
    ("tickSize", "tick_size", {"reqId": 1001, "tickType": 74, "size": 312894}),
    ("openOrderEnd", "open_order_end", {}),
    (
        "accountSummary",
        "account_summary",
        {
            "reqId": 1001,
            "account": "DU9000001",
            "tag": "BuyingPower",
            "value": "300000.00",
            "currency": "EUR",
        },
    ),
    (
        "position",
        "position",
        {"account": "DU9000001", "conId": 3691937, "symbol": "AMZN", "secType": "STK", "exchange": "NASDAQ"}
        | {
            "currency": "USD",
            "localSymbol": "AMZN",
            "tradingClass": "NMS",
            "position": 15,
            "avgCost": 200.25,
        },
    ),
]


@pytest.mark.parametrize(("kind", "case", "values"), SHORT)
def test_a_message_equals_the_captured_one(captured, kind, case, values):
    ((_, _, fields),) = captured[case]
    assert fields_of(kind, 176, values) == fields


def test_an_error_equals_the_captured_ones(captured):
    farm = next(fields for _, _, fields in captured["start"] if fields[0] == "4")
    text = "Market data farm connection is OK:usfarm"
    assert fields_of("error", 173, {"reqId": -1, "code": 2104, "text": text}) == farm
    assert len(fields_of("error", 164, {"reqId": -1, "code": 2104, "text": text})) == 5


def test_an_order_status_equals_the_captured_ones(captured):
    seen = [fields for _, _, fields in captured["market_order"] if fields[0] == "3"]
    values = {"orderId": 5, "status": "PreSubmitted", "filled": 0.0, "remaining": 100.0, "permId": 600745656}
    assert fields_of("orderStatus", 176, values | {"clientId": 100}) == seen[0]
    prices = {"avgFillPrice": 201.94, "lastFillPrice": 201.94, "clientId": 100}
    values |= {"status": "Filled", "filled": 100.0, "remaining": 0.0}
    assert fields_of("orderStatus", 176, values | prices) == seen[1]


EXECUTION = {
    "orderId": 5,
    "conId": 265598,
    "symbol": "AAPL",
    "secType": "STK",
    "exchange": "IEX",
    "currency": "USD",
    "localSymbol": "AAPL",
    "tradingClass": "NMS",
    "execId": "0000e0d5.67fe667b.01.01",
    "time": "20250415  19:38:31",
    "account": "DU1234567",
    "executionExchange": "IEX",
    "side": "BOT",
    "shares": 100.0,
    "price": 201.94,
    "permId": 600745656,
    "clientId": 100,
    "cumQty": 100.0,
    "avgPrice": 201.94,
    "lastLiquidity": 2,
}


def test_an_execution_equals_the_captured_one_and_grows_at_178(captured):
    seen = next(fields for _, _, fields in captured["market_order"] if fields[0] == "11")
    assert fields_of("execDetails", 176, EXECUTION) == seen
    assert len(seen) == 31
    assert fields_of("execDetails", 178, EXECUTION) == [*seen, "0"]


def test_a_commission_report_equals_the_captured_one(captured):
    seen = next(fields for _, _, fields in captured["market_order_with_commission"] if fields[0] == "59")
    values = {"execId": "00025b46.63f8f39c.01.01", "commission": 1.0, "currency": "USD"}
    assert fields_of("commissionReport", 176, values | {"realizedPNL": float("nan")}) == seen
    assert len(seen) == 8


def test_contract_details_have_the_captured_shape(captured):
    ((_, _, raw),) = captured["contract_details"]
    seen = raw[:4] + raw[5:-1]  # a second date came with 182, a count of reasons at the end with 186
    names = "reqId symbol secType lastTrade strike right exchange currency localSymbol marketName tradingClass"
    values = dict(zip(names.split(), seen[1:12], strict=True))
    values |= {"conId": seen[12], "minTick": 0.01, "orderTypes": seen[15], "validExchanges": seen[16]}
    values |= {"longName": seen[19], "primaryExchange": "NASDAQ", "industry": seen[22], "category": seen[23]}
    values |= {"subcategory": seen[24], "tradingHours": seen[26], "liquidHours": seen[27]}
    values |= {"secIds": [{"tag": "ISIN", "value": "US0378331005"}], "marketRuleIds": seen[36]}
    values |= {"stockType": "COMMON"}
    assert fields_of("contractDetails", 176, values) == seen


@pytest.mark.parametrize(("version", "count"), [(157, 39), (162, 39), (163, 40), (164, 40), (178, 40)])
def test_contract_details_change_at_163_and_164(version, count):
    # Without a security id. Below 164: a version field and the size multiplier; 163: one size; 164: three.
    assert len(fields_of("contractDetails", version, {"minTick": 0.01})) == count


def test_historical_bars_have_the_captured_shape(captured):
    ((_, _, seen),) = captured["historical_data"]
    first = dict(zip(["date", "open", "high", "low", "close", "volume", "wap", "count"], seen[3:11], strict=True))
    bar = {name: value if name in {"date", "count"} else float(value) for name, value in first.items()}
    ours = fields_of("historicalData", 176, {"reqId": 1001, "start": "a", "end": "b", "bars": [bar]})
    assert ours[:5] == ["17", "1001", "a", "b", "1"]  # the two dates are a message of their own since 196
    assert [float(text) for text in ours[6:]] == [float(text) for text in seen[4:11]]


def test_symbol_samples_grow_at_176():
    contract = {"conId": 1, "symbol": "A", "secType": "STK", "primaryExchange": "N", "currency": "USD"}
    values = {"reqId": 5, "contracts": [contract | {"description": "A INC"}]}
    assert fields_of("symbolSamples", 175, values) == ["79", "5", "1", "1", "A", "STK", "N", "USD", "0"]
    assert fields_of("symbolSamples", 176, values)[-2:] == ["A INC", ""]


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("updatePortfolio", 20),
        ("position", 16),
        ("tickPrice", 7),
        ("updateAccountValue", 6),
        ("pnlSingle", 7),
    ],
)
def test_messages_that_clients_unpack_strictly_have_the_right_number_of_fields(kind, count):
    for version in (157, 176, 178):
        assert len(fields_of(kind, version, {"price": 1.0})) == count


def test_message_ids_are_unique():
    ids = [one.message_id for one in messages.LAYOUTS]
    assert len(ids) == len(set(ids))
