from dataclasses import fields

import pytest

from stocklean_exec.simulator.scenarios.options import CHOICES, Switches, meanings
from stocklean_exec.simulator.scenarios.scenario import ScenarioError, load_scenario


def test_the_default_of_each_choice_is_one_of_its_values():
    usual = Switches()
    assert all(getattr(usual, name) in words for name, words in CHOICES.items())


@pytest.mark.parametrize("name", [one.name for one in fields(Switches)])
def test_each_switch_can_be_set_by_a_scenario_and_refuses_other_kinds(name):
    usual = getattr(Switches(), name)
    assert getattr(load_scenario({"switches": {name: usual}}).switches, name) == usual
    with pytest.raises(ScenarioError, match=name):
        load_scenario({"switches": {name: ["a list"]}})


def test_every_switch_has_a_description():
    assert list(meanings()) == [one.name for one in fields(Switches)]
    assert all(len(text) > 10 for text in meanings().values())
