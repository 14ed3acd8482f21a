"""Real processes and real files: full disks, kill -9, forks, copies, and a second process on the same file.

The check after a crash reads what a process said was recorded, from a pipe, and what is on disk afterwards.
``python tests/test_disk_faults.py 500`` kills that many.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import pytest

from stocklean_exec.blotter.blotter import open_blotter, read_blotter
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import BlotterError, BlotterLockedError


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code, *arguments):
    """Run ``code`` to its end; the lines that it printed."""
    process = start(code, *arguments)
    shown, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return shown.split("\n")[:-1]


def codes_of(path):
    """Codes of the messages of run r, in the sequence of recording."""
    with open_blotter(path) as blotter:
        return blotter.events("r")["code"].tolist()


def codes_in_snapshot(path):
    """The same, while another process owns the file."""
    with read_blotter(path) as blotter:
        return blotter.events("r")["code"].tolist()


# -- a full disk -------------------------------------------------------------------------------------------------

WRITE_UNTIL_FULL = """
import os, resource, sys
import stocklean_exec as sx
from stocklean_exec.errors import BlotterError
from stocklean_exec.blotter.events import OrderEvent

path, limit, size, group = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
blotter = sx.open_blotter(path)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
number = 0
while True:
    texts = [str(part) + "x" * size for part in range(group)]
    events = [OrderEvent("message", "r", code=str(number), message=text) for text in texts]
    try:
        blotter.record(events).result()
    except BlotterError as error:
        print("failed", "nothing of this was recorded" in str(error), flush=True)
        break
    print(number, flush=True)
    number += 1
try:
    blotter.record([OrderEvent("message", "r", code="late")]).result()
    print("recorded after a failure", flush=True)
except BlotterError as error:
    print("refused", "open the blotter again" in str(error), flush=True)
if sys.argv[5] == "die":
    os._exit(0)
try:
    blotter.close()
    print("closed", flush=True)
except BlotterError:
    print("reported at close", flush=True)
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["die", "close"])
@pytest.mark.parametrize(
    ("limit", "size", "group"), [(300_000, 3_000, 1), (900_000, 200, 40), (3_000_000, 200_000, 3)]
)
def test_a_full_disk_fails_the_commit_and_loses_nothing(limit, size, group, end, tmp_path):
    path = tmp_path / "x.duckdb"
    lines = run(WRITE_UNTIL_FULL, path, limit, size, group, end)
    acknowledged = [line for line in lines if line.isdigit()]
    assert len(acknowledged) > 1
    assert lines[len(acknowledged) : len(acknowledged) + 2] == ["failed True", "refused True"]
    with open_blotter(path) as blotter:
        parts = blotter.events("r").groupby("code").size()
        assert parts.to_dict() == dict.fromkeys(acknowledged, group)  # whole transactions, and no other
        blotter.record([OrderEvent("message", "r", code="again")]).result()
    assert codes_of(path)[-1] == "again"


# -- kill -9 -----------------------------------------------------------------------------------------------------

COMMIT_FOR_EVER = """
import sys
import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
number = int(sys.argv[2])
print("open", flush=True)
while True:
    events = [OrderEvent("message", "r", code=str(number), message=part + "x" * 200) for part in "abc"]
    blotter.record(events).result()
    print(number, flush=True)
    number += 1
"""


class Tally:
    """What a series of kills found."""

    def __init__(self):
        self.kills = self.acknowledged = self.lost = self.torn = self.failed_opens = self.kept_unconfirmed = 0

    def __str__(self):
        return (
            f"{self.kills} kills, {self.acknowledged} rows acknowledged, {self.lost} lost, {self.torn} torn, "
            f"{self.failed_opens} failed opens ({self.kept_unconfirmed} recorded but not confirmed)"
        )


