import tomllib

import pandas as pd
import pytest

from stocklean_exec.simulator import Venue, load_scenario, shipped_scenarios
from stocklean_exec.simulator.scenarios.scenario import Entry, ScenarioError, explain
from stocklean_exec.simulator.scenarios.steps import EXAMPLES
from stocklean_exec.simulator.settings import Settings


@pytest.mark.parametrize("name", sorted(shipped_scenarios()))
def test_every_shipped_scenario_loads_and_starts(name):
    scenario = load_scenario(name)
    assert scenario.name == name
    Venue(Settings(scenario=scenario)).close()


def test_files_tables_rows_and_frames_give_the_same_scenario(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(
        '[switches]\norder_limit = 3\n[[order]]\nsymbol = "SPY"\n[[fault]]\non = "execDetails"\ndo = "omit"\n',
        encoding="utf-8",
    )
    rows = [
        {"table": "switches", "order_limit": 3},
        {"table": "order", "symbol": "SPY"},
        {"table": "fault", "on": "execDetails", "do": "omit"},
    ]
    tables = {
        "switches": {"order_limit": 3},
        "order": [{"symbol": "SPY"}],
        "fault": [{"on": "execDetails", "do": "omit"}],
    }
    # A whole column of whole numbers, as pandas keeps it where other rows have none.
    frame = pd.DataFrame(rows).astype({"order_limit": "Int64"}).astype(object)
    frame = frame.where(frame.notna(), None)
    loaded = [load_scenario(source) for source in (path, str(path), rows, tables, frame)]
    assert {(repr(one.switches), one.orders[0]["symbol"], one.faults[0]["do"]) for one in loaded} == {
        (repr(loaded[0].switches), "SPY", "omit")
    }
    assert loaded[0].switches.order_limit == 3


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"orders": []}, "not a table"),
        ({"order": {"symbol": "SPY"}}, "once per entry"),
        ({"switches": {"speed": 3}}, "speed is unknown"),
        ({"switches": {"pacing": "often"}}, "not one of off, reject"),
        ({"switches": {"order_limit": "many"}}, "not int"),
        ({"order": [{"symbols": "SPY"}]}, "symbols is unknown"),
        ({"order": [{"commission": "free"}]}, "commission is 'free'"),
        ({"order": [{"steps": [{"jump": 1}]}]}, "exactly one of"),
        ({"order": [{"steps": [{"fill": 1, "wait": 1}]}]}, "exactly one of"),
        ({"order": [{"steps": [{"refuse": 110}]}]}, "exactly one of"),
        ({"order": [{"on_modify": [{"refuse": 110, "ignore": True}]}]}, "exactly one of fill, .*, judge"),
        ({"order": [{"steps": [{"fill": 1, "colour": "red"}]}]}, "options other than"),
        ({"fault": [{"do": "omit"}]}, "neither a request nor a reply"),
        ({"fault": [{"on": "execDetail", "do": "omit"}]}, "neither a request nor a reply"),
        ({"fault": [{"on": "execDetails", "do": "swallow"}]}, "not one of"),
        ({"fault": [{"on": "placeOrder", "do": "cut"}]}, "not one of"),
        ({"event": [{"do": "restart"}]}, "exactly one of at"),
        ({"event": [{"at": 1, "do": "explode"}]}, "not one of"),
        ({"event": [{"at": 1, "do": "switch", "set": {"speed": 3}}]}, "speed is unknown"),
        ({"event": [{"at": 1, "do": "switch"}]}, 'needs a table "set"'),
        ({"event": [{"at": 1, "do": "accounts", "accounts": []}]}, 'needs "accounts"'),
        ({"event": [{"at": 1, "do": "restart", "second": 3}]}, "second is unknown"),
        ({"event": [{"at": 1, "do": "switch", "set": {"walk": 0.1}}]}, "cannot be changed during the run"),
    ],
)
def test_an_invalid_scenario_is_reported_with_entry_and_reason(tables, words):
    with pytest.raises(ScenarioError, match=words):
        load_scenario(tables)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ScenarioError) as caught:
        load_scenario({"switches": {"a": 1}, "order": [{"b": 1}], "event": [{"at": 1, "do": "c"}]})
    assert len(caught.value.problems) == 3


def test_an_invalid_toml_file_is_named(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[[order\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"bad\.toml is not valid TOML"):
        load_scenario(path)
    with pytest.raises(OSError, match="missing"):
        load_scenario(tmp_path / "missing.toml")


def test_entries_select_by_wildcards_and_count_their_matches():
    entry = Entry({"order_ref": "run-*-BUY", "client_id": 3, "nth": 2, "times": 2})
    attributes = {"order_ref": "run-1-SPY-BUY", "client_id": 3}
    assert [entry.applies_to(attributes) for _ in range(4)] == [False, True, True, False]
    assert not Entry({"client_id": 3}).applies_to({"client_id": 4})
    assert not Entry({"symbol": "*"}).applies_to({})


@pytest.mark.parametrize("title", EXAMPLES)
def test_every_example_loads_and_starts(title):
    tables = tomllib.loads(EXAMPLES[title])
    Venue(Settings(scenario=tables)).close()
    assert title in explain()


def test_a_chance_is_seeded_and_has_the_right_frequency():
    def hits(seed):
        entry = Entry({"chance": 0.3}, seed)
        return [entry.applies_to({}) for _ in range(1_000)]

    assert hits(1) == hits(1) != hits(2)
    # Three standard deviations of a binomial count are 43.
    assert 250 < sum(hits(1)) < 350
    assert not Entry({"chance": 0}).applies_to({})


def test_two_venues_of_one_scenario_do_not_share_their_switches():
    scenario = load_scenario({"switches": {"executions": "none"}})
    first, second = Venue(Settings(scenario=scenario)), Venue(Settings(scenario=scenario))
    first.events.run({"do": "switch", "set": {"executions": "all"}})
    assert (first.switches.executions, second.switches.executions) == ("all", "none")


def test_a_session_closes_after_it_opens():
    load_scenario({"switches": {"open_in_seconds": 60, "close_in_seconds": 61}})
    with pytest.raises(ScenarioError, match="close_in_seconds is not after open_in_seconds"):
        load_scenario({"switches": {"open_in_seconds": 60, "close_in_seconds": 60}})


def test_an_auction_is_that_of_the_open_or_the_close():
    with pytest.raises(ScenarioError, match="auction is 'noon', not open or close"):
        load_scenario({"event": [{"at": 1, "do": "auction", "auction": "noon"}]})
