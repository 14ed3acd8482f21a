"""How orders are worked after they were sent: repriced, sent in slices, and finished at a deadline. Pure.

A :class:`WorkPolicy` is what a user gives; its times may be relative. :func:`work_terms` makes of it the terms of
each order, with absolute times, which are recorded with the run: whoever continues the run works to the same
times. :mod:`~stocklean_exec.execution.repricing` decides by these terms what to do next.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, get_args

from stocklean_exec.calendars.start_time import LATE, parse_start
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import as_utc, number_option, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "EFFICIENCY_LIMIT",
    "MOST_AT_DEADLINE",
    "AtDeadline",
    "RepriceTo",
    "WorkPolicy",
    "WorkTerms",
    "WorkTimes",
    "most_messages",
    "policy_text",
]

RepriceTo = Literal["mid", "near", "far"]
AtDeadline = Literal["marketable", "MKT", "cancel", "leave"]
Moment = float | str | datetime
"""Seconds from the submission, a time of day such as ``15:45 America/New_York``, or a time with its zone."""

EFFICIENCY_LIMIT = 20.0
"""Orders, changes and cancels for each execution plus one, above which Interactive Brokers flags an account:
"Order Efficiency Ratio", IBKR knowledge base."""
MOST_AT_DEADLINE = 5
"""Changes of a limit at its deadline, a stated choice: one that still rests after them needs a person."""
_COLLAR_BPS = 50.0
"""How far beyond the far touch a marketable limit goes: a choice, ten times the usual spread of a liquid share,
and far inside the 3 % through the market that TWS was seen to accept."""
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 86_400.0  # a stated choice: a change a second, and a day
_MOST_REPRICES, _MOST_SLICES = 1_000, 100  # stated choices: what is more is a mistake
_ANY_DAY = datetime(2000, 1, 3, tzinfo=UTC)  # a day by which only the form of a time is checked
_MOST_BPS = 1_000.0  # a stated choice: ten per cent, the default price collar of the limits


class WorkTimes(NamedTuple):
    """Absolute times of a policy, in UTC; None where it has none."""

    start: datetime
    end: datetime | None
    deadline: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPolicy:
    """How orders are worked: their limits follow the market, and at a deadline they are finished.

    Only the limit of an order changes at the broker, under the id that it has and with its whole quantity: a
    change never makes it more. A change needs a live quote of at most two seconds of age, moves the limit by at
    least one price step, keeps to the limits that the plan was approved with (``price_collar``, cash), and is
    recorded before it leaves.

    Parameters
    ----------
    reprice_seconds : seconds between two changes of a limit; None never changes it before the deadline
    reprice_to : where to: the ``mid``, the ``near`` touch (bid of a buy, ask of a sell) or the ``far`` one, on a
        price step of the passive side
    reprices : most changes of one order before its deadline; None for as many as ``max_efficiency_ratio`` allows
    deadline : when an order is finished: seconds from the submission of the run, a time of day with its zone such
        as ``"15:45 America/New_York"``, or a time with its zone. None: orders work for as long as they are valid
    at_deadline : ``marketable`` moves the limit ``collar_bps`` beyond the far touch; ``MKT`` cancels, waits for
        the confirmed rest, and sends a market order for exactly that; ``cancel`` cancels; ``leave`` lets it rest
    slices : in how many orders to send each order, at equal distances in time; each slice is an order of its own,
        and its deadline, if there is one, is the start of the next slice
    start, end : when the first slice is sent, by default at once, and the end of the time over which slices are
        spread, by default the deadline; forms as for ``deadline``
    collar_bps : how far beyond the far touch a marketable limit may be, in hundredths of a per cent
    max_efficiency_ratio : most messages (orders, changes, cancels) for each execution plus one, of each order, and
        of the account's day with every working order counted as one execution; None does not limit it

    Raises
    ------
    InputError
        With everything that is wrong with it.

    Examples
    --------
    >>> WorkPolicy(reprice_seconds=10, reprices=5, deadline=60)
    WorkPolicy(reprice every 10 s to mid, 5 times; after 60 s marketable)
    >>> WorkPolicy(slices=4, end="15:45 America/New_York")
    WorkPolicy(4 slices until 15:45 America/New_York)
    >>> WorkPolicy(reprices=5)
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: work: 1 problem
      reprices 5 needs reprice_seconds: how long each limit is given [option_invalid]
    """

    reprice_seconds: float | None = None
    reprice_to: RepriceTo = "mid"
    reprices: int | None = None
    deadline: Moment | None = None
    at_deadline: AtDeadline = "marketable"
    slices: int = 1
    start: Moment | None = None
    end: Moment | None = None
    collar_bps: float = _COLLAR_BPS
    max_efficiency_ratio: float | None = EFFICIENCY_LIMIT

    def __post_init__(self) -> None:
        """Refuse what makes no sense, all of it together."""
        problems = [*self._value_problems()]
        if not problems:
            problems = [*self._combined_problems()]
        if problems:
            raise InputError("work", problems)

    def _value_problems(self) -> Iterator[Problem]:
        for name, least, most in (
            ("reprice_seconds", _LEAST_SECONDS, _MOST_SECONDS),
            ("reprices", 0, _MOST_REPRICES),
            ("slices", 1, _MOST_SLICES),
            ("collar_bps", 0.0, _MOST_BPS),
            ("max_efficiency_ratio", 1.0, math.inf),
        ):
            value, is_count = getattr(self, name), isinstance(least, int)
            if value is None and name not in ("slices", "collar_bps"):
                continue
            yield from _problems_of(partial(number_option, name, value, least=least, most=most))
            if is_count and isinstance(value, float):
                yield Problem("option_invalid", f"{name} {shown(value)} is not a whole number", column=name)
        for name, known in (("reprice_to", get_args(RepriceTo)), ("at_deadline", get_args(AtDeadline))):
            if getattr(self, name) not in known:
                text = f"{name} {shown(getattr(self, name))} is not one of {', '.join(known)}"
                yield Problem("option_invalid", text, column=name)
        for name in ("start", "end", "deadline"):
            value = getattr(self, name)
            moment = None if value is None else _moment(name, value, _ANY_DAY, late=timedelta.max)
            if isinstance(moment, Problem):
                yield moment

    def _combined_problems(self) -> Iterator[Problem]:
        if self.reprices and self.reprice_seconds is None:
            text = f"reprices {self.reprices} needs reprice_seconds: how long each limit is given"
            yield Problem("option_invalid", text, column="reprices")
        if self.reprice_to != "mid" and self.reprice_seconds is None:
            text = f"reprice_to {self.reprice_to} needs reprice_seconds: without it limits stay as they are"
            yield Problem("option_invalid", text, column="reprice_to")
        if self.at_deadline in ("MKT", "cancel") and self.deadline is None:
            text = f"at_deadline {self.at_deadline} needs a deadline"
            yield Problem("option_invalid", text, column="at_deadline")
        if self.slices > 1 and self.end is None and self.deadline is None:
            text = f"{self.slices} slices need an end (end= or deadline=): the time over which they are spread"
            yield Problem("option_invalid", text, column="end")
        if self.end is not None and self.slices == 1:
            text = "end is for slices; a single order has a deadline"
            yield Problem("option_invalid", text, column="end")

    def times(self, now: datetime) -> WorkTimes:
        """Absolute times, if the run is submitted ``now``.

        Raises
        ------
        InputError
            A time cannot be read or has passed, or they are in the wrong sequence.

        Examples
        --------
        >>> from datetime import UTC
        >>> times = WorkPolicy(deadline=90).times(datetime(2026, 11, 30, 15, 0, tzinfo=UTC))
        >>> times.deadline.isoformat()
        '2026-11-30T15:01:30+00:00'
        """
        found: dict[str, datetime] = {}
        problems: list[Problem] = []
        for name in ("start", "end", "deadline"):
            value = getattr(self, name)
            moment = None if value is None else _moment(name, value, now)
            if isinstance(moment, Problem):
                problems.append(moment)
            elif moment is not None:
                found[name] = moment
        start = found.get("start", now)
        end, deadline = found.get("end"), found.get("deadline")
        last = end or start
        if end is not None and end <= start:
            problems.append(Problem("work_times", f"the end {_shown(end)} is not after the start {_shown(start)}"))
        if deadline is not None and (deadline <= start or deadline < last):
            why = f"not after the start {_shown(start)}" if deadline <= start else f"before the end {_shown(last)}"
            problems.append(Problem("work_times", f"the deadline {_shown(deadline)} is {why}"))
        if problems:
            raise InputError("work", problems)
        return WorkTimes(start, (end or deadline) if self.slices > 1 else None, deadline)

    def terms(self, times: WorkTimes) -> list[WorkTerms]:
        """Terms of each slice of an order, in sequence; of the order itself where there is one.

        Examples
        --------
        >>> from datetime import UTC
        >>> policy = WorkPolicy(slices=2, deadline=60)
        >>> [(one.start.second, one.deadline.second) for one in policy.terms(
        ...     policy.times(datetime(2026, 11, 30, 15, 0, tzinfo=UTC)))]
        [(0, 30), (30, 0)]
        """
        step = (times.end - times.start) / self.slices if times.end is not None else timedelta()
        starts = [times.start + number * step for number in range(self.slices)]
        ends = [*starts[1:], times.deadline] if times.deadline is not None else [None] * self.slices
        return [
            WorkTerms(
                start=start,
                deadline=deadline,
                at_deadline=self.at_deadline,
                reprice_seconds=self.reprice_seconds,
                reprice_to=self.reprice_to,
                reprices=self.reprices,
                collar_bps=float(self.collar_bps),
                max_efficiency_ratio=self.max_efficiency_ratio,
            )
            for start, deadline in zip(starts, ends, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON."""
        moments = {name: getattr(self, name) for name in ("start", "end", "deadline")}
        return asdict(self) | {
            name: {"time": value.isoformat()} if isinstance(value, datetime) else value
            for name, value in moments.items()
        }

    @classmethod
    def parse(cls, recorded: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` gave.

        Examples
        --------
        >>> policy = WorkPolicy(slices=4, end="15:45 America/New_York")
        >>> WorkPolicy.parse(policy.to_dict()) == policy
        True
        """
        given: dict[str, Any] = {
            name: datetime.fromisoformat(value["time"]) if isinstance(value, dict) else value
            for name, value in recorded.items()
        }
        return cls(**given)

    @property
    def changes_limits(self) -> bool:
        """Whether it may change the limit of an order."""
        return self.reprice_seconds is not None or (self.deadline is not None and self.at_deadline == "marketable")

    def __repr__(self) -> str:
        return f"WorkPolicy({policy_text(self) or 'nothing is changed'})"


@dataclass(frozen=True, slots=True)
class WorkTerms:
    """Terms by which one order is worked; the fields of :class:`WorkPolicy` with absolute times, in UTC."""

    start: datetime
    deadline: datetime | None = None
    at_deadline: AtDeadline = "marketable"
    reprice_seconds: float | None = None
    reprice_to: RepriceTo = "mid"
    reprices: int | None = None
    collar_bps: float = _COLLAR_BPS
    max_efficiency_ratio: float | None = EFFICIENCY_LIMIT

    @property
    def last_at(self) -> datetime:
        """When the last thing is due that is known beforehand."""
        if self.deadline is not None:
            return self.deadline
        if self.reprice_seconds is None:
            return self.start
        most = self.reprices
        if most is None:
            most = 0 if self.max_efficiency_ratio is None else int(self.max_efficiency_ratio)
        return self.start + timedelta(seconds=most * self.reprice_seconds)

    def to_dict(self) -> dict[str, Any]:
        """All terms by name, ready for JSON."""
        end = None if self.deadline is None else self.deadline.isoformat()
        return asdict(self) | {"start": self.start.isoformat(), "deadline": end}

    @classmethod
    def parse(cls, recorded: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` gave; a term that is missing has its default."""
        known = {one.name for one in fields(cls)}
        terms = cls(**{name: value for name, value in recorded.items() if name in known})
        end = recorded.get("deadline")
        return replace(
            terms,
            start=datetime.fromisoformat(recorded["start"]),
            deadline=None if end is None else datetime.fromisoformat(end),
        )


def most_messages(policy: WorkPolicy) -> int:
    """Most messages that one order causes before it is executed: itself or its slices, changes, a cancel of each.

    At a deadline these are the changes to a marketable limit, or the order for the rest. The efficiency ratio
    bounds them all.

    Examples
    --------
    >>> most_messages(WorkPolicy(reprice_seconds=10, reprices=5, deadline=60, slices=2))
    24
    >>> most_messages(WorkPolicy(reprice_seconds=10))
    20
    """
    changes = 0
    if policy.reprice_seconds is not None:
        changes = _MOST_REPRICES if policy.reprices is None else policy.reprices
    if policy.deadline is not None:
        changes += {"marketable": MOST_AT_DEADLINE, "MKT": 1}.get(policy.at_deadline, 0)
    most = 2.0 + changes
    if policy.max_efficiency_ratio is not None:
        most = min(most, policy.max_efficiency_ratio)
    return int(most) * policy.slices


def policy_text(policy: WorkPolicy) -> str:
    """Describe a policy in one line; empty if it does nothing.

    Examples
    --------
    >>> policy_text(WorkPolicy(reprice_seconds=10, reprice_to="far", deadline="15:45 America/New_York"))
    'reprice every 10 s to far; at 15:45 America/New_York marketable'
    """
    parts = []
    if policy.slices > 1:
        until = policy.deadline if policy.end is None else policy.end
        to = "within" if policy.start is None and isinstance(until, (int, float)) else "until"
        parts.append(f"{policy.slices} slices{_when('from', policy.start)}{_when(to, until)}")
    elif policy.start is not None:
        parts.append(f"sent{_when('at', policy.start)}")
    if policy.reprice_seconds is not None and policy.reprices != 0:
        times = "" if policy.reprices is None else f", {policy.reprices} times"
        times = ", once" if policy.reprices == 1 else times
        parts.append(f"reprice every {policy.reprice_seconds:g} s to {policy.reprice_to}{times}")
    if policy.deadline is not None:
        end = f"{_when('at', policy.deadline).strip()} {_ENDS[policy.at_deadline]}"
        parts.append(f"each slice when the next one starts, the last {end}" if policy.slices > 1 else end)
    return "; ".join(parts)


_ENDS = {
    "marketable": "marketable",
    "MKT": "cancelled, and a market order for the rest",
    "cancel": "cancelled",
    "leave": "left working",
}


def _when(word: str, value: Moment | None) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return f" {'after' if word in ('at', 'from') else word} {value:g} s"
    return f" {word} {value if isinstance(value, str) else _shown(value)}"


def _moment(name: str, value: object, now: datetime, *, late: timedelta = LATE) -> datetime | Problem:
    """Read one of the times of a policy."""
    try:
        if isinstance(value, str):
            return parse_start(value, now, name, late=late).moment
        if isinstance(value, datetime):
            stamp = as_utc(value, name)
            if isinstance(stamp, Problem):
                return stamp
            if stamp is not None:
                return stamp.to_pydatetime()
        return now + timedelta(seconds=number_option(name, value, least=0.0, most=_MOST_SECONDS))
    except InputError as error:
        return error.problems[0]


def _problems_of(check: Callable[[], object]) -> list[Problem]:
    try:
        check()
    except InputError as error:
        return list(error.problems)
    return []


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
