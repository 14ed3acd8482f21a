"""Files that an earlier version has left on disk: this one reads, continues, resumes and obeys them.

What was traded is checked against figures calculated by hand from the script of the fills; every other column
against what the version that wrote the file read from it itself (``expected/``).
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.simulator import Simulator, read_journal
from tests.compatibility.__main__ import (
    BLOTTER,
    CLIENT_ID,
    FILL_PLAN,
    FINISHED,
    FRAMES,
    HALTS,
    HOST,
    MARKET,
    STATE,
    VENUE,
    approved,
    unpack,
)
from tests.extras import need

ROOT = Path(__file__).parents[1]
VERSIONS = sorted(ROOT.glob("tests/data/disk_*"))
ARCHIVES = ("finished", "killed", "halted", "export")
LATER = "2022-12-29 15:30:00"  # half an hour after the venue of the killed run was started
# Status, shares, value, commission and reason, by hand. 40 at 400.10 and 60 at 400.30; 100 at 99.98 and 200 at
# 99.90; 400 of 1,000 at 62.61; a reject; one excluded; 20 at 62.62, corrected to 62.60, and 30 at 62.62; 4 that
# were withdrawn, and 10 at 99.98. The commission is 0.005 a share, and 1.00 an order at least.
TRADED = {
    "run-1-SPY-BUY": ("FILLED", 100.0, 40_022.0, 1.0, None),
    "run-1-TLT-SELL": ("FILLED", 300.0, 29_978.0, 1.5, None),
    "run-1-KO-BUY": ("CANCELLED", 400.0, 25_044.0, 2.0, "day_end"),
    "run-1-MCD-BUY": ("REJECTED", 0.0, None, None, "201"),
    "run-1-XOM-BUY": ("CANCELLED", 0.0, None, None, "not_approved"),
    "run-2-KO-BUY": ("FILLED", 50.0, 3_130.6, 1.0, None),
    "run-2-TLT-SELL": ("FILLED", 10.0, 999.8, 1.0, None),
}


@pytest.fixture(params=VERSIONS, ids=lambda folder: folder.name)
def version(request):
    return request.param


@pytest.fixture
def take(version, tmp_path):
    """Takes a copy of one of the version's archives."""
    return lambda name: unpack(version / f"{name}.tar.xz", tmp_path / name)


def opened(how, file):
    return sx.open_blotter(file) if how == "for writing" else sx.read_blotter(file)


def assert_same_as_written(frame, file, *, of_orders=False):
    """Compare the columns of a CSV (its rows of orders alone) with a frame, exactly; the frame may have more."""
    written = pd.read_csv(file, dtype=str, keep_default_na=False)
    if of_orders:
        written = written[written["client_order_id"] != ""].reset_index(drop=True)
    assert len(frame) == len(written)
    for name in written.columns:
        texts, now = written[name], frame[name]
        texts = texts.where(texts != "", None)
        if isinstance(now.dtype, pd.DatetimeTZDtype):
            then = pd.to_datetime(texts, utc=True, format="ISO8601").astype(now.dtype)
        elif pd.api.types.is_float_dtype(now.dtype):
            then = texts.astype("float64")
        else:
            now = now.map(str, na_action="ignore").astype("str")
            now, then = now.where(now != "", None), texts.astype("str")
        pd.testing.assert_series_equal(
            now, then, check_exact=True, check_names=False, obj=f"{file.parent.name} {name}"
        )


def held(file):
    """Start a process that holds a lock file, as the program that wrote it would."""
    script = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX); print(flush=True); "
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()  # the lock is taken
    return process


def owner_in(lock):
    return json.loads(lock.read_text("utf-8"))


# -- the record ----------------------------------------------------------------------------------------------


def test_stored_files_exist_and_name_the_version_that_wrote_them(version):
    made = json.loads((version / "made.json").read_text("utf-8"))
    assert version.name == "disk_" + "_".join(made["version"].split(".")[:2])
    assert sum(file.stat().st_size for file in version.rglob("*") if file.is_file()) < 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("how", ["read only", "for writing"])
