"""One owner for one file, across processes, crashes, copies and forks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stocklean_exec.blotter import file_lock
from stocklean_exec.blotter.file_lock import FileLock, is_held_here, reading
from stocklean_exec.errors import BlotterError, BlotterLockedError
from tests.processes import holding

HOLD = """
import sys
from pathlib import Path
from stocklean_exec.blotter.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
TRY = """
import sys
from pathlib import Path
from stocklean_exec.errors import BlotterLockedError
from stocklean_exec.blotter.file_lock import FileLock
try:
    FileLock(Path(sys.argv[1]))
    print("free")
except BlotterLockedError as error:
    print(error.owner["pid"])
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "paper.duckdb"
    file.write_bytes(b"something")
    return file


@pytest.fixture
def holder(path):
    with holding(HOLD, path, says="held") as process:
        yield process


def tried_from_another_process(path):
    done = subprocess.run([sys.executable, "-c", TRY, str(path)], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def open_descriptors():
    return len([*Path("/dev/fd").iterdir()])


def test_the_error_of_a_second_process_names_the_holder_of_the_lock(path, holder):
    with pytest.raises(
        BlotterLockedError, match=rf"paper.duckdb is open in process {holder.pid} \(-c\)"
    ) as caught:
        FileLock(path)
    assert caught.value.owner["pid"] == holder.pid
    assert {"host", "started_at", "program"} < set(caught.value.owner)


def test_a_second_lock_in_the_same_process_is_refused(path):
    with FileLock(path), pytest.raises(BlotterLockedError, match="open in this process"):
        FileLock(path)


def test_a_lock_ends_with_its_owner_even_by_kill_9(path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    FileLock(path).release()


def test_a_released_lock_can_be_taken_again(path):
    FileLock(path).release()
    with FileLock(path):
        assert is_held_here(path)
    assert not is_held_here(path)


def test_releasing_twice_is_harmless(path):
    lock = FileLock(path)
    lock.release()
    lock.release()


def test_the_lock_survives_a_copy_and_a_read_of_the_file_by_its_owner(path, tmp_path):
    with FileLock(path) as lock:
        lock.pin()
        shutil.copyfile(path, tmp_path / "copy")
        path.read_bytes()
        assert tried_from_another_process(path) == str(os.getpid())


def test_the_owner_reads_its_file_through_the_pinned_descriptor(path):
    with FileLock(path) as lock:
        lock.pin()
        with reading(path) as first:
            assert os.pread(first, 9, 0) == b"something"
        with reading(path) as second:
            assert second == first  # it was not closed


def test_other_readers_use_their_own_file_descriptor(path, holder):
    with reading(path) as descriptor:
        assert os.pread(descriptor, 9, 0) == b"something"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pread(descriptor, 9, 0)


def test_a_file_that_is_just_being_opened_cannot_be_read_in_the_same_process(path):
    with FileLock(path), pytest.raises(BlotterError, match="being opened or closed"), reading(path):
        pass


def test_the_lock_file_is_private_whatever_the_umask(path):
    mask = os.umask(0)
    try:
        with FileLock(path) as lock:
            assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)


def test_the_lock_file_names_its_holder(path):
    with FileLock(path) as lock:
        assert json.loads(lock.path.read_text("utf-8"))["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "nonsense", "[1, 2]"])
def test_an_owner_without_a_recorded_name_is_shown_as_another_process(path, holder, text):
    Path(f"{path}.lock").write_text(text, "utf-8")
    with pytest.raises(BlotterLockedError, match="is open in another process") as caught:
        FileLock(path)
    assert caught.value.owner == {}


def test_a_lock_file_that_is_a_link_is_not_followed(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine", "utf-8")
    Path(f"{path}.lock").symlink_to(victim)
    with pytest.raises(BlotterError, match="cannot be made: it is a symbolic link, which is not followed"):
        FileLock(path)
    assert victim.read_text("utf-8") == "mine"


def test_a_file_that_was_removed_before_it_was_locked_is_created_again(path, monkeypatch):
    lock, opened = file_lock.fcntl.flock, []

    def remove_first(descriptor, how):
        opened.append(descriptor)
        if len(opened) == 1:
            Path(f"{path}.lock").unlink()
        lock(descriptor, how)

    monkeypatch.setattr(file_lock.fcntl, "flock", remove_first)
    with FileLock(path) as held:
        assert len(opened) == 2
        assert held.is_in_place()
        assert tried_from_another_process(path) == str(os.getpid())


def test_a_lock_file_that_is_removed_at_every_attempt_is_an_error(path, monkeypatch):
    def remove(descriptor, how):
        Path(f"{path}.lock").unlink()

    monkeypatch.setattr(file_lock.fcntl, "flock", remove)
    before = open_descriptors()
    with pytest.raises(BlotterError, match="disappears once it is created"):
        FileLock(path)
    assert open_descriptors() == before
    assert not is_held_here(path)


def test_a_lock_reports_whether_its_file_is_in_place(path):
    with FileLock(path) as lock:
        assert lock.is_in_place()
        lock.path.rename(f"{lock.path}.old")
        assert not lock.is_in_place()
        lock.path.write_text("another", "utf-8")
        assert not lock.is_in_place()
    assert not lock.is_in_place()


@pytest.mark.parametrize(
    ("kind", "message"),
    [("pipe", "is not a regular file: move it away"), ("open to all", r"mode 666\): chmod 600 makes it private")],
)
def test_a_lock_file_in_a_private_folder_must_be_private_as_well(path, kind, message):
    file = Path(f"{path}.lock")
    if kind == "pipe":
        os.mkfifo(file, 0o600)
    else:
        file.touch()
        file.chmod(0o666)
    folder = os.open(path.parent, os.O_RDONLY)
    before = open_descriptors()
    with pytest.raises(BlotterError, match=message):
        FileLock(path, folder)
    assert open_descriptors() == before
    os.close(folder)


def test_a_lock_file_in_a_private_folder_is_opened_in_that_folder_and_in_no_other(path, tmp_path):
    # The folder is swapped after it was opened: what its name shows now is not trusted.
    private = tmp_path / "private"
    private.mkdir()
    folder = os.open(private, os.O_RDONLY)
    private.rename(tmp_path / "moved")
    private.mkdir()
    with pytest.raises(BlotterError, match="disappears once it is created"):
        FileLock(private / "run", folder)
    os.close(folder)
    assert [*private.iterdir()] == []


def test_a_lock_that_cannot_be_made_is_a_blotter_error(path):
    Path(f"{path}.lock").mkdir()
    with pytest.raises(BlotterError, match="cannot be made"):
        FileLock(path)


FORK = """
import os, sys
from pathlib import Path
from stocklean_exec.blotter.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
if os.fork():
    os._exit(0)
print("forked", flush=True)
os.read(0, 1)
"""


def test_a_forked_child_that_outlives_the_owner_does_not_keep_the_lock(path):
    process = subprocess.Popen(
        [sys.executable, "-c", FORK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "forked\n"
    process.wait()  # the parent; its child waits for its input to end
    try:
        with FileLock(path):
            pass
    finally:
        process.communicate()
