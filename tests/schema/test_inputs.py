"""Validation of targets, positions and quotes."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.schema.frame_validator import input_warnings
from stocklean_exec.schema.inputs import (
    check_target_dates,
    opening_positions,
    parse_positions,
    parse_quotes,
    parse_targets,
)
from stocklean_exec.schema.tables import POSITIONS, QUOTES, TARGETS

WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")


@pytest.mark.parametrize(
    ("table", "parse", "data"),
    [
        (TARGETS, parse_targets, {"A": 1.0}),
        (POSITIONS, parse_positions, {"A": 1}),
        (POSITIONS, parse_positions, None),
        (QUOTES, parse_quotes, {"A": 1}),
        (QUOTES, parse_quotes, None),
        (QUOTES, parse_quotes, {}),
    ],
)
def test_a_validated_table_has_the_declared_columns_and_dtypes(table, parse, data):
    frame = parse(data)
    assert tuple(frame.columns) == table.names
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == table.dtypes
    assert len(frame) == len(data or {})


@pytest.mark.parametrize(
    "data",
    [
        {"A": 0.6, "B": 0.4},
        pd.Series({"A": 0.6, "B": 0.4}),
        pd.DataFrame({"symbol": ["A", "B"], "weight": [0.6, 0.4]}),
        pd.DataFrame({"weight": [0.6, 0.4]}, index=pd.Index(["A", "B"], name="symbol")),
        pd.DataFrame({"symbol": pd.Categorical(["a", "b"]), "weight": [0.6, 0.4]}),
    ],
)
def test_targets_are_accepted_in_many_forms(data):
    assert parse_targets(data)[["symbol", "weight"]].to_numpy().tolist() == [["A", 0.6], ["B", 0.4]]


def test_targets_get_their_defaults():
    row = parse_targets({"A": 1.0}).iloc[0]
    assert row[["order_type", "tif", "sec_type", "exchange", "currency"]].tolist() == [
        "MKT",
        "DAY",
        "STK",
        "SMART",
        "USD",
    ]
    assert row[["limit_price", "lot_size", "account", "con_id"]].isna().all()


def test_terms_become_upper_case_except_pence():
    row = parse_targets(pd.DataFrame({"symbol": ["vod"], "weight": 1.0, "tif": " gtc ", "currency": "GBp"})).iloc[
        0
    ]
    assert row[["symbol", "tif", "currency"]].tolist() == ["VOD", "GTC", "GBp"]


def test_shorts_and_leverage_are_accepted_when_allowed():
    frame = parse_targets({"A": 1.3, "B": -0.3}, allow_short=True, max_gross=1.6)
    assert frame["weight"].tolist() == [1.3, -0.3]


def test_every_problem_of_a_table_is_listed_at_once():
    data = pd.DataFrame(
        {"symbol": ["A", "", "C", "C"], "weight": [np.nan, 0.1, "x", np.inf], "lot_size": [0, 1, 1, 1]}
    )
    with pytest.raises(InputError) as caught:
        parse_targets(data)
    assert sorted(caught.value.codes) == [
        "duplicate_symbol",
        "lot_size",
        "symbol_missing",
        "weight_dtype",
        "weight_missing",
        "weight_not_finite",
    ]


def test_normalised_weights_may_be_a_little_over_one():
    weights = np.full(3, 1 / 3)
    weights[0] += 5e-7
    assert len(parse_targets(pd.Series(weights, index=["A", "B", "C"]))) == 3
    with pytest.raises(InputError):
        parse_targets({"A": 0.5, "B": 0.500002})


def test_other_columns_are_kept_unchanged():
    frame = parse_targets(pd.DataFrame({"symbol": ["A"], "weight": 1.0, "note": [{"any": "thing"}], 7: ["x"]}))
    assert frame["note"].tolist() == [{"any": "thing"}]
    assert frame["7"].tolist() == ["x"]


def test_contract_numbers_are_whole():
    frame = parse_targets(pd.DataFrame({"symbol": ["A", "B"], "weight": 0.5, "con_id": [756733.0, None]}))
    assert frame["con_id"].tolist()[0] == 756733
    assert frame["con_id"].isna().tolist() == [False, True]


def test_a_currency_that_is_not_given_stays_missing():
    assert parse_positions({"A": 1})["currency"].isna().all()
    assert parse_quotes({"A": 1.0})["currency"].isna().all()


def test_positions_may_have_the_symbol_as_index_and_as_column():
    held = pd.DataFrame({"symbol": ["A", "A"], "quantity": [1, 2]}).set_index("symbol", drop=False)
    with pytest.raises(InputError) as caught:
        parse_positions(held)
    assert caught.value.codes == ("ambiguous_position",)
    assert parse_positions(held.iloc[:1])["symbol"].tolist() == ["A"]


def test_the_latest_of_several_quotes_is_used_whatever_their_labels():
    rows = [("A", 1.0, 0), ("B", 9.0, 0), ("A", 3.0, 2), ("A", 2.0, 1)]
    quotes = pd.DataFrame(
        {
            "symbol": [r[0] for r in rows],
            "last": [r[1] for r in rows],
            "quoted_at": [WHEN + pd.Timedelta(r[2], "s") for r in rows],
        },
        index=pd.Index([0, 0, 0, 1], name="time"),
    )
    assert parse_quotes(quotes).set_index("symbol")["last"].to_dict() == {"A": 3.0, "B": 9.0}


def test_times_in_any_zone_are_utc():
    frame = parse_quotes(
        pd.DataFrame(
            {"symbol": ["A", "B"], "last": 1.0, "quoted_at": [WHEN.tz_convert("Asia/Tokyo"), "2026-11-23T14:30Z"]}
        )
    )
    assert frame["quoted_at"].tolist() == [WHEN, WHEN]
    zoned = pd.DataFrame(
        {"symbol": ["A"], "last": 1.0, "quoted_at": pd.DatetimeIndex([WHEN]).tz_convert("Asia/Tokyo")}
    )
    assert str(parse_quotes(zoned)["quoted_at"].dtype) == "datetime64[us, UTC]"


def dated(*values):
    names = ["A", "B", "C"][: len(values)]
    return parse_targets(
        pd.DataFrame({"symbol": names, "weight": 0.1, "as_of": pd.Series(values, dtype="object")})
    )


def test_targets_of_today_or_without_a_date_are_accepted():
    assert check_target_dates(dated("2026-11-23", None, dt.date(2026, 11, 23)), WHEN) == []
    assert check_target_dates(dated("1999-01-01"), None) == []
    assert check_target_dates(parse_targets({"A": 1.0}), WHEN) == []


def test_a_target_date_has_begun_once_it_has_begun_anywhere_on_earth():
    # At 10:00 UTC it is midnight in Kiritimati, UTC+14.
    before, after = WHEN.normalize() + pd.Timedelta(9, "h"), WHEN.normalize() + pd.Timedelta(10, "h")
    assert check_target_dates(dated("2026-11-24"), after) == []
    with pytest.raises(InputError):
        check_target_dates(dated("2026-11-24"), before)


def test_targets_more_than_a_week_old_give_a_warning():
    week = WHEN - pd.Timedelta(7, "D")
    warnings = check_target_dates(dated(week, week - pd.Timedelta(1, "s"), "2026-10-01"), WHEN)
    assert [(row["code"], row["symbol"]) for row in warnings] == [("target_date", "B"), ("target_date", "C")]


def test_a_validated_table_keeps_its_warnings():
    warnings = input_warnings(parse_targets({"BRK.B": 0.5, "A": 1e-15}))
    assert warnings["code"].tolist() == ["symbol_mapped", "tiny_weight", "residual_cash"]
    assert warnings["symbol"].tolist()[:2] == ["BRK B", "A"]


# -- cash --------------------------------------------------------------------------------------------------------


def warnings_of(frame):
    return input_warnings(frame)[["code", "row", "symbol"]].to_numpy().tolist()


def test_a_cash_row_is_removed_from_the_targets_with_a_warning():
    frame = parse_targets({"AAPL": 0.9, "USD": 0.1})
    assert frame[["symbol", "weight"]].to_numpy().tolist() == [["AAPL", 0.9]]
    assert warnings_of(frame) == [
        ["cash_row", 1, "USD"]
    ]  # and no warning of residual cash: the cash row states it
    detail = input_warnings(frame)["detail"].tolist()[0]
    assert detail == (
        "USD is read as cash: 0.1 of NAV stays in cash; "
        "if the stock with that ticker is meant, set sec_type STK in its row"
    )


def test_rows_keep_their_labels_when_cash_rows_are_removed():
    data = pd.DataFrame(
        {"symbol": ["CASH_USD", "brk.b", "usd", "TLT", "$CASH"], "weight": [0.1, 0.2, 0.1, 0.3, 0.3]},
        index=[10, 11, 12, 13, 14],
    )
    frame = parse_targets(data)
    assert frame["symbol"].to_dict() == {11: "BRK B", 13: "TLT"}
    assert frame["weight"].to_dict() == {11: 0.2, 13: 0.3}
    assert warnings_of(frame) == [
        ["cash_row", 10, "CASH_USD"],
        ["cash_row", 12, "usd"],
        ["cash_row", 14, "$CASH"],
        ["symbol_mapped", 11, "BRK B"],
    ]
    assert data["symbol"].tolist() == ["CASH_USD", "brk.b", "usd", "TLT", "$CASH"]


def test_a_row_typed_as_stock_is_the_stock_with_that_ticker():
    data = pd.DataFrame({"symbol": ["USD", "CASH"], "weight": 0.5, "sec_type": ["STK", " stk"]})
    for frame in (parse_targets(data), parse_targets(parse_targets(data))):
        assert frame["symbol"].tolist() == ["USD", "CASH"]
        assert warnings_of(frame) == []
    held = parse_positions(pd.DataFrame({"symbol": ["USD", "CASH"], "quantity": 5, "sec_type": "STK"}))
    assert held["symbol"].tolist() == ["USD", "CASH"]


def test_a_cash_row_with_the_type_of_cash_is_cash_in_targets_and_stays_in_positions():
    # Interactive Brokers reports currencies as positions of that type.
    targets = pd.DataFrame({"symbol": ["A", "USD"], "weight": 0.5, "sec_type": ["STK", "CASH"]})
    assert parse_targets(targets)["symbol"].tolist() == ["A"]
    held = pd.DataFrame({"symbol": ["A", "EUR"], "quantity": 5, "sec_type": ["STK", "CASH"]})
    assert parse_positions(held)[["symbol", "sec_type"]].to_numpy().tolist() == [["A", "STK"], ["EUR", "CASH"]]
    assert warnings_of(parse_positions(held)) == []


def test_a_currency_that_is_a_large_stock_stays_with_a_warning_that_it_could_be_cash():
    frame = parse_targets({"AAPL": 0.9, "NOK": 0.1})
    assert frame["symbol"].tolist() == ["AAPL", "NOK"]
    assert warnings_of(frame) == [["currency_or_stock", 1, "NOK"]]
    assert warnings_of(parse_targets(frame)) == warnings_of(frame)
    assert warnings_of(parse_positions({"NOK": 5}))[0] == ["currency_or_stock", 0, "NOK"]


@pytest.mark.parametrize(
    ("weights", "options", "code"),
    [
        ({"A": 0.9, "USD": 0.100002}, {}, "weights_exceed_one"),
        ({"A": 0.9, "USD": 0.3, "EUR": -0.1}, {}, "weights_exceed_one"),
        ({"A": 1.2, "USD": -0.2}, {}, "weights_exceed_one"),
        ({"A": 1.3, "USD": 0.1}, {"max_gross": 2}, "weights_exceed_one"),
        ({"A": 1.3, "USD": -0.3}, {"max_gross": 1.2}, "gross_limit"),
        ({"A": 90.0, "USD": 10.0}, {}, "weights_look_like_percent"),
        ({"A": 0.0, "B": 2.0, "USD": 98.0}, {}, "weights_look_like_percent"),
        ({"USD": None}, {}, "weight_missing"),
        ({"A": 0.5, "USD": None}, {}, "weight_missing"),
        ({"A": 0.5, "USD": np.inf}, {}, "weight_not_finite"),
        ({"A": 0.5, "USD": -1e5}, {}, "weight_out_of_range"),
        ({"A": 0.5, "USD": "0.1"}, {}, "weight_dtype"),
        ({"A": -0.5, "USD": 1.5}, {}, "short_not_allowed"),
        ({"USD": 1.0}, {}, "full_liquidation"),
        ({"A": 0.0, "USD": 1.0}, {}, "full_liquidation"),
        ({"USD": 0.0}, {}, "full_liquidation"),
    ],
)
def test_weights_with_cash_rows_are_validated_like_other_weights(weights, options, code):
    with pytest.raises(InputError) as caught:
        parse_targets(weights, **options)
    assert caught.value.codes == (code,)


@pytest.mark.parametrize(
    ("weights", "options"),
    [
        ({"A": 0.9, "USD": 0.1000005}, {}),
        ({"A": 0.5, "B": 0.3, "USD": 0.1, "EUR": 0.1}, {}),
        ({"A": 1.3, "USD": -0.3}, {"max_gross": 1.3}),
        ({"A": 1.0, "B": -0.5, "USD": 0.5}, {"max_gross": 1.5, "allow_short": True}),
        ({"A": 1.0, "USD": 0.0}, {}),
    ],
)
def test_weights_that_add_up_to_one_with_cash_give_only_the_cash_warning(weights, options):
    frame = parse_targets(weights, **options)
    assert set(input_warnings(frame)["code"]) == {"cash_row"}
    assert "USD" not in frame["symbol"].tolist()


def test_borrowed_cash_is_reported_as_borrowed():
    detail = input_warnings(parse_targets({"A": 1.3, "USD": -0.3}, max_gross=1.3))["detail"].tolist()[0]
    assert detail.startswith("USD is read as cash: 0.3 of NAV is borrowed;")


def test_cash_outside_weights_and_cash_rows_gives_a_warning():
    warnings = input_warnings(parse_targets({"A": 0.5, "USD": 0.3}))
    assert warnings["code"].tolist() == ["cash_row", "residual_cash"]
    assert warnings["detail"].tolist()[1] == "weights and cash rows add up to 0.8; the rest stays in cash"


def test_cash_alone_means_a_full_liquidation():
    with pytest.raises(InputError, match="there is nothing but cash; use allow_liquidation=True"):
        parse_targets({"USD": 1.0})
    frame = parse_targets({"USD": 1.0}, allow_liquidation=True)
    assert len(frame) == 0
    assert input_warnings(frame)["code"].tolist() == ["cash_row", "full_liquidation"]
    with pytest.raises(InputError) as caught:
        parse_targets(frame)  # it is still what it was
    assert caught.value.codes == ("full_liquidation",)


def test_targets_that_are_parsed_again_keep_their_cash():
    once = parse_targets({"A": 0.9, "USD": 0.1, "B.C": 1e-15})
    again = parse_targets(once)
    assert warnings_of(again) == warnings_of(once)
    assert input_warnings(again)["code"].tolist() == ["cash_row", "symbol_mapped", "tiny_weight"]


def test_outdated_warnings_are_dropped_when_a_table_is_parsed_again():
    frame = parse_targets({"A": 0.5, "B": 0.25})
    assert input_warnings(frame)["code"].tolist() == ["residual_cash"]
    frame["weight"] = [0.75, 0.25]
    assert warnings_of(parse_targets(frame)) == []


def test_problems_name_the_callers_row_numbers_including_cash_rows():
    data = pd.DataFrame(
        {"symbol": ["USD", "A", "CASH", "B", "A"], "weight": ["x", 0.1, 0.2, np.nan, 0.1]}, index=[5, 6, 7, 8, 9]
    )
    with pytest.raises(InputError) as caught:
        parse_targets(data)
    assert [(problem.code, problem.row) for problem in caught.value.problems] == [
        ("weight_dtype", 5),
        ("duplicate_symbol", 6),
        ("duplicate_symbol", 9),
        ("weight_missing", 8),
    ]


@pytest.mark.parametrize("quoted_at", [None, "2026-11-23T14:30Z"])
def test_of_equal_rows_of_a_quote_one_counts(quoted_at):
    rows = {
        "symbol": ["A", "B", "a"],
        "last": [1.0, 2.0, 1.0],
        "quoted_at": quoted_at,
        "venues": [["X"], ["Y"], ["X"]],
    }
    assert parse_quotes(pd.DataFrame(rows))[["symbol", "last"]].to_numpy().tolist() == [["A", 1.0], ["B", 2.0]]
    rows["last"] = [1.0, 2.0, 1.01]
    with pytest.raises(InputError) as caught:
        parse_quotes(pd.DataFrame(rows))
    assert [(problem.code, problem.row, problem.symbol) for problem in caught.value.problems] == [
        ("duplicate_price", 0, "A"),
        ("duplicate_price", 2, "A"),
    ]


def test_a_cash_row_is_removed_from_the_positions_with_a_warning():
    held = parse_positions({"SPY": 10, "USD": 5_000, "CASH_EUR": -20.5})
    assert held[["symbol", "quantity"]].to_numpy().tolist() == [["SPY", 10.0]]
    assert warnings_of(held) == [["cash_row", 1, "USD"], ["cash_row", 2, "CASH_EUR"]]
    assert warnings_of(parse_positions(held)) == warnings_of(held)


def test_cash_among_the_opening_positions_of_an_account_is_an_error():
    with pytest.raises(
        InputError, match="row 1 \\(USD\\): is cash; give the account's cash balance as cash="
    ) as caught:
        opening_positions({"SPY": 10, "USD": 5_000, "EUR": 5})
    assert [(problem.code, problem.symbol) for problem in caught.value.problems] == [
        ("cash_row", "USD"),
        ("cash_row", "EUR"),
    ]
    stock = pd.DataFrame({"symbol": ["SPY", "USD"], "quantity": 10, "sec_type": ["STK", "STK"]})
    assert opening_positions(stock)["symbol"].tolist() == ["SPY", "USD"]
    assert opening_positions(None).empty


# -- limits ------------------------------------------------------------------------------------------------------


def codes_of(parse, *data, **options):
    try:
        parse(*data, **options)
    except InputError as error:
        return [(problem.code, problem.row) for problem in error.problems]
    return []


def test_a_lot_is_whole_shares_or_ten_thousandths_of_one():
    lots = [0.0001, 0.25, 1.0, 100.0, 1e6, None, 0.00015, 0.00001, 1.5, 1e6 + 1, 0.0, -1.0]
    data = pd.DataFrame({"symbol": list("ABCDEFGHIJKL"), "weight": 0.01, "lot_size": lots})
    assert codes_of(parse_targets, data) == [("lot_size", row) for row in range(6, 12)]


def test_a_position_is_at_most_a_trillion_shares():
    data = {"A": 1e12, "B": -1e12, "C": 1e12 + 0.5, "D": -1e12 - 0.5}
    assert codes_of(parse_positions, data) == [("position_out_of_range", 2), ("position_out_of_range", 3)]


def test_a_cash_row_is_at_most_a_thousand_times_the_net_asset_value():
    assert codes_of(parse_targets, {"A": 0.5, "USD": -1000.0}) == []
    assert codes_of(parse_targets, {"A": 0.5, "USD": -1000.5}) == [("weight_out_of_range", 1)]


@pytest.mark.parametrize(
    ("total", "code"),
    [
        (94.5, "weights_exceed_one"),
        (95.0, "weights_look_like_percent"),
        (105.0, "weights_look_like_percent"),
        (105.5, "weights_exceed_one"),
    ],
)
def test_weights_that_add_up_to_about_a_hundred_look_like_percent(total, code):
    assert codes_of(parse_targets, {"A": 50.0, "B": total - 50.0}) == [(code, None)]


def test_weights_may_exceed_one_by_exactly_a_millionth():
    assert codes_of(parse_targets, {"A": 1 + 1e-6}) == []
    assert codes_of(parse_targets, {"A": 1 + 1e-6, "USD": 0.0}) == []


def test_a_quote_in_pence_stays_in_pence():
    quotes = pd.DataFrame({"symbol": ["VOD"], "last": 70.0, "currency": ["GBp"], "quoted_at": [WHEN]})
    assert parse_quotes(quotes)["currency"].tolist() == ["GBp"]
