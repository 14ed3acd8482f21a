"""Schedules by hand: the parts of an order, and when each of them is due."""

import math
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from stocklean_exec.fill_model import Quote
from stocklean_exec.simulator.exchange import algos
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.exchange.orders import Order
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec
from stocklean_exec.simulator.scenarios.options import Switches

NAN = math.nan
SWITCHES = Switches()
QUOTE = Quote(bid=99.9, ask=100.1, last=99.95, bid_size=300, ask_size=200)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp()


NOON = at("2022-12-29 12:00:00")  # a Thursday


def request(name, kind="MKT", quantity=120.0, limit=NAN, **params):
    pairs = tuple((tag, str(value)) for tag, value in params.items())
    spec = ContractSpec(symbol="SPY")
    return OrderRequest(1, spec, "BUY", quantity, kind, limit, NAN, "DAY", algo=name, algo_params=pairs)


def order(name, *args, start=0.0, end=60.0, **params):
    one = Order(1, request(name, *args, **params), make_contract("SPY"), "DU1", 7, 0.0)
    one.algo_from, one.algo_until = start, end
    return one


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Adaptive", {}),
        *(("Adaptive", {"adaptivePriority": word}) for word in ("Urgent", "Normal", "Patient")),
        ("Twap", {"startTime": "09:00:00 US/Eastern", "endTime": "16:00:00 US/Eastern", "allowPastEndTime": 1}),
        ("Twap", {"startTime": "20221229-14:00:00", "endTime": "20221229-15:00:00"}),
        ("Vwap", {"maxPctVol": 0.1, "startTime": "", "endTime": "", "allowPastEndTime": 0, "noTakeLiq": 1}),
        ("ArrivalPx", {"maxPctVol": 0.5, "riskAversion": "Get Done", "forceCompletion": 0}),
        ("PctVol", {"pctVol": 0.01, "noTakeLiq": 0}),
        ("ClosePx", {"maxPctVol": 0.2, "riskAversion": "Passive", "startTime": "14:00:00"}),
        ("DarkIce", {"displaySize": 10}),
        ("AD", {"componentSize": 10, "timeBetweenOrders": 60, "randomizeTime20": 1}),
        ("vwap", {}),
    ],
)
def test_documented_parameters_are_accepted(name, params):
    assert algos.check_algo(request(name, **params), SWITCHES) is None
    assert algos.check_algo(request(name, "LMT", limit=100.0, **params), SWITCHES) is None


@pytest.mark.parametrize(
    ("name", "kind", "params", "code"),
    [
        ("Guess", "MKT", {}, 439),
        ("Vwap", "STP", {}, 442),
        ("Vwap", "MIDPRICE", {}, 442),
        ("Vwap", "MKT", {"monetaryValue": 1}, 443),
        ("ClosePx", "MKT", {"endTime": "15:00:00"}, 443),  # it ends at the close
        ("PctVol", "MKT", {"pctVol": 0.1, "allowPastEndTime": 1}, 443),
        ("Twap", "MKT", {"strategyType": "Marketable"}, 443),  # captured
        ("Adaptive", "MKT", {"adaptivePriority": "Critical"}, 441),
        ("Vwap", "MKT", {"maxPctVol": 0.51}, 441),
        ("Vwap", "MKT", {"maxPctVol": 10}, 441),  # a fraction, not a percentage
        ("Vwap", "MKT", {"maxPctVol": "much"}, 441),
        ("Vwap", "MKT", {"noTakeLiq": "yes"}, 441),
        ("Twap", "MKT", {"startTime": "noon"}, 441),
        ("Twap", "MKT", {"endTime": "25:00:00 US/Eastern"}, 441),
        ("Twap", "MKT", {"startTime": "15:00:00", "endTime": "14:00:00"}, 441),
        ("ArrivalPx", "MKT", {"riskAversion": "Brave"}, 441),
        ("PctVol", "MKT", {}, 441),
        ("AD", "MKT", {"componentSize": 0}, 441),
        ("DarkIce", "MKT", {"displaySize": 1.5}, 441),
    ],
)
def test_what_an_algorithm_does_not_know_has_a_code(name, kind, params, code):
    assert algos.check_algo(request(name, kind, **params), SWITCHES).code == code


