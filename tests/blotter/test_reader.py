"""Reading: frames as they are declared, snapshots while another thread writes, exports that any tool reads."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter import database_file
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.reader import read_blotter
from stocklean_exec.errors import BlotterClosedError, BlotterError, InputError
from stocklean_exec.schema.tables import FILLS, ORDER_EVENTS, ORDERS, QUOTES, RUNS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
VIEWS = {"runs": RUNS, "orders": ORDERS, "order_events": ORDER_EVENTS, "fills": FILLS, "quotes": QUOTES}
SQL_TYPES = {
    "str": "VARCHAR",
    "Int64": "BIGINT",
    "datetime64[us, UTC]": "TIMESTAMP WITH TIME ZONE",
    "bool": "BOOLEAN",
}


def fill(blotter, run_id="run-1"):
    """Record a run of two orders, one filled and one only planned, with all that belongs to them."""
    orders = pd.DataFrame(
        {
            "client_order_id": [f"{run_id}-SPY-BUY", f"{run_id}-TLT-SELL"],
            "run_id": run_id,
            "symbol": ["SPY", "TLT"],
            "side": ["BUY", "SELL"],
            "quantity": [10.0, 5.0],
            "order_type": "MKT",
            "payload_hash": ["h1", "h2"],
            "decided_at": pd.Series([NOON, None], dtype="datetime64[us, UTC]"),
            "alpha": [0.25, None],
            "note": ["first", None],
            "signal_at": pd.Series([None, NOON], dtype="datetime64[us, UTC]"),
            "checked": [True, False],
        }
    )
    header = {"run_id": run_id, "leg": 1, "mode": "mock", "account": "DU1", "nav": 1e6, "parameters": "{}"}
    header |= {"plan_hash": "h", "approved_by": "me", "approved_at": NOON}
    name, exec_id = f"{run_id}-SPY-BUY", f"{run_id}.a.b.01"
    blotter.record_plan(
        orders,
        header,
        [
            OrderEvent("run_started", run_id, occurred_at=NOON, attempt=1),
            OrderEvent("sending", run_id, name, NOON, attempt=1, bid=99.0, ask=101.0, last=98.0),
            OrderEvent(
                "execution",
                run_id,
                name,
                NOON,
                exec_id=exec_id,
                symbol="SPY",
                side="BUY",
                quantity=10.0,
                price=100.5,
            ),
            OrderEvent(
                "commission", run_id, name, NOON, exec_id=exec_id, commission=1.0, commission_currency="USD"
            ),
        ],
    ).result()
    quotes = pd.DataFrame(
        {"symbol": ["SPY"], "bid": [99.0], "quoted_at": pd.Series([NOON], dtype="datetime64[us, UTC]")}
    )
    blotter.record_quotes(run_id, quotes).result()


@pytest.fixture(scope="module")
def filled():
    with sx.open_blotter() as opened:
        fill(opened)
        yield opened


@pytest.fixture(scope="module")
def empty():
    with sx.open_blotter() as opened:
        yield opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "paper.duckdb"


@pytest.fixture
def blotter(path):
    with sx.open_blotter(path) as opened:
        fill(opened)
        yield opened


# -- frames ----------------------------------------------------------------------------------------------------


def frames_of(reader):
    return {
        "runs": reader.runs(),
        "orders": reader.orders(),
        "order_events": reader.events(),
        "fills": reader.fills(),
        "quotes": reader.quotes(),
    }


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_starts_with_the_declared_columns_in_their_types(view, filled):
    table = VIEWS[view]
    with filled._connection.cursor() as cursor:
        found = cursor.execute(f"DESCRIBE main.{view}").fetchall()
    assert tuple(row[0] for row in found[: len(table.names)]) == table.names
    for (name, kind, *_), column in zip(found, table.columns, strict=False):
        if column.dtype == "float64":
            assert kind == "DOUBLE" or kind.startswith("DECIMAL"), name
        else:
            assert kind == SQL_TYPES[column.dtype], name


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("view", VIEWS)
def test_a_frame_has_the_declared_columns_and_dtypes_also_without_rows(view, full, filled, empty):
    frame = frames_of(filled if full else empty)[view]
    assert (len(frame) > 0) is full
    table = VIEWS[view]
    assert tuple(frame.columns[: len(table.names)]) == table.names
    assert frame.dtypes[list(table.names)].astype(str).to_dict() == table.dtypes


@pytest.mark.slow
def test_times_are_exact_to_the_microsecond_whatever_the_time_zone_of_the_machine(path):
    moment = datetime(2026, 7, 1, 23, 59, 59, 999999, tzinfo=UTC)
    with sx.open_blotter(path) as blotter:
        blotter.record([OrderEvent("message", "r", occurred_at=moment)]).result()
    code = (
        "import sys, stocklean_exec as sx; events = sx.read_blotter(sys.argv[1]).events();"
        "print(events['occurred_at'][0].isoformat())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "America/New_York"},
    )
    assert done.stdout == "2026-07-01T23:59:59.999999+00:00\n"


@pytest.mark.slow
def test_times_at_both_ends_of_the_calendar_can_be_read(blotter):
    ends = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), None]
    blotter.record([OrderEvent("message", "ends", message=str(end), occurred_at=end) for end in ends]).result()
    found = blotter.events("ends")["occurred_at"]
    assert [None if pd.isna(time) else time.to_pydatetime() for time in found] == ends


def test_the_arrival_price_is_the_mid_at_submission(filled):
    row = filled.orders("run-1").iloc[0]
    assert (row["arrival_bid"], row["arrival_ask"], row["arrival_price"]) == (99.0, 101.0, 100.0)
    assert row["arrived_at"] == NOON


@pytest.mark.parametrize(
    ("bid", "ask", "last", "expected"),
    [
        (99.0, 101.0, 98.0, 100.0),
        (None, 101.0, 98.0, 98.0),
        (99.0, None, 98.0, 98.0),
        (float("nan"), float("nan"), 98.0, 98.0),
        (-1.0, -1.0, 98.0, 98.0),  # TWS: no bid, no ask
        (0.0, 101.0, 98.0, 98.0),
        (101.0, 99.0, 98.0, 98.0),
        (None, None, -1.0, None),
        (None, None, None, None),
    ],
)
def test_without_a_two_sided_quote_the_arrival_price_is_the_last_trade(filled, bid, ask, last, expected):
    attempt = 1 + len(filled.events("run-1"))  # the last one counts
    sent = OrderEvent("sending", "run-1", "run-1-TLT-SELL", NOON, attempt=attempt, bid=bid, ask=ask, last=last)
    filled.record([sent]).result()
    found = filled.orders("run-1")["arrival_price"][1]
    assert found == expected or (expected is None and pd.isna(found))


@pytest.mark.slow
def test_the_arrival_of_an_order_sent_twice_is_its_last_attempt(blotter):
    sent = OrderEvent("sending", "run-1", "run-1-SPY-BUY", NOON, attempt=2, bid=109.0, ask=111.0)
    blotter.record([sent]).result()
    assert blotter.orders("run-1")["arrival_price"][0] == 110.0


def test_extra_columns_of_a_plan_are_returned(filled):
    orders = filled.orders("run-1")
    assert orders["alpha"].tolist()[0] == 0.25
    assert pd.isna(orders["alpha"][1])
    assert orders["note"][0] == "first"
    assert orders["checked"].tolist() == [True, False]
    assert orders["checked"].dtype == "bool"
    assert str(orders["signal_at"].dtype) == "datetime64[us, UTC]"
    assert orders["signal_at"][1] == NOON
    assert {"state", "leg", "approved", "approved_by", "approved_at", "payload_hash"} <= set(orders.columns)
    assert not {"extra", "row_number"} & set(orders.columns)


@pytest.mark.slow
def test_one_run_can_be_read_alone(blotter):
    fill(blotter, "run-2")
    assert len(blotter.runs()) == 2
    for frame in (
        blotter.orders("run-2"),
        blotter.fills("run-2"),
        blotter.events("run-2"),
        blotter.quotes("run-2"),
    ):
        assert set(frame["run_id"]) == {"run-2"}
    assert blotter.orders("no such run").empty


@pytest.mark.slow
def test_many_threads_read_while_one_writes(blotter):
    problems, enough = [], threading.Event()

    def read():
        try:
            while not enough.is_set():
                assert len(blotter.orders("run-1")) == 2
                assert "1 runs" in repr(blotter)
        except BaseException as error:  # noqa: BLE001 - it is shown below
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(20):
        blotter.record([OrderEvent("message", "other", message=str(number))]).result()
    enough.set()
    for reader in readers:
        reader.join()
    assert problems == []


# -- repr and closing --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_repr_of_a_blotter_counts_runs_orders_and_fills(blotter):
    assert repr(blotter) == "<Blotter paper.duckdb: 1 runs, 2 orders, 1 fills>"
    with read_blotter(blotter.path) as snapshot:
        assert repr(snapshot) == "<Snapshot of paper.duckdb: 1 runs, 2 orders, 1 fills>"
    assert repr(snapshot) == "<Snapshot of paper.duckdb: closed>"


@pytest.mark.slow
def test_reading_a_closed_reader_is_refused(blotter, path):
    snapshot = read_blotter(path)
    snapshot.close()
    snapshot.close()
    for ask in (
        snapshot.runs,
        snapshot.orders,
        snapshot.events,
        snapshot.fills,
        snapshot.quotes,
        snapshot.unresolved,
    ):
        with pytest.raises(BlotterClosedError, match="the blotter is closed"):
            ask()


@pytest.mark.slow
def test_exporting_a_closed_reader_is_refused(blotter, path, tmp_path):
    snapshot = read_blotter(path)
    snapshot.close()
    with pytest.raises(BlotterClosedError):
        snapshot.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


class HeldRead:
    """A read on another thread that goes on until it is released."""

    def __init__(self, blotter):
        self.has_begun, self.is_released = threading.Event(), threading.Event()
        self._cursor = blotter._open().cursor()
        self._cursor.create_function("held", self._held, [int], int)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self.has_begun.wait(20)

    def _held(self, number):
        self.has_begun.set()
        self.is_released.wait(20)
        return number

    def _read(self):
        self.found = self._cursor.execute("SELECT held(7)").fetchall()

    def end(self, _=0.0):
        self.is_released.set()
        self._thread.join(20)


def test_closing_waits_for_the_reads_of_other_threads(path, monkeypatch):
    blotter = sx.open_blotter(path)
    read = HeldRead(blotter)
    monkeypatch.setattr(time, "sleep", read.end)  # it ends while closing waits for it
    blotter.close()
    assert read.found == [(7,)]
    with pytest.raises(BlotterClosedError):
        blotter.runs()
    sx.open_blotter(path).close()  # the file is free


def test_a_read_that_does_not_end_is_an_error_of_closing(path, monkeypatch):
    blotter = sx.open_blotter(path)
    read = HeldRead(blotter)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(BlotterError, match="still being read"):
        blotter.close()
    read.end()
    assert blotter.is_closed


# -- snapshots -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_snapshot_of_a_closed_blotter_has_its_events(path):
    with sx.open_blotter(path) as blotter:
        fill(blotter)
        before = frames_of(blotter)
    with read_blotter(path) as snapshot:
        for name, frame in frames_of(snapshot).items():
            pd.testing.assert_frame_equal(frame, before[name])


@pytest.mark.slow
def test_a_snapshot_of_an_open_blotter_in_the_same_process_holds_what_was_acknowledged_and_does_not_change(
    blotter, path
):
    with read_blotter(path) as snapshot:
        blotter.record([OrderEvent("message", "later", message="x")]).result()
        assert len(snapshot.events()) == 4
        assert len(blotter.events()) == 5


@pytest.mark.slow
def test_a_snapshot_by_the_owner_does_not_drop_the_lock_of_duckdb(blotter, path):
    read_blotter(path).close()
    with pytest.raises(BlotterError):
        sx.open_blotter(path)
    code = "import sys, duckdb; duckdb.connect(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, capture_output=True, text=True)
    assert f"PID {os.getpid()}" in done.stderr


@pytest.mark.slow
def test_a_snapshot_removes_its_temporary_files(blotter, path, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with read_blotter(path):
        (made,) = folder.iterdir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_snapshot_that_fails_removes_its_temporary_files(tmp_path, monkeypatch):
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(BlotterError, match="is not a blotter"):
        read_blotter(path)
    assert list(folder.iterdir()) == []


def test_a_missing_file_is_refused(path):
    with pytest.raises(InputError) as caught:
        read_blotter(path)
    assert caught.value.codes == ("blotter_missing",)
    assert not path.exists()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        read_blotter(tmp_path)
    assert caught.value.codes == ("blotter_directory",)


@pytest.mark.slow
def test_reading_takes_no_lock_and_does_not_change_the_file(path):
    sx.open_blotter(path).close()
    Path(f"{path}.lock").unlink()
    before = path.read_bytes()
    read_blotter(path).close()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.slow
def test_a_file_of_an_older_version_is_read_in_the_new_schema_and_not_changed(path):
    connection = database_file.connect(path)
    connection.execute(database_file._VERSIONS)
    step = database_file.migrations()[0]
    database_file._apply(connection, step[2], [step])
    connection.close()
    before = path.read_bytes()
    with read_blotter(path) as snapshot:
        assert snapshot.quotes().empty
    assert path.read_bytes() == before


def undated(exec_id, code):
    sizes = {"exec_id": exec_id, "symbol": "SPY", "side": "BUY", "quantity": 1.0, "price": 100.0}
    return OrderEvent("execution", "run-1", "run-1-SPY-BUY", NOON, code=code, **sizes)


@pytest.mark.slow
def test_a_fill_that_is_dated_by_its_report_is_marked_also_in_a_file_that_was_written_before_the_mark(path):
    with sx.open_blotter(path) as blotter:
        fill(blotter)
        events = [undated("x.a.1.01", "time_unreliable"), undated("x.a.2.01", "time_unreliable")]
        blotter.record([*events, undated("x.a.2.02", None)]).result()  # a correction whose time can be read
    older = database_file._sql("views.sql").replace(
        "latest.account,\n    -- Dated by its report, as the broker's time of it cannot be read.\n"
        "    coalesce(latest.code, '') = 'time_unreliable' AS time_unreliable",
        "latest.account",
    )
    connection = database_file.connect(path)
    database_file._apply(connection, older, [])
    assert "time_unreliable" not in connection.execute("SELECT * FROM main.fills").df().columns
    connection.close()
    wanted = {"run-1.a.b.01": False, "x.a.1.01": True, "x.a.2.02": False}
    for opened in (read_blotter, sx.open_blotter):
        with opened(path) as blotter:
            fills = blotter.fills()
        assert fills.columns[-1] == "time_unreliable"
        assert fills.set_index("exec_id")["time_unreliable"].to_dict() == wanted


WRITE = """
import sys
import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
number = 0
while number < 100_000:
    # Two events in one transaction, with a text that makes the log reach a checkpoint now and then.
    events = [OrderEvent("message", "r", code=str(number), message=part + "x" * 20_000) for part in "ab"]
    blotter.record(events).result()
    print(number, flush=True)
    number += 1
    if number % 40 == 0:
        with blotter._connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
