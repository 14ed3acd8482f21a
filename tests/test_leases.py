"""One worker for one run: another process, or another thread of this one, is told who has it."""

import os
import subprocess
import sys

import pytest

from stocklean_exec.errors import RunElsewhereError
from stocklean_exec.leases import run_lease

HOLD = """
import sys
from stocklean_exec.leases import run_lease
with run_lease("h:1/DU1", "r"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_run_has_one_worker_at_a_time():
    with run_lease("h:1/DU1", "r"):
        here = rf"process {os.getpid()} .* works run r on this account now"
        with pytest.raises(RunElsewhereError, match=here), run_lease("h:1/DU1", "r"):
            pass
        with run_lease("h:1/DU1", "other"), run_lease("h:2/DU2", "r"):
            pass
    with run_lease("h:1/DU1", "r"):
        pass


def test_a_broker_that_nobody_else_can_reach_needs_no_lease():
    with run_lease(None, "r"), run_lease(None, "r"):
        pass


def test_another_process_holds_it_until_it_ends_however_it_ends(folder):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunElsewhereError, match=f"process {holder.pid}"), run_lease("h:1/DU1", "r"):
            pass
        holder.kill()
    with run_lease("h:1/DU1", "r"):
        pass


def test_the_leases_are_nobody_elses_to_read(folder):
    with run_lease("h:1/DU1", "r"):
        (place,) = folder.glob("stocklean-*")
        assert place.stat().st_mode & 0o077 == 0
