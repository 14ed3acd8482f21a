"""Tools of input validation."""

import datetime as dt
import math
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import (
    FrameValidator,
    add_warnings,
    as_utc,
    input_warnings,
    is_unset,
    merge_warnings,
    number_option,
    shown,
    warning_row,
)
from stocklean_exec.schema.tables import POSITIONS, QUOTES

WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")


def validator(**columns):
    return FrameValidator(
        POSITIONS, pd.DataFrame({"symbol": ["A", "B"], "quantity": [1, 2]} | columns), "quantity"
    )


def test_tws_spellings_of_no_value_are_known():
    values = [-1.0, 1.7976931348623157e308, 2147483647.0, 9223372036854775807.0, math.inf, 100.0, -2.0, math.nan]
    assert is_unset(np.array(values)).tolist() == [True] * 5 + [False] * 3


def test_warnings_are_merged_once_each():
    one, other = pd.DataFrame(), pd.DataFrame()
    add_warnings(one, [warning_row("a", "text", table="targets")])
    add_warnings(
        other, [warning_row("a", "text", table="targets"), warning_row("b", "text", table="quotes", row=1)]
    )
    merged = input_warnings(merge_warnings(one, other))
    assert merged["code"].tolist() == ["a", "b"]
    assert list(merged.columns) == ["code", "row", "symbol", "column", "detail", "table"]


def test_a_column_of_a_frame_does_not_copy_its_warnings():
    # pandas copies attrs for each column: seventy warnings took two thirds of the time of a check.
    frame = add_warnings(pd.DataFrame({"a": [1.0]}), [warning_row("a", "text", table="targets")])
    (kept,) = frame.attrs.values()
    assert frame["a"].attrs["input_warnings"] is kept
    assert frame.copy().attrs["input_warnings"] is kept


def test_a_frame_without_warnings_has_an_empty_list():
    assert len(input_warnings(pd.DataFrame())) == 0


@pytest.mark.parametrize(
    "value",
    [
        WHEN,
        WHEN.tz_convert("Asia/Tokyo"),
        "2026-11-23T14:30Z",
        "2026-11-23 09:30-05:00",
        dt.datetime(2026, 11, 23, 9, 30, tzinfo=ZoneInfo("America/New_York")),
    ],
)
def test_a_time_with_a_zone_is_its_instant_in_utc(value):
    assert as_utc(value, "x") == WHEN
    assert str(as_utc(value, "x").tz) == "UTC"


def test_both_readings_of_a_repeated_hour_are_distinguished():
    first = dt.datetime(2026, 11, 1, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    assert as_utc(first, "x") == pd.Timestamp("2026-11-01 05:30", tz="UTC")
    assert as_utc(first.replace(fold=1), "x") == pd.Timestamp("2026-11-01 06:30", tz="UTC")


@pytest.mark.parametrize("value", [None, pd.NaT, pd.NA, math.nan, "", np.datetime64("NaT", "s")])
def test_an_empty_time_is_none(value):
    assert as_utc(value, "x") is None


def test_times_of_1970_to_2200_are_accepted():
    first, last = "1970-01-01T00:00Z", "2200-12-31T23:59Z"
    assert [as_utc(text, "x") for text in (first, last)] == [pd.Timestamp(first), pd.Timestamp(last)]
    for other in ("1969-12-31T23:59Z", "2201-01-01T00:00Z"):
        assert as_utc(other, "x").code == "time_dtype"


LAST_MOMENT = dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=5)))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("2026-11-23", "naive_time"),
        (dt.date(2026, 11, 23), "naive_time"),
        ("noon", "time_dtype"),
        (1763908200, "time_dtype"),
        (True, "time_dtype"),
        ([1], "time_dtype"),
        (np.array([1, 2]), "time_dtype"),
        (LAST_MOMENT, "time_dtype"),
    ],
)
def test_an_ambiguous_or_invalid_time_is_a_problem(value, code):
    found = as_utc(value, "quoted_at")
    assert isinstance(found, Problem)
    assert (found.code, found.column) == (code, "quoted_at")


@pytest.mark.parametrize("value", [5, 5.0, Decimal(5), np.int64(5), np.float32(5)])
def test_a_number_is_accepted_in_any_type(value):
    assert number_option("x", value) == 5.0


@pytest.mark.parametrize("value", ["5", True, None, math.nan, 10**400, Decimal("sNaN"), -0.1, 10.5, [5]])
def test_an_option_that_is_not_a_number_within_its_bounds_is_an_error(value):
    with pytest.raises(InputError) as caught:
        number_option("x", value, least=0, most=10)
    assert caught.value.codes == ("option_invalid",)


