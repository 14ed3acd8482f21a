"""``python -m stocklean_exec`` in this process; test_cli.py runs the same commands in processes of their own."""

import runpy
import sys

import pytest

import stocklean_exec as sx


@pytest.fixture
def run(monkeypatch, capsys):
    """The program with some arguments; its exit code, standard output and standard error."""

    def program(*arguments):
        monkeypatch.setattr(sys, "argv", ["stocklean", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("stocklean_exec", run_name="__main__")
        return caught.value.code, *capsys.readouterr()

    return program


def test_the_module_is_the_command_with_its_arguments_and_exit_code(run, tmp_path):
    with sx.open_blotter(tmp_path / "b.duckdb"):
        pass
    code, out, err = run("halt", "--blotter", tmp_path / "b.duckdb", "--reason", "drill")
    assert (code, err) == (0, "")
    assert "drill" in out
    with sx.open_blotter(tmp_path / "b.duckdb") as blotter, pytest.raises(sx.HaltedError, match="drill"):
        blotter.check_halt()


def test_bad_input_ends_the_module_with_the_code_of_the_command(run, tmp_path):
    code, out, err = run("status", "--blotter", tmp_path / "missing.duckdb")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "missing.duckdb" in err
