"""The account as one thing: immutable, in one currency, and checked against itself."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.account_state import AccountState, difference, fx_frame, parse_cash, read_inputs
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets
from stocklean_exec.strategies.strategy_book import StrategyBook

QUOTES = {"SPY": 400.0, "SAP": 150.0}
HELD = pd.DataFrame({"symbol": ["SPY", "SAP"], "quantity": [10, 20], "currency": ["USD", "EUR"]})
# 10 x 400 + 20 x 150 x 1.1 = 7,300 of holdings.
RATES = {"EUR": 1.1}


def state_of(**changed):
    options = {"nav": 10_000, "cash": 2_700.0, "fx": RATES, "base_currency": "USD"}
    return AccountState.of(HELD, QUOTES, **(options | changed))


def test_a_state_made_by_hand_has_what_was_given():
    orders = pd.DataFrame({"symbol": ["SPY"], "side": ["BUY"], "quantity": [5.0]})
    state = state_of(open_orders=orders, account="DU1234567")
    assert (state.nav, state.cash, state.base_currency) == (10_000.0, 2_700.0, "USD")
    assert state.positions["quantity"].tolist() == [10.0, 20.0]
    assert state.quotes["symbol"].tolist() == ["SPY", "SAP"]
    assert state.open_orders["quantity"].tolist() == [5.0]
    assert state.rates == RATES
    assert state.fx["source"].to_dict() == {"EUR": "given"}
    assert state.cash_by_currency.to_numpy().tolist() == [["USD", 2_700.0, 1.0]]
    assert math.isnan(state.settled_cash)
    assert math.isnan(state.available_funds)
    assert math.isnan(state.initial_margin)
    assert math.isnan(state.excess_liquidity)
    assert not state.is_margin_account


def test_cash_that_is_not_given_is_nav_less_the_holdings():
    assert state_of(cash=None).cash == 2_700.0
    assert AccountState.of(nav=500).cash == 500.0


def test_cash_cannot_be_derived_without_the_price_and_the_rate_of_each_holding():
    with pytest.raises(InputError) as caught:
        state_of(cash=None, fx=None)
    assert [(problem.code, problem.symbol) for problem in caught.value.problems] == [("cash_missing", "SAP")]
    with pytest.raises(InputError, match="without a usable price"):
        AccountState.of({"SPY": 10}, None, nav=10_000)


def test_nav_cash_and_holdings_must_agree_within_5_percent_of_the_holdings():
    # 5 % of 7,300 is 365.
    assert state_of(cash=2_700.0 + 364.0).cash == 3_064.0
    assert state_of(cash=2_700.0 - 364.0).cash == 2_336.0
    for cash, how in ((2_700.0 + 366.0, "366.00 less"), (2_700.0 - 366.0, "366.00 more")):
        with pytest.raises(InputError, match=how) as caught:
            state_of(cash=cash)
        assert caught.value.codes == ("account_state_inconsistent",)


def test_nav_in_another_currency_than_the_holdings_is_found():
    # An account of 10,000 CAD that was read as US dollars: 7,300 US dollars of stock are 10,220 CAD.
    with pytest.raises(InputError, match=r"NAV 14,000\.00 USD is 2,920\.00 more"):
        AccountState.of({"SPY": 18.25}, {"SPY": 400.0}, nav=14_000, cash=3_780)


def test_holdings_without_a_price_or_a_rate_leave_nothing_to_compare():
    assert difference(state_of(fx=None)) == ""
    assert AccountState.of({"OLD": 5}, None, nav=10_000, cash=1.0).cash == 1.0


def test_a_debit_balance_and_short_positions_are_valid():
    # 200 borrowed to hold 1,200; a short of 4 SPY: 1,000 + 1,600 of cash less 1,600.
    assert AccountState.of({"SPY": 3}, QUOTES, nav=1_000, cash=-200).cash == -200.0
    assert AccountState.of({"SPY": -4}, QUOTES, nav=1_000, cash=2_600).cash == 2_600.0


@pytest.mark.parametrize("cash", [math.nan, math.inf, -math.inf, "5", True, 1e15 + 1, -1e15 - 1])
def test_cash_that_is_no_amount_is_an_error(cash):
    with pytest.raises(InputError, match="is not an amount of money") as caught:
        parse_cash(cash)
    assert caught.value.codes == ("cash_missing",)


@pytest.mark.parametrize("cash", [1e15, -1e15])
def test_the_largest_amount_of_cash_is_valid(cash):
    assert parse_cash(cash) == cash


def test_cash_is_kept_to_a_millionth():
    # 1 share at 99.999 999 44 leaves 0.000 000 56 of 100.
    assert AccountState.of({"SPY": 1}, {"SPY": 99.99999944}, nav=100).cash == 0.000001


def test_nav_that_is_less_than_a_unit_off_is_named_in_its_direction():
    with pytest.raises(InputError, match=r"is 0\.50 more than cash 100\.00"):
        AccountState.of(nav=100.5, cash=100.0)
    with pytest.raises(InputError, match=r"is 0\.50 less than cash 100\.50"):
        AccountState.of(nav=100.0, cash=100.5)


def test_a_state_cannot_be_changed():
    state = state_of()
    with pytest.raises(FrozenInstanceError):
        state.nav = 5.0
    for name in ("positions", "quotes", "fx", "cash_by_currency"):
        frame = getattr(state, name)
        frame.iloc[0, frame.columns.get_loc(frame.select_dtypes("float64").columns[0])] = -1.0
        assert (getattr(state, name).select_dtypes("float64") != -1.0).to_numpy().all()


def test_the_state_masks_its_account():
    state = state_of(account="DU1234567")
    assert "1234567" not in repr(state) + state._repr_html_()
    assert repr(state) == "<AccountState DU***567: NAV 10,000.00 USD, cash 2,700.00, 2 positions, 0 open orders>"


def test_the_card_shows_cash_in_each_currency_and_when_it_was_read():
    rows = pd.DataFrame({"currency": ["USD", "<b>"], "amount": [2_000.0, 700.0], "rate": [1.0, math.nan]})
    shown = replace(
        state_of(), settled_cash=1_500.0, _cash_by_currency=rows, taken_at={"account": pd.Timestamp(0, tz="UTC")}
    )._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown.replace("<b>by hand</b>", "").replace("<b>Account</b>", "")
    for text in ("settled cash", "1,500.00 USD", "unknown", "read 1970-01-01 00:00:00 UTC"):
        assert text in shown


# -- as the input of a plan ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_plan_from_a_state_is_the_plan_from_its_parts():
    targets = pd.DataFrame({"symbol": ["SPY", "SAP"], "weight": [0.5, 0.4], "currency": ["USD", "EUR"]})
    orders = pd.DataFrame({"symbol": ["SPY"], "side": ["BUY"], "quantity": [2.0]})
    state = state_of(open_orders=orders, account="DU1234567")
    options = {"run_id": "r", "on_open_orders": "net"}
    whole = sx.plan_orders(targets, state, **options)
    parts = sx.plan_orders(
        targets, HELD, QUOTES, nav=10_000, fx=RATES, open_orders=orders, account="DU1234567", **options
    )
    pd.testing.assert_frame_equal(whole, parts)
    # 5,000 / 400 = 12.5 SPY, of which 12 are held or working. Of SAP, at 165, 20 are held and 24.2 wanted: with 24
    # the book is 200, 40 and (cash) 240 from its targets, with 25 only 200, 125 and 75.
    assert whole[["symbol", "quantity"]].to_numpy().tolist() == [["SAP", 5.0]]
    summary = sx.plan_summary(whole, targets, state)
    pd.testing.assert_series_equal(summary, sx.plan_summary(whole, targets, HELD, QUOTES, nav=10_000, fx=RATES))


def test_newer_quotes_and_rates_may_be_given_beside_a_state():
    inputs = read_inputs(state_of(), {"SPY": 410.0}, fx={"EUR": 1.2, "CHF": 1.1})
    assert inputs.quotes == {"SPY": 410.0}
    assert inputs.fx == {"EUR": 1.2, "CHF": 1.1}
    assert (inputs.nav, inputs.cash) == (10_000.0, 2_700.0)


@pytest.mark.parametrize(
    ("own", "given", "hint"),
    [
        (0.5, 5.0, ""),  # exactly ten times
        (0.5, 0.05, ""),
        (0.5, 4.99, None),
        (0.5, 0.0501, None),
        (150.0, 1 / 150, "; it looks inverted: give 150, the USD that one EUR is worth"),
        (0.3, 4.04, ""),  # 0.3 x 4.04 = 1.212: more than a fifth from the inverse rate
        (0.28, 2.82, ""),
        (0.3, 3.9, "; it looks inverted: give 0.25641, the USD that one EUR is worth"),
        (0.3, 5.0, ""),
    ],
)
def test_a_rate_that_is_ten_times_off_the_account_s_own_is_a_warning(own, given, hint):
    warnings = read_inputs(AccountState.of(nav=100, fx={"EUR": own}), None, fx={"EUR": given}).warnings
    if hint is None:
        assert warnings == ()
        return
    (row,) = warnings
    assert (row["code"], row["table"], row["column"]) == ("fx_suspicious", "fx", "EUR")
    assert row["detail"] == f"the rate of {given:g} USD per EUR is far from the account's {own:g}{hint}"


def test_open_orders_given_beside_a_state_are_used_instead_of_its_own():
    mine = pd.DataFrame({"symbol": ["SPY"], "side": ["BUY"], "quantity": [5.0]})
    state = state_of(open_orders=mine)
    pd.testing.assert_frame_equal(read_inputs(state, None).open_orders, mine)
    assert read_inputs(state, None, open_orders=mine.assign(quantity=7.0)).open_orders["quantity"].tolist() == [
        7.0
    ]


@pytest.mark.parametrize(
    "given", [{"nav": 5.0}, {"cash": 5.0}, {"base_currency": "EUR"}, {"account": "DU7654321"}]
)
def test_what_a_state_has_cannot_be_given_again(given):
    with pytest.raises(InputError) as caught:
        read_inputs(state_of(account="DU1234567"), None, **given)
    assert [(problem.code, problem.column) for problem in caught.value.problems] == [
        ("state_and_input", next(iter(given)))
    ]
    assert "7654321" not in str(caught.value)


def test_a_rate_frame_names_its_source_and_time():
    at = pd.Timestamp("2026-11-23 15:00", tz="UTC")
    frame = fx_frame({"EUR": 1.1}, "account", at)
    assert frame.reset_index().to_numpy().tolist() == [["EUR", 1.1, "account", at]]
    assert fx_frame({}, "").dtypes.to_dict() == frame.dtypes.to_dict()


def test_a_holding_in_another_contract_is_aligned_at_its_own_quote():
    columns = {"symbol": ["VOD", "VOD"], "quantity": [100.0, 500.0], "con_id": pd.array([11, 22], dtype="Int64")}
    held = parse_positions(pd.DataFrame(columns))
    quotes, more = (
        parse_quotes({"VOD": price}).assign(con_id=pd.array([number], dtype="Int64"))
        for price, number in ((10.0, 11), (5.0, 22))
    )
    state = AccountState(
        None, "USD", nav=10_000.0, cash=6_500.0, _positions=held, _quotes=quotes, _contract_quotes=more
    )
    inputs = read_inputs(state, None, nav=None, base_currency=None, fx=None, open_orders=None, account=None)
    book = inputs.align(parse_targets({"VOD": 0.1}), held, quotes, "keep")
    assert dict(zip(book.symbols, book.value.tolist(), strict=True)) == {"VOD": 10.0, "VOD (22)": 5.0}


# -- strategies ------------------------------------------------------------------------------------------------


HOLDING = pd.DataFrame({"symbol": ["SPY", "SAP"], "quantity": [100, 10], "currency": ["USD", "EUR"]})


def navs_of(book, **options):
    chosen = {"positions": HOLDING, "quotes": QUOTED, "nav": 53_500, "fx": {"EUR": 1.2}} | options
    state = sx.AccountState.of(chosen.pop("positions"), chosen.pop("quotes"), **chosen)
    return state.with_strategies(book).strategy_navs.set_index("strategy")


QUOTED = pd.DataFrame(
    {"symbol": ["SPY", "SAP"], "last": [400.0, 150.0], "currency": ["USD", "EUR"], "quoted_at": pd.NaT}
)
BOOK = StrategyBook(
    {"SPY": {"value": 60.0, "trend": 40.0}, "SAP": {"trend": 10.0}},
    cash={"value": {"USD": 6_000.0}, "trend": {"USD": 4_000.0, "EUR": -100.0}},
)


def test_navs_of_strategies_are_holdings_and_cash_and_add_up_to_the_accounts():
    # trend: 16,000 and 1,500 EUR at 1.2; 4,000 and -100 EUR. The account has 53,500 - 41,800 in cash.
    navs = navs_of(BOOK)
    assert navs.loc["value"].tolist() == [24_000.0, 6_000.0, 30_000.0]
    assert navs.loc["trend"].tolist() == [17_800.0, 3_880.0, 21_680.0]
    assert navs.loc["unassigned"].tolist() == [0.0, 1_820.0, 1_820.0]
    assert navs.sum().tolist() == [41_800.0, 11_700.0, 53_500.0]


def test_cash_that_was_never_assigned_leaves_navs_unknown():
    navs = navs_of(StrategyBook(BOOK.holdings, cash={"value": {"USD": 6_000.0}}))
    assert navs.loc["value", "nav"] == 30_000.0
    assert navs.loc["trend"].isna().tolist() == [False, True, True]
    assert navs.loc["unassigned"].isna().tolist() == [False, True, True]


def test_a_holding_without_a_rate_leaves_its_nav_unknown():
    navs = navs_of(BOOK, fx=None, cash=11_700.0)
    assert navs["nav"].isna().to_dict() == {"trend": True, "value": False, "unassigned": True}


def test_without_strategies_all_is_unassigned():
    assert navs_of({}).index.tolist() == ["unassigned"]
