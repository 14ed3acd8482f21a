"""Steps of a scenario, as the client sees them."""

import pytest


def run(connect, steps, **terms):
    more = {name: terms.pop(name) for name in list(terms) if name.startswith(("commission", "accept", "on_"))}
    peer = connect({"order": [{"steps": steps} | more]})
    return peer, peer.place(1, **({"quantity": 100} | terms))


def test_a_fill_in_three_parts_with_waits_runs_in_a_moment(connect):
    steps = [{"fill": "half"}, {"wait": 60}, {"fill": 20}, {"wait": 60}, {"fill": "rest", "price": 401.0}]
    _, seen = run(connect, steps)
    executions = [(fields[19], fields[20]) for fields in seen if fields[0] == "11"]
    assert executions == [("50", "400.1"), ("20", "400.1"), ("30", "401.0")]
    times = [fields[15] for fields in seen if fields[0] == "11"]
    assert [text[9:17] for text in times] == ["10:00:00", "10:01:00", "10:02:00"]


def test_waits_of_a_manual_clock_are_not_jumped_over(make_venue, join):
    venue = make_venue({"order": [{"steps": [{"wait": 5}, {"fill": "rest"}]}]}, clock="manual")
    peer = join(venue)
    assert [fields[0] for fields in peer.place(1)] == ["5", "3"]
    venue.clock.advance(4)
    assert peer.take() == []
    venue.clock.advance(1.1)
    assert "11" in [fields[0] for fields in peer.take()]


def test_a_partial_fill_is_cancelled_by_the_system(connect, kinds):
    _, seen = run(connect, [{"fill": "half"}, {"cancel": True, "text": "no more"}])
    assert kinds(seen)[-2:] == ["st Cancelled", "err 202"]
    assert seen[-1][4] == "Order Canceled - reason:no more"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"reject": 201}, ["err 201", "oo Inactive", "st Inactive"]),
        ({"reject": 201, "state": "Cancelled"}, ["err 201", "oo Cancelled", "st Cancelled"]),
        ({"reject": 321, "text": "no"}, ["err 321"]),
        ({"reject": 110}, ["err 110"]),
        ({"reject": 201, "state": "none"}, ["err 201"]),
    ],
)
def test_a_rejection_is_reported_according_to_its_code(connect, kinds, step, expected):
    assert kinds(run(connect, [step])[1]) == expected


def test_an_order_with_only_a_message_is_offered_to_the_market(connect, kinds):
    _, seen = run(connect, [{"message": 10349, "text": "preset"}])
    assert kinds(seen)[0] == "err 10349"
    assert kinds(seen)[-1] == "cm"


def test_a_held_order_reports_the_reason_and_then_continues(connect, kinds):
    _, seen = run(connect, [{"hold": "locate"}, {"wait": 10}, {"fill": "rest"}])
    assert kinds(seen)[:5] == [
        "oo PreSubmitted",
        "st PreSubmitted",
        "err 404",
        "oo PreSubmitted",
        "st PreSubmitted",
    ]
    assert seen[4][10] == "locate"
    assert kinds(seen)[-1] == "cm"


def test_a_correction_changes_the_last_group_of_the_execution_id_only(connect):
    peer, seen = run(connect, [{"fill": "rest", "price": 400.0}, {"correct": True, "price": 399.0}])
    first, second = [fields for fields in seen if fields[0] == "11"]
    assert first[14].rsplit(".", 1) == [second[14].rsplit(".", 1)[0], "01"]
    assert second[14].endswith(".02")
    assert second[20] == "399.0"
    sent = [fields for fields in peer.send("7", "3", "9", "0", "", "", "", "", "", "") if fields[0] == "11"]
    assert [fields[14] for fields in sent] == [second[14]]
    # 1,000,000 less 100 at 399.00 less the commission of 1.00
    assert peer.venue.ledger.accounts["DU0000001"].cash == 960_099.0


