"""Each problem that the doctor detects, produced for real where possible, and its advice."""

import asyncio
import logging
import re
import socket
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.ib import diagnostics as module

PORTS = dict(module._PORTS)  # as the package has them, before a test puts its own


@pytest.fixture(autouse=True)
def nothing_listens(monkeypatch):
    """Ports of this computer are not the test's business, but for those that it opens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(module, "_PORTS", {unused.getsockname()[1]: "TWS, paper"})
        yield unused


def found(what):
    frame = sx.diagnose()
    return frame[frame["what"] == what].iloc[0]


def test_a_healthy_installation_has_no_problems(capsys):
    assert not (sx.diagnose()["state"] == "problem").any()
    sx.doctor()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"stocklean_exec {metadata.version('stocklean_exec')}"
    assert lines[-1] == "no problems"


def test_a_missing_tws_is_reported_with_setup_advice():
    row = found("TWS")
    assert row["state"] == "note"
    for text in ("Enable ActiveX", "Read-Only API", "ib://127.0.0.1:7497", "4002", "sim://"):
        assert text in row["advice"]


def test_a_listening_tws_is_found(nothing_listens):
    nothing_listens.listen()
    assert found("TWS")["state"] == "ok"


def test_the_ports_are_those_that_interactive_brokers_documents():
    assert {port: "LIVE" in name for port, name in PORTS.items()} == {
        7497: False,  # TWS, paper trading
        7496: True,
        4002: False,  # IB Gateway, paper trading
        4001: True,
    }


def test_a_live_port_is_a_warning(nothing_listens, monkeypatch):
    nothing_listens.listen()
    monkeypatch.setattr(module, "_PORTS", {nothing_listens.getsockname()[1]: "TWS, LIVE"})
    row = found("TWS")
    assert (row["state"], "paper" in row["advice"]) == ("note", True)


def test_a_package_that_is_missing_or_old_is_a_problem(monkeypatch, capsys):
    monkeypatch.setattr(module, "_PACKAGES", {"pandas": "99.0", "no_such_package": "1.0"})
    assert found("pandas")["advice"] == "pip install --upgrade 'pandas>=99.0'"
    assert found("no_such_package")["advice"] == "pip install 'no_such_package>=1.0'"
    sx.doctor()
    assert capsys.readouterr().out.splitlines()[-1] == "2 problems"


def test_a_kernel_patched_by_nest_asyncio_is_a_problem(monkeypatch):
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    row = found("nested loops")
    assert row["state"] == "problem"
    assert "sx.enable_notebook()" in row["advice"]
    monkeypatch.setattr(asyncio, "_nest_asyncio2", object(), raising=False)
    assert found("nested loops")["state"] == "ok"


def test_a_running_event_loop_is_reported():
    async def look():
        return found("event loop")

    assert "is running" in asyncio.run(look())["found"]
    assert "none is running" in found("event loop")["found"]


def test_a_live_account_that_is_allowed_is_reported_and_masked(monkeypatch):
    monkeypatch.setenv("STOCKLEAN_ALLOW_LIVE", "U7654321")
    row = found("live account")
    assert row["state"] == "note"
    assert row["found"] == "STOCKLEAN_ALLOW_LIVE names U7***321"


def test_the_lowest_versions_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text("utf-8"))
    declared = dict(re.match(r"([\w-]+)>=([\d.]+)", one).groups() for one in project["project"]["dependencies"])
    assert {name: declared[name] for name in module._PACKAGES} == module._PACKAGES


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("8.1.3", "problem"),
        ("8.1.4", "ok"),
        ("8.1.10", "ok"),
        ("8.2", "ok"),
        ("8.1", "problem"),
        ("8.1.0+ours.9", "problem"),
    ],
)
def test_versions_are_compared_by_their_first_three_numbers(version, state, monkeypatch):
    monkeypatch.setattr(module, "_PACKAGES", {"ipywidgets": "8.1.4"})
    monkeypatch.setattr(module.metadata, "version", lambda _: version)
    assert [one.state for one in module._packages()] == [state]


def test_logs_that_print_account_numbers_are_reported(monkeypatch):
    monkeypatch.setattr(logging.getLogger("ib_async"), "level", logging.DEBUG)
    frame = sx.diagnose()
    (text,) = frame.loc[frame["what"] == "logs", "found"]
    assert text.startswith("ib_async logs at DEBUG: account numbers")


def test_quiet_logs_are_not_reported():
    assert not (sx.diagnose()["what"] == "logs").any()


def test_a_kernel_is_reported_with_its_version(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", object())
    assert found("kernel")["found"] == f"ipykernel {metadata.version('ipykernel')}"
    monkeypatch.delitem(sys.modules, "ipykernel.kernelapp")
    assert found("kernel")["found"] == "none: a script, a terminal or a test"
