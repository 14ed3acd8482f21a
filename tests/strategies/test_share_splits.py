"""Splits to the share: the quota method by hand, parts of a share, shorts, and what the account must hold."""

from fractions import Fraction

import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.strategies.share_splits import parse_ratio, shares_after, suspected_ratio


@pytest.mark.parametrize(
    ("given", "ratio"),
    [
        ("10:1", 10),
        ("1:10", Fraction(1, 10)),
        (" 3 : 2 ", Fraction(3, 2)),
        ("1.5:1", Fraction(3, 2)),
        (4, 4),
        (0.05, Fraction(1, 20)),
        (1 / 3, Fraction(1, 3)),
        ("20:10", 2),
        ("1:10000", Fraction(1, 10_000)),
    ],
)
def test_ratios_are_read(given, ratio):
    assert parse_ratio(given) == ratio


@pytest.mark.parametrize(
    "given",
    [
        "1:1",
        1,
        0,
        -2,
        "10",
        "10:0",
        "a:b",
        "1:2:3",
        "0:5",
        "-2:1",
        True,
        None,
        float("nan"),
        float("inf"),
        "10001:1",
    ],
)
def test_what_is_no_ratio_is_refused(given):
    with pytest.raises(InputError, match="is not new shares for old ones"):
        parse_ratio(given)


@pytest.mark.parametrize(
    ("own", "ratio", "before", "after", "found"),
    [
        ({"A": 63.0, "B": 42.0}, 10, 105.0, 1050.0, {"A": 630.0, "B": 420.0}),
        # 6.3 and 4.2: the broker pays out half a share, and of ten whole ones the quota of 3:2 is 6 and 4.
        ({"A": 63.0, "B": 42.0}, Fraction(1, 10), 105.0, 10.0, {"A": 6.0, "B": 4.0}),
        ({"A": 63.0, "B": 42.0}, Fraction(1, 10), 105.0, 11.0, {"A": 7.0, "B": 4.0}),  # rounded up by the issuer
        # 7.5 and 6 of 9 shares: 13 whole ones of 13.5; 13 x 5/9 = 7.2 and 5.8.
        ({"A": 5.0, "B": 4.0}, Fraction(3, 2), 9.0, 13.0, {"A": 7.0, "B": 6.0}),
        ({"A": -60.0}, Fraction(1, 4), -60.0, -15.0, {"A": -15.0}),
        ({"A": 100.0, "B": -40.0}, Fraction(1, 10), 60.0, 6.0, {"A": 10.0, "B": -4.0}),
        # 10.2 and -4.7 make 5.5, of which the account has 5: the short is rounded away from 0.
        ({"A": 102.0, "B": -47.0}, Fraction(1, 10), 55.0, 5.0, {"A": 10.0, "B": -5.0}),
        ({"A": 108.0, "B": -42.0}, Fraction(1, 10), 66.0, 7.0, {"A": 11.0, "B": -4.0}),
        # 99 of 105 are strategies': 9.9 of 10.5 shares, and the whole part of theirs is 9.
        ({"A": 66.0, "B": 33.0}, Fraction(1, 10), 105.0, 10.0, {"A": 6.0, "B": 3.0}),
        ({"A": 60.0}, 2, None, 140.0, {"A": 120.0}),
        ({"A": 0.25, "B": 0.5}, 3, 0.75, 2.25, {"A": 0.75, "B": 1.5}),
        ({"A": 1.0, "B": 1.0}, Fraction(1, 3), 2.0, 0.6667, {"A": 0.3334, "B": 0.3333}),
        ({}, 2, 100.0, 200.0, {}),
    ],
)
def test_new_shares_by_hand(own, ratio, before, after, found):
    assert shares_after(own, Fraction(ratio), before, after) == found


@pytest.mark.parametrize(
    ("ratio", "after"), [(10, 1049.0), (10, 105.0), (Fraction(1, 10), 9.0), (Fraction(1, 10), 12.0)]
)
def test_an_account_that_does_not_hold_what_the_ratio_makes_is_refused(ratio, after):
    with pytest.raises(InputError, match="of the 105 that the account held by the record"):
        shares_after({"A": 105.0}, Fraction(ratio), 105.0, after)


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        (105.0, 1050.0, 10),
        (105.0, 10.0, Fraction(1, 10)),
        (105.0, 11.0, Fraction(1, 10)),
        (9.0, 13.0, None),  # 13.5, of which half a share is gone: as likely a trade by hand
        (10.0, 15.0, Fraction(3, 2)),
        (-20.0, -40.0, 2),
        (105.0, 145.0, None),
        (105.0, 105.0, None),
        (105.0, 0.0, None),
        (0.0, 105.0, None),
        (20.0, -40.0, None),
    ],
)
def test_changes_by_a_ratio_of_splits_are_suspected_to_the_share(before, after, ratio):
    assert suspected_ratio(before, after) == ratio