@pytest.mark.parametrize("name", ["finished", "killed", "halted"])
def test_every_frame_is_read_as_it_was_written(name, how, take, version):
    folder = take(name)
    with opened(how, folder / BLOTTER) as blotter:
        for frame in FRAMES:
            assert_same_as_written(getattr(blotter, frame)(), version / "expected" / name / f"{frame}.csv")


def assert_traded(orders):
    rows = orders.set_index("client_order_id")
    assert rows.index.tolist() == list(TRADED)
    for name, (status, quantity, value, commission, reason) in TRADED.items():
        row = rows.loc[name]
        assert (row["status"], row["filled_quantity"]) == (status, quantity), name
        assert (row["reason"] if reason else pd.isna(row["reason"])) == (reason or True), name
        if value is None:
            assert pd.isna(row["avg_fill_price"]), name
            assert pd.isna(row["commission"]), name
        else:
            assert row["avg_fill_price"] * quantity == pytest.approx(value, rel=1e-12), name
            assert row["commission"] == commission, name


@pytest.mark.slow
@pytest.mark.parametrize("how", ["read only", "for writing"])
def test_trades_equal_the_scripted_fills(how, take):
    folder = take("finished")
    with opened(how, folder / BLOTTER) as blotter:
        assert_traded(blotter.orders())
        fills = blotter.fills("run-1").sort_values(["client_order_id", "filled_at"])
        assert fills[["symbol", "quantity", "price", "commission"]].to_numpy().tolist() == [
            ["KO", 400.0, 62.61, 2.0],
            ["SPY", 40.0, 400.10, 1.0],
            ["SPY", 60.0, 400.30, 0.0],
            ["TLT", 100.0, 99.98, 1.0],
            ["TLT", 200.0, 99.90, 0.5],
        ]
        # Ids of corrections end in 02: the correction to 62.60 is there, the withdrawn execution is not.
        fills = blotter.fills("run-2").sort_values(["symbol", "exec_id"])
        assert fills[["symbol", "quantity", "price"]].to_numpy().tolist() == [
            ["KO", 20.0, 62.60],
            ["KO", 30.0, 62.62],
            ["TLT", 10.0, 99.98],
        ]
        assert fills["exec_id"].str[-2:].tolist() == ["02", "01", "01"]
        assert blotter.runs()[["run_id", "mode", "status", "nav", "approved_by"]].to_numpy().tolist() == [
            ["run-1", "mock", "partial", 150_000.0, "trader"],
            ["run-2", "paper", "done", 1_020_000.0, "trader"],
        ]
        quotes = blotter.quotes("run-1").set_index("symbol")
        assert quotes.loc["SPY", ["bid", "ask", "last"]].tolist() == [399.90, 400.10, 400.00]


@pytest.mark.slow
def test_extra_columns_of_the_plan_are_returned_unchanged(take):
    with sx.read_blotter(take("finished") / BLOTTER) as blotter:
        orders = blotter.orders("run-1")
    pd.testing.assert_series_equal(orders["alpha"], FINISHED["alpha"], check_exact=True)
    pd.testing.assert_series_equal(orders["note"], FINISHED["note"].astype("str"))
    pd.testing.assert_series_equal(orders["rank"], FINISHED["rank"], check_dtype=False)
    pd.testing.assert_series_equal(orders["is_core"], FINISHED["is_core"], check_dtype=False)
    pd.testing.assert_series_equal(
        orders["signal_at"], FINISHED["signal_at"].astype("datetime64[us, UTC]"), check_exact=True
    )


