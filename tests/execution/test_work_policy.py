"""Work policies: what is refused, absolute times, terms by slice, and the messages that they cause at most."""

from datetime import UTC, datetime, timedelta

import pytest

import stocklean_exec as sx
from stocklean_exec.execution.work_policy import WorkTerms, most_messages, policy_text

NOW = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York


def codes(error):
    return [(problem.code, problem.column) for problem in error.value.problems]


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_every_value_that_makes_no_sense_is_named_at_once():
    with pytest.raises(sx.InputError) as error:
        sx.WorkPolicy(
            reprice_seconds=0.5,
            reprices=-1,
            reprice_to="middle",
            at_deadline="panic",
            slices=0,
            collar_bps=1_001,
            max_efficiency_ratio=0.5,
        )
    names = [
        "reprice_seconds",
        "reprices",
        "slices",
        "collar_bps",
        "max_efficiency_ratio",
        "reprice_to",
        "at_deadline",
    ]
    assert codes(error) == [("option_invalid", name) for name in names]


@pytest.mark.parametrize("options", [{"slices": 2.5, "deadline": 60}, {"reprices": 1.5, "reprice_seconds": 5}])
def test_a_part_of_a_slice_or_of_a_change_is_refused(options):
    with pytest.raises(sx.InputError, match="is not a whole number"):
        sx.WorkPolicy(**options)


@pytest.mark.parametrize(
    ("options", "column"),
    [
        ({"reprices": 3}, "reprices"),
        ({"slices": 4}, "end"),
        ({"end": 600}, "end"),
        ({"reprice_to": "far", "deadline": 60}, "reprice_to"),
        ({"at_deadline": "MKT", "slices": 3, "end": 60}, "at_deadline"),
        ({"at_deadline": "cancel"}, "at_deadline"),
    ],
)
def test_options_that_need_another_one_say_so(options, column):
    with pytest.raises(sx.InputError) as error:
        sx.WorkPolicy(**options)
    assert codes(error) == [("option_invalid", column)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (90, after(90)),
        ("15:45 America/New_York", datetime(2026, 11, 30, 20, 45, tzinfo=UTC)),
        (datetime(2026, 11, 30, 16, 0, tzinfo=UTC), after(3600)),
    ],
)
def test_a_deadline_is_seconds_a_time_of_day_or_a_moment(given, expected):
    assert sx.WorkPolicy(deadline=given).times(NOW).deadline == expected


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("15:45", "time with its time zone"),
        ("09:00 America/New_York", "has passed"),
        (datetime(2026, 11, 30, 16, 0), "no time zone"),  # noqa: DTZ001 - that is the point
        (-1, "deadline -1"),
        (True, "deadline True"),
        (timedelta(seconds=60), "not a number from 0 to 86400"),
    ],
)
def test_a_deadline_that_is_no_time_or_has_passed_is_refused(given, text):
    with pytest.raises(sx.InputError, match=text):
        sx.WorkPolicy(deadline=given).times(NOW)


@pytest.mark.parametrize(
    "options",
    [
        {"deadline": 60, "start": 120},
        {"deadline": 60, "start": 60},
        {"slices": 2, "start": 60, "end": 60},
        {"slices": 2, "end": 90, "deadline": 60},
    ],
)
def test_times_in_the_wrong_sequence_are_refused(options):
    with pytest.raises(sx.InputError) as error:
        sx.WorkPolicy(**options).times(NOW)
    assert {problem.code for problem in error.value.problems} == {"work_times"}


def test_every_unreadable_time_is_named_at_once_and_before_there_is_a_plan():
    with pytest.raises(sx.InputError) as error:
        sx.WorkPolicy(slices=2, start="noon", end=float("nan"), deadline=datetime(2026, 11, 30))  # noqa: DTZ001 - without a zone, as is tested
    assert len(error.value.problems) == 3


def test_a_time_that_has_passed_is_refused_only_when_the_run_is_submitted():
    policy = sx.WorkPolicy(deadline="2026-11-30 09:00 America/New_York")
    assert policy.times(NOW - timedelta(hours=2)).deadline == NOW - timedelta(hours=1)
    with pytest.raises(sx.InputError, match="has passed"):
        policy.times(NOW)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"deadline": 0}, "is not after the start"),
        ({"slices": 2, "end": 90, "deadline": 60}, "is before the end"),
    ],
)
def test_a_wrong_sequence_of_times_is_described_as_it_is(options, text):
    with pytest.raises(sx.InputError, match=text):
        sx.WorkPolicy(**options).times(NOW)


