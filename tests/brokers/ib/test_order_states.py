from __future__ import annotations

import math

from ib_async import OrderState

from stocklean_exec.brokers.ib.order_states import preview_of

UNSET = "1.7976931348623157E308"


def test_margins_equity_and_commission_are_read_from_their_own_fields():
    state = OrderState(
        initMarginBefore="1.5",
        initMarginAfter="2.5",
        maintMarginBefore="3.5",
        maintMarginAfter="4.5",
        equityWithLoanBefore="5.5",
        equityWithLoanAfter="6.5",
        commission=7.5,
        commissionCurrency="USD",
        warningText="Your account does not fulfill the minimum requirement",
    )
    preview = preview_of(state)
    assert preview[:8] == (1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, "USD")
    assert preview.warning.startswith("Your account")
    assert preview.refusal == ""


def test_what_tws_did_not_set_is_unknown_and_never_zero():
    preview = preview_of(OrderState(initMarginBefore="", initMarginAfter=UNSET, commission=float(UNSET)))
    assert all(math.isnan(number) for number in preview[:7])
    assert preview[7:] == ("", "", "")
