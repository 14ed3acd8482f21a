"""What the errors say and carry."""

import copy
import pickle

import pytest

from stocklean_exec import errors
from stocklean_exec.errors import BlotterLockedError, IdempotencyConflictError, InputError, Problem, StockleanError

PROBLEMS = [
    Problem("weight_missing", "the weight is empty", 3, "SPY", "weight"),
    Problem("duplicate_symbol", "stands twice", None, "TLT", "symbol"),
    Problem("weight_missing", "the weight is empty", 7),
    Problem("empty_targets", "there are no rows"),
]


def test_the_text_of_an_input_error_names_every_problem():
    assert str(InputError("targets", PROBLEMS)).splitlines() == [
        "targets: 4 problems",
        "  row 3 (SPY): the weight is empty [weight_missing]",
        "  TLT: stands twice [duplicate_symbol]",
        "  row 7: the weight is empty [weight_missing]",
        "  there are no rows [empty_targets]",
    ]


def test_a_long_list_is_counted_in_the_text_and_whole_in_the_frame():
    error = InputError("targets", [Problem("weight_missing", "empty", row) for row in range(25)])
    assert len(str(error).splitlines()) == 1 + 20 + 1
    assert str(error).endswith("... and 5 more; to_frame() of this error lists all")
    assert error.to_frame()["row"].tolist() == list(range(25))


def test_codes_are_distinct_and_in_order_of_occurrence():
    assert InputError("targets", PROBLEMS).codes == ("weight_missing", "duplicate_symbol", "empty_targets")


def test_the_problems_are_a_table():
    frame = InputError("targets", PROBLEMS).to_frame()
    assert list(frame.columns) == ["code", "row", "symbol", "column", "detail"]
    assert frame.iloc[0].tolist() == ["weight_missing", 3, "SPY", "weight", "the weight is empty"]


def test_an_input_error_is_a_value_error_of_this_package():
    assert issubclass(InputError, ValueError)
    assert issubclass(IdempotencyConflictError, InputError)
    raised = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert all(issubclass(error, StockleanError) for error in raised)


@pytest.mark.parametrize("through", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])  # noqa: S301 - our own
@pytest.mark.parametrize("error", [InputError("targets", PROBLEMS), IdempotencyConflictError("orders", PROBLEMS)])
def test_an_input_error_survives_pickling_between_processes(error, through):
    again = through(error)
    assert (type(again), str(again), again.table, again.problems) == (
        type(error),
        str(error),
        error.table,
        error.problems,
    )


def test_a_blotter_locked_error_keeps_its_owner_between_processes():
    again = pickle.loads(pickle.dumps(BlotterLockedError("held by 7", {"pid": 7})))  # noqa: S301 - our own
    assert (str(again), again.owner) == ("held by 7", {"pid": 7})
