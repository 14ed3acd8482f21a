from __future__ import annotations

import json
import math

import numpy as np
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.risk.limits import Limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_order_notional", "250000"),
        ("max_order_quantity", True),
        ("max_gross", math.nan),
        ("max_position_ratio", math.inf),
        ("price_collar", -0.01),
        ("duplicate_window", [1]),
        ("allow_short", 1),
        ("allow_short", None),
        ("restricted", "GME"),  # its letters are symbols of their own
        ("restricted", 5),
        ("restricted", [5]),
        ("restricted", ["SP\nY"]),
        ("closed_market", "maybe"),
        ("closed_market", True),
    ],
)
def test_an_implausible_limit_is_an_error_that_names_it(name, value):
    with pytest.raises(InputError, match=name) as caught:
        Limits(**{name: value})
    assert caught.value.codes == ("limit_invalid",)


def test_every_bad_limit_is_listed_at_once():
    with pytest.raises(InputError) as caught:
        Limits(max_gross=-1, max_quote_age="soon", allow_short="no")
    assert len(caught.value.problems) == 3


def test_an_unknown_limit_name_is_an_error_and_not_ignored():
    with pytest.raises(InputError, match="max_order_notionl") as caught:
        Limits.of({"max_order_notionl": 1_000, "max_gross": 1})
    assert caught.value.codes == ("limit_unknown",)


def test_limits_from_a_mapping_equal_limits_by_keyword():
    assert Limits.of({"max_gross": 1.5, "restricted": ["gme"]}) == Limits(max_gross=1.5, restricted={"GME"})


def test_restricted_symbols_are_spelled_as_in_orders():
    assert Limits(restricted=["brk.b", "BRK B", " spy "]).restricted == {"BRK B", "SPY"}
    assert Limits(restricted=None).restricted == frozenset()


def test_only_the_minimum_cash_may_be_below_zero():
    assert Limits(min_cash_after=-5_000).min_cash_after == -5_000


def test_numpy_numbers_are_accepted_and_can_be_written_as_json():
    limits = Limits(max_order_quantity=np.int64(5), max_gross=np.float32(0.5))
    assert json.loads(json.dumps(limits.to_dict()))["max_order_quantity"] == 5
    assert Limits.of(json.loads(json.dumps(limits.to_dict()))) == limits


def test_the_default_limits_are_conservative():
    limits = Limits()
    assert not limits.allow_short
    assert limits.min_cash_after == 0.0
    assert limits.price_collar == 0.1  # ten per cent
    assert limits.max_spread_bps == 200.0  # two per cent of the mid
    assert limits.duplicate_window == 5 * 60
    assert limits.max_approval_age == 60 * 60
    assert limits.max_over_target == 0.1  # ten per cent
    assert limits.max_adv_ratio == 0.05  # five per cent of a day's volume
    assert (limits.max_gross, limits.max_quote_age) == ("auto", "auto")
    assert limits.closed_market is None  # warns, and blocks where no person is asked
    assert (limits.restricted, limits.confirmed_splits) == (frozenset(), frozenset())
    assert limits.off == [
        "max_order_notional",
        "max_order_quantity",
        "max_position_ratio",
        "max_total_notional",
        "max_day_notional",
        "max_orders_per_minute",
        "max_initial_margin",
        "min_excess_liquidity",
    ]


def test_a_limit_of_zero_is_a_limit():
    assert Limits(max_order_notional=0).max_order_notional == 0


def test_combined_limits_are_the_tighter_of_each_pair():
    mine = Limits(
        max_day_notional=1e6, min_cash_after=100, duplicate_window=60, allow_short=True, restricted={"GME"}
    )
    other = Limits(
        max_day_notional=2e6,
        max_gross=1.0,
        min_cash_after=50,
        duplicate_window=600,
        allow_short=True,
        restricted={"AMC"},
        price_collar=None,
    )
    for both in (mine.tightened(other), other.tightened(mine)):
        assert both == Limits(
            max_day_notional=1e6,
            max_gross=1.0,
            min_cash_after=100,
            duplicate_window=600,
            allow_short=True,
            restricted={"GME", "AMC"},
            price_collar=0.1,
        )
    assert not mine.tightened(Limits()).allow_short
    assert not Limits().tightened(mine).allow_short
    assert mine.tightened(None) == mine


def test_a_split_counts_as_confirmed_only_if_both_limits_confirm_it():
    one, other = Limits(confirmed_splits={"AAPL", "SPY"}), Limits(confirmed_splits={"SPY", "TLT"})
    assert one.tightened(other).confirmed_splits == {"SPY"}


def test_a_number_is_tighter_than_auto_and_auto_than_no_limit():
    number, auto, none = (Limits(max_gross=value) for value in (1.5, "auto", None))
    for one, other, expected in (
        (number, auto, 1.5),
        (number, none, 1.5),
        (auto, none, "auto"),
        (none, none, None),
    ):
        assert one.tightened(other).max_gross == other.tightened(one).max_gross == expected


def test_of_two_choices_for_a_closed_market_the_stricter_holds():
    strict_last = ["ignore", "warn", None, "block"]  # None blocks where no person is asked
    for number, one in enumerate(strict_last):
        for other in strict_last[number:]:
            mine, theirs = Limits(closed_market=one), Limits(closed_market=other)
            assert mine.tightened(theirs).closed_market == theirs.tightened(mine).closed_market == other
    assert Limits.parse(Limits(closed_market="block").to_json()).closed_market == "block"


def test_a_closed_market_that_is_ignored_is_a_limit_that_is_off():
    assert "closed_market" in Limits(closed_market="ignore").off
    assert "closed_market" not in Limits(closed_market="warn").off
    assert "closed_market" not in Limits(closed_market="block")._repr_html_().split("off:")[1]


def test_the_card_shows_the_limits_in_force_and_names_those_that_are_off():
    shown = Limits(max_order_notional=250_000, min_cash_after=None, restricted={"GME", "AMC"})._repr_html_()
    for text in ("max_order_notional", "250,000", "AMC, GME", "off: max_order_quantity", "min_cash_after"):
        assert text in shown
    assert "None" not in shown


def test_limits_cannot_be_changed():
    with pytest.raises(AttributeError):
        Limits().max_gross = 2.0