def test_slices_start_at_equal_distances_and_end_as_the_next_one_starts():
    policy = sx.WorkPolicy(slices=3, start=10, end=40, deadline=55)
    terms = policy.terms(policy.times(NOW))
    assert [one.start for one in terms] == [after(10), after(20), after(30)]
    assert [one.deadline for one in terms] == [after(20), after(30), after(55)]


def test_slices_without_a_deadline_work_for_as_long_as_they_are_valid():
    policy = sx.WorkPolicy(slices=2, end=60)
    assert [(one.start, one.deadline) for one in policy.terms(policy.times(NOW))] == [
        (NOW, None),
        (after(30), None),
    ]


def test_terms_come_back_from_the_record_as_they_were():
    policy = sx.WorkPolicy(
        reprice_seconds=7, reprices=2, reprice_to="far", deadline=60, at_deadline="MKT", collar_bps=9
    )
    (terms,) = policy.terms(policy.times(NOW))
    assert WorkTerms.parse(terms.to_dict()) == terms
    assert WorkTerms.parse({"start": NOW.isoformat(), "of a later version": 1}) == WorkTerms(start=NOW)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, 0),
        ({"deadline": after(60)}, 60),
        ({"reprice_seconds": 10, "reprices": 3}, 30),
        ({"reprice_seconds": 10}, 200),  # as often as the efficiency ratio of 20 could allow
        ({"reprice_seconds": 10, "max_efficiency_ratio": None}, 0),
    ],
)
def test_the_last_thing_that_is_known_beforehand(terms, expected):
    assert WorkTerms(start=NOW, **terms).last_at == after(expected)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [  # the order, its changes, up to five changes or one more order at the deadline, a cancel
        (sx.WorkPolicy(), 2),
        (sx.WorkPolicy(deadline=60), 7),
        (sx.WorkPolicy(deadline=60, at_deadline="cancel"), 2),
        (sx.WorkPolicy(deadline=60, at_deadline="leave"), 2),
        (sx.WorkPolicy(deadline=60, at_deadline="MKT"), 3),
        (sx.WorkPolicy(reprice_seconds=5, reprices=4, deadline=60, slices=3), 33),
        (sx.WorkPolicy(reprice_seconds=5, reprices=400), 20),
        (sx.WorkPolicy(reprice_seconds=5, reprices=400, max_efficiency_ratio=None), 402),
    ],
)
def test_the_most_messages_of_one_order(policy, expected):
    assert most_messages(policy) == expected


def test_a_policy_says_in_one_line_what_it_does():
    assert policy_text(sx.WorkPolicy()) == ""
    assert repr(sx.WorkPolicy()) == "WorkPolicy(nothing is changed)"
    policy = sx.WorkPolicy(
        reprice_seconds=10, reprices=2, slices=4, start=5, deadline=datetime(2026, 12, 1, tzinfo=UTC)
    )
    assert policy_text(policy) == (
        "4 slices after 5 s until 2026-12-01 00:00:00 UTC; reprice every 10 s to mid, 2 times; "
        "each slice when the next one starts, the last at 2026-12-01 00:00:00 UTC marketable"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"reprice_seconds": 5, "reprices": 0, "deadline": 60}, "after 60 s marketable"),
        ({"reprice_seconds": 5, "reprices": 1}, "reprice every 5 s to mid, once"),
        ({"slices": 3, "end": 60}, "3 slices within 60 s"),
        ({"slices": 3, "start": 5, "end": 60}, "3 slices after 5 s until 60 s"),
        ({"start": 60}, "sent after 60 s"),
        ({"start": "15:45 America/New_York"}, "sent at 15:45 America/New_York"),
    ],
)
def test_numbers_are_described_in_plain_words(options, expected):
    assert policy_text(sx.WorkPolicy(**options)) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"reprice_seconds": 5}, True),
        ({"deadline": 60}, True),  # marketable is the default
        ({"deadline": 60, "at_deadline": "cancel"}, False),
        ({"deadline": 60, "at_deadline": "MKT"}, False),
        ({"slices": 2, "end": 60}, False),
    ],
)
def test_limits_are_changed_by_reprices_and_by_a_marketable_end(options, expected):
    assert sx.WorkPolicy(**options).changes_limits is expected