"""


@pytest.mark.slow
def test_a_snapshot_while_another_process_writes_is_a_whole_prefix_with_all_that_was_acknowledged(path):
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True)
    acknowledged, sizes = threading.Event(), []
    last = []

    def follow():
        for line in writer.stdout:
            last[:] = [int(line)]
            acknowledged.set()

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        assert acknowledged.wait(60)
        for _ in range(8):
            last_number = last[0]
            with read_blotter(path) as snapshot:
                events = snapshot.events("r")
            assert events["event_number"].tolist() == list(range(1, len(events) + 1))
            assert events["code"].tolist() == [str(number // 2) for number in range(len(events))]
            assert len(events) % 2 == 0
            assert len(events) >= 2 * (last_number + 1)
            sizes.append(len(events))
        assert writer.poll() is None  # the owner was not disturbed
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        follower.join()
        writer.stdout.close()
    assert sizes == sorted(sizes)
    with read_blotter(path) as snapshot:  # also of a file whose owner crashed
        assert len(snapshot.events("r")) >= max(sizes)
    with sx.open_blotter(path) as blotter:
        assert len(blotter.events("r")) >= max(2 * (last[0] + 1), *sizes)


# -- export --------------------------------------------------------------------------------------------------


def query(text, file):
    return duckdb.connect().execute(text, [str(file)])


@pytest.mark.slow
def test_an_export_equals_the_frames(blotter, tmp_path):
    folder = blotter.export(tmp_path / "out")
    assert folder == tmp_path / "out"
    for name, frame in frames_of(blotter).items():
        file = folder / name / f"{name}.parquet"
        kinds = query("DESCRIBE SELECT * FROM read_parquet(?)", file).fetchall()
        count = query("SELECT count(*) FROM read_parquet(?)", file).fetchall()[0][0]
        times = [row[0] for row in kinds if row[1].startswith("TIMESTAMP")]
        replaced = ", ".join(f"epoch_us({name}) AS {name}" for name in times)
        stored = query(f"SELECT * REPLACE ({replaced}) FROM read_parquet(?)", file).df()  # noqa: S608 - our columns
        assert count == len(frame)
        assert [row[0] for row in kinds] == list(frame.columns)
        for column in frame.columns:
            if column in times:
                assert str(frame[column].dtype) == "datetime64[us, UTC]"
                expected = [
                    None if pd.isna(t) else int(t.timestamp()) * 10**6 + t.microsecond for t in frame[column]
                ]
                assert [None if pd.isna(t) else int(t) for t in stored[column]] == expected
            else:
                expected = [None if pd.isna(value) else value for value in frame[column]]
                assert [None if pd.isna(value) else value for value in stored[column]] == expected


@pytest.mark.slow
def test_an_export_replaces_the_one_before(blotter, tmp_path):
    blotter.export(tmp_path)
    fill(blotter, "run-2")
    blotter.export(tmp_path)
    file = tmp_path / "runs" / "runs.parquet"
    assert query("SELECT count(*) FROM read_parquet(?)", file).fetchall() == [(2,)]
    assert [entry.name for entry in file.parent.iterdir()] == ["runs.parquet"]


@pytest.mark.slow
def test_an_empty_blotter_can_be_exported(tmp_path):
    with sx.open_blotter() as blotter:
        blotter.export(tmp_path / "out")
    file = tmp_path / "out" / "orders" / "orders.parquet"
    names = [row[0] for row in query("DESCRIBE SELECT * FROM read_parquet(?)", file).fetchall()]
    assert tuple(names[: len(ORDERS.names)]) == ORDERS.names


@pytest.mark.slow
def test_an_export_is_private_whatever_the_umask(blotter, tmp_path):
    mask = os.umask(0)
    try:
        blotter.export(tmp_path / "out")
    finally:
        os.umask(mask)
    for entry in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert stat.S_IMODE(entry.stat().st_mode) == (0o700 if entry.is_dir() else 0o600)


@pytest.mark.slow
def test_a_column_of_mixed_types_is_exported_as_text(blotter, tmp_path):
    plan = blotter.orders("run-1")[
        ["client_order_id", "run_id", "symbol", "side", "quantity", "order_type", "payload_hash"]
    ]
    plan = plan.assign(client_order_id=["a", "b"], run_id="run-3", mixed=pd.Series([1.5, "x"], dtype=object))
    header = dict.fromkeys(("account", "nav", "parameters", "approved_by", "approved_at"))
    blotter.record_plan(
        plan, {**header, "run_id": "run-3", "leg": 1, "mode": "mock", "plan_hash": "h"}, []
    ).result()
    assert blotter.orders("run-3")["mixed"].tolist() == [1.5, "x"]
    file = blotter.export(tmp_path / "out") / "orders" / "orders.parquet"
    found = query(
        "SELECT mixed FROM read_parquet(?) WHERE run_id = 'run-3' ORDER BY client_order_id", file
    ).fetchall()
    assert found == [("1.5",), ("x",)]


@pytest.mark.slow
def test_an_export_that_cannot_be_written_is_a_blotter_error(blotter, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BlotterError, match="the export to"):
        blotter.export(tmp_path / "file")