def assert_costs(source):
    """Slippage and shortfall, by hand: the mid at arrival is the price of the decision, in every order."""
    slippage = sx.slippage(source)
    assert slippage["slippage_cost"].dropna().round(9).to_dict() == {
        "run-1-SPY-BUY": 22.0,  # 100 * (400.22 - 400.00)
        "run-1-TLT-SELL": 22.0,  # 300 * 100.00 - 29,978
        "run-1-KO-BUY": 0.0,
        "run-2-KO-BUY": 0.1,  # 3,130.60 - 50 * 62.61
        "run-2-TLT-SELL": 0.2,
    }
    assert slippage.loc["run-1-SPY-BUY", "slippage_bps"] == pytest.approx(5.5)  # 0.22 of 400
    assert slippage.loc["run-1-TLT-SELL", "slippage_bps"] == pytest.approx(22 / 3)  # 22 of 30,000
    shortfall = sx.implementation_shortfall(source)
    assert shortfall["total_cost"].dropna().round(9).to_dict() == {
        "run-1-SPY-BUY": 23.0,
        "run-1-TLT-SELL": 23.5,
        "run-2-KO-BUY": 1.1,
        "run-2-TLT-SELL": 1.2,
    }
    total = sx.shortfall_summary(source).loc["all"]
    assert total[["orders", "measured", "flagged"]].tolist() == [7, 4, 3]
    assert total["total_cost"] == pytest.approx(48.80)
    assert total["total_bps"] == pytest.approx(48.80 / 74_130.50 * 1e4)  # of 40,000 + 30,000 + 3,130.50 + 1,000
    assert sx.completion(source)["fill_ratio"].tolist() == [1.0, 1.0, 0.4, 0.0, 0.0, 1.0, 1.0]


@pytest.mark.slow
def test_the_costs_of_an_old_blotter_are_unchanged(take):
    assert_costs(sx.trade_record(take("finished") / BLOTTER))


@pytest.mark.slow
def test_an_export_is_read_by_the_cost_analysis(take, version):
    record = sx.trade_record(take("export"))
    assert_costs(record)
    assert_traded(record.orders)
    for name in FRAMES:
        file = version / "expected" / "finished" / f"{name}.csv"
        assert_same_as_written(getattr(record, name), file, of_orders=name == "events")


@pytest.mark.slow
def test_a_finished_run_is_not_sent_again_and_another_can_be_added(take):
    # The same orders have the same ids and fingerprints in this version; others would be a conflict, or be sent.
    file = take("finished") / BLOTTER
    broker = sx.connect("mock://?seed=7", quotes=MARKET, positions={"TLT": 500}, cash=100_000, fill_plan=FILL_PLAN)
    with sx.open_blotter(file) as blotter:
        before = blotter.orders()
        again = sx.submit_orders(approved(FINISHED, leave_out=("XOM",)), broker, blotter, progress=False)
        pd.testing.assert_frame_equal(again, blotter.orders("run-1"))
        assert broker.cash() == 100_000.0
        more = sx.rebalance(
            {"XOM": 0.1}, broker, blotter, run_id="run-9", approve="me", dry_run=False, unlisted="keep"
        )
        assert "XOM" in more.loc[more["status"] == "FILLED", "symbol"].tolist()
    with sx.read_blotter(file) as blotter:
        after = blotter.orders()
        pd.testing.assert_frame_equal(after[after["run_id"] != "run-9"][before.columns], before)
        assert set(blotter.runs()["run_id"]) == {"run-1", "run-2", "run-9"}


# -- the killed run ------------------------------------------------------------------------------------------


def resumed(run_id, broker, blotter, *, timeout=5):
    """Resume without regard to the age of the approval: the files are read years later."""
    return sx.resume(run_id, broker, blotter, timeout=timeout, settle=0.25, max_approval_age=None, progress=False)