def test_a_rejected_parameter_is_named():
    refusal = algos.check_algo(request("Twap", strategyType="Marketable"), SWITCHES)
    assert refusal.text.endswith("Unknown algo attribute:strategyType")  # captured


@pytest.mark.parametrize("word", ["Marketable", "Matching Midpoint", "Matching Same Side", "Matching Last"])
def test_the_strategy_of_twap_can_be_accepted(word):
    switches = Switches(twap_strategy_type="accepted")
    assert algos.check_algo(request("Twap", strategyType=word), switches) is None
    assert algos.check_algo(request("Twap", strategyType="Fast"), switches).code == 441


CLOSE = at("2022-12-29 16:00:00")


@pytest.mark.parametrize(
    ("name", "params", "close", "expected"),
    [
        ("Twap", {}, None, (NOON, NOON + 60)),  # the switch algo_seconds
        ("Twap", {}, CLOSE, (NOON, CLOSE)),
        ("ClosePx", {"startTime": "15:00:00"}, CLOSE, (CLOSE - 3600, CLOSE)),
        ("Twap", {"startTime": "11:00:00", "endTime": "13:00:00"}, CLOSE, (NOON, NOON + 3600)),
        ("Twap", {"startTime": "12:30:00", "endTime": "13:00:00"}, None, (NOON + 1800, NOON + 3600)),
        # US/Central is an hour behind New York, UTC five hours ahead.
        ("Twap", {"endTime": "12:00:00 US/Central"}, None, (NOON, NOON + 3600)),
        ("Twap", {"endTime": "20221229-18:00:00"}, None, (NOON, NOON + 3600)),
        # A tenth of 10,000 shares a minute: 5,000 shares take five minutes.
        ("PctVol", {"pctVol": 0.1, "quantity": 5_000}, CLOSE, (NOON, NOON + 300)),
        ("Vwap", {"maxPctVol": 0.1, "quantity": 5_000}, None, (NOON, NOON + 300)),
        ("PctVol", {"pctVol": 0.1, "quantity": 50_000_000}, CLOSE, (NOON, CLOSE)),
    ],
)
def test_the_window_of_an_algorithm(name, params, close, expected):
    given = dict(params)
    quantity = given.pop("quantity", 120.0)
    found = algos.window(request(name, quantity=quantity, **given), NOON, close, SWITCHES)
    assert (found.start, found.end) == expected
    assert (found.is_stated, found.is_moved) == ("endTime" in params, False)


@pytest.mark.parametrize(
    ("now", "day"),
    [("2022-12-29 12:00:00", "2022-12-30"), ("2022-12-30 12:00:00", "2023-01-02")],  # over the weekend
)
def test_a_window_that_is_over_is_that_of_the_next_trading_day(now, day):
    found = algos.window(request("Twap", startTime="09:00:00", endTime="10:00:00"), at(now), None, SWITCHES)
    assert (found.start, found.end) == (at(f"{day} 09:00:00"), at(f"{day} 10:00:00"))
    assert found.is_moved


def totals(name, quantity=120.0, switches=SWITCHES, **params):
    """Shares due by the end of each sixth of a minute."""
    one = order(name, "MKT", quantity, **params)
    return [algos.due(one, 10.0 * n + 5.0, switches) for n in range(6)]


def test_time_weighted_parts_are_even():
    assert totals("Twap") == [20, 40, 60, 80, 100, 120]


def test_what_is_due_is_whole_shares_and_the_last_part_completes_it():
    # A sixth of 100 is 16.67, two are 33.33.
    assert totals("Twap", 100.0) == [16, 33, 50, 66, 83, 100]
    assert totals("Twap", 2.0) == [0, 0, 1, 1, 1, 2]


