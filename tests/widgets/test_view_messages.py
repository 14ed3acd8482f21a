"""What a page may send, and how a refusal is reported."""

import pytest

import stocklean_exec as sx
from stocklean_exec.errors import Problem
from stocklean_exec.widgets.view_messages import code_of, read_message, reason_of, refuse_unknown


@pytest.mark.parametrize(
    "content",
    [
        None,
        "hello",
        7,
        {},
        {"kind": "hello"},
        {"kind": 1, "view": "v", "number": 1},
        {"kind": "hello", "view": "v"},
    ],
)
def test_a_message_that_cannot_be_answered_is_refused(content):
    with pytest.raises(sx.InputError, match="no kind, view or number"):
        read_message(content, "review")


def test_a_message_keeps_its_whole_body():
    message = read_message({"kind": "cancel", "view": "v", "number": 3, "status": "SUBMITTED"}, "view")
    assert (message.kind, message.view, message.number, message.body["status"]) == ("cancel", "v", 3, "SUBMITTED")
    with pytest.raises(sx.InputError, match="unknown action 'cancel'"):
        refuse_unknown(message)


def test_an_error_is_described_in_one_line_and_named_by_its_code():
    many = sx.InputError("orders", [Problem(f"code_{number}", f"thing {number}") for number in range(7)])
    assert reason_of(many) == "thing 0; thing 1; thing 2; thing 3; thing 4"
    assert code_of(many) == "code_0"
    assert (reason_of(sx.HaltedError("halted: lunch")), code_of(sx.HaltedError("x"))) == (
        "halted: lunch",
        "HaltedError",
    )