def connect(venue):
    return sx.connect(f"ib://127.0.0.1:{venue.port}?client_id={CLIENT_ID}&rate=0")


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_resumed_to_its_end_and_nothing_is_sent_twice(take, monkeypatch):
    folder = take("killed")
    assert (folder / f"{BLOTTER}.wal").stat().st_size > 0  # the events of the run are in DuckDB's log alone
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / STATE))
    journal = folder / "journal.jsonl"
    settings = {**VENUE, "start": LATER, "state": folder / "venue.state", "journal": journal}
    with Simulator(**settings) as venue:
        venue.event("fill", symbol="SPY")  # the remaining six are sold while no client is connected
        with sx.open_blotter(folder / BLOTTER) as blotter, connect(venue) as broker:
            states = resumed("run-3", broker, blotter)
            assert states[["symbol", "status", "filled_quantity"]].to_numpy().tolist() == [
                ["SPY", "FILLED", 10.0],
                ["TLT", "UNKNOWN", 0.0],
                ["KO", "FILLED", 7.0],
                ["MCD", "FILLED", 10.0],
            ]
            assert re.search(
                "(accepted after its id|of an earlier day).*"
                "neither among the open and completed orders nor among the executions",
                states["reason"].tolist()[1],
            )
            # 2,000 and the sale of ten at 399.90, less seven at 62.62, ten at 264.30, and three commissions.
            assert broker.cash() == pytest.approx(2_000 + 3_999.00 - 438.34 - 2_643.00 - 3)
            blotter.resolve("run-3-TLT-BUY", "CANCELLED", reason="not in the trade log")
            again = resumed("run-3", broker, blotter)
            assert again["status"].tolist() == ["FILLED", "CANCELLED", "FILLED", "FILLED"]
    sent = [row["order_ref"] for row in read_journal(journal) if row["event"] == "order"]
    assert sorted(sent) == ["run-3-KO-BUY", "run-3-MCD-BUY", "run-3-SPY-SELL"]


def test_the_venue_continues_from_its_stored_state(take):
    folder = take("killed")
    events = [(row["event"], row["symbol"]) for row in read_journal(folder / "journal.jsonl")]
    assert events == [(what, name) for name in ("SPY", "KO") for what in ("order", "execution", "commission")]
    with Simulator(**{**VENUE, "start": LATER}, state=folder / "venue.state") as venue, connect(venue) as broker:
        positions = broker.positions().set_index("symbol")
        assert positions["quantity"].to_dict() == {"SPY": 6.0, "KO": 7.0}
        assert broker.cash() == pytest.approx(2_000 + 4 * 399.90 - 7 * 62.62 - 2)
        left = broker.open_orders()
        assert left[["client_order_id", "quantity", "filled_quantity"]].to_numpy().tolist() == [
            ["run-3-SPY-SELL", 10.0, 4.0]
        ]


@pytest.mark.slow
def test_a_killed_run_without_any_broker_record_is_unknown_with_a_reason(take, monkeypatch, tmp_path):
    folder = take("killed")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / STATE))
    journal = tmp_path / "another.jsonl"
    with (
        Simulator(**{**VENUE, "cash": 5.0}, journal=journal) as venue,  # not enough for a share
        sx.open_blotter(folder / BLOTTER) as blotter,
        connect(venue) as broker,
    ):
        states = resumed("run-3", broker, blotter, timeout=1)
        assert states["status"].tolist()[:3] == ["UNKNOWN", "UNKNOWN", "FILLED"]
        assert states["filled_quantity"].tolist() == [4.0, 0.0, 7.0, 0.0]
        assert states["reason"].tolist()[0].startswith("known before, and now neither among the open")
        assert blotter.unresolved()["client_order_id"].tolist() == ["run-3-SPY-SELL", "run-3-TLT-BUY"]
    assert [row for row in read_journal(journal) if row["event"] == "order"] == []


