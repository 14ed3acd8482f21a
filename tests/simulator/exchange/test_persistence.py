"""A venue restarted from its state file is the same venue."""

import pytest

from stocklean_exec.simulator.exchange.persistence import StateError, StateFile

LIMIT = {"order_type": "LMT", "limit": "390.00"}
ASK_EXECUTIONS = ("7", "3", "9", "0", "", "", "", "", "", "")


def test_orders_executions_positions_cash_and_ids_survive(make_venue, join, tmp_path):
    path = tmp_path / "venue.state"
    venue = make_venue(state=path, positions={"XOM": (50, 90.0)})
    peer = join(venue)
    peer.place(1, quantity=250, order_ref="a")
    peer.place(2, order_ref="b", good_till="", tif="GTC", **LIMIT)
    sent = [peer.send("16", "1"), peer.send(*ASK_EXECUTIONS), peer.send("61", "1"), peer.send("99", "0")]
    cash = venue.ledger.accounts["DU0000001"].cash
    venue.close()

    second = make_venue(state=path, positions={"XOM": (1, 1.0)}, cash=5.0)
    again = join(second)
    assert ["9", "1", "3"] in again.seen
    assert [
        again.send("16", "1"),
        again.send(*ASK_EXECUTIONS),
        again.send("61", "1"),
        again.send("99", "0"),
    ] == sent
    assert second.ledger.accounts["DU0000001"].cash == cash
    ids = {one.exec_id for one in second.ledger.fills} | {one.perm_id for one in second.ledger.orders.values()}
    again.place(3)
    assert second.ledger.fills[-1].exec_id not in ids
    assert second.ledger.find(1, 3).perm_id not in ids


def test_an_order_that_rested_fills_after_the_restart(make_venue, join, tmp_path):
    path = tmp_path / "venue.state"
    venue = make_venue(state=path)
    join(venue).place(1, **LIMIT)
    venue.close()
    second = make_venue(state=path)
    peer = join(second)
    second.move("SPY", bid=389.9, ask=390.0)
    assert "11" in [fields[0] for fields in peer.take()]


def test_a_process_killed_at_any_moment_has_a_readable_state(make_venue, join, tmp_path):
    path = tmp_path / "venue.state"
    venue = make_venue(state=path)
    join(venue).place(1, quantity=250)
    raw = path.read_bytes()  # not closed: as after a kill of the process
    first_line = raw.index(b"\n") + 1
    for end in range(first_line, len(raw), 97):
        incomplete = tmp_path / f"incomplete-{end}"
        incomplete.write_bytes(raw[:end])
        make_venue(state=incomplete)


def test_a_correction_survives(make_venue, join, tmp_path):
    path = tmp_path / "venue.state"
    steps = [{"fill": "rest", "price": 400.0}, {"correct": True, "price": 399.0}]
    venue = make_venue({"order": [{"steps": steps}]}, state=path)
    join(venue).place(1)
    venue.close()
    second = make_venue(state=path)
    assert second.ledger.accounts["DU0000001"].cash == 960_099.0
    sent = [fields for fields in join(second).send(*ASK_EXECUTIONS) if fields[0] == "11"]
    assert [fields[14][-3:] for fields in sent] == [".02"]


def test_time_continues_after_a_restart(make_venue, join, tmp_path):
    path = tmp_path / "venue.state"
    venue = make_venue(state=path)
    peer = join(venue)
    venue.clock.advance(1000)
    peer.place(1)
    latest = venue.ledger.fills[-1].at
    venue.close()
    assert make_venue(state=path).clock.now() > latest


def test_an_invalid_state_file_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n", encoding="utf-8")
    with pytest.raises(StateError, match="not a state file"):
        StateFile(path)
    assert path.read_text(encoding="utf-8") == "dear diary\n"


def test_opening_compacts_the_file(tmp_path):
    path = tmp_path / "venue.state"
    first = StateFile(path)
    for number in range(100):
        first.put("ids", "1", number)
    first.close()
    StateFile(path).close()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_balances_of_every_currency_survive(make_venue, join, tmp_path):
    options = {"state": tmp_path / "venue.state", "base_currency": "GBP", "rates": {"USD": 0.8}}
    venue = make_venue(cash={"GBP": 9.0, "USD": 50_000.0}, **options)
    join(venue).place(1, quantity=100)
    venue.close()
    account = make_venue(cash=1.0, **options).ledger.accounts["DU0000001"]
    assert account.balances() == {"GBP": 9.0, "USD": 9_989.0}  # less 100 at 400.10 and 1.00


def test_an_account_keeps_its_base_currency(make_venue, tmp_path):
    make_venue(state=tmp_path / "venue.state").close()
    with pytest.raises(ValueError, match="DU0000001 in the state is USD, not GBP"):
        make_venue(state=tmp_path / "venue.state", base_currency="GBP")


def test_what_an_open_order_has_become_survives(make_venue, join, tmp_path):
    quotes = {
        "SPY": {"bid": 399.9, "ask": 400.1, "last": 400.0, "ask_size": 200, "price_steps": "0:0.01;1000:0.05"}
    }
    start = {"quotes": quotes, "state": tmp_path / "venue.state", "start": "2022-12-29 10:00:00"}
    venue = make_venue(**start)
    peer = join(venue)
    peer.place(1, action="SELL", order_type="TRAIL", stop="2.00", trigger_method=2)
    venue.move("SPY", bid=402.9, ask=403.1, last=403.0)  # the stop is at 401
    peer.place(2, order_type="MTL", quantity=300)  # 200 at 403.10, 100 left at that price
    peer.place(3, order_type="REL", stop="0.05")  # at 402.95
    peer.place(4, order_type="LMT", limit="390.00", tif="GTD", good_till="20221229 11:00:00 US/Eastern")
    later = {"order_type": "LMT", "limit": "390.00", "good_after": "20221229 10:30:00 US/Eastern"}
    peer.place(5, **later)
    venue.close()

    again = make_venue(**start | {"start": "2022-12-29 10:10:00"})
    assert again.ledger.find(1, 1).trail == 401.0
    assert again.ledger.find(1, 2).limit == 403.1
    assert again.ledger.find(1, 3).limit == 402.95
    assert again.ledger.find(1, 1).contract.price_steps == ((0.0, 0.01), (1000.0, 0.05))
    again.clock.advance(3600.0)
    assert again.ledger.find(1, 4).status == "Cancelled"
    assert again.ledger.find(1, 5).status == "Submitted"


def test_a_state_of_an_earlier_version_without_prices_of_ib_is_read(make_venue, join, tmp_path):
    path = tmp_path / "venue.state"
    venue = make_venue(state=path)
    join(venue).place(1, **LIMIT)
    venue.close()
    names = ("trail", "working_limit", "algo_from", "algo_until")
    old = path.read_text(encoding="utf-8")
    for name in names:
        old = old.replace(f', "{name}": null', "")
    old = old.replace(', "price_steps": []', "")
    assert not any(name in old for name in (*names, "price_steps"))
    path.write_text(old, encoding="utf-8")
    assert make_venue(state=path).ledger.find(1, 1).status == "Submitted"
