"""One process sends a run: another process, or another thread, gets an error that names the owner."""

import os
from pathlib import Path

import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.file_lock import FileLock
from stocklean_exec.errors import BlotterError, RunElsewhereError
from stocklean_exec.execution.run_lock import account_lock, run_lock
from tests.processes import holding

HOLD = """
import sys
from stocklean_exec.execution.run_lock import run_lock
with run_lock("DU1", "r"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A state folder of this test alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "stocklean_exec"


@pytest.fixture
def locks(state):
    return state / "locks"


@pytest.fixture
def holder(tmp_path):
    """A process with another folder of temporary files that sends run ``r`` of ``DU1``."""
    with holding(HOLD, says="held", env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        yield process


def take(account="DU1", run_id="r"):
    with run_lock(account, run_id):
        pass


def lock_file(locks):
    (file,) = locks.iterdir()
    return file


# -- who has the run -------------------------------------------------------------------------------------------


def test_a_run_has_one_worker_at_a_time():
    with run_lock("DU1", "r"):
        here = rf"process {os.getpid()} .* works run r on this account now"
        with pytest.raises(RunElsewhereError, match=here):
            take()
        take(run_id="other")
        take(account="DU2")
    take()


def test_a_broker_without_other_clients_needs_no_run_lock(state):
    with run_lock(None, "r") as first, run_lock(None, "r") as second:
        first.check()
        second.check()
    assert not state.exists()


def test_a_run_lock_of_another_process_is_held_until_that_process_ends(holder):
    message = (
        rf"process {holder.pid} \(-c\) works run r .*nothing was sent from here. Wait for it, or end it and resume"
    )
    with pytest.raises(RunElsewhereError, match=message):
        take()
    holder.kill()
    holder.wait()
    take()


def test_a_holder_on_another_computer_is_named_with_its_computer(holder, locks):
    lock_file(locks).write_text('{"pid": 7, "program": "trade.py", "host": "far.example"}', "utf-8")
    with pytest.raises(RunElsewhereError, match=r"^process 7 \(trade\.py\) on far\.example works run r"):
        take()


def test_a_holder_without_a_recorded_name_is_shown_as_another_process(holder, locks):
    lock_file(locks).write_text("", "utf-8")
    with pytest.raises(RunElsewhereError, match=r"^another process works run r"):
        take()


def test_every_version_of_the_package_locks_the_same_file(locks):
    with run_lock("DU1", "r"):
        # printf 'DU1/r' | sha256sum, its first twenty digits
        assert lock_file(locks).name == "run-d0564e074dd7098ae506.lock"


def test_an_account_has_one_command_at_a_time_beside_its_runs(locks):
    with account_lock("DU1"):
        with pytest.raises(RunElsewhereError, match=rf"^process {os.getpid()} .* rebalances this account now"):
            account_lock("DU1").__enter__()
        take()
        with account_lock("DU2"), account_lock(None), account_lock(None):
            pass
        assert {file.name for file in locks.iterdir()} > {"run-d0564e074dd7098ae506.lock"}
    with account_lock("DU1"):
        pass


def test_missing_parent_folders_are_created(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new" / "home" / "state"))
    take()
    assert len(list((tmp_path / "new/home/state/stocklean_exec/locks").iterdir())) == 1


def test_a_pipe_in_the_place_of_the_folder_is_refused_and_not_waited_for(state):
    state.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(state, 0o700)
    with pytest.raises(BlotterError, match="the folder of run locks"):
        take()


# -- a lock file that is removed -------------------------------------------------------------------------------


def test_a_run_lock_is_lost_when_its_file_is_removed_or_replaced(locks):
    with run_lock("DU1", "r") as lock:
        lock.check()
        lock_file(locks).unlink()
        with pytest.raises(RunElsewhereError, match=r"run r, '.*', was removed or replaced .*resume the run"):
            lock.check()
        with run_lock("DU1", "r") as second:  # nothing shows this process the first one any more
            second.check()
            with pytest.raises(RunElsewhereError):
                lock.check()


def test_a_run_lock_is_lost_when_the_folder_of_locks_is_moved_away(state, tmp_path):
    with run_lock("DU1", "r") as lock:
        state.rename(tmp_path / "moved")
        with pytest.raises(RunElsewhereError):
            lock.check()


@pytest.mark.slow
def test_a_run_whose_lock_file_is_removed_sends_nothing_more(locks):
    broker = sx.connect("mock://", quotes={"KO": 20.0, "SPY": 100.0, "TLT": 50.0}, cash=10_000)
    broker.lock_account, place, placed = broker.account, broker.place, []

    async def place_and_clean_up(ticket):
        placed.append(ticket.symbol)
        await place(ticket)
        if len(placed) == 2:
            lock_file(locks).unlink()

    broker.place = place_and_clean_up
    with sx.open_blotter() as blotter:
        with pytest.raises(RunElsewhereError, match="was removed or replaced"):
            rebalance(broker, blotter)
        states = blotter.orders("r")
        assert states["status"].tolist() == ["FILLED", "FILLED", "NEW"]
        assert states["state"].tolist()[2] == "INTENT"  # provably not sent
        assert sx.resume("r", broker, blotter)["status"].tolist() == ["FILLED"] * 3
    assert placed == states["symbol"].tolist()  # each of them once


def rebalance(broker, blotter):
    targets = {"KO": 0.1, "SPY": 0.2, "TLT": 0.3}
    return sx.rebalance(targets, broker, blotter, run_id="r", approve="test", dry_run=False)


# -- a private place for the lock -----------------------------------------------------------------------------


def test_folders_and_lock_file_are_private_whatever_the_umask(state, locks):
    mask = os.umask(0)
    try:
        take()
    finally:
        os.umask(mask)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (state.parent, state, locks)}
    assert modes == {"state": "0o700", "stocklean_exec": "0o700", "locks": "0o700"}
    assert oct(lock_file(locks).stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o720, 0o701, 0o777])
@pytest.mark.parametrize("which", ["stocklean_exec", "locks"])
def test_a_folder_that_others_can_enter_is_refused_with_the_command_that_closes_it(state, locks, which, mode):
    take()
    folder = {"stocklean_exec": state, "locks": locks}[which]
    folder.chmod(mode)
    message = rf"'{folder}' is open to other users \(mode {mode:03o}\): chmod 700 .* Nothing was sent"
    with pytest.raises(BlotterError, match=message):
        take()
    folder.chmod(0o700)
    take()


@pytest.mark.parametrize("which", ["stocklean_exec", "locks"])
def test_a_folder_that_is_a_link_is_not_followed(state, locks, tmp_path, which):
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    folder = {"stocklean_exec": state, "locks": locks}[which]
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.symlink_to(victim)
    with pytest.raises(BlotterError, match=rf"'{folder}' is a symbolic link, which is not followed: remove it"):
        take()
    assert [*victim.iterdir()] == []


def test_a_file_where_the_folder_should_be_is_refused(state):
    state.parent.mkdir()
    state.write_text("mine", "utf-8")
    with pytest.raises(BlotterError, match=rf"'{state}' is not a folder: move it away"):
        take()
    assert state.read_text("utf-8") == "mine"


def test_a_folder_of_another_user_is_refused(state, monkeypatch):
    take()
    owner = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    message = rf"'{state}' belongs to user {owner}, not to user {owner + 1} of this program: have it removed"
    with pytest.raises(BlotterError, match=message):
        take()


def test_a_state_folder_that_cannot_be_created_is_refused_with_an_alternative(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(BlotterError, match=r"cannot be made or opened .*XDG_STATE_HOME .*\. Nothing was sent"):
        take()


def test_a_lock_file_that_is_a_link_is_not_followed(locks, tmp_path):
    take()
    victim = tmp_path / "victim"
    victim.write_text("mine", "utf-8")
    file = lock_file(locks)
    file.unlink()
    file.symlink_to(victim)
    with pytest.raises(BlotterError, match=rf"'{file}' .*is a symbolic link, which is not followed: remove it"):
        take()
    assert victim.read_text("utf-8") == "mine"


def test_a_lock_file_that_others_can_open_is_refused(locks):
    take()
    file = lock_file(locks)
    file.chmod(0o644)
    with pytest.raises(
        BlotterError, match=rf"'{file}' is open to other users \(mode 644\): chmod 600 makes it private"
    ):
        take()


def test_a_lock_file_of_another_user_is_refused(locks, monkeypatch):
    take()
    file, owner = lock_file(locks), os.geteuid()
    descriptor = os.open(locks, os.O_RDONLY)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(BlotterError, match=rf"'{file}' belongs to user {owner}, not to user {owner + 1}"):
        FileLock(Path(str(file).removesuffix(".lock")), descriptor)
    os.close(descriptor)


@pytest.mark.slow
def test_without_a_safe_place_for_the_lock_nothing_is_sent(locks):
    take()
    locks.chmod(0o755)
    broker = sx.connect("mock://", quotes={"KO": 20.0, "SPY": 100.0, "TLT": 50.0}, cash=10_000)
    broker.lock_account = broker.account
    with sx.open_blotter() as blotter:
        with pytest.raises(BlotterError, match="Nothing was sent"):
            rebalance(broker, blotter)
        assert blotter.orders("r")["state"].tolist() == ["INTENT"] * 3
        assert broker.open_orders().empty
        assert broker.positions().empty
