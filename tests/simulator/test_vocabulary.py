from stocklean_exec.simulator import interference, script, vocabulary
from stocklean_exec.simulator.scenario import load_scenario


def test_every_word_does_something_and_nothing_else_is_done(make_venue):
    assert set(vocabulary.STEPS) == set(script._VERBS)
    assert set(vocabulary.REQUEST_FAULTS) == set(interference._ON_REQUEST)
    assert set(vocabulary.REPLY_FAULTS) == set(interference._ON_REPLY) | {"edit"}
    assert set(vocabulary.EVENTS) == set(make_venue().events._do)


def test_every_word_is_explained():
    for table in (vocabulary.STEPS, vocabulary.REQUEST_FAULTS, vocabulary.REPLY_FAULTS, vocabulary.EVENTS):
        assert all(meaning for meaning in table.values())


def test_every_event_can_be_written_in_a_scenario():
    events = [
        {"at": 1, "do": name, "set": {"pacing": "reject"}, "accounts": ["DU1"]} for name in vocabulary.EVENTS
    ]
    assert len(load_scenario({"event": events}).events) == len(events)
