"""Tickets from rows of orders: what a broker is sent."""

import math

import pandas as pd

from stocklean_exec.execution.tickets import tickets_of


def rows():
    terms = {"run_id": "r", "side": "BUY", "quantity": 5.0, "order_type": "MKT", "limit_price": math.nan}
    terms |= {"tif": "DAY", "sec_type": "STK", "exchange": "SMART", "account": "DU1"}
    frame = pd.DataFrame({"client_order_id": ["a", "b"], "symbol": ["SAP", "SPY"], "currency": ["EUR", "USD"]})
    frame = frame.assign(**terms, decision_price=[150.0, math.nan])
    frame["decided_at"] = pd.to_datetime(["2026-11-27 15:00", None], utc=True)
    return frame


def test_an_order_of_a_record_without_more_has_the_defaults():
    bare = tickets_of(rows())
    assert [(one.fx_rate, one.con_id, one.primary_exchange) for one in bare] == [(1.0, None, "")] * 2
    assert [str(one.decided_on) for one in bare] == ["2026-11-27", "None"]
    assert (bare[0].good_till, bare[0].algo) == (None, "")


def test_an_order_is_sent_with_what_the_record_knows_of_it():
    frame = rows().assign(fx_rate=[1.1, None], con_id=[7, None], primary_exchange=[" ibis", None])
    full = tickets_of(frame)
    assert [(one.fx_rate, one.con_id, one.primary_exchange) for one in full] == [(1.1, 7, "IBIS"), (1.0, None, "")]
    assert (full[0].symbol, full[0].currency, full[0].reference_price) == ("SAP", "EUR", 150.0)


def test_times_and_algorithms_are_plain_values():
    ends = pd.to_datetime(["2026-11-30 15:00", None], utc=True)
    frame = rows().assign(tif="GTD", good_till=ends, algo=["Adaptive", None], algo_params=['{"a": 1}', None])
    first, second = tickets_of(frame)
    assert (first.good_till.isoformat(), first.algo, first.algo_params) == (
        "2026-11-30T15:00:00+00:00",
        "Adaptive",
        '{"a": 1}',
    )
    assert (second.good_till, second.algo, second.algo_params) == (None, "", "")


def test_an_auction_takes_orders_until_a_moment_in_utc():
    frame = rows().assign(tif="OPG", auction_until=["2026-11-30T15:50:00-05:00", "2026-12-01T08:58:00+01:00"])
    found = [one.auction_until.isoformat() for one in tickets_of(frame)]
    assert found == ["2026-11-30T20:50:00+00:00", "2026-12-01T07:58:00+00:00"]
    assert [one.auction_until for one in tickets_of(frame.assign(auction_until=None))] == [None, None]
