"""Cancel from any process: with a dead kernel, with a live one, through the client id that placed each order."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

import stocklean_exec as sx
from stocklean_exec.cli import main
from stocklean_exec.commands import cancellation
from stocklean_exec.simulator import read_journal
from tests.processes import holding
from tests.wire_market import FREE, approved_of, connect, journalled_venue

RESTS = [("SPY", "BUY", 5.0, "LMT", 300.0), ("KO", "BUY", 7.0, "LMT", 50.0)]

KERNEL = """
import sys
import stocklean_exec as sx
from tests.wire_market import FREE, approved_of
broker = sx.connect(sys.argv[1])
blotter = sx.open_blotter(sys.argv[2])
rests = [("SPY", "BUY", 5.0, "LMT", 300.0), ("KO", "BUY", 7.0, "LMT", 50.0)]
sx.submit_orders(approved_of(rests), broker, blotter, limits=FREE, timeout=0.5)
print("resting", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(cancellation, "_SEEN_SECONDS", 3.0)
    return tmp_path


@pytest.fixture
def venue(folder):
    with journalled_venue(folder) as running:
        yield running


def address(venue, client_id=7):
    return f"ib://127.0.0.1:{venue.port}?client_id={client_id}&rate=0&timeout=5"


def rest(venue, blotter, run_id="r", rows=RESTS, client_id=7):
    """Send orders that rest, and leave them at the venue."""
    with connect(venue, client_id=client_id) as broker:
        return sx.submit_orders(approved_of(rows, run_id), broker, blotter, limits=FREE, timeout=0.3)


def cancel(folder, venue, *what, client_id=7, timeout=10):
    more = [
        "--broker",
        address(venue, client_id),
        "--blotter",
        str(folder / "b.duckdb"),
        "--timeout",
        str(timeout),
    ]
    return main(["cancel", *what, *more])


def working(venue):
    with connect(venue, client_id=99) as watcher:
        return sorted(watcher.open_orders()["client_order_id"])


def states(folder, run_id="r"):
    with sx.read_blotter(folder / "b.duckdb") as blotter:
        orders = blotter.orders(run_id)
        runs = blotter.runs().set_index("run_id")["status"]
    return orders["status"].tolist(), runs[run_id]


# -- nobody has the blotter open -------------------------------------------------------------------------------


@pytest.mark.slow
def test_orders_of_a_dead_kernel_are_cancelled_and_those_of_others_named(folder, venue, capsys):
    with holding(KERNEL, address(venue), folder / "b.duckdb", says="resting") as kernel:
        kernel.kill()
        kernel.wait()
    with sx.open_blotter() as other:
        rest(venue, other, "theirs", [("MCD", "BUY", 3.0, "LMT", 200.0)], client_id=3)
    assert working(venue) == ["r-KO-BUY", "r-SPY-BUY", "theirs-MCD-BUY"]
    assert cancel(folder, venue, "r") == 0
    out = capsys.readouterr().out
    assert "r-SPY-BUY has ended\nr-KO-BUY has ended\n" in out
    assert "not touched:\n  BUY 3 MCD (theirs-MCD-BUY): of client id 3\n" in out
    assert working(venue) == ["theirs-MCD-BUY"]
    assert states(folder) == (["CANCELLED", "CANCELLED"], "cancelled")
    assert cancel(folder, venue, "r") == 0
    assert "no order of it is working" in capsys.readouterr().out


@pytest.mark.slow
def test_all_runs_are_cancelled_through_the_client_ids_that_placed_them(folder, venue, capsys):
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        rest(venue, blotter, "one", RESTS[:1], client_id=7)
        rest(venue, blotter, "two", RESTS[1:], client_id=8)
    assert cancel(folder, venue, "one", client_id=9) == 0
    assert "  BUY 7 KO (two-KO-BUY): run two of this record\n" in capsys.readouterr().out
    assert working(venue) == ["two-KO-BUY"]
    assert cancel(folder, venue, "--all", client_id=9) == 0
    assert working(venue) == []
    assert states(folder, "one") == (["CANCELLED"], "cancelled")
    assert states(folder, "two") == (["CANCELLED"], "cancelled")


@pytest.mark.slow
def test_a_client_id_that_another_program_uses_is_named(folder, venue, capsys, monkeypatch):
    monkeypatch.setattr(cancellation, "_SEEN_SECONDS", 0.1)
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        rest(venue, blotter, rows=RESTS[:1], client_id=8)
    with connect(venue, client_id=8):
        assert cancel(folder, venue, "r") == 4
    out = capsys.readouterr().out
    assert "r-SPY-BUY may still be working: it was placed by client id 8, and only that one can cancel it" in out
    assert working(venue) == ["r-SPY-BUY"]


@pytest.mark.slow
def test_what_was_not_sent_is_not_sent_later_also_while_halted(folder, venue, capsys):
    with sx.open_blotter(folder / "b.duckdb") as blotter, connect(venue) as broker:
        blotter.halt("lunch")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(approved_of(RESTS), broker, blotter, limits=FREE)
    assert cancel(folder, venue, "r") == 0
    assert "r-SPY-BUY was not sent, and will not be" in capsys.readouterr().out
    with sx.open_blotter(folder / "b.duckdb") as blotter, connect(venue) as broker:
        blotter.clear_halt("back")
        found = sx.resume("r", broker, blotter)
    assert found[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "run_cancelled"]] * 2
    assert [row for row in read_journal(venue.journal) if row["event"] == "order"] == []


