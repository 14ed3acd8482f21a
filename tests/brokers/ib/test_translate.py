"""Messages of TWS as events: codes and words against the documentation, times by hand."""

import csv
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.blotter.events import key_of
from stocklean_exec.brokers.ib import translate
from stocklean_exec.brokers.ib.translate import (
    TwsExecution,
    commission_event,
    execution_event,
    is_plain_text,
    known,
    message_event,
    number_problem,
    price_or_nan,
    status_event,
    utc_time_text,
)

NAN = math.nan
MAX_DOUBLE = 1.7976931348623157e308


def execution(**changes):
    given = {
        "exec_id": "0000e0d5.67fe667b.01.01",
        "time": datetime(2022, 12, 29, 15, 0, 1, tzinfo=UTC),
        "account": "DU0000001",
        "exchange": "ARCA",
        "side": "BOT",
        "shares": 100.0,
        "price": 62.62,
        "perm_id": 7,
        "client_id": 1,
        "order_id": 12,
        "order_ref": "r-KO-BUY",
        "symbol": "KO",
        "last_liquidity": 2,
    }
    return TwsExecution(**(given | changes))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PreSubmitted", "SUBMITTED"),
        ("Submitted", "SUBMITTED"),
        ("PendingCancel", "SUBMITTED"),
        ("Cancelled", "CANCELLED"),
        ("ApiCancelled", "CANCELLED"),
        ("Filled", "FILLED"),
    ],
)
def test_a_status_of_tws_is_one_of_three_statuses(word, status):
    event = status_event(word, 4.0, 6.0)
    assert (event.kind, event.status, event.filled, event.remaining) == ("status", status, 4.0, 6.0)


@pytest.mark.parametrize("word", ["Inactive", "PendingSubmit", "ApiPending", "ValidationError", "", "Frozen"])
def test_an_unknown_status_word_is_a_message(word):
    event = status_event(word, 0.0, 10.0)
    assert (event.kind, event.status) == ("message", None)
    assert key_of(event)


@pytest.mark.parametrize(
    "code", [399, 404, 2100, 2109, 2137, 2161, 2199, 10349, 10167, 10311, 10329, 10187, 10268]
)
def test_an_advisory_code_changes_nothing(code):
    assert message_event(code, "text", seen=False).kind == "message"
    assert message_event(code, "text", seen=True).kind == "message"


@pytest.mark.parametrize("code", [104, 105, 135, 136, 161, 10147, 10148, 10149, 2102, 329])
def test_a_failed_cancel_or_change_does_not_end_the_order(code):
    assert message_event(code, "text", seen=True).kind == "message"
    assert message_event(code, "text", seen=False).kind == "message"


@pytest.mark.parametrize(
    "code", [103, 106, 107, 109, 110, 200, 203, 321, 383, 387, 388, 434, 10243, 10300, 10314, 10318]
)
def test_a_reject_code_refuses_only_a_new_order(code):
    event = message_event(code, "text", seen=False)
    assert (event.kind, event.code, event.message) == ("rejected", str(code), "text")
    assert message_event(code, "text", seen=True).kind == "message"


