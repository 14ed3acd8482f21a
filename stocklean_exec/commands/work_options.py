"""Options of the command line that make a work policy: how orders are worked once they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from stocklean_exec.execution.work_policy import WorkPolicy

__all__ = ["add_work_options", "work_of"]

_OPTIONS = {
    "reprice_seconds": "reprice_seconds",
    "reprice_to": "reprice_to",
    "reprices": "reprices",
    "deadline": "deadline",
    "at_deadline": "at_deadline",
    "slices": "slices",
    "work_start": "start",
    "work_end": "end",
    "collar_bps": "collar_bps",
    "max_efficiency_ratio": "max_efficiency_ratio",
}
"""Fields of a policy by the name of their option."""


def add_work_options(command: argparse.ArgumentParser) -> None:
    """Add the options to a command that sends orders."""
    add = command.add_argument_group("how orders are worked once they are sent").add_argument
    add("--reprice-seconds", type=float, help="seconds that each limit is given before it is changed")
    add("--reprice-to", choices=("mid", "near", "far"), help="where to change it to; by default mid")
    add("--reprices", type=int, help="most changes of a limit before the deadline")
    add(
        "--deadline",
        type=_moment,
        metavar="TIME",
        help="when orders are finished: seconds from the submission, or such as '15:45 America/New_York'",
    )
    add(
        "--at-deadline",
        choices=("marketable", "MKT", "cancel", "leave"),
        help="move the limit beyond the far touch (the default), cancel and send a market order for the confirmed "
        "rest, cancel, or leave it",
    )
    add("--slices", type=int, help="in how many orders to send each order, at equal distances in time")
    add("--work-start", type=_moment, metavar="TIME", help="when the first slice is sent; by default now")
    add("--work-end", type=_moment, metavar="TIME", help="end of the time of the slices; by default the deadline")
    add("--collar-bps", type=float, help="how far beyond the far touch a marketable limit may be")
    add(
        "--max-efficiency-ratio",
        type=float,
        help="most messages for each execution plus one; Interactive Brokers flags more than 20, the default",
    )


def work_of(options: argparse.Namespace) -> WorkPolicy | None:
    """The policy that the options describe; None if none of them is given.

    Raises
    ------
    InputError
        They do not go together.
    """
    given = {
        field: value for option, field in _OPTIONS.items() if (value := getattr(options, option, None)) is not None
    }
    if not given:
        return None
    from stocklean_exec.execution.work_policy import WorkPolicy  # noqa: PLC0415 - heavy; other commands do without

    return WorkPolicy(**given)


def _moment(text: str) -> float | str:
    """Read a number of seconds, or keep a time of day with its zone."""
    try:
        return float(text)
    except ValueError:
        return text
