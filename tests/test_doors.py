"""The doors of targets, positions and quotes: what comes out of what goes in."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.doors import check_target_dates, parse_positions, parse_quotes, parse_targets
from stocklean_exec.errors import InputError
from stocklean_exec.parsing import input_warnings
from stocklean_exec.tables import POSITIONS, QUOTES, TARGETS

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
def test_a_door_gives_the_declared_columns_in_their_dtypes(table, parse, data):
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
def test_targets_come_in_many_forms(data):
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


def test_terms_are_upper_case_but_pence_stay_pence():
    row = parse_targets(pd.DataFrame({"symbol": ["vod"], "weight": 1.0, "tif": " gtc ", "currency": "GBp"})).iloc[
        0
    ]
    assert row[["symbol", "tif", "currency"]].tolist() == ["VOD", "GTC", "GBp"]


def test_shorts_and_leverage_are_taken_when_allowed():
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


def test_other_columns_are_carried_untouched():
    frame = parse_targets(pd.DataFrame({"symbol": ["A"], "weight": 1.0, "note": [{"any": "thing"}], 7: ["x"]}))
    assert frame["note"].tolist() == [{"any": "thing"}]
    assert frame["7"].tolist() == ["x"]


def test_contract_numbers_are_whole():
    frame = parse_targets(pd.DataFrame({"symbol": ["A", "B"], "weight": 0.5, "con_id": [756733.0, None]}))
    assert frame["con_id"].tolist()[0] == 756733
    assert frame["con_id"].isna().tolist() == [False, True]


def test_a_currency_that_is_not_told_is_not_made_up():
    assert parse_positions({"A": 1})["currency"].isna().all()
    assert parse_quotes({"A": 1.0})["currency"].isna().all()


def test_positions_may_be_indexed_by_symbol_and_carry_it_too():
    held = pd.DataFrame({"symbol": ["A", "A"], "quantity": [1, 2]}).set_index("symbol", drop=False)
    with pytest.raises(InputError) as caught:
        parse_positions(held)
    assert caught.value.codes == ("ambiguous_position",)
    assert parse_positions(held.iloc[:1])["symbol"].tolist() == ["A"]


def test_the_latest_of_several_quotes_holds_whatever_their_labels():
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


def test_targets_of_today_or_of_no_date_are_fine():
    assert check_target_dates(dated("2026-11-23", None, dt.date(2026, 11, 23)), WHEN) == []
    assert check_target_dates(dated("1999-01-01"), None) == []
    assert check_target_dates(parse_targets({"A": 1.0}), WHEN) == []


def test_a_date_has_begun_when_it_has_anywhere():
    # At 10:00 UTC it is midnight in Kiritimati, UTC+14.
    before, after = WHEN.normalize() + pd.Timedelta(9, "h"), WHEN.normalize() + pd.Timedelta(10, "h")
    assert check_target_dates(dated("2026-11-24"), after) == []
    with pytest.raises(InputError):
        check_target_dates(dated("2026-11-24"), before)


def test_targets_more_than_a_week_old_are_told_of():
    week = WHEN - pd.Timedelta(7, "D")
    warnings = check_target_dates(dated(week, week - pd.Timedelta(1, "s"), "2026-10-01"), WHEN)
    assert [(row["code"], row["symbol"]) for row in warnings] == [("target_date", "B"), ("target_date", "C")]


def test_a_door_remembers_its_warnings():
    warnings = input_warnings(parse_targets({"BRK.B": 0.5, "A": 1e-15}))
    assert warnings["code"].tolist() == ["symbol_mapped", "tiny_weight", "residual_cash"]
    assert warnings["symbol"].tolist()[:2] == ["BRK B", "A"]
