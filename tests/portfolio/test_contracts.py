"""Two contracts of one symbol are never netted with each other."""

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.contracts import quotes_by_name, traded_contracts, with_contract_quotes
from stocklean_exec.schema.missing_quotes import MissingQuote, with_missing_quotes

HELD = pd.DataFrame(
    {
        "symbol": ["VOD", "VOD", "SPY"],
        "quantity": [100.0, 40.0, 10.0],
        "con_id": [11, 22, 33],
        "primary_exchange": ["LSE", "NASDAQ", "ARCA"],
    }
)
PRICES = {"VOD": 10.0, "SPY": 100.0}


def plan(wanted, held=HELD, quotes=PRICES, **options):
    targets = pd.DataFrame(wanted, columns=["symbol", "weight", "con_id", "primary_exchange"])
    return sx.plan_orders(
        targets, held, quotes, nav=10_000, run_id="r", reserve=0, **{"unlisted": "keep"} | options
    )


@pytest.mark.parametrize("named", [(22, None), (None, "NASDAQ")])
def test_only_the_holding_in_the_named_contract_is_netted_with_its_target(named):
    orders = plan([("VOD", 0.1, *named), ("SPY", 0.1, None, None)])
    # 10 % of 10,000 at 10 is 100 shares; 40 of contract 22 are held. The 100 of contract 11 are another holding.
    row = orders.set_index("symbol").loc["VOD"]
    assert row[["side", "quantity", "current_quantity", "con_id", "status"]].tolist() == [
        "BUY",
        60.0,
        40.0,
        22,
        "NEW",
    ]
    assert (orders["symbol"] == "VOD").sum() == 1


def test_a_holding_in_another_contract_is_not_closed_at_the_price_of_the_traded_one():
    orders = plan([("VOD", 0.1, 22, None), ("SPY", 0.1, None, None)], unlisted="close")
    rows = orders[orders["symbol"] == "VOD"].sort_values("con_id")
    assert rows[["con_id", "side", "quantity", "status"]].to_numpy().tolist() == [
        [11, "SELL", 100.0, "REJECTED"],
        [22, "BUY", 60.0, "NEW"],
    ]
    assert rows["reason"].tolist()[0] == "other_contract"
    assert rows["client_order_id"].tolist() == ["r-VOD-SELL", "r-VOD-BUY"]
    checked = sx.check_orders(orders, None, HELD, quotes=PRICES, cash=9_000.0)
    assert checked.set_index("client_order_id")["verdict"].to_dict()["r-VOD-BUY"] == "pass"


def test_two_sells_of_one_symbol_have_ids_of_their_own():
    held = pd.concat([HELD, HELD.head(1).assign(con_id=44, quantity=7.0)], ignore_index=True)
    orders = plan([("VOD", 0.1, 22, None), ("SPY", 0.1, None, None)], held, unlisted="close")
    sells = orders[(orders["symbol"] == "VOD") & (orders["side"] == "SELL")]
    assert sells["client_order_id"].tolist() == ["r-VOD-SELL", "r-VOD-SELL-2"]
    assert sorted(sells["con_id"]) == [11, 44]


def test_a_sell_is_covered_by_the_holding_in_its_own_contract_alone():
    orders = plan([("VOD", 0.0, 22, None), ("SPY", 0.1, None, None)])
    orders["quantity"] = 100.0  # 40 are held in contract 22
    checked = sx.check_orders(orders, sx.Limits(max_over_target=None), HELD, quotes=PRICES, cash=9_000.0)
    assert checked["reasons"].tolist() == ["sell_exceeds_position"]


def test_a_target_that_could_mean_either_of_two_held_contracts_is_rejected_alone():
    orders = plan([("VOD", 0.1, None, None), ("SPY", 0.2, None, None)]).set_index("symbol")
    assert orders.loc["VOD", ["status", "reason"]].tolist() == ["REJECTED", "ambiguous_instrument"]
    assert "VOD is held in several contracts: LSE 11, NASDAQ 22; give con_id" in orders.loc["VOD", "detail"]
    assert orders.loc["SPY", ["status", "quantity"]].tolist() == ["NEW", 10.0]


def test_without_a_choice_a_holding_in_another_contract_is_an_error_that_names_both():
    held = HELD[HELD["con_id"] == 11]
    with pytest.raises(InputError, match="contract 11 is held and 22 wanted") as caught:
        plan([("VOD", 0.1, 22, None)], held, unlisted="error")
    assert caught.value.codes == ("ambiguous_instrument",)


def test_a_working_order_in_another_contract_does_not_count_as_filled():
    working = pd.DataFrame({"symbol": ["VOD"], "side": "BUY", "quantity": [60.0], "con_id": [11]})
    wanted = [("VOD", 0.1, 22, None), ("SPY", 0.1, None, None)]
    options = {"on_open_orders": "net", "foreign_orders": "net"}
    assert plan(wanted, open_orders=working, **options)["quantity"].tolist() == [60.0]
    assert plan(wanted, open_orders=working.assign(con_id=22), **options).empty


