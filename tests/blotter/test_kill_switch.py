"""The kill switch: seen at once by everybody, kept across restarts, and on whenever it is in doubt."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stocklean_exec.blotter.kill_switch import HaltJournal
from stocklean_exec.errors import BlotterError, HaltedError, InputError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "paper.duckdb"


@pytest.fixture(params=["file", "memory"])
def journal(request, path):
    return HaltJournal(path if request.param == "file" else None)


def file_of(path):
    return Path(f"{path}.halt")


def test_nothing_is_halted_at_first(journal):
    assert journal.halted_by() is None
    assert journal.entries() == []
    journal.check()


def test_a_halt_error_names_who_halted_why_and_how_to_clear_it(journal):
    entry = journal.halt("  fat finger ")
    assert entry.reason == "fat finger"
    assert journal.halted_by() == entry
    with pytest.raises(HaltedError, match=rf"by {entry.by}: fat finger\. Clear it with blotter\.clear_halt"):
        journal.check()


def test_several_halts_are_lifted_only_by_clearing(journal):
    journal.halt("one")
    journal.halt("two")
    journal.clear("checked")
    journal.check()
    assert [(entry.kind, entry.reason) for entry in journal.entries()] == [
        ("halted", "one"),
        ("halted", "two"),
        ("halt_cleared", "checked"),
    ]


@pytest.mark.parametrize("reason", ["", "  ", None, 5])
def test_a_reason_is_needed(journal, reason):
    for act in (journal.halt, journal.clear):
        with pytest.raises(InputError) as caught:
            act(reason)
        assert caught.value.codes == ("reason_missing",)
    assert journal.entries() == []


def test_the_state_survives_a_restart(path):
    HaltJournal(path).halt("one")
    assert HaltJournal(path).halted_by().reason == "one"


def test_a_halt_is_in_force_after_a_power_cut(path, power):
    HaltJournal(path).halt("fat finger")
    power.cut()
    assert HaltJournal(path).halted_by().reason == "fat finger"


def test_no_entry_is_lost_in_a_power_cut(path, power):
    journal = HaltJournal(path)
    journal.halt("one")
    journal.clear("checked")
    journal.halt("two")
    power.cut()
    assert [entry.reason for entry in HaltJournal(path).entries()] == ["one", "checked", "two"]


@pytest.mark.slow
def test_a_halt_of_another_process_is_seen_at_once(path):
    journal = HaltJournal(path)
    journal.check()
    code = """
import sys
from stocklean_exec.blotter.kill_switch import HaltJournal
getattr(HaltJournal(sys.argv[1]), sys.argv[2])("x")
"""
    subprocess.run([sys.executable, "-c", code, str(path), "halt"], check=True)
    with pytest.raises(HaltedError):
        journal.check()
    subprocess.run([sys.executable, "-c", code, str(path), "clear"], check=True)
    journal.check()


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "halt_cl',
        b"nonsense\n",
        b"\xff\xfe\n",
        b"[1]\n",
        b"{}\n",
        b'{"kind": "other", "reason": "x", "at": "2026-11-22T12:00:00+00:00", "by": "me"}\n',
        b'{"kind": "halt_cleared", "reason": "x", "at": "2026-11-22T12:00:00", "by": "me"}\n',
        b'{"kind": "halt_cleared", "reason": 5, "at": "2026-11-22T12:00:00+00:00", "by": "me"}\n',
        b'{"kind": ["halt_cleared"], "reason": "x", "at": "2026-11-22T12:00:00+00:00", "by": "me"}\n',
    ],
)
def test_a_line_that_cannot_be_read_counts_as_a_halt(path, line):
    journal = HaltJournal(path)
    journal.halt("one")
    journal.clear("checked")
    with file_of(path).open("ab") as stream:
        stream.write(line)
    assert journal.halted_by().reason == "line 3 of the halt file cannot be read"
    assert journal.entries() == HaltJournal(path).entries()  # the same at each reading: recorded once


def test_a_torn_line_does_not_swallow_the_one_after_it(path):
    file_of(path).write_bytes(b'{"kind": "hal')
    journal = HaltJournal(path)
    assert journal.halted_by() is not None
    journal.clear("looked at it")
    journal.check()
    assert [entry.kind for entry in journal.entries()] == ["halted", "halt_cleared"]


def test_a_file_that_cannot_be_read_counts_as_a_halt(path):
    file_of(path).mkdir()
    with pytest.raises(HaltedError, match="cannot be read"):
        HaltJournal(path).check()


def test_a_halt_that_cannot_be_written_is_an_error(path):
    file_of(path).mkdir()
    with pytest.raises(BlotterError, match="halted could not be written"):
        HaltJournal(path).halt("one")


def test_a_halt_file_that_is_a_link_is_not_written_through(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine\n", "utf-8")
    file_of(path).symlink_to(victim)
    with pytest.raises(BlotterError):
        HaltJournal(path).halt("one")
    assert victim.read_text("utf-8") == "mine\n"


def test_a_reason_is_one_line_whatever_is_in_it(path):
    reason = 'a\n{"kind": "halt_cleared"}\u2028"b" \u00e9'
    journal = HaltJournal(path)
    journal.halt(reason)
    assert [entry.reason for entry in journal.entries()] == [reason]
    assert file_of(path).read_bytes().count(b"\n") == 1


def test_the_journal_is_private_whatever_the_umask(path):
    mask = os.umask(0)
    try:
        HaltJournal(path).halt("one")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(file_of(path).stat().st_mode) == 0o600


def test_an_unchanged_journal_is_not_read_again(path):
    journal = HaltJournal(path)
    journal.halt("one")
    assert journal.entries() is not journal.entries()  # a caller cannot change what the journal keeps
    assert journal.entries()[0] is journal.entries()[0]
