"""In which unit an execution's price is."""

import math

import pytest

from stocklean_exec.brokers.ib.price_units import FAR_OFF, INFERRED, first_price, read_price


@pytest.mark.parametrize(
    ("price", "reference", "magnifier", "expected", "flag"),
    [
        (42.94, 42.95, 100.0, 42.94, None),
        (4294.0, 42.95, 100.0, 42.94, INFERRED),
        (7000.0, 100.0, 100.0, 70.0, INFERRED),  # 70 times
        (13000.0, 100.0, 100.0, 130.0, INFERRED),  # 130 times
        (6900.0, 100.0, 100.0, 6900.0, None),  # 69 times
        (13100.0, 100.0, 100.0, 13100.0, FAR_OFF),  # 131 times
        (1.0, 100.0, 100.0, 100.0, INFERRED),  # a hundredth
        (0.5, 100.0, 100.0, 0.5, FAR_OFF),
        (4294.0, 42.95, None, 42.94, INFERRED),  # an adopted order: its contract was not looked up
        (4294.0, 42.95, 1.0, 4294.0, FAR_OFF),  # there is no other unit
        (0.01, 42.95, 1.0, 0.01, FAR_OFF),
        (4294.0, math.nan, 100.0, 4294.0, None),
        (4294.0, 0.0, 100.0, 4294.0, None),  # no price to compare with
        (0.0, 42.95, 100.0, 0.0, None),
        (50.0, 0.5, 100.0, 0.5, INFERRED),
        (4294.123456789, 42.95, 100.0, 42.94123457, INFERRED),  # eight decimals
    ],
)
def test_a_price_in_the_other_unit_is_converted_once_and_flagged(price, reference, magnifier, expected, flag):
    found = read_price(price, reference, magnifier)
    assert (found.price, found.flag) == (expected, flag)
    assert (found.text is None) == (flag is None)
    assert flag is None or repr(price) in found.text  # the raw number is kept


def test_the_reference_is_the_first_price_there_is():
    assert first_price(None, math.nan, 0.0, 5.0, 6.0) == 5.0
    assert first_price(0.5, 6.0) == 0.5
    assert math.isnan(first_price())