def test_volume_weighted_parts_are_larger_at_both_ends():
    assert totals("Vwap", 140.0) == [30, 50, 70, 90, 110, 140]  # 3, 2, 2, 2, 2, 3 of 14


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        ("Aggressive", [60, 90, 105, 112, 116, 120]),  # halves: 60, 30, 15, 7.5, 3.75 of 120
        ("Neutral", [34, 62, 85, 102, 114, 120]),  # 6, 5, 4, 3, 2, 1 of 21
        ("Passive", [20, 40, 60, 80, 100, 120]),
        ("Get Done", [120] * 6),
    ],
)
def test_an_order_at_the_arrival_price_trades_early_by_its_risk_aversion(risk, expected):
    assert totals("ArrivalPx", riskAversion=risk) == expected


def test_an_order_at_the_closing_price_trades_late():
    assert totals("ClosePx", 210.0) == [10, 30, 60, 100, 150, 210]


def test_a_part_of_the_volume_is_never_exceeded():
    # 10,000 shares a minute: a tenth is 166.67 in each ten seconds.
    assert totals("PctVol", 900.0, pctVol=0.1) == [166, 333, 500, 666, 833, 900]
    assert totals("Vwap", 1_400.0, maxPctVol=0.1) == [166, 333, 500, 666, 833, 1_000]
    assert totals("PctVol", 900.0, Switches(volume_per_minute=60_000.0), pctVol=0.1)[0] == 900


def test_an_order_that_is_to_be_completed_takes_the_rest_with_its_last_part():
    assert totals("ArrivalPx", 2_100.0, maxPctVol=0.1, forceCompletion=1)[-2:] == [833, 2_100]
    assert totals("ArrivalPx", 2_100.0, maxPctVol=0.1, forceCompletion=0)[-1] == 1_000


def test_parts_are_whole_lots():
    one = order("Twap", "MKT", 600.0)
    one.contract = replace(one.contract, size_increment=100.0)
    one.request = replace(one.request, quantity=900.0)
    assert [algos.due(one, 10.0 * n + 5.0, SWITCHES) for n in range(6)] == [100, 300, 400, 600, 700, 900]


def test_after_the_window_everything_is_due_and_before_it_nothing():
    one = order("Twap", start=100.0, end=160.0)
    assert [algos.due(one, instant, SWITCHES) for instant in (99.0, 104.9, 105.0, 160.0)] == [0, 0, 20, 120]


@pytest.mark.parametrize(
    ("params", "limit", "expected"),
    [
        ({}, NAN, [(60, 100.1, 2)]),
        ({"strategyType": "Marketable"}, NAN, [(60, 100.1, 2)]),
        ({"strategyType": "Matching Same Side"}, NAN, [(60, 99.9, 1)]),
        ({"strategyType": "Matching Midpoint"}, NAN, [(60, 100.0, 1)]),
        ({"strategyType": "Matching Last"}, NAN, [(60, 99.95, 1)]),
        ({"noTakeLiq": 1}, NAN, [(60, 99.9, 1)]),
        ({}, 100.0, []),
        ({"strategyType": "Matching Midpoint"}, 99.99, []),
        ({"strategyType": "Matching Midpoint"}, 100.0, [(60, 100.0, 1)]),
    ],
)
def test_a_part_trades_where_its_parameters_say_within_its_limit(params, limit, expected):
    one = order("Twap", "MKT" if math.isnan(limit) else "LMT", 120.0, limit, **params)
    found = algos.slice_executions(one, 60.0, QUOTE)
    assert [(each.quantity, each.price, each.liquidity) for each in found] == expected


def test_adaptive_has_no_schedule():
    assert not algos.is_scheduled(request("Adaptive"))
    assert not algos.is_scheduled(request(""))
    assert algos.is_scheduled(request("VWAP"))