def kill_again_and_again(path, count, seed):
    """Kill a process that commits, ``count`` times, each a little later than one of its first 40 answers."""
    chance, tally, first = Random(seed), Tally(), 0  # noqa: S311 - not a secret
    said = set()
    for _ in range(count):
        process = start(COMMIT_FOR_EVER, path, first)
        received = []
        for _ in range(chance.randrange(1, 40)):
            line = process.stdout.readline().strip()
            if not line:
                break
            received.append(line)
        for _ in range(chance.randrange(20_000)):  # somewhere within the next commits, and not at an answer
            pass
        process.send_signal(signal.SIGKILL)
        rest, errors = process.communicate()
        received += rest.split("\n")[:-1]  # the last line may be torn
        tally.kills += 1
        said |= {line for line in received if line.isdigit()}
        if received[:1] != ["open"]:
            tally.failed_opens += 1
            print(errors)  # noqa: T201 - why, if a kill ever does this
        first += 100_000
    try:
        with open_blotter(path) as blotter:
            parts = blotter.events("r").groupby("code")["message"].agg(lambda texts: "".join(t[0] for t in texts))
    except BlotterError:
        tally.failed_opens += 1
        raise
    tally.acknowledged = 3 * len(said)
    tally.lost = 3 * len(said - set(parts.index))
    tally.torn = int((parts != "abc").sum())
    tally.kept_unconfirmed = 3 * len(set(parts.index) - said)
    return tally


@pytest.mark.slow
def test_kill_9_loses_no_acknowledged_event(tmp_path):
    tally = kill_again_and_again(tmp_path / "x.duckdb", 24, seed=11)
    assert (tally.kills, tally.lost, tally.torn, tally.failed_opens) == (24, 0, 0, 0), str(tally)
    assert tally.acknowledged > 300


KILLED_WHILE_OPENING = """
import sys
print("begun", flush=True)
import stocklean_exec as sx
sx.open_blotter(sys.argv[1])
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_process_killed_while_creating_a_blotter_leaves_a_valid_file_or_none(tmp_path):
    chance = Random(5)  # noqa: S311 - not a secret
    opened = 0
    for number in range(12):
        path = tmp_path / f"{number}.duckdb"
        process = start(KILLED_WHILE_OPENING, path)
        assert process.stdout.readline() == "begun\n"
        new = tmp_path / f".{path.name}.new"
        wanted = chance.choice((Path(f"{path}.lock"), new, Path(f"{new}.wal"), path))
        while not wanted.exists() and not path.exists() and process.poll() is None:
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with open_blotter(path) as blotter:
            blotter.record([OrderEvent("message", "r", code="1")]).result()
        assert not list(tmp_path.glob(".*.new*"))  # what it left beside is gone
        opened += 1
    assert opened == 12


def test_a_blotter_that_cannot_be_created_leaves_no_files(tmp_path, monkeypatch):
    def fail(_):
        raise OSError("the disk is gone")

    monkeypatch.setattr("stocklean_exec.blotter.database_file.migrate", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        open_blotter(tmp_path / "x.duckdb")
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


# -- forks -------------------------------------------------------------------------------------------------------

FORK = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import stocklean_exec as sx
from stocklean_exec.errors import BlotterError
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
blotter.record([OrderEvent("message", "r", code="before")]).result()
child = os.fork()
if child == 0:
    answers = []
    for act in (
        lambda: blotter.record([OrderEvent("message", "r", code="child")]).result(5),
        lambda: sx.open_blotter(sys.argv[1]),
    ):
        try:
            act()
            answers.append("done")
        except BlotterError:
            answers.append("refused")
        except Exception as error:
            answers.append(type(error).__name__)
    print(*answers, flush=True)
    os._exit(0)
os.waitpid(child, 0)
blotter.record([OrderEvent("message", "r", code="after")]).result()
blotter.close()
"""


@pytest.mark.slow
def test_a_fork_cannot_write_and_cannot_take_the_blotter_from_its_parent(tmp_path):
    assert run(FORK, tmp_path / "x.duckdb") == ["refused refused"]
    assert codes_of(tmp_path / "x.duckdb") == ["before", "after"]


