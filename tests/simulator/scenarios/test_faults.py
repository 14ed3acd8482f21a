from stocklean_exec.simulator.scenarios.faults import FaultPlan


def test_faults_are_selected_by_name_and_attributes():
    plan = FaultPlan([{"on": "execDetails", "do": "omit", "symbol": "S*"}, {"on": "*", "do": "duplicate"}])
    assert [one.get("do") for one in plan.for_reply("execDetails", {"symbol": "SPY"})] == [
        "omit",
        "duplicate",
    ]
    assert [one.get("do") for one in plan.for_reply("execDetails", {"symbol": "XOM"})] == ["duplicate"]
    assert plan.for_request("placeOrder", {"symbol": "SPY"}) == []


def test_the_third_message_is_the_third_of_all_connections():
    plan = FaultPlan([{"on": "placeOrder", "do": "swallow", "nth": 3}])
    hits = [bool(plan.for_request("placeOrder", {"client_id": number % 2})) for number in range(5)]
    assert hits == [False, False, True, False, False]


def test_a_plan_without_faults_is_empty_until_one_is_added():
    plan = FaultPlan([])
    assert not plan
    plan.add({"on": "req*", "do": "stall"})
    assert plan
    assert plan.for_request("reqPositions", {})[0].get("do") == "stall"