@pytest.mark.slow
def test_orders_of_a_basket_file_are_left_to_the_person_who_sends_them(folder, venue):
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        sx.export_basket(approved_of(RESTS), folder / "b.csv", blotter=blotter, account="DU0000001")
    assert cancel(folder, venue, "r") == 0
    assert states(folder) == (["NEW", "NEW"], "queued")


@pytest.mark.slow
def test_without_the_broker_the_code_says_what_may_be_working(folder, venue, capsys):
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        rest(venue, blotter, rows=RESTS[:1])
        rest(venue, blotter, "filled", [("TLT", "BUY", 6.0, "MKT")])
    terms = ["--broker", address(venue), "--blotter", str(folder / "b.duckdb"), "--timeout", "0.1"]
    venue.stop()
    assert main(["cancel", "r", *terms]) == 4
    assert main(["cancel", "filled", *terms]) == 3
    assert "error: " in capsys.readouterr().err


def test_bad_input_is_refused(folder, capsys):
    terms = ["--broker", "mock://", "--blotter", str(folder / "b.duckdb")]
    assert main(["cancel", "--all", *terms]) == 2
    sx.open_blotter(folder / "b.duckdb").close()
    assert main(["cancel", "r", *terms]) == 2
    assert "there is no run 'r'" in capsys.readouterr().err
    assert main(["cancel", "--all", *terms]) == 0
    for wrong in (["r", "--all"], []):
        with pytest.raises(SystemExit):
            main(["cancel", *wrong, *terms])


@pytest.mark.slow
def test_a_halt_can_cancel_as_well(folder, venue, capsys):
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        rest(venue, blotter)
    terms = ["--blotter", str(folder / "b.duckdb"), "--reason", "fat finger", "--cancel"]
    assert main(["halt", *terms]) == 2
    assert main(["halt", *terms, "--broker", address(venue)]) == 0
    assert working(venue) == []
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        assert blotter.halted == "fat finger"


# -- another process has it open -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_live_kernel_is_asked_and_cancels_what_rests_long_after_its_run(folder, venue):
    with holding(KERNEL, address(venue), folder / "b.duckdb", says="resting") as kernel:
        done = subprocess.run(
            [sys.executable, "-m", "stocklean_exec", "cancel", "r", "--broker", address(venue),
             "--blotter", str(folder / "b.duckdb")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, working(venue)) == (0, [])
        assert f"process {kernel.pid} has the blotter open" in done.stderr
        assert "r-SPY-BUY has ended" in done.stdout
        assert states(folder) == (["CANCELLED", "CANCELLED"], "cancelled")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["start_run", "submit_orders"])
def test_a_working_run_is_stopped_and_records_its_own_end(folder, venue, way):
    results = []
    with sx.open_blotter(folder / "b.duckdb") as blotter, connect(venue) as broker:
        if way == "start_run":
            run = sx.start_run(approved_of(RESTS), broker, blotter, limits=FREE, timeout=60)
            finish = run.wait
        else:
            thread = threading.Thread(
                target=lambda: results.append(sx.submit_orders(approved_of(RESTS), broker, blotter, limits=FREE))
            )
            thread.start()

            def finish():
                thread.join(60)
                return results[0]

        until = time.monotonic() + 30
        while len(broker.open_orders()) < 2:
            assert time.monotonic() < until
            threading.Event().wait(0.01)
        assert cancel(folder, venue, "r") == 0
        assert finish()["status"].tolist() == ["CANCELLED", "CANCELLED"]
        kinds = blotter.events("r")["kind"].tolist()
        assert (kinds.count("run_cancelled"), kinds.count("run_ended")) == (1, 1)
    assert states(folder)[1] == "cancelled"


@pytest.mark.slow
def test_a_kernel_that_has_closed_its_broker_is_replaced_and_records_it_later(folder, venue, capsys):
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        rest(venue, blotter)
        assert cancel(folder, venue, "r") == 0
        captured = capsys.readouterr()
        assert "connecting in its place" in captured.err
        assert "r-SPY-BUY has ended" in captured.out
        assert working(venue) == []
        assert blotter.orders("r")["status"].tolist() == ["SUBMITTED", "SUBMITTED"]  # not reported here yet
        with connect(venue) as broker:
            assert sx.resume("r", broker, blotter)["status"].tolist() == ["CANCELLED", "CANCELLED"]


@pytest.mark.slow
def test_a_process_that_has_sent_nothing_does_not_answer_and_is_replaced(folder, venue, monkeypatch, capsys):
    monkeypatch.setattr(cancellation, "_SEEN_SECONDS", 0.2)
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        rest(venue, blotter, rows=RESTS[:1])
    with sx.open_blotter(folder / "b.duckdb"):
        assert cancel(folder, venue, "r") == 0
    assert f"process {os.getpid()} does not answer" in capsys.readouterr().err
    assert working(venue) == []


@pytest.mark.slow
def test_what_another_process_may_still_send_is_named(folder, venue, monkeypatch, capsys):
    monkeypatch.setattr(cancellation, "_SEEN_SECONDS", 0.2)
    with sx.open_blotter(folder / "b.duckdb") as blotter, connect(venue) as broker:
        blotter.halt("lunch")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(approved_of(RESTS[:1]), broker, blotter, limits=FREE)
    with sx.open_blotter(folder / "b.duckdb"):
        assert cancel(folder, venue, "r") == 4
    assert "r-SPY-BUY may still be working: it was not sent, and process" in capsys.readouterr().out
