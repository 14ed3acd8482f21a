"""The writer: one commit for many events, each once, no caller fails for another, no recorded event is lost."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import duckdb
import pytest

from stocklean_exec.blotter.blotter import open_blotter
from stocklean_exec.blotter.database_file import connect, migrate
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.writer import GroupCommitWriter
from stocklean_exec.errors import BlotterClosedError, BlotterError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def message(text, run_id="r", **more):
    return OrderEvent("message", run_id, message=str(text), **more)


class Bench:
    """A writer on a database in memory, and the count of its commits."""

    def __init__(self, after_commit=None):
        self.connection = connect(None)
        migrate(self.connection)
        self.commits = 0
        self._after_commit = after_commit
        self.writer = GroupCommitWriter(self.connection.cursor(), self._count)

    def _count(self):
        self.commits += 1
        if self._after_commit is not None:
            self._after_commit()

    def hold(self):
        """Keep the writer's thread busy until the event is set that this gives."""
        begun, go_on = threading.Event(), threading.Event()

        def wait(_):
            begun.set()
            assert go_on.wait(60)

        self.writer.put((), wait)
        assert begun.wait(60)
        return go_on

    def rows(self, columns="message"):
        return self.connection.execute(f"SELECT {columns} FROM main.facts ORDER BY number").fetchall()  # noqa: S608 - of this file


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.writer.close()


def test_an_event_is_recorded_when_its_future_is_done(bench):
    bench.writer.put([message("a")]).result()
    assert bench.rows("number, key, kind, run_id, message")[0][0] == 1
    assert bench.rows("kind, run_id, message") == [("message", "r", "a")]


@pytest.mark.slow
def test_all_waiting_events_go_into_one_commit(bench):
    go_on = bench.hold()
    futures = [bench.writer.put([message(number)]) for number in range(500)]
    assert not any(future.done() for future in futures)
    go_on.set()
    for future in futures:
        future.result()
    assert bench.commits == 2  # the one that was held up, and the other 500 together
    assert bench.rows() == [(str(number),) for number in range(500)]


@pytest.mark.slow
def test_events_are_numbered_in_the_sequence_of_recording(bench):
    for number in range(3):
        bench.writer.put([message(f"{number}a"), message(f"{number}b")]).result()
    assert bench.rows("number, message") == [(n + 1, f"{n // 2}{'ab'[n % 2]}") for n in range(6)]


@pytest.mark.slow
def test_an_event_is_recorded_once_within_a_batch(bench):
    go_on = bench.hold()
    futures = [bench.writer.put([message("a"), message("a")]) for _ in range(3)]
    go_on.set()
    assert [future.result() for future in futures] == [None] * 3
    assert bench.rows() == [("a",)]


def test_an_event_is_recorded_once_across_batches(bench):
    for _ in range(3):
        bench.writer.put([message("a")]).result()
    assert bench.rows() == [("a",)]


@pytest.mark.slow
def test_an_event_is_recorded_once_across_writers(bench):
    bench.writer.put([message("a"), message("b")]).result()
    bench.writer.close()
    again = GroupCommitWriter(bench.connection.cursor(), lambda: None)
    again.put([message("b"), message("c")]).result()
    again.close()
    assert bench.rows("number, message") == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.slow
def test_the_first_report_of_an_event_is_kept(bench):
    fill = OrderEvent("execution", "r", "o", exec_id="x", quantity=4.0, price=100.0)
    bench.writer.put([fill, fill._replace(price=1.0)]).result()
    bench.writer.put([fill._replace(price=2.0)]).result()
    assert bench.rows("price") == [(100.0,)]


@pytest.mark.slow
@pytest.mark.parametrize("together", [True, False])
def test_one_execution_under_two_runs_is_recorded_once_and_the_other_events_too(bench, together):
    fill = OrderEvent("execution", "run-1", "o", exec_id="x", quantity=4.0, price=100.0)
    if not together:
        bench.writer.put([fill]).result()
    go_on = bench.hold()
    events = [message("a", "run-2"), fill._replace(run_id="run-2"), message("b", "run-2")]
    futures = [bench.writer.put([fill])] if together else []
    futures += [bench.writer.put([event]) for event in events]
    go_on.set()
    for future in futures:
        future.result()
    assert bench.rows("run_id, message, exec_id") == [
        ("run-1", None, "x"),
        ("run-2", "a", None),
        ("run-2", "b", None),
    ]
    bench.writer.put(events).result()
    assert len(bench.rows()) == 3


