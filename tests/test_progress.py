from __future__ import annotations

import inspect
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
    return inspect.getclosurevars(move).nonlocals["bar"]


def test_a_terminal_shows_a_progress_bar(terminal):
    with redirect_stderr(terminal), progress_bar(10, "submitting") as move:
        assert not bar_of(move).disable


def test_an_environment_variable_disables_the_bar(terminal, monkeypatch):
    monkeypatch.setenv("STOCKLEAN_PROGRESS", "0")
    with redirect_stderr(terminal), progress_bar(10, "submitting") as move:
        assert bar_of(move).disable
        move(5, "5 open")
    assert terminal.getvalue() == ""


def test_a_pipe_shows_no_progress_bar(terminal):
    with redirect_stderr(io.StringIO()), progress_bar(10, "submitting") as move:
        assert bar_of(move).disable


def test_the_callers_choice_takes_precedence(terminal, monkeypatch):
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


def test_very_short_work_shows_no_bar(terminal):
    with redirect_stderr(terminal), progress_bar(2, "submitting", show=True) as move:
        move(2, "0 open")
    assert terminal.getvalue().strip() == ""


def test_an_error_inside_the_bar_is_raised(terminal):
    with (
        pytest.raises(ValueError, match="inside"),
        redirect_stderr(terminal),
        progress_bar(2, "submitting", show=True),
    ):
        raise ValueError("inside")


def test_a_callers_function_is_called_with_every_step(terminal):
    steps = []
    with redirect_stderr(terminal), progress_bar(10, "submitting", also=lambda *step: steps.append(step)) as move:
        move(3, "7 open")
        move(10)
    assert steps == [(3, "7 open"), (10, "")]
