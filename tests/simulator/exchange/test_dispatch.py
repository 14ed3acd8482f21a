"""Every request gets an answer, except those that TWS does not answer."""

import pytest

from stocklean_exec.simulator.exchange.dispatch import _NO_ANSWER, refusal_of
from stocklean_exec.simulator.protocol.requests import REQUESTS

CONTRACT = ["0", "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", ""]
QUIET = {"startApi", "cancelPositions", "cancelAccountSummary", "cancelAccountUpdatesMulti", "cancelPnL"}
QUIET |= {"cancelPnLSingle", "reqMarketDataType", "reqGlobalCancel"} | _NO_ANSWER
SAMPLE = {"int": "3", "num": "1", "flag": "1", "": ""}


def sample(message_id):
    """A well-formed message of this id."""
    kind, table = REQUESTS[message_id]
    fields = [str(message_id)]
    for word in table.split():
        name, _, form = word.rstrip("?").partition(":")
        if word == "@contract":
            fields += CONTRACT
        elif word == "@dnc":
            fields.append("0")
        else:
            named = {"account": "DU0000001", "tags": "NetLiquidation", "group": "All", "ruleId": "26"}
            fields.append(named.get(name, SAMPLE[form]))
    return kind, fields


@pytest.mark.parametrize("message_id", sorted(REQUESTS))
def test_a_request_is_answered(connect, message_id):
    kind, fields = sample(message_id)
    if kind in QUIET:
        return
    assert connect(client_id=0 if kind != "reqAutoOpenOrders" else 1).send(*fields) != []


@pytest.mark.parametrize("message_id", sorted(REQUESTS))
def test_a_request_keeps_the_session_open(connect, message_id):
    peer = connect()
    peer.send(*sample(message_id)[1])
    assert peer.send("49", "1")[0][0] == "49"


def test_unsupported_requests_get_the_error_code_of_their_service():
    assert refusal_of("reqMktDepth")[0] == 354
    assert refusal_of("somethingElse") == (
        321,
        "Error validating request.-'cx' : cause - somethingElse is not supported by this simulator",
    )


def test_the_current_time_is_that_of_the_clock(connect):
    peer = connect(start="2022-12-29 10:00:00")
    assert peer.send("49", "1") == [["49", "1", "1672326000"]]