def test_a_value_is_shown_in_one_short_line():
    assert shown("abc") == "'abc'"
    assert len(shown("x" * 1_000_000)) == 60
    assert "\n" not in shown("a\nb")
    assert "\u202e" not in shown("a\u202eb")


def test_symbols_are_cleaned_and_share_classes_spelt_as_the_broker_does():
    found = FrameValidator(
        POSITIONS,
        pd.DataFrame({"symbol": [" spy ", "BRK.B", "BF-B", "BRK B", "LEN/B"], "quantity": 1}),
        "quantity",
    )
    assert found.read_symbols() == ["SPY", "BRK B", "BF B", "BRK B", "LEN B"]
    assert [row["symbol"] for row in found.warnings] == ["BRK B", "BF B", "LEN B"]


def test_symbols_that_need_no_change_are_a_column_of_text_too():
    found = validator(symbol=pd.Series(["A", "B"], dtype="object"))
    assert found.read_symbols() == ["A", "B"]
    assert found.frame["symbol"].dtype == pd.api.types.pandas_dtype("str")


def test_a_warning_names_the_callers_row():
    frame = pd.DataFrame({"symbol": ["A", "BRK.B"], "quantity": 1}, index=["x", "y"])
    found = FrameValidator(POSITIONS, frame, "quantity")
    found.read_symbols()
    assert [(row["code"], row["row"], row["symbol"]) for row in found.warnings] == [
        ("symbol_mapped", "y", "BRK B")
    ]


@pytest.mark.parametrize("symbol", ["VOD.L", "SAP.F", "SAP.DE", "BARC.LN"])
def test_a_listing_abroad_is_no_share_class(symbol):
    found = FrameValidator(POSITIONS, pd.DataFrame({"symbol": [symbol], "quantity": 1}), "quantity")
    assert found.read_symbols() == [symbol]
    assert not found.warnings


def test_a_share_class_in_another_currency_keeps_its_spelling():
    found = FrameValidator(
        POSITIONS, pd.DataFrame({"symbol": ["RCI.B"], "quantity": 1, "currency": "CAD"}), "quantity"
    )
    assert found.read_symbols() == ["RCI.B"]


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None], dtype="Int64"),
        pd.array([1, None], dtype="Float64"),
        np.array([1, np.nan], dtype="float16"),
        np.array([1, np.nan], dtype="float32"),
        [Decimal(1), None],
        [np.float32(1), pd.NA],
    ],
)
def test_numbers_of_any_type_become_floats(values):
    found = validator(quantity=values)
    assert np.array_equal(found.numbers("quantity", "x"), [1.0, np.nan], equal_nan=True)
    assert found.problems == []


def test_texts_are_stripped_and_empty_ones_get_the_default():
    found = validator(account=[" du1 ", " "])
    found.texts("account", "NONE")
    assert found.frame["account"].tolist() == ["DU1", "NONE"]
    found.texts("sec_type", "STK")
    assert found.frame["sec_type"].tolist() == ["STK", "STK"]


def test_ids_are_kept_exactly_as_given():
    found = validator(account=[" du1 ", ""])
    found.texts("account", None, exact=True)
    assert found.frame["account"].tolist()[0] == " du1 "
    assert pd.isna(found.frame["account"].iloc[1])


def test_an_invalid_cell_is_not_reported_as_empty_too():
    found = validator(quantity=["x", None])
    values = found.numbers("quantity", "quantity_dtype")
    assert found.empty_at("quantity", values).tolist() == [False, True]
    assert found.is_refused("quantity", 0)


def test_rows_keep_the_callers_labels():
    frame = pd.DataFrame({"symbol": ["A", "B"], "quantity": [1, 2]}, index=["x", "y"])
    found = FrameValidator(POSITIONS, frame, "quantity")
    found.problem("code", "text", 1)
    assert found.problems[0].row == "y"
    assert FrameValidator(POSITIONS, frame, "quantity").done().index.tolist() == ["x", "y"]


@pytest.mark.parametrize("index", [pd.Index([0, 0]), pd.Index(["A", "B"], name="symbol")])
def test_labels_that_do_not_identify_rows_become_numbers(index):
    frame = pd.DataFrame({"symbol": ["A", "B"], "quantity": [1, 2]}).set_axis(index)
    assert FrameValidator(POSITIONS, frame, "quantity").done().index.tolist() == [0, 1]


