"""Every order that we send, encoded by ib_async and by the official client: the fields are the same.

The official order is written out by hand from IB's samples of order types. Both encoders spell six things in
different ways; these positions, and no others, may differ. The official client is in the test extra and is not
part of this project.
"""

# ruff: noqa: N802 - methods of both clients that are overridden here have these names

import asyncio
import math
from datetime import UTC, datetime

import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.client import make_contract
from stocklean_exec.brokers.ib.connection import Connection, Endpoint
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.brokers.rate_limit import Pacer
from stocklean_exec.errors import BrokerError
from tests.extras import need

need("ibapi", "test")

from ib_async.client import Client  # noqa: E402 - see above
from ibapi import comm  # noqa: E402 - see above
from ibapi.client import EClient  # noqa: E402 - see above
from ibapi.contract import Contract  # noqa: E402 - see above
from ibapi.order import Order  # noqa: E402 - see above
from ibapi.tag_value import TagValue  # noqa: E402 - see above

NAN = math.nan
UNTIL = datetime(2026, 11, 24, 21, tzinfo=UTC)
AFTER = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
FORMAL = {6: ("0.0", ""), 24: ("O", ""), 36: ("0.0", "0")}
"""Places (the message's number is the first) of the strike, of open or close and of the discretionary amount, with
the spelling of ib_async and that of the official client for the same default."""
PAST_TERMS = 90  # behind it are fields of other kinds of orders alone, at their defaults
DEFAULTS = {("", "1.7976931348623157e+308"), ("", "2147483647"), ("0", "")}
"""There ib_async writes nothing for an unset number, and one boolean that the official client leaves empty."""

# Terms of our ticket, and the fields of the official order.
TYPES = [
    pytest.param({"order_type": "MKT"}, {"orderType": "MKT"}, id="market"),
    pytest.param({"order_type": "MKT", "tif": "OPG"}, {"orderType": "MKT", "tif": "OPG"}, id="market on open"),
    pytest.param({"order_type": "LMT", "limit_price": 400.5}, {"orderType": "LMT", "lmtPrice": 400.5}, id="limit"),
    *(
        pytest.param(
            {"order_type": "LMT", "limit_price": 400.5, "tif": tif},
            {"orderType": "LMT", "lmtPrice": 400.5, "tif": tif},
            id=f"limit {tif}",
        )
        for tif in ("GTC", "IOC", "FOK", "OPG")
    ),
    pytest.param(
        {"order_type": "LMT", "limit_price": 400.5, "tif": "GTD", "good_till": UNTIL, "good_after": AFTER},
        {
            "orderType": "LMT",
            "lmtPrice": 400.5,
            "tif": "GTD",
            "goodTillDate": "20261124-21:00:00",
            "goodAfterTime": "20261123-15:30:00",
        },
        id="limit GTD",
    ),
    pytest.param(
        {"order_type": "LMT", "limit_price": 400.5, "outside_rth": True},
        {"orderType": "LMT", "lmtPrice": 400.5, "outsideRth": True},
        id="outside regular hours",
    ),
    pytest.param({"order_type": "MOC"}, {"orderType": "MOC"}, id="market on close"),
    pytest.param({"order_type": "LOC", "limit_price": 400.5}, {"orderType": "LOC", "lmtPrice": 400.5}, id="LOC"),
    pytest.param({"order_type": "MIDPRICE"}, {"orderType": "MIDPRICE"}, id="midprice"),
    pytest.param(
        {"order_type": "MIDPRICE", "limit_price": 400.5}, {"orderType": "MIDPRICE", "lmtPrice": 400.5}, id="capped"
    ),
    pytest.param({"order_type": "REL", "aux_price": 0.0}, {"orderType": "REL", "auxPrice": 0.0}, id="no offset"),
    pytest.param(
        {"order_type": "REL", "aux_price": 0.02, "limit_price": 400.5},
        {"orderType": "REL", "auxPrice": 0.02, "lmtPrice": 400.5},
        id="relative",
    ),
    pytest.param({"order_type": "STP", "aux_price": 390.0}, {"orderType": "STP", "auxPrice": 390.0}, id="stop"),
    pytest.param(
        {"order_type": "STP LMT", "aux_price": 390.0, "limit_price": 389.5, "tif": "GTC"},
        {"orderType": "STP LMT", "auxPrice": 390.0, "lmtPrice": 389.5, "tif": "GTC"},
        id="stop limit",
    ),
    pytest.param({"order_type": "TRAIL", "aux_price": 2.5}, {"orderType": "TRAIL", "auxPrice": 2.5}, id="trail"),
]
ALGOS = [
    ("Adaptive", '{"adaptivePriority": "Patient"}', [("adaptivePriority", "Patient")]),
    (
        "Twap",
        '{"startTime": "09:30:00 US/Eastern", "allowPastEndTime": true}',
        [("startTime", "09:30:00 US/Eastern"), ("allowPastEndTime", "1")],
    ),
    ("Twap", "", []),
    ("Vwap", '{"maxPctVol": 0.2, "noTakeLiq": true}', [("maxPctVol", "0.2"), ("noTakeLiq", "1")]),
    (
        "ArrivalPx",
        '{"forceCompletion": true, "maxPctVol": 0.1, "riskAversion": "Neutral"}',
        [("maxPctVol", "0.1"), ("riskAversion", "Neutral"), ("forceCompletion", "1")],
    ),
    ("PctVol", '{"pctVol": 0.5}', [("pctVol", "0.5")]),
    ("ClosePx", '{"riskAversion": "Passive"}', [("riskAversion", "Passive")]),
]
TYPES += [
    pytest.param(
        {"order_type": kind, "limit_price": limit, "algo": algo, "algo_params": params},
        {"orderType": kind, "algoStrategy": algo, "algoParams": [TagValue(*tag) for tag in tags]}
        | ({} if math.isnan(limit) else {"lmtPrice": limit}),
        id=f"{algo} {kind}{len(tags)}",
    )
    for algo, params, tags in ALGOS
    for kind, limit in (("MKT", NAN), ("LMT", 400.5))
]


