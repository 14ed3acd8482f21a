"""Columns that come along with a plan come back with their types."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.schema.extra_columns import pack, unpack


def round_trip(values, dtype=None):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=dtype)})
    return unpack(pack(frame), frame.index)["x"]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"),
        ([0.5, -1.25], "float64"),
        ([0.5, math.nan], "float64"),
        ([math.inf, -math.inf, 0.1 + 0.2], "float64"),
        ([True, False], "bool"),
        (["a", "'; DROP TABLE facts; --", "é😀\n"], "str"),
        (["a", None], "str"),
        ([datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC), None], "datetime64[us, UTC]"),
        ([datetime(2026, 11, 22, 12), datetime(2026, 11, 23)], "datetime64[us]"),  # noqa: DTZ001 - without a zone is meant
        ([math.nan, math.nan], "float64"),
    ],
)
def test_a_column_is_restored_unchanged(values, dtype):
    column = pd.Series(values, dtype=dtype, name="x")
    pd.testing.assert_series_equal(round_trip(values, dtype), column)


def test_booleans_with_missing_values_are_restored_as_objects():
    assert round_trip([True, None], object).tolist() == [True, None]


def test_integers_with_missing_values_are_restored_as_floats():
    pd.testing.assert_series_equal(round_trip([1, None], "Int64"), pd.Series([1.0, math.nan], name="x"))


def test_numbers_of_numpy_stay_numbers():
    assert round_trip([np.int64(5), np.float64(0.5)], object).tolist() == [5.0, 0.5]
    assert round_trip([np.bool_(True)], object).tolist() == [True]  # noqa: FBT003 - the value is the point


def test_other_objects_are_restored_as_their_text():
    assert round_trip([date(2026, 11, 22), ["a", "b"]], object).tolist() == ["2026-11-22", "['a', 'b']"]


def test_a_surrogate_character_is_escaped():
    assert round_trip(["\ud800"], object).tolist() == ["\\ud800"]


def test_every_packed_text_is_standard_json():
    def refuse(word):
        raise AssertionError(word)

    frame = pd.DataFrame({"x": [math.nan, math.inf]})
    assert [json.loads(text, parse_constant=refuse) for text in pack(frame)] == [
        {"x": None},
        {"x": {"number": "Infinity"}},
    ]


def test_a_frame_without_columns_packs_to_empty_objects():
    assert pack(pd.DataFrame(index=[1, 2])) == ["{}", "{}"]
    assert unpack(["{}", None], pd.RangeIndex(2)).shape == (2, 0)


def test_rows_of_different_plans_are_combined_by_column_name():
    frame = unpack(['{"a": 1}', '{"b": "x"}'], pd.RangeIndex(2))
    pd.testing.assert_frame_equal(
        frame, pd.DataFrame({"a": [1.0, math.nan], "b": pd.Series([None, "x"], dtype="str")})
    )


def test_index_labels_are_not_used_for_alignment():
    frame = pd.DataFrame({"x": [1, 2]}, index=["b", "a"])
    pd.testing.assert_frame_equal(unpack(pack(frame), frame.index), frame)


def test_integers_and_floats_with_missing_values_are_restored_as_floats():
    pd.testing.assert_series_equal(round_trip([1, 0.5, None], object), pd.Series([1.0, 0.5, math.nan], name="x"))


def test_times_beside_texts_are_restored_each_with_its_type():
    time = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert round_trip([time, "later"], object).tolist() == [time, "later"]


def test_a_number_of_another_library_is_the_number_in_it():
    class Scalar:
        def item(self):
            return 0.5

    assert round_trip([Scalar()], object).tolist() == [0.5]
