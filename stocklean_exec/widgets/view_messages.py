"""Messages that a view in a notebook sends, and the reason and code of a refusal. Pure.

A message has a ``kind``, the ``view`` that sent it, and the ``number`` that its answer repeats. It comes from a
web page, so nothing about it is trusted.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown

__all__ = ["SHOWN", "ViewMessage", "code_of", "read_message", "reason_of", "refuse_unknown"]

SHOWN = 5
"""How many items one refusal names. A choice: the alert of a view stays within a few lines."""


class ViewMessage(NamedTuple):
    """One message of a view; ``body`` is all of its content, not validated yet."""

    kind: str
    view: str
    number: int
    body: dict[str, Any]


def read_message(content: object, source: str) -> ViewMessage:
    """Parse a message; one without kind, view and number cannot be answered.

    Raises
    ------
    InputError
        The kind, view or number is missing; the error names ``source``.

    Examples
    --------
    >>> read_message({"kind": "hello", "view": "v", "number": 1}, "review").kind
    'hello'
    """
    body = content if isinstance(content, dict) else {}
    kind, view, number = body.get("kind"), body.get("view"), body.get("number")
    if not isinstance(kind, str) or not isinstance(view, str) or not isinstance(number, int):
        raise InputError(source, [Problem("message_invalid", "no kind, view or number")])
    return ViewMessage(kind, view, number, body)


def refuse_unknown(message: ViewMessage) -> NoReturn:
    """Refuse a message of an unknown kind."""
    raise InputError("view", [Problem("action_unknown", f"unknown action {shown(message.kind)}")])


def reason_of(error: Exception) -> str:
    """Describe an error in one line for a person.

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