def test_a_busted_execution_removes_its_position(connect):
    peer, seen = run(connect, [{"fill": "rest"}, {"bust": True}])
    assert [fields[19] for fields in seen if fields[0] == "11"] == ["100", "0"]
    assert peer.send("61", "1") == [["62", "1"]]
    assert peer.venue.ledger.accounts["DU0000001"].cash == 1_000_000.0


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("normal", ["ex", "cm", "ex", "cm"]),
        ("first", ["cm", "ex", "cm", "ex"]),
        ("last", ["ex", "ex", "cm", "cm"]),
        ("never", ["ex", "ex"]),
        ("twice", ["ex", "cm", "cm", "ex", "cm", "cm"]),
    ],
)
def test_commissions_are_reported_as_the_scenario_specifies(connect, kinds, policy, expected):
    _, seen = run(connect, [{"fill": "half"}, {"fill": "rest"}], commission=policy)
    assert [name for name in kinds(seen) if name in {"ex", "cm"}] == expected


def test_a_late_commission_is_the_last_report(connect, kinds):
    _, seen = run(connect, [{"fill": "half"}, {"fill": "rest"}], commission_delay=5.0)
    assert kinds(seen)[-2:] == ["cm", "cm"]


def test_reports_can_be_repeated_and_a_status_can_revert(connect, kinds):
    steps = [{"fill": "rest"}, {"repeat": "execution"}, {"repeat": "commission"}, {"status": "PreSubmitted"}]
    _, seen = run(connect, steps)
    assert kinds(seen)[-3:] == ["ex", "cm", "st PreSubmitted"]


def test_a_fill_can_win_the_race_against_a_cancel(connect, kinds):
    peer, _ = run(connect, [{"rest": True}], on_cancel=[{"fill": "rest"}])
    seen = peer.send("4", "1", "1")
    assert kinds(seen)[-1] == "err 10148"
    assert "st Filled" in kinds(seen)


def test_a_cancel_can_follow_a_last_partial_fill(connect, kinds):
    peer, _ = run(connect, [{"rest": True}], on_cancel=[{"fill": "half"}])
    seen = peer.send("4", "1", "1")
    assert kinds(seen)[-2:] == ["st Cancelled", "err 202"]
    assert seen[-2][3:5] == ["50", "50"]


def test_a_confirmed_cancel_ends_what_was_still_to_happen(make_venue, join, kinds):
    venue = make_venue({"order": [{"steps": [{"rest": True}, {"wait": 5}, {"fill": "rest"}]}]}, clock="manual")
    peer = join(venue)
    peer.place(1)
    assert kinds(peer.send("4", "1", "1"))[-2:] == ["st Cancelled", "err 202"]
    venue.clock.advance(10)
    assert peer.take() == []


def test_an_execution_can_come_after_cancelled(connect, kinds):
    peer, _ = run(connect, [{"rest": True}], on_cancel=[{"cancel": True}, {"fill": "rest"}])
    names = kinds(peer.send("4", "1", "1"))
    assert names.index("st Cancelled") < names.index("ex") < names.index("st Filled")


def test_the_market_can_be_moved_by_a_step(connect, kinds):
    steps = [
        {"rest": True},
        {"wait": 1},
        {"move": {"bid": 398.0, "ask": 399.0}},
        {"wait": 1},
        {"match": True},
    ]
    _, seen = run(connect, steps, order_type="LMT", limit="399.00")
    assert kinds(seen)[-1] == "cm"


def test_the_connection_can_be_closed_by_a_step(connect):
    peer, seen = run(connect, [{"fill": "half"}, {"disconnect": True}, {"fill": "rest"}])
    assert peer.session.closed
    assert [fields[19] for fields in seen if fields[0] == "11"] == ["50"]
    assert len(peer.venue.ledger.fills) == 2


def test_acceptance_can_be_late(make_venue, join):
    venue = make_venue({"order": [{"accept_delay": 3.0}]}, clock="manual")
    peer = join(venue)
    assert peer.place(1) == []
    venue.clock.advance(3.0)
    assert peer.take()[0][0] == "5"


def test_an_entry_can_apply_from_the_nth_order_on(connect, kinds):
    scenario = {"order": [{"symbol": "S*", "nth": 2, "times": 2, "steps": [{"reject": 201}]}]}
    peer = connect(scenario)
    ends = [kinds(peer.place(number))[-1] for number in range(1, 5)]
    assert ends == ["cm", "st Inactive", "st Inactive", "cm"]