def test_the_reject_codes_are_exactly_those_of_the_documentation():
    # message_codes.tsv is written from TWS's documentation; a range such as 106-107 stands for each of its codes.
    refusing = set()
    with (Path(__file__).parent / "message_codes.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            for part in row["codes"].split():
                first, _, last = part.partition("-")
                if row["expectation"] == "rejects":
                    refusing |= set(range(int(first), int(last or first) + 1))
    found = {code for code in range(20_000) if message_event(code, "", seen=False).status == "UNSEEN"}
    assert found == refusing


def test_the_codes_of_market_data_and_of_the_connection_are_those_of_the_documentation():
    assert sorted(translate.DELAYED_DATA_CODES) == [354, 10089, 10090, 10168, 10186]
    assert sorted(translate.NO_DATA_CODES - translate.DELAYED_DATA_CODES) == [10187, 10197]
    assert sorted(translate.LINK_LOST | translate.LINK_RESTORED) == [1100, 1101, 1102, 2110]
    assert translate.ID_USED_UP == 103


def test_the_codes_that_end_no_order_are_those_of_advice_and_of_market_data():
    # TWS API, "Message codes": the ends of each range, single codes, and the neighbours outside of them.
    inside = {1100, 1102, 2100, 2199, 10089, 10091, 10147, 10149, 10167, 10168, 10331, 10335}
    assert inside | {100, 399, 404, 481, 1300, 10197, 10311, 10326, 10349} <= translate.ADVICE_CODES
    outside = {1099, 1103, 2099, 2200, 10088, 10092, 10146, 10150, 10166, 10169, 10330, 10336, 201, 202}
    assert not outside & translate.ADVICE_CODES


@pytest.mark.parametrize(
    ("name", "is_given", "utc"),
    [
        ("JST", False, "20221229 01:00:01 UTC"),  # the abbreviation of the zone itself
        ("XYZ", False, None),
        ("XYZ", True, "20221229 01:00:01 UTC"),  # the user has said which zone is meant
        ("JST", True, "20221229 01:00:01 UTC"),
        ("US/Eastern", True, "20221229 15:00:01 UTC"),  # a name in the table says it itself
    ],
)
def test_an_unknown_name_of_a_zone_is_read_where_it_is_clear_what_it_means(name, is_given, utc):
    assert utc_time_text(f"20221229 10:00:01 {name}", "Asia/Tokyo", is_zone_given=is_given) == utc


PLACED_LATER = (  # captured at server version 225
    "Order Message:\nBUY 1 AAPL NASDAQ.NMS\n"
    "Warning: Your order will not be placed at the exchange until 2026-08-25 09:30:00 US/Eastern."
)
MOVED = (  # TWS API, "Message codes"
    "The Start and/or End Time for algo order BUY a contract was adjusted to use the next trading date. "
    "To modify this setting, use the Auto-adjust algo order date item on the Orders configuration page"
)


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize(
    ("code", "text", "says"),
    [
        (399, PLACED_LATER, "not placed at the exchange until 2026-08-25 09:30:00 US/Eastern: cancel it if"),
        (399, PLACED_LATER.rstrip("."), "until 2026-08-25 09:30:00 US/Eastern: cancel it if"),
        (2111, MOVED, "to the next trading day, and it will trade then: cancel it if"),
        (2111, MOVED, "untick 'Auto-adjust algo order date'"),
        (2111, "", "to the next trading day"),  # the code is what counts
    ],
)
def test_a_message_that_the_order_waits_for_a_later_time_says_what_to_do(code, text, says, seen):
    event = message_event(code, text, seen=seen)
    assert (event.kind, event.status, event.code) == ("message", "WAITING", str(code))
    assert says in event.message
    assert event.message.endswith(f"TWS: {' '.join(text.split())}")
    assert "\n" not in event.message


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (399, "Order Message:\nBUY 20000 EUR.USD Forex\nWarning: Your order size is below the EUR 20000 minimum"),
        (399, PLACED_LATER + "\nIt is a short sale."),  # another wording: not known what it means
        (2109, PLACED_LATER),
        (404, PLACED_LATER),
    ],
)
def test_other_advice_is_recorded_as_tws_words_it(code, text):
    event = message_event(code, text, seen=True)
    assert (event.kind, event.status, event.message) == ("message", None, text)


def test_code_201_ends_an_order_in_any_state():
    event = message_event(201, "margin", seen=True)
    assert (event.kind, event.code, event.message, event.status) == ("rejected", "201", "margin", None)


def test_code_202_is_the_reason_only_of_an_unrequested_cancel():
    assert message_event(202, "too far", seen=True)[4] == "CANCELLED"
    assert message_event(202, "too far", seen=True).code == "202"
    assert message_event(202, "", seen=True, cancel_requested=True).code is None


@pytest.mark.slow
@given(st.integers(0, 20_000), st.booleans())
def test_no_code_fills_an_order_and_an_unknown_one_never_ends_it(code, seen):
    event = message_event(code, "text", seen=seen)
    assert event.kind in {"message", "rejected", "status"}
    listed = {*translate.REJECTED_BY_CODE, *translate.CANCELLED_BY_CODE, *translate.REJECTED_UNLESS_SEEN}
    if code not in listed:
        assert event.kind == "message"


def test_an_execution_event_uses_the_documented_terms():
    event = execution_event(execution())
    assert (event.exec_id, event.symbol, event.exchange, event.account, event.occurred_at) == (
        "0000e0d5.67fe667b.01.01",
        "KO",
        "ARCA",
        "DU0000001",
        datetime(2022, 12, 29, 15, 0, 1, tzinfo=UTC),
    )
    assert (event.side, event.liquidity, event.quantity, event.price) == ("BUY", "removed", 100.0, 62.62)
    assert execution_event(execution(side="SLD", last_liquidity=1)).side == "SELL"
    assert execution_event(execution(last_liquidity=1)).liquidity == "added"
    assert execution_event(execution(last_liquidity=3)).liquidity == "routed"
    assert execution_event(execution(last_liquidity=0)).liquidity is None


