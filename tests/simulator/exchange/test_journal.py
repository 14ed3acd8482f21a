"""The venue's journal is sufficient to audit a run."""

import json

from stocklean_exec.simulator import read_journal

LIMIT = {"order_type": "LMT", "limit": "390.00"}


def test_a_run_can_be_rebuilt_from_the_journal(connect, tmp_path):
    path = tmp_path / "journal.jsonl"
    peer = connect(journal=path, start="2022-12-29 10:00:00")
    peer.place(1, quantity=250, order_ref="run-1-SPY-BUY")
    peer.place(2, order_ref="run-1-SPY-BUY-2", **LIMIT)
    peer.place(2, order_ref="run-1-SPY-BUY-2", order_type="LMT", limit="391.00")
    peer.send("4", "1", "2")
    peer.place(3, symbol="ZZZZNONE")
    events = read_journal(path)
    assert [one["event"] for one in events] == [
        *["order", "execution", "commission", "execution", "commission"],
        *["order", "modify", "cancel"],
    ]
    assert events[0] | {"perm_id": 0, "con_id": 0} == {
        "event": "order",
        "time": "2022-12-29T15:00:00.001000+00:00",
        "account": "DU0000001",
        "client_id": 1,
        "order_id": 1,
        "perm_id": 0,
        "order_ref": "run-1-SPY-BUY",
        "symbol": "SPY",
        "con_id": 0,
        "side": "BUY",
        "quantity": 250.0,
        "order_type": "MKT",
        "limit_price": None,
        "tif": "DAY",
        "filled": 0.0,
    }
    filled = [(one["quantity"], one["price"]) for one in events if one["event"] == "execution"]
    assert filled == [(200.0, 400.1), (50.0, 400.1)]
    assert sum(one["commission"] for one in events if one["event"] == "commission") == 1.25
    assert events[-1]["reason"] == "client"


def test_an_event_that_was_not_reported_is_in_the_journal(connect, tmp_path):
    path = tmp_path / "journal.jsonl"
    peer = connect({"fault": [{"on": "placeOrder", "do": "drop_after_accept"}]}, journal=path)
    assert peer.place(1) == []
    assert [one["event"] for one in read_journal(path)] == ["order", "execution", "commission"]


def test_a_correction_names_what_it_replaces(connect, tmp_path):
    path = tmp_path / "journal.jsonl"
    connect({"order": [{"steps": [{"fill": "rest"}, {"correct": True, "price": 399.0}]}]}, journal=path).place(1)
    first, second = [one for one in read_journal(path) if one["event"] == "execution"]
    assert second["corrects"] == first["exec_id"]


def test_every_line_is_one_json_object_whatever_a_client_writes(connect, tmp_path):
    path = tmp_path / "journal.jsonl"
    connect(journal=path).place(1, order_ref='a\nb"\u2028\x07')
    lines = path.read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0])["order_ref"] == 'a\nb"\u2028\x07'
    assert len(lines) == 4


def test_an_incomplete_last_line_is_ignored(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "order"}\n{"event": "exec', encoding="utf-8")
    assert read_journal(path) == [{"event": "order"}]


def test_executions_in_pence_are_recorded_in_pounds(connect, tmp_path):
    quotes = {"ABC": {"bid": 804.5, "ask": 805.5, "currency": "GBP", "price_magnifier": 100, "min_tick": 0.5}}
    peer = connect(quotes=quotes, journal=tmp_path / "j", scenario={"switches": {"execution_prices": "quotes"}})
    peer.place(1, "ABC", currency="GBP", order_type="LMT", limit="806.0")
    order, execution, commission = read_journal(tmp_path / "j")
    assert (order["limit_price"], execution["price"]) == (806.0, 8.055)
    assert (commission["commission"], commission["currency"]) == (3.0, "GBP")
