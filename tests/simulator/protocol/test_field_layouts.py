import math

import pytest

from stocklean_exec.simulator.protocol import messages, order_layouts  # noqa: F401 - they register the layouts
from stocklean_exec.simulator.protocol.field_layouts import (
    FORMS,
    UNSET_DOUBLE,
    describe,
    encode,
    fields_of,
    kinds,
    layout,
    register,
    rows,
    since,
    until,
)


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("size", 100.0, "100"),
        ("size", 0.5, "0.5"),
        ("price", 201.94, "201.94"),
        ("price", 500, "500.0"),
        ("price", 0.00001, "0.00001"),
        ("average", 0.0, "0"),
        ("average", 196.52, "196.52"),
        ("double", math.nan, UNSET_DOUBLE),
        ("double", -2.016569, "-2.016569"),
        ("money", 3, "3.00"),
        ("text", True, "1"),
        ("text", 7, "7"),
    ],
)
def test_values_have_the_format_of_tws(form, value, text):
    assert FORMS[form](value) == text


def test_a_field_is_sent_only_in_its_versions():
    register(layout("sample", 900, "made up", "a", since(160, "b=B"), until(170, "c=C"), "d=_"))
    assert fields_of("sample", 159, {}) == ["900", "", "C", ""]
    assert fields_of("sample", 169, {"a": 1}) == ["900", "1", "B", "C", ""]
    assert fields_of("sample", 170, {"b": None}) == ["900", "", "B", ""]


def test_rows_are_counted_and_follow_the_version():
    register(layout("table", 901, "made up", rows("lines", "x", since(176, "y=?")), "end=E"))
    assert fields_of("table", 175, {"lines": [{"x": 1}, {"x": 2}]}) == ["901", "2", "1", "2", "E"]
    assert fields_of("table", 176, {"lines": [{"x": 1}]}) == ["901", "1", "1", "?", "E"]
    assert fields_of("table", 176, {}) == ["901", "0", "E"]


def test_a_message_is_framed():
    assert encode("openOrderEnd", 176, {}) == b"\0\0\0\x0553\x001\x00"


@pytest.mark.parametrize("version", [157, 163, 164, 176, 178])
def test_every_layout_can_be_printed_with_its_source(version):
    for kind in kinds():
        text = describe(kind, version)
        assert text.startswith(f"{kind} (")
        assert "source: " in text


def test_an_unknown_kind_is_an_error():
    with pytest.raises(KeyError):
        fields_of("noSuchMessage", 176, {})
