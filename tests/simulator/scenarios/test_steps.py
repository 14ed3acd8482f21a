from stocklean_exec.simulator.exchange import order_script
from stocklean_exec.simulator.scenarios import steps
from stocklean_exec.simulator.scenarios.scenario import load_scenario
from stocklean_exec.simulator.server import fault_injection


def test_verbs_and_handlers_match(make_venue):
    assert set(steps.STEPS) == set(order_script._VERBS)
    assert set(steps.REQUEST_FAULTS) == set(fault_injection._ON_REQUEST)
    assert set(steps.REPLY_FAULTS) == set(fault_injection._ON_REPLY) | {"edit"}
    assert set(steps.EVENTS) == set(make_venue().events._actions)


def test_every_verb_is_described():
    for table in (steps.STEPS, steps.CHANGE_STEPS, steps.REQUEST_FAULTS, steps.REPLY_FAULTS, steps.EVENTS):
        assert all(meaning for meaning in table.values())


def test_every_event_can_be_written_in_a_scenario():
    options = {"set": {"pacing": "reject"}, "accounts": ["DU1"], "currency": "EUR", "rate": 1.1}
    events = [{"at": 1, "do": name, **options} for name in steps.EVENTS]
    assert len(load_scenario({"event": events}).events) == len(events)
