"""What a view in a notebook sends: one message for each gesture, and how its refusal is told. Pure.

A message has a ``kind``, the ``view`` that it comes from and the ``number`` that its answer carries back. It comes
from a page and may hold anything.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown

__all__ = ["SHOWN", "ViewMessage", "code_of", "read_gesture", "reason_of", "refuse_unknown"]

SHOWN = 5
"""How many things are named in one refusal."""


class ViewMessage(NamedTuple):
    """One message of a view, as far as it could be read."""

    kind: str
    view: str
    number: int
    body: dict[str, Any]


def read_gesture(content: object, what: str) -> ViewMessage:
    """Read a message; one without a view to answer cannot be answered.

    Raises
    ------
    InputError
        It has no kind, view or number.

    Examples
    --------
    >>> read_gesture({"kind": "hello", "view": "v", "number": 1}, "review").kind
    'hello'
    """
    body = content if isinstance(content, dict) else {}
    kind, view, number = body.get("kind"), body.get("view"), body.get("number")
    if not isinstance(kind, str) or not isinstance(view, str) or not isinstance(number, int):
        raise InputError(what, [Problem("gesture_invalid", "no kind, view or number")])
    return ViewMessage(kind, view, number, body)


def refuse_unknown(gesture: ViewMessage) -> NoReturn:
    """Refuse a gesture of a kind that there is not."""
    raise InputError("view", [Problem("gesture_unknown", f"{shown(gesture.kind)} is nothing that can be done")])


def reason_of(error: Exception) -> str:
    """Say in one line what a person needs to know of an error.

    Examples
    --------
    >>> reason_of(InputError("orders", [Problem("a", "one thing"), Problem("b", "another")]))
    'one thing; another'
    """
    if isinstance(error, InputError):
        return "; ".join(problem.detail for problem in error.problems[:SHOWN])
    return str(error)


def code_of(error: Exception) -> str:
    """Short name of an error, for code.

    Examples
    --------
    >>> code_of(InputError("orders", [Problem("a", "one thing")])), code_of(OSError("gone"))
    ('a', 'OSError')
    """
    return error.codes[0] if isinstance(error, InputError) and error.codes else type(error).__name__
