import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.simulator.protocol.order_request import OrderRequest, parse_order
from stocklean_exec.simulator.protocol.requests import (
    REQUESTS,
    BadFieldError,
    BadRequest,
    ContractSpec,
    FieldReader,
    Request,
    parse_request,
    to_flag,
    to_integer,
    to_number,
)


@pytest.mark.parametrize(
    "text", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "1.7976931348623157E+308", "2147483647"]
)
def test_every_spelling_of_unset_reads_as_nan(text):
    assert math.isnan(to_number("lmtPrice", text))
    assert to_integer("parentId", text) == 0


@pytest.mark.parametrize("text", ["nan", "NaN", "abc", "1_000", "1e400", "0x10", "-inf", "9" * 100, "--1", " "])
def test_an_invalid_number_is_refused_with_its_field_name(text):
    with pytest.raises(BadFieldError) as caught:
        to_number("lmtPrice", text)
    assert caught.value.name == "lmtPrice"


def test_clients_write_infinity_for_an_unlimited_offset():
    assert to_number("offset", "Infinite") == math.inf


def test_integers_and_booleans():
    assert to_integer("orderId", "12") == 12
    assert to_integer("orderId", "-1") == -1
    with pytest.raises(BadFieldError):
        to_integer("orderId", "1.5")
    assert [to_flag("x", text) for text in ("1", "0", "", "true", "False")] == [
        True,
        False,
        False,
        True,
        False,
    ]
    with pytest.raises(BadFieldError):
        to_flag("x", "2")


def test_a_count_of_rows_is_limited():
    with pytest.raises(BadFieldError):
        FieldReader(["100000000"]).count("legs")
    with pytest.raises(BadFieldError):
        FieldReader(["-1"]).count("legs")


@pytest.mark.parametrize("client", ["ib_async", "official"])
@pytest.mark.parametrize("version", [176, 178])
def test_all_recorded_client_requests_are_decoded(recorded, client, version):
    for fields in recorded[client, version]:
        parse = parse_order if fields[0] == "3" else parse_request
        assert not isinstance(parse(fields, version), BadRequest), fields


@pytest.mark.parametrize("client", ["ib_async", "official"])
def test_a_contract_request_names_its_contract(recorded, client):
    fields = next(fields for fields in recorded[client, 176] if fields[0] == "9")
    request = parse_request(fields, 176)
    assert isinstance(request, Request)
    assert request["contract"] == ContractSpec(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")


def test_a_snapshot_request_differs_from_a_stream(recorded):
    fields = next(fields for fields in recorded["ib_async", 176] if fields[0] == "1")
    assert parse_request(fields, 176)["snapshot"] is True


def test_an_incomplete_message_names_the_missing_field():
    bad = parse_request(["7", "3", "12", "0"], 176)
    assert bad == BadRequest("reqExecutions", 12, "field account is missing")


@pytest.mark.parametrize("message_id", ["9999", "", "-1", "abc", "1" * 50, "²"])
def test_an_unknown_message_is_named(message_id):
    bad = parse_request([message_id, "1"], 176)
    assert isinstance(bad, BadRequest)
    assert "is not known" in bad.reason


def test_every_documented_message_id_up_to_178_is_known():
    # Ids of the official client's message list that server versions up to 178 have; 3 is placeOrder.
    assert set(REQUESTS) == set(range(1, 26)) - {3} | set(range(49, 60)) | set(range(61, 105))


@pytest.mark.slow
@given(st.lists(st.text(max_size=20), min_size=1, max_size=40))
def test_the_request_parser_never_raises_on_random_input(fields):
    assert isinstance(parse_request(fields, 176), Request | BadRequest)
    assert isinstance(parse_order(["3", *fields], 178), OrderRequest | BadRequest)
