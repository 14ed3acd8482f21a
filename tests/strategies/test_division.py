"""One netted order: what crosses, whose the fills and the fees are. Figures by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.strategies.division import (
    Division,
    beyond_strategies,
    is_strategy_name,
    read_quantities,
    write_quantities,
)

WHOLE = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(-200, 200).map(float), min_size=1, max_size=5
)


def test_a_buys_what_b_sells_and_the_fills_are_as():
    division = Division({"A": 100.0, "B": -40.0})
    assert division.net == 60.0
    assert division.crossed == {"A": 40.0, "B": -40.0}
    assert division.filled([30.0, 60.0]) == [{"A": 30.0}, {"A": 60.0}]
    assert division.rest(30.0) == {"A": 30.0}


def test_two_sellers_are_done_against_one_buyer():
    division = Division({"A": 100.0, "B": -40.0, "C": -20.0})
    assert division.crossed == {"A": 60.0, "B": -40.0, "C": -20.0}
    assert division.filled([40.0]) == [{"A": 40.0}]


def test_two_buyers_share_what_a_third_sells_and_then_the_fills():
    # 150 wanted in a proportion of 2 to 1: of the 30 inside 20 and 10, of the first 60 after them 40 and 20.
    division = Division({"A": 100.0, "B": 50.0, "C": -30.0})
    assert division.crossed == {"A": 20.0, "B": 10.0, "C": -30.0}
    assert division.filled([60.0, 120.0]) == [{"A": 40.0, "B": 20.0}, {"A": 80.0, "B": 40.0}]


def test_a_net_sell_is_divided_between_the_sellers():
    division = Division({"A": -100.0, "B": 40.0})
    assert (division.net, division.crossed) == (-60.0, {"A": -40.0, "B": 40.0})
    assert division.filled([30.0]) == [{"A": 30.0}]
    assert division.rest(30.0) == {"A": -30.0}


def test_strategies_of_one_side_cross_nothing():
    division = Division({"A": 2.0, "B": 1.0})
    assert division.crossed == {}
    assert division.filled([0.0, 1.0, 2.0, 3.0]) == [
        {"A": 0.0, "B": 0.0},
        {"A": 1.0, "B": 0.0},
        {"A": 2.0, "B": 0.0},
        {"A": 2.0, "B": 1.0},
    ]


def test_a_net_of_nothing_crosses_all_of_it():
    division = Division({"A": 40.0, "B": -30.0, "C": -10.0})
    assert (division.net, division.crossed) == (0.0, {"A": 40.0, "B": -30.0, "C": -10.0})


def test_a_net_of_nothing_is_divided_as_a_buy():
    assert Division({"A": 40.0, "B": -30.0, "C": -10.0}).filled([0.0]) == [{"A": 0.0}]


def test_a_strategy_that_wants_nothing_is_on_neither_side():
    assert Division({"A": 10.0, "B": 0.0}).filled([10.0]) == [{"A": 10.0}]
    assert Division({"A": -10.0, "B": 0.0}).charged([1.0]) == [{"A": 1.0}]


def test_an_overfill_goes_on_in_the_same_proportion():
    assert Division({"A": 20.0, "B": 10.0}).filled([60.0]) == [{"A": 40.0, "B": 20.0}]


def test_fractions_are_divided_in_steps_of_a_ten_thousandth():
    division = Division({"A": 0.0002, "B": 0.0001})
    assert division.filled([0.0001, 0.0002, 0.0003]) == [
        {"A": 0.0001, "B": 0.0},
        {"A": 0.0002, "B": 0.0},
        {"A": 0.0002, "B": 0.0001},
    ]


def test_fees_are_divided_as_the_market_part_of_the_order_is():
    # A has 20 of its 100 from C, B 10 of its 50: 80 and 40 are left to the market, 2 to 1.
    division = Division({"A": 100.0, "B": 50.0, "C": -30.0})
    assert division.charged([0.03, 1.0]) == [{"A": 0.02, "B": 0.01}, {"A": 0.67, "B": 0.33}]
    assert division.charged([-0.03]) == [{"A": -0.02, "B": -0.01}]


def test_what_crossed_pays_no_part_of_the_fees():
    # Of 101 wanted 50 pass inside, all to A, so that 50 of A and the 1 of B are left to the market.
    division = Division({"A": 100.0, "B": 1.0, "C": -50.0})
    assert division.crossed == {"A": 50.0, "C": -50.0}
    assert division.charged([0.51]) == [{"A": 0.5, "B": 0.01}]


def test_a_strategy_that_crossed_all_it_wanted_pays_nothing():
    assert Division({"A": 100.0, "B": -40.0}).charged([1.0]) == [{"A": 1.0}]


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=200)
@given(WHOLE, st.data())
def test_shares_add_up_never_fall_and_end_at_the_wishes(quantities, data):
    division = Division(quantities)
    crossed = division.crossed
    assert sum(crossed.values()) == 0
    assert all(shares * quantities[name] >= 0 for name, shares in crossed.items())
    net = abs(division.net)
    assert net == abs(sum(quantities.values()))
    if not net:
        assert crossed == {name: shares for name, shares in quantities.items() if shares}
        return
    totals = sorted(data.draw(st.lists(st.integers(0, int(net)), max_size=8)))
    before = dict.fromkeys(quantities, 0.0)
    sign = 1 if division.net > 0 else -1
    for total, shares in zip(totals, division.filled(map(float, totals)), strict=True):
        assert sum(shares.values()) == total
        assert all(shares[name] >= before[name] for name in shares)
        left = division.rest(float(total))
        for name, wanted in quantities.items():  # what crossed, was filled and is left is what was wanted
            assert crossed.get(name, 0) + sign * shares.get(name, 0) + left.get(name, 0) == wanted
        before |= shares
    assert division.rest(net) == {}


@pytest.mark.parametrize(
    ("text", "quantity", "is_beyond"),
    [
        ('{"A": 100, "B": -40}', 60.0, False),
        ('{"A": 100, "B": -40}', 60.0001, True),
        ('{"A": -100, "B": 40}', 61.0, True),
        (None, 61.0, False),
        ("nonsense", 1.0, True),
    ],
)
def test_an_order_is_for_no_more_than_its_strategies_want(text, quantity, is_beyond):
    assert bool(beyond_strategies(text, quantity)) is is_beyond


def test_names_of_strategies():
    assert is_strategy_name("value-2")
    assert not any(map(is_strategy_name, ["", "unassigned", "a b", "x" * 41, None, 5]))


def test_quantities_are_written_by_name_and_read_again():
    text = write_quantities({"b": 1, "a": -2.5})
    assert text == '{"a": -2.5, "b": 1.0}'
    assert read_quantities(text) == {"a": -2.5, "b": 1.0}
    assert read_quantities(None) == read_quantities("") == {}


@pytest.mark.parametrize("text", ["[1]", '{"a": "x"}', '{"unassigned": 1}', '{"a": NaN}', "nonsense"])
def test_what_is_no_mapping_of_strategies_to_shares_is_an_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own text, or ours
        read_quantities(text)