def test_the_callers_frame_is_copied():
    frame = pd.DataFrame({"symbol": ["a"], "quantity": [1]})
    found = FrameValidator(POSITIONS, frame, "quantity")
    found.read_symbols()
    assert frame["symbol"].tolist() == ["a"]


def test_a_hint_lists_a_few_columns_only():
    wide = pd.DataFrame(1.0, index=[0], columns=[f"S{number}" for number in range(500)])
    with pytest.raises(InputError) as caught:
        FrameValidator(QUOTES, wide, "last")
    assert "; there are S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, ... [" in str(caught.value)


# -- what a table may be -----------------------------------------------------------------------------------------


def read(data, table=POSITIONS, value="quantity"):
    found = FrameValidator(table, data, value)
    found.read_symbols()
    return found.frame[["symbol", value]].to_numpy().tolist()


def test_a_mapping_a_series_and_a_frame_are_one_table():
    rows = [["SPY", 5], ["TLT", 7]]
    frame = pd.DataFrame({"symbol": ["SPY", "TLT"], "quantity": [5, 7]})
    assert read({"SPY": 5, "TLT": 7}) == rows
    assert read(pd.Series({"SPY": 5, "TLT": 7})) == rows
    assert read(frame) == rows
    assert read(frame.set_index("symbol")) == rows
    assert read(pd.Series([], dtype="float64")) == []


QUANTITIES = {"quantity": [5.0, 7.0]}
DAYS = pd.date_range("2026-11-23", periods=2)


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        ([1, 2], "wrong_type", "a list cannot be read; give a DataFrame"),
        (np.array([1, 2]), "wrong_type", "a numpy ndarray cannot be read"),
        (pd.Series([5.0]), "symbol_location", "the index is row numbers"),
        (pd.Series([5.0, 7.0], index=DAYS), "looks_like_history", "the index is dates"),
        (pd.Series([5.0], index=pd.MultiIndex.from_tuples([("a", "b")])), "multiindex", "several levels"),
        (pd.DataFrame(QUANTITIES, index=DAYS), "looks_like_history", "rows are dates; pass one day, such as"),
        (pd.DataFrame({"day": DAYS, **QUANTITIES}), "looks_like_history", "with one row per symbol"),
        (pd.DataFrame({"ticker": ["A", "B"], "day": DAYS, **QUANTITIES}), "missing_column", "column 'symbol' is"),
        (pd.DataFrame(QUANTITIES, index=["SPY", "TLT"]), "symbol_location", "rename_axis"),
        (pd.DataFrame(QUANTITIES), "missing_column", "column 'symbol' is missing; there are quantity"),
        (pd.DataFrame({"symbl": ["SPY"], "quantity": 5}), "missing_column", "did you mean 'symbl'?"),
        (pd.DataFrame({"symbol": ["SPY"]}), "missing_column", "column 'quantity' is missing"),
        (
            pd.DataFrame([["SPY", 5, 6]], columns=["symbol", "quantity", "quantity"]),
            "duplicate_column",
            "quantity",
        ),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "multiindex", "several levels"),
        (pd.DataFrame(index=[0], columns=map(str, range(1_001))), "too_many_columns", "1,001 columns"),
        (pd.DataFrame({"symbol": ["SPY"] * 20_001, "quantity": 1}), "too_many_rows", "20,001 rows"),
    ],
)
def test_what_is_no_table_of_symbols_is_one_error_with_advice(data, code, text):
    with pytest.raises(InputError, match=text.replace("?", r"\?").replace("(", r"\(")) as caught:
        FrameValidator(POSITIONS, data, "quantity")
    assert caught.value.codes == (code,)


def test_a_column_that_is_nearly_a_known_one_is_named():
    found = validator(curency=["USD", "USD"], note=["a", "b"])
    (row,) = found.warnings
    assert (row["code"], row["column"]) == ("unknown_column", "curency")
    assert "did you mean 'currency'?" in row["detail"]
    assert found.has_warned("unknown_column")
    assert not found.has_warned("symbol_mapped")


