from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from stocklean_exec import progress
from stocklean_exec.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A screen; a test looks at it through redirect_stderr, as pytest captures the real one."""
    monkeypatch.setattr(progress, "_in_notebook", lambda: False)
    monkeypatch.delenv("STOCKLEAN_PROGRESS", raising=False)
    return Terminal()


def bar_of(move):
    return move.__closure__[0].cell_contents


def test_somebody_at_a_terminal_sees_a_bar(terminal):
    with redirect_stderr(terminal), progress_bar(10, "submitting") as move:
        assert not bar_of(move).disable


def test_the_environment_switches_it_off(terminal, monkeypatch):
    monkeypatch.setenv("STOCKLEAN_PROGRESS", "0")
    with redirect_stderr(terminal), progress_bar(10, "submitting") as move:
        assert bar_of(move).disable
        move(5, "5 open")
    assert terminal.getvalue() == ""


def test_nobody_sees_a_bar_in_a_pipe(terminal):
    with redirect_stderr(io.StringIO()), progress_bar(10, "submitting") as move:
        assert bar_of(move).disable


def test_the_caller_has_the_last_word(terminal, monkeypatch):
    monkeypatch.setenv("STOCKLEAN_PROGRESS", "0")
    with redirect_stderr(terminal), progress_bar(10, "submitting", show=True) as move:
        assert not bar_of(move).disable
    with redirect_stderr(terminal), progress_bar(10, "submitting", show=False) as move:
        assert bar_of(move).disable


def test_the_bar_shows_how_many_are_done(terminal):
    with redirect_stderr(terminal), progress_bar(10, "submitting", show=True) as move:
        move(3, "7 open")
        assert bar_of(move).n == 3
        move(8, "2 open")
        assert bar_of(move).n == 8
        move(8)
        assert bar_of(move).n == 8


def test_work_of_a_moment_leaves_the_screen_as_it_was(terminal):
    with redirect_stderr(terminal), progress_bar(2, "submitting", show=True) as move:
        move(2, "0 open")
    assert terminal.getvalue().strip() == ""


def test_an_error_inside_goes_through(terminal):
    with (
        pytest.raises(ValueError, match="inside"),
        redirect_stderr(terminal),
        progress_bar(2, "submitting", show=True),
    ):
        raise ValueError("inside")