def test_the_primary_key_rejects_duplicates_that_the_cached_keys_miss(bench):
    """The keys of run-2 are cached before the other run's event comes: only the database has its key."""
    fill = OrderEvent("execution", "run-1", "o", exec_id="x", quantity=4.0)
    bench.writer.put([fill]).result()
    bench.writer.put([message("a", "run-2")]).result()
    refused = []
    commit = bench.writer._commit

    def watched(appender, puts, *, look_up):
        try:
            commit(appender, puts, look_up=look_up)
        except duckdb.ConstraintException:
            refused.append(look_up)
            raise

    bench.writer._commit = watched
    bench.writer.put([fill._replace(run_id="run-2"), message("b", "run-2")]).result()
    assert refused == [False]  # the database refused once, and the look-up set it right
    assert bench.rows("run_id, kind") == [("run-1", "execution"), ("run-2", "message"), ("run-2", "message")]


UNSTORABLE = {
    "an unknown kind": OrderEvent("fill", "r"),
    "a text as a number": message("x", price="dear"),
    "a list as a text": message("x", symbol=object()),
    "a number as a time": message("x", occurred_at=5),
    "an attempt beyond 32 bits": message("x", attempt=2**40),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNSTORABLE)
def test_an_event_that_cannot_be_stored_is_refused_alone(bench, name):
    go_on = bench.hold()
    before = [bench.writer.put([message(f"before {number}")]) for number in range(5)]
    refused = bench.writer.put([message("beside it"), UNSTORABLE[name]])
    after = [bench.writer.put([message(f"after {number}")]) for number in range(5)]
    go_on.set()
    with pytest.raises(BlotterError, match="nothing of this was recorded"):
        refused.result()
    for future in before + after:
        future.result()
    bench.writer.put([message("beside it")]).result()  # it was not recorded, and is not taken to be
    recorded = [f"before {number}" for number in range(5)] + [f"after {number}" for number in range(5)]
    assert bench.rows() == [(text,) for text in [*recorded, "beside it"]]


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5.0, 1e300])
def test_an_implausible_execution_is_recorded_and_stops_nothing(bench, value):
    bench.writer.put([OrderEvent("execution", "r", "o", exec_id="x", quantity=value, price=value)]).result()
    assert bench.rows("quantity, price") == [(None, None) if value != value else (value, value)]  # noqa: PLR0124 - NaN


@pytest.mark.slow
def test_work_and_events_are_one_transaction(bench):
    def insert(connection):
        connection.execute(
            "INSERT INTO main.recorded_quotes (run_id, symbol, recorded_at) VALUES ('r', 'SPY', now())"
        )

    bench.writer.put([message("a")], insert).result()
    refused = bench.writer.put([message("b"), UNSTORABLE["an attempt beyond 32 bits"]], insert)
    with pytest.raises(BlotterError):
        refused.result()
    assert bench.connection.execute("SELECT count(*) FROM main.recorded_quotes").fetchall() == [(1,)]
    assert bench.rows() == [("a",)]


@pytest.mark.slow
def test_failing_work_fails_alone(bench):
    def fail(_):
        raise LookupError("not there")

    go_on = bench.hold()
    one, refused, two = (
        bench.writer.put([message("a")]),
        bench.writer.put([message("b")], fail),
        bench.writer.put([message("c")]),
    )
    go_on.set()
    assert (one.result(), two.result()) == (None, None)
    with pytest.raises(BlotterError, match="not there") as caught:
        refused.result()
    assert isinstance(caught.value.__cause__, LookupError)
    assert bench.rows() == [("a",), ("c",)]


@pytest.mark.slow
def test_a_cancelled_wait_does_not_withdraw_the_event_or_stop_the_writer(bench):
    go_on = bench.hold()
    future = bench.writer.put([message("a")])
    assert not future.cancel()

    async def stop_waiting():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(future), 0)

    asyncio.run(stop_waiting())
    go_on.set()
    bench.writer.put([message("b")]).result()
    assert bench.rows() == [("a",), ("b",)]


@pytest.mark.slow
def test_a_list_that_is_changed_later_is_recorded_as_it_was(bench):
    go_on = bench.hold()
    events = [message("a")]
    future = bench.writer.put(events)
    events.append(message("b"))
    go_on.set()
    future.result()
    assert bench.rows() == [("a",)]