def test_a_withdrawn_execution_has_zero_shares():
    assert execution_event(execution(shares=0.0)).quantity == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"shares": -1.0},
        {"shares": NAN},
        {"shares": MAX_DOUBLE},
        {"shares": 1e13},
        {"price": math.inf},
        {"price": MAX_DOUBLE},
        {"side": "?"},
        {"exec_id": ""},
    ],
)
def test_an_impossible_execution_is_an_error(changes):
    with pytest.raises(ValueError, match="an execution"):
        execution_event(execution(**changes))


@pytest.mark.parametrize("unset", [MAX_DOUBLE, NAN, math.inf, None])
def test_a_commission_that_is_not_known_yet_gives_no_event(unset):
    assert commission_event("a.b.01.01", unset, "USD") is None


def test_a_commission_has_its_execution_and_its_currency():
    event = commission_event("a.b.01.01", 1.0, "EUR")
    assert (event.kind, event.exec_id, event.commission_currency) == ("commission", "a.b.01.01", "EUR")


def test_a_rebate_is_a_negative_commission():
    assert commission_event("a.b.01.01", -0.2, "USD").commission == -0.2


@pytest.mark.parametrize("unset", [MAX_DOUBLE, 2**31 - 1, 2**63 - 1, NAN, math.inf, -math.inf, None])
def test_every_spelling_of_an_unset_value_is_none(unset):
    assert known(unset) is None


@pytest.mark.parametrize("unset", [-1.0, 0.0, NAN, MAX_DOUBLE])
def test_a_tick_without_a_price_is_nan(unset):
    assert math.isnan(price_or_nan(unset))


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("20221229 10:00:01 US/Eastern", "Asia/Tokyo", "20221229 15:00:01 UTC"),
        ("20220701 10:00:01 America/New_York", "UTC", "20220701 14:00:01 UTC"),  # summer time
        ("20221229-15:00:01", "US/Eastern", "20221229 15:00:01 UTC"),
        ("20221229  10:00:01", "US/Eastern", "20221229 15:00:01 UTC"),
        ("20221230 00:30:00", "Asia/Tokyo", "20221229 15:30:00 UTC"),
        ("20221229 15:00:01 UTC", "Asia/Tokyo", "20221229 15:00:01 UTC"),
    ],
)
def test_every_spelling_of_a_time_is_read_as_utc(text, zone, utc):
    assert utc_time_text(text, zone) == utc


@pytest.mark.parametrize(
    "text", ["", "yesterday", "20221229 10:00:01 Middle/Earth", "20221399 10:00:01", "2022-12-29"]
)
def test_a_time_that_cannot_be_read_is_none(text):
    assert utc_time_text(text, "US/Eastern") is None


@pytest.mark.slow
@given(st.text(max_size=20))
def test_only_printable_ascii_is_sent(text):
    assert is_plain_text(text) == all(0x20 <= ord(character) <= 0x7E for character in text)


@pytest.mark.parametrize(
    ("quantity", "limit"),
    [
        (0.0, NAN),
        (-1.0, NAN),
        (NAN, NAN),
        (math.inf, NAN),
        (2**31 - 1, NAN),
        (1e-5, NAN),
        (0.1 + 0.2, NAN),
        (1.0, 0.0),
        (1.0, -5.0),
        (1.0, math.inf),
        (1.0, 1.0000000001),
    ],
)
def test_numbers_that_are_not_finite_decimals_are_not_sent(quantity, limit):
    assert number_problem(quantity, limit) is not None


def test_the_smallest_quantity_and_price_are_a_ten_thousandth():
    assert number_problem(0.0001, 0.0001) is None
    assert number_problem(0.00009, 1.0) == "quantity 9e-05 is not from 0.0001 to 2147483646"
    assert number_problem(1.0, 0.00009) == "limit_price 9e-05 is not from 0.0001 to 1000000000000"


@pytest.mark.slow
@given(st.integers(1, 2**31 - 2), st.integers(1, 10**9))
def test_whole_shares_at_whole_cents_are_sent_as_they_are_written(shares, cents):
    assert number_problem(float(shares), cents / 100) is None
    assert "e" not in str(float(shares)).lower()
    assert "e" not in str(cents / 100).lower()


@pytest.mark.parametrize(("aux", "is_refused"), [(float("nan"), False), (0.0, False), (0.5, False), (-1.0, True)])
def test_an_auxiliary_price_is_plain_or_zero(aux, is_refused):
    problem = number_problem(10.0, 99.0, aux)
    assert (problem is not None) == is_refused
    assert number_problem(10.0, 99.0, 1e300) == "aux_price 1e+300 is not from 0.0001 to 1000000000000"