# -- copies ------------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(tmp_path):
    """A process that holds a blotter and has recorded one message; it records another for every line it reads."""
    code = """
import sys
import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
blotter.record([OrderEvent("message", "r", code="first")]).result()
print("ready", flush=True)
for line in sys.stdin:
    blotter.record([OrderEvent("message", "r", code=line.strip())]).result()
    print("recorded", flush=True)
blotter.close()
"""
    process = start(code, tmp_path / "x.duckdb")
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def send(process, code):
    process.stdin.write(f"{code}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "recorded\n"


def copy(path, to):
    """As ``cp`` does it: the file, and its log beside it."""
    for end in ("", ".wal"):
        if Path(f"{path}{end}").exists():
            subprocess.run(["cp", f"{path}{end}", f"{to}{end}"], check=True)  # noqa: S607 - any cp


@pytest.mark.slow
def test_a_copy_made_while_the_blotter_is_open_is_a_separate_blotter(owner, tmp_path):
    path, other = tmp_path / "x.duckdb", tmp_path / "copy.duckdb"
    copy(path, other)
    with open_blotter(other) as blotter:
        blotter.record([OrderEvent("message", "r", code="in the copy")]).result()
    send(owner, "second")
    owner.communicate()
    assert codes_of(path) == ["first", "second"]
    assert codes_of(other) == ["first", "in the copy"]


@pytest.mark.slow
def test_a_copy_moved_over_an_open_blotter_does_not_admit_a_second_owner(owner, tmp_path):
    path, other = tmp_path / "x.duckdb", tmp_path / "copy.duckdb"
    copy(path, other)
    other.replace(path)  # another file under the name: the lock is on the name
    with pytest.raises(BlotterLockedError):
        open_blotter(path)


IN_PROCESS = """
import shutil, subprocess, sys
import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
blotter = sx.open_blotter(sys.argv[1])
blotter.record([OrderEvent("message", "r", code="first")]).result()
shutil.copyfile(sys.argv[1], sys.argv[1] + ".backup")  # drops DuckDB's own lock
print("copied", flush=True)
sys.stdin.readline()
blotter.record([OrderEvent("message", "r", code="second")]).result()
blotter.close()
"""


@pytest.mark.slow
def test_after_a_copy_by_its_owner_no_other_process_can_write(tmp_path):
    path = tmp_path / "x.duckdb"
    process = start(IN_PROCESS, path)
    assert process.stdout.readline() == "copied\n"
    with pytest.raises(BlotterLockedError):
        open_blotter(path)
    assert codes_in_snapshot(path) == ["first"]
    process.communicate("\n")
    assert codes_of(path) == ["first", "second"]


# -- a second process -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_error_of_a_second_process_names_the_owner(owner, tmp_path):
    with pytest.raises(BlotterLockedError, match=rf"x\.duckdb is open in process {owner.pid} ") as caught:
        open_blotter(tmp_path / "x.duckdb")
    assert caught.value.owner["pid"] == owner.pid
    assert "read_blotter" in str(caught.value)  # and what to do


@pytest.mark.slow
def test_a_second_process_reads_a_snapshot_without_disturbing_the_owner(owner, tmp_path):
    path = tmp_path / "x.duckdb"
    for number in range(5):
        send(owner, number)
        assert codes_in_snapshot(path) == ["first", *map(str, range(number + 1))]
    owner.communicate()
    assert codes_of(path) == ["first", "0", "1", "2", "3", "4"]


def main(count):
    """Kill ``count`` times, and print what was found."""
    folder, begin = Path(tempfile.mkdtemp()), time.perf_counter()
    try:
        tally = kill_again_and_again(folder / "x.duckdb", count, seed=23)
    finally:
        shutil.rmtree(folder)
    print(f"{tally}; {time.perf_counter() - begin:.0f} s")  # noqa: T201 - its purpose


if __name__ == "__main__":
    main(int(sys.argv[1]))