@pytest.mark.parametrize(
    ("symbol", "code", "shown_as"),
    [
        (None, "symbol_missing", ""),
        (math.nan, "symbol_missing", ""),
        ("", "symbol_missing", ""),
        ("  ", "symbol_missing", None),
        (5, "symbol_dtype", "5"),
        ("A" * 33, "symbol_too_long", "A" * 32),
        ("A" * 32, None, "A" * 32),
        ("SP\nY", "symbol_illegal_char", None),
        ("SPÉ", "symbol_illegal_char", None),
        ("$SPY", "symbol_illegal_char", "$SPY"),
        ("spy", None, "SPY"),
    ],
)
def test_a_symbol_that_cannot_be_is_a_problem_of_its_row(symbol, code, shown_as):
    cells = pd.Series(["A", symbol], index=["x", "y"], dtype="object")
    frame = pd.DataFrame({"symbol": cells, "quantity": 1})
    found = FrameValidator(POSITIONS, frame, "quantity")
    read_as = found.read_symbols()[1]
    assert [(one.code, one.row) for one in found.problems] == ([] if code is None else [(code, "y")])
    assert shown_as in (None, read_as)


def test_a_symbol_in_two_rows_is_a_problem_of_both_whether_spelt_alike_or_not():
    frame = pd.DataFrame({"symbol": ["SPY", "BRK.B", "SPY", "BRK B", "TLT"], "quantity": 1})
    found = FrameValidator(POSITIONS, frame, "quantity")
    found.read_symbols()
    found.refuse_duplicate_symbols()
    assert [(one.row, one.code, one.symbol) for one in found.problems] == [
        (0, "duplicate_symbol", "SPY"),
        (1, "duplicate_symbol_normalised", "BRK B"),
        (2, "duplicate_symbol", "SPY"),
        (3, "duplicate_symbol_normalised", "BRK B"),
    ]


def test_rows_that_are_dropped_keep_the_labels_of_the_others():
    frame = pd.DataFrame({"symbol": ["A", "B", "C"], "quantity": [1, 2, 3]}, index=["x", "y", "z"])
    found = FrameValidator(POSITIONS, frame, "quantity")
    found.drop_rows([])
    found.drop_rows([1])
    assert found.read_symbols() == ["A", "C"]
    found.problems_at(np.array([False, True]), "code", lambda row: f"row {row}", "quantity")
    assert [(one.row, one.symbol, one.detail) for one in found.problems] == [("z", "C", "row 1")]


@pytest.mark.parametrize(
    ("value", "read_as", "text"),
    [
        ("10 %", math.nan, "write 0.1 for 10 %"),
        ("5", math.nan, "'5' is str, not a number"),
        (True, math.nan, "True is bool, not a number"),
        (10**400, math.inf, None),
        (-(10**400), -math.inf, None),
        (Decimal("NaN"), math.nan, None),
        (Decimal("0.10"), 0.1, None),
    ],
)
def test_a_cell_is_a_number_or_a_problem(value, read_as, text):
    found = validator(quantity=pd.Series([value, 1], dtype="object"))
    assert found.number(0, "quantity", "quantity_dtype") == pytest.approx(read_as, nan_ok=True)
    assert [one.code for one in found.problems] == ([] if text is None else ["quantity_dtype"])
    assert text is None or text in found.problems[0].detail
    assert found.has_warned("decimal_converted") == (value == Decimal("0.10"))


def test_times_are_utc_and_one_without_a_zone_is_a_problem():
    frame = pd.DataFrame({"symbol": ["A", "B"], "last": 1.0})
    aware = FrameValidator(QUOTES, frame.assign(quoted_at=WHEN.tz_convert("Asia/Tokyo")), "last")
    aware.times("quoted_at")
    assert aware.frame["quoted_at"].tolist() == [WHEN, WHEN]
    assert str(aware.frame["quoted_at"].dtype) == "datetime64[us, UTC]"
    mixed = FrameValidator(QUOTES, frame.assign(quoted_at=["2026-11-23T14:30Z", "2026-11-23 14:30"]), "last")
    mixed.times("quoted_at")
    assert mixed.frame["quoted_at"].tolist() == [WHEN, pd.NaT]
    assert [(one.code, one.row) for one in mixed.problems] == [("naive_time", 1)]
    assert mixed.is_refused("quoted_at", 1)


@pytest.mark.parametrize("value", ["d\nu", "dü1", 5])
def test_a_text_that_is_not_plain_is_a_problem(value):
    found = validator(account=pd.Series(["DU1", value], dtype="object"))
    found.texts("account", "NONE", code="account_invalid")
    assert found.frame["account"].tolist() == ["DU1", "NONE"]
    assert [(one.code, one.row, one.column) for one in found.problems] == [("account_invalid", 1, "account")]