# -- locks and halts -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_lock_of_the_old_version_protects_its_blotter(take):
    folder = take("finished")
    lock = folder / f"{BLOTTER}.lock"
    with held(lock) as process:
        with pytest.raises(sx.BlotterLockedError, match=rf"process {owner_in(lock)['pid']} .* on {HOST}"):
            sx.open_blotter(folder / BLOTTER)
        with sx.read_blotter(folder / BLOTTER) as blotter:
            assert len(blotter.orders()) == len(TRADED)
        process.kill()
    sx.open_blotter(folder / BLOTTER).close()


@pytest.mark.slow
def test_a_run_lock_of_the_old_version_protects_its_run(take, monkeypatch):
    # The lock of a run is found by its name in the user's state folder: both versions must give it the same one.
    folder = take("killed")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / STATE))
    (lock,) = (folder / STATE).rglob("*.lock")
    with (
        Simulator(**{**VENUE, "start": LATER}, state=folder / "venue.state") as venue,
        sx.open_blotter(folder / BLOTTER) as blotter,
        connect(venue) as broker,
        held(lock) as process,
    ):
        owner = rf"process {owner_in(lock)['pid']} .* on {HOST} works run run-3"
        with pytest.raises(sx.RunElsewhereError, match=owner):
            resumed("run-3", broker, blotter, timeout=1)
        process.kill()


@pytest.mark.slow
def test_a_halt_still_halts_until_it_is_cleared(take):
    folder = take("halted")
    broker = sx.connect("mock://?seed=7", quotes=MARKET, cash=100_000)
    with sx.open_blotter(folder / BLOTTER) as blotter:
        assert blotter.halted == HALTS[-1][1]
        with pytest.raises(sx.HaltedError, match=f"by trader: {HALTS[-1][1]}"):
            resumed("run-4", broker, blotter)
        assert broker.cash() == 100_000.0
        events = blotter.events()
        halts = events[events["kind"].isin(["halted", "halt_cleared"])]
        assert [*zip(halts["kind"], halts["message"], strict=True)] == list(HALTS)
        blotter.clear_halt("checked with trading")
        states = resumed("run-4", broker, blotter)
        assert states[["status", "filled_quantity", "avg_fill_price"]].to_numpy().tolist() == [
            ["FILLED", 5.0, 400.10]
        ]


# -- names ---------------------------------------------------------------------------------------------------


def texts_of(folder):
    """Every text in the files of a folder: of files of lines, of every column of a blotter or an export."""
    for path in folder.rglob("*"):
        if path.suffix in (".lock", ".halt", ".state", ".jsonl"):
            yield path.name, path.read_text("utf-8")
    if (folder / BLOTTER).exists():
        with sx.read_blotter(folder / BLOTTER) as blotter:
            tables = blotter._frame("SELECT table_name FROM duckdb_tables()")["table_name"].tolist()
            for table in tables:
                yield table, blotter._frame(f'SELECT * FROM main."{table}"').to_csv()  # noqa: S608 - tables of ours
            yield "types", blotter._frame("SELECT data_type FROM duckdb_columns()").to_csv()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finished", "killed", "halted"])
def test_no_file_names_a_module_of_the_package(name, take):
    # Modules may be moved: what is on disk are texts, numbers and times, never a Python object.
    found = dict(texts_of(take(name)))
    assert {"facts", "planned_orders", f"{BLOTTER}.lock"} <= set(found)
    assert found["types"].upper().count("BLOB") == 0
    for place, text in found.items():
        assert not re.search(r"stocklean_exec[.:]|__main__\.(?!py\b)|pickle", text), place


def test_the_files_are_not_ignored_and_go_into_the_source_distribution():
    # Hatchling excludes what .gitignore names, such as *.duckdb.
    sdist = need("hatchling.builders.sdist", "dev")
    listed = {Path(one.relative_path) for one in sdist.SdistBuilder(str(ROOT)).recurse_included_files()}
    files = {file.relative_to(ROOT) for folder in VERSIONS for file in folder.rglob("*") if file.is_file()}
    assert {Path("tests/data/disk_0_1") / f"{name}.tar.xz" for name in ARCHIVES} <= files <= listed
