"""Requests beside a blotter: read once each, whole lines only, and private."""

import stat

import pytest

from stocklean_exec.blotter.cancel_journal import CancelJournal
from stocklean_exec.errors import BlotterError


@pytest.fixture
def journal(tmp_path):
    return CancelJournal(tmp_path / "b.duckdb")


def test_a_request_is_read_once_and_answered_by_its_number(journal):
    assert (journal.end, journal.requests_since(0)) == (0, ([], 0))
    first = journal.ask("r", by="ann", seconds=2.0)
    begin = journal.end
    second = journal.ask(None, by="bob", seconds=3.0)
    assert journal.requests_since(begin)[0] == [(second, None, "bob", 3.0)]
    requests, end = journal.requests_since(0)
    assert [one.number for one in requests] == [first, second]
    assert journal.requests_since(end) == ([], end)
    assert not journal.is_seen(first)
    journal.write("seen", first)
    assert (journal.is_seen(first), journal.is_seen(second), journal.answer_to(first)) == (True, False, None)
    journal.write("failed", first, error="closed")
    assert journal.answer_to(first)["error"] == "closed"
    assert journal.requests_since(end)[0] == []


def test_the_file_is_private_and_a_link_is_not_followed(journal, tmp_path):
    journal.ask("r", by="ann", seconds=2.0)
    file = tmp_path / "b.duckdb.cancel"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.rename(tmp_path / "other")
    file.symlink_to(tmp_path / "other")
    with pytest.raises(BlotterError, match="request could not be written"):
        journal.ask("r", by="ann", seconds=2.0)


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'{"kind": "request"}', b'{"kind": "request", "number": "1", "by": 3}', b"\xff"],
)
def test_what_is_no_request_is_ignored(journal, tmp_path, line):
    (tmp_path / "b.duckdb.cancel").write_bytes(line + b"\n")
    number = journal.ask("r", by="ann", seconds=2.0)
    assert [one.number for one in journal.requests_since(0)[0]] == [number]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(journal, tmp_path):
    journal.ask("r", by="ann", seconds=2.0)
    whole = (tmp_path / "b.duckdb.cancel").read_bytes()
    (tmp_path / "b.duckdb.cancel").write_bytes(whole[:-1])
    assert journal.requests_since(0) == ([], 0)
    (tmp_path / "b.duckdb.cancel").write_bytes(whole)
    assert len(journal.requests_since(0)[0]) == 1