def ticket(**terms):
    usual = {"order_type": "MKT", "limit_price": NAN, "tif": "DAY"} | terms
    return Ticket(
        "r-SPY-BUY",
        "r",
        "SPY",
        "BUY",
        10.0,
        currency="USD",
        sec_type="STK",
        exchange="SMART",
        account="DU1",
        **usual,
    )


async def made(terms):
    place = Endpoint("127.0.0.1", 1, 1, None, 1.0, "America/New_York")
    return Connection(place, OrderTracker(lambda: AFTER), Pacer(0.0), None).make_order(ticket(**terms), 7)


def by_ib_async(terms, version):
    sent = []

    class Wire(Client):
        def __init__(self):
            pass

        def isConnected(self):
            return True

        def serverVersion(self):
            return version

        def sendMsg(self, text):
            sent.append(text)

    Wire().placeOrder(7, make_contract("SPY", "STK", "SMART", "USD"), asyncio.run(made(terms)))
    return sent[0].split("\0")[:-1]


def by_the_official_client(fields, version):
    sent = []

    class Wire(EClient):
        def __init__(self):
            self.wrapper = None

        def isConnected(self):
            return True

        def serverVersion(self):
            return version

        def useProtoBuf(self, _message):
            return False

        def sendMsg(self, number, text):
            sent.append(comm.make_field(number) + text)

    contract, order = Contract(), Order()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "SPY", "STK", "SMART", "USD"
    order.action, order.totalQuantity, order.tif, order.account = "BUY", 10.0, "DAY", "DU1"
    order.orderRef, order.clientId, order.orderId = "r-SPY-BUY", 1, 7
    for name, value in fields.items():
        assert hasattr(order, name)
        setattr(order, name, value)
    Wire().placeOrder(7, contract, order)
    return sent[0].split("\0")[:-1]


@pytest.mark.parametrize("version", [176, 178])
@pytest.mark.parametrize(("terms", "fields"), TYPES)
def test_both_clients_write_the_same_order(terms, fields, version):
    ours, official = by_ib_async(terms, version), by_the_official_client(fields, version)
    assert len(ours) == len(official)
    for place, (mine, other) in enumerate(zip(ours, official, strict=True)):
        is_formal = FORMAL.get(place) == (mine, other) or (place > PAST_TERMS and (mine, other) in DEFAULTS)
        assert mine == other or is_formal, (place, mine, other)


def test_an_offset_of_zero_is_written_and_an_unset_one_is_not():
    relative, market = by_ib_async({"order_type": "REL", "aux_price": 0.0}, 178), by_ib_async({}, 178)
    assert relative[18:21] == ["REL", "", "0.0"]
    assert market[18:21] == ["MKT", "", ""]


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({"algo": "Iceberg"}, "not known"),
        ({"algo": "Adaptive", "algo_params": "{}"}, "adaptivePriority"),
        ({"order_type": "STP", "aux_price": -1.0}, "aux_price"),
        ({"order_type": "STP", "aux_price": math.inf}, "aux_price"),
    ],
)
def test_what_was_never_validated_is_not_sent(terms, text):
    with pytest.raises(BrokerError, match=text):
        asyncio.run(made(terms))