@pytest.mark.slow
def test_closing_writes_all_waiting_events(bench):
    go_on = bench.hold()
    futures = [bench.writer.put([message(number)]) for number in range(100)]
    closer = threading.Thread(target=bench.writer.close)
    closer.start()
    go_on.set()
    closer.join()
    assert all(future.done() for future in futures)
    assert len(bench.rows()) == 100
    with pytest.raises(BlotterClosedError):
        bench.writer.put([message("late")])
    bench.writer.close()


@pytest.mark.slow
def test_every_future_is_done_when_many_threads_write_during_closing():
    bench = Bench()
    futures, refused = [], threading.Event()

    def write(name):
        for number in range(10_000):
            try:
                futures.append(bench.writer.put([message(f"{name} {number}")]))
            except BlotterClosedError:
                refused.set()
                return

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    bench.writer.close()
    for thread in threads:
        thread.join()
    for future in futures:
        future.result(timeout=60)
    assert len(bench.rows()) == len(futures)


@pytest.mark.slow
def test_a_failure_after_a_commit_is_reported_and_stops_the_writer():
    def fail():
        raise PermissionError("no")

    bench = Bench(fail)
    with pytest.raises(BlotterError, match="was recorded, but the file could not be protected"):
        bench.writer.put([message("a")]).result()
    with pytest.raises(BlotterError, match="an earlier commit failed"):
        bench.writer.put([message("b")]).result()
    assert bench.rows() == [("a",)]
    bench.writer.close()


def test_a_writer_that_cannot_start_fails_every_write_and_does_not_hang():
    connection = connect(None)  # without tables
    writer = GroupCommitWriter(connection.cursor(), lambda: None)
    with pytest.raises(BlotterError, match="facts does not exist"):
        writer.put([message("a")]).result(timeout=60)
    writer.close()


# -- after a crash ---------------------------------------------------------------------------------------------

RECORD = """
import sys
import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
start = len(blotter.events("r"))
pending = []
number = start
while True:
    for _ in range(7):  # several in flight at once, each of three events that belong together
        events = [OrderEvent("message", "r", code=str(number), message=part) for part in "abc"]
        pending.append((number, blotter.record(events)))
        number += 3
    for acknowledged, future in pending[:5]:
        future.result()
        print(acknowledged, flush=True)
    del pending[:5]
"""


@pytest.mark.slow
def test_after_kill_9_every_acknowledged_event_is_kept_and_every_transaction_is_whole(tmp_path):
    path = tmp_path / "x.duckdb"
    chance = random.Random(7)  # noqa: S311 - not a secret
    acknowledged = set()
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", RECORD, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(chance.randrange(1, 60)):
            acknowledged.add(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        acknowledged |= set(process.communicate()[0].split("\n")[:-1])  # the last line may be torn
    with open_blotter(path) as blotter:
        parts = blotter.events("r").groupby("code")["message"].agg("".join)
    assert len(acknowledged) >= 5
    assert acknowledged <= set(parts.index)
    assert set(parts) == {"abc"}


FILL_THE_DISK = """
import resource, sys
import stocklean_exec as sx
from stocklean_exec.errors import BlotterError
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
limit = 400_000
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # no file may grow beyond
number = 0
try:
    while True:
        blotter.record([OrderEvent("message", "r", code=str(number), message="x" * 5000)]).result()
        print(number, flush=True)
        number += 1
except BlotterError as error:
    print("failed", type(error.__cause__).__name__, flush=True)
for _ in range(2):
    try:
        blotter.record([OrderEvent("message", "r", code="late")]).result()
    except BlotterError as error:
        print("refused" if "open the blotter again" in str(error) else error, flush=True)
print(len(blotter.events("r")) == number, flush=True)
try:
    blotter.close()
except BlotterError:
    print("recorded at close", flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
with sx.open_blotter(sys.argv[1]) as blotter:
    print(len(blotter.events("r")) == number, flush=True)
"""


@pytest.mark.slow
def test_a_full_disk_fails_the_future_and_loses_no_acknowledged_event(tmp_path):
    path = tmp_path / "x.duckdb"
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    lines = done.stdout.split("\n")
    numbers = [line for line in lines if line.isdigit()]
    assert done.stderr == ""
    assert done.returncode == 0
    assert len(numbers) > 10
    assert lines[len(numbers)].startswith("failed ")
    assert lines[len(numbers) + 1 :] == ["refused", "refused", "True", "recorded at close", "True", ""]
    with open_blotter(path) as blotter:
        assert blotter.events("r")["code"].tolist() == numbers
        blotter.record([message("again")]).result()
