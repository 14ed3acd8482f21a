from __future__ import annotations

import math

import pytest

from stocklean_exec.brokers.order_preview import OrderPreview, previewed_position


def test_excess_liquidity_is_equity_less_maintenance_margin_before_and_after():
    preview = OrderPreview(100.0, 200.0, 50.0, 80.0, 1_000.0, 990.0)
    assert (preview.excess_liquidity_before, preview.excess_liquidity_after) == (950.0, 910.0)
    assert math.isnan(preview._replace(maintenance_margin_after=math.nan).excess_liquidity_after)


@pytest.mark.parametrize(
    ("held", "signed", "initial", "maintenance"),
    [
        (0.0, 10.0, 4_500.0, 2_250.0),  # 8,000 of others and 10 x 100 are 9,000
        (10.0, -10.0, 3_500.0, 1_750.0),  # a sale of all frees its margin: 8,000 - 1,000
        (10.0, -30.0, 4_500.0, 2_250.0),  # 10 long become 20 short: 8,000 + 1,000
        (-10.0, 10.0, 3_500.0, 1_750.0),  # a short that is bought back
    ],
)
def test_a_preview_of_the_mock_filler_takes_half_and_a_quarter_of_all_positions(
    held, signed, initial, maintenance
):
    preview = previewed_position(20_000.0, 8_000.0, held, signed, 100.0, 2.0)
    assert (preview.initial_margin_before, preview.maintenance_margin_before) == (4_000.0, 2_000.0)
    assert (preview.initial_margin_after, preview.maintenance_margin_after) == (initial, maintenance)
    assert (preview.equity_with_loan_before, preview.equity_with_loan_after) == (20_000.0, 19_998.0)
    assert preview.commission == 2.0
