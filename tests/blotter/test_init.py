"""The package's own names: each is loaded when it is first used."""

import pytest

from stocklean_exec import blotter


@pytest.mark.parametrize(
    ("name", "module"),
    [("Blotter", "blotter"), ("open_blotter", "blotter"), ("BlotterReader", "reader"), ("read_blotter", "reader")],
)
def test_each_name_is_that_of_its_module(name, module):
    assert getattr(blotter, name).__module__ == f"stocklean_exec.blotter.{module}"
    assert name in blotter.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'open_bloter'"):
        blotter.open_bloter  # noqa: B018 - reading it is the test