def test_two_rows_of_one_contract_are_still_an_error():
    with pytest.raises(InputError) as caught:
        plan([("VOD", 0.1, 11, None)], HELD.assign(con_id=11))
    assert set(caught.value.codes) == {"ambiguous_position"}


def test_a_quote_of_another_contract_is_no_price():
    at = pd.Timestamp("2026-11-27 15:00", tz="UTC")
    quotes = pd.DataFrame({"symbol": ["VOD"], "last": 10.0, "quoted_at": at, "con_id": [11]})
    (row,) = plan([("VOD", 0.1, 22, None)], None, quotes).to_dict("records")
    assert (row["status"], row["reason"]) == ("REJECTED", "contract_mismatch")
    assert "the quote of VOD is of contract 11, and 22 is traded" in row["detail"]


@pytest.mark.parametrize(
    ("why", "reason"), [("ambiguous_instrument", "ambiguous_instrument"), ("no_market_data", "price_unavailable")]
)
def test_a_rejected_row_says_what_the_broker_says_of_its_symbol(why, reason):
    quotes = pd.DataFrame({"symbol": ["SPY"], "last": 100.0, "quoted_at": pd.Timestamp("2026-11-27", tz="UTC")})
    state = sx.AccountState.of(
        None, with_missing_quotes(quotes, {"VOD": MissingQuote(why, "LSE 1, NASDAQ 2")}), nav=1e4
    )
    orders = sx.plan_orders({"VOD": 0.1, "SPY": 0.1}, state, run_id="r").set_index("symbol")
    assert orders.loc["VOD", ["status", "reason", "detail"]].tolist() == [
        "REJECTED",
        reason,
        f"{reason}: LSE 1, NASDAQ 2",
    ]
    assert orders.loc["SPY", "status"] == "NEW"


def test_of_two_contracts_held_and_not_wanted_the_quoted_one_has_the_symbol():
    wanted = pd.DataFrame({"symbol": ["SPY"]})
    quotes = pd.DataFrame({"symbol": ["VOD"], "con_id": [22]})
    assert traded_contracts(wanted, HELD, quotes).by_symbol == {"VOD": 22, "SPY": 33}
    assert traded_contracts(wanted, HELD).by_symbol == {"VOD": 0, "SPY": 33}


def test_the_only_holding_of_a_symbol_is_not_traded_where_another_listing_is_wanted():
    held = HELD[HELD["con_id"] != 22]
    wanted = pd.DataFrame({"symbol": ["VOD", "SPY"], "primary_exchange": ["NASDAQ", "ARCA"]})
    assert traded_contracts(wanted, held).by_symbol == {"VOD": 0, "SPY": 33}


def test_a_state_does_not_value_a_holding_at_the_quote_of_another_contract():
    at = pd.Timestamp("2026-11-27 15:00", tz="UTC")
    quotes = pd.DataFrame({"symbol": ["VOD", "SPY"], "last": [10.0, 100.0], "quoted_at": at, "con_id": [11, 33]})
    with pytest.raises(InputError, match="VOD"):  # cash cannot be derived: the NASDAQ line has no price
        sx.AccountState.of(HELD, quotes, nav=10_000)


@pytest.mark.parametrize(
    ("held", "quoted", "found"),
    [
        pytest.param(22, 22, [7.0], id="its own"),
        pytest.param(22, 11, [], id="of another contract"),
        pytest.param(None, 22, [7.0], id="without a number it takes that of its symbol, whatever its number"),
        pytest.param(22, None, [7.0], id="a quote without a number is that of the traded contract"),
    ],
)
def test_the_quote_of_a_holding_is_that_of_its_contract(held, quoted, found):
    holdings = pd.DataFrame({"name": ["VOD"], "symbol": ["VOD"], "con_id": pd.array([held], dtype="Int64")})
    quotes = pd.DataFrame({"symbol": ["VOD"], "con_id": pd.array([quoted], dtype="Int64"), "last": [7.0]})
    chosen = quotes_by_name(quotes, holdings)
    assert chosen["last"].tolist() == found
    assert chosen.columns.tolist() == ["symbol", "con_id", "last"]


def test_quotes_without_a_column_of_numbers_are_those_of_the_traded_contracts():
    holdings = pd.DataFrame({"name": ["VOD", "VOD (22)"], "symbol": "VOD", "con_id": [11, 22]})
    found = quotes_by_name(pd.DataFrame({"symbol": ["VOD"], "last": [7.0]}), holdings)
    assert found.to_numpy().tolist() == [["VOD", 7.0]]


def test_quotes_of_other_contracts_stand_behind_those_by_symbol():
    quotes = pd.DataFrame({"symbol": ["VOD"], "con_id": [11], "last": [10.0]})
    held = pd.DataFrame({"symbol": ["VOD", "VOD"], "con_id": [11, 22]})
    more = pd.DataFrame({"symbol": ["VOD"], "con_id": [22], "last": [5.0]})
    joined = with_contract_quotes(quotes, more, held, ["VOD", "VOD (22)"])
    assert joined[["symbol", "last"]].to_numpy().tolist() == [["VOD", 10.0], ["VOD (22)", 5.0]]
    assert joined.index.tolist() == [0, 1]
