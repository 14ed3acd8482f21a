from __future__ import annotations

import json

import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.risk.limits_file import read_limits


def test_limits_from_toml_and_json(tmp_path):
    (tmp_path / "l.toml").write_text('max_order_notional = 250000\nrestricted = ["gme"]\n')
    (tmp_path / "l.json").write_text(json.dumps({"max_order_notional": 250_000, "restricted": ["gme"]}))
    expected = sx.Limits(max_order_notional=250_000, restricted=frozenset({"GME"}))
    assert read_limits(tmp_path / "l.toml") == read_limits(tmp_path / "l.json") == expected


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("l.toml", "max_order_notional =", "l.toml: "),
        ("l.json", "[1, 2]", "l.json is not a table of limits"),
        ("l.json", "{", "l.json: "),
    ],
)
def test_a_file_without_limits_is_refused_by_name(tmp_path, name, text, why):
    (tmp_path / name).write_text(text)
    with pytest.raises(sx.InputError, match=why):
        read_limits(tmp_path / name)


def test_an_unknown_limit_in_a_file_is_refused(tmp_path):
    (tmp_path / "l.toml").write_text("max_order_notionl = 250000\n")
    with pytest.raises(sx.InputError, match="'max_order_notionl' is not a limit"):
        read_limits(tmp_path / "l.toml")


@pytest.mark.parametrize("name", ["l.json", "l.toml"])
def test_a_file_that_is_nested_too_deeply_is_one_error(tmp_path, name):
    nested = "[" * 100_000 + "]" * 100_000
    (tmp_path / name).write_text(nested if name.endswith("json") else f"a = {nested}")
    with pytest.raises(InputError, match=r"nested|not a table") as caught:
        read_limits(tmp_path / name)
    assert caught.value.codes == ("limits_format",)


def test_a_file_of_more_than_a_megabyte_is_one_error(tmp_path):
    (tmp_path / "l.toml").write_text("#" + "x" * 999_999)
    assert read_limits(tmp_path / "l.toml") == sx.Limits()
    (tmp_path / "l.toml").write_text("#" + "x" * 1_000_000)
    with pytest.raises(InputError, match="more than a megabyte"):
        read_limits(tmp_path / "l.toml")
