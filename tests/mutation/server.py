"""Runs one test file again and again, each time in a fork of a process that has the large libraries loaded.

Started by ``tests/mutation/__main__.py`` in a copy of the project. Reads one request a line as JSON from standard
input, and answers each with one line. Nothing of the project itself is imported before the fork.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

# None of these starts a thread or an event loop when it is imported: a fork would inherit them.
_LOADED = ("pandas", "numpy", "duckdb", "highspy", "hypothesis", "hypothesis.strategies")
_OUTPUT = "output.txt"
_SHOWN = 2_000  # characters of the tests' output that an answer carries


class Selection:
    """A plugin of pytest: runs some tests of a file, the quickest first, and notes what each of them reaches."""

    def __init__(self, request):
        self.only, self.without, self.watched = request["only"], set(request["without"]), request["watch"]
        self.reached, self.seconds, self._now = {}, {}, None

    def pytest_collection_modifyitems(self, items):
        """Keep the tests that are asked for, in their sequence, and none of speed: a busy machine fails it."""
        items[:] = [item for item in items if "perf_counter" not in inspect.getsource(item.function)]
        if self.only is not None:
            place = {name: number for number, name in enumerate(self.only)}
            items[:] = sorted(
                (item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid]
            )
        items[:] = [item for item in items if item.nodeid not in self.without]

    def _trace(self, frame, event, _argument):
        if frame.f_code.co_filename != self.watched:
            return None
        if event in {"call", "line"} and self._now is not None:
            self._now.add(frame.f_lineno)
        return self._trace

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        """Time a test with its fixtures, and note the lines of the watched module that it runs."""
        begin = time.perf_counter()
        if self.watched is not None:
            self._now = set()
            threading.settrace(self._trace)
            sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            if self.watched is not None:
                sys.settrace(None)
                self.reached[item.nodeid] = sorted(self._now)
            self.seconds[item.nodeid] = time.perf_counter() - begin

    def pytest_sessionfinish(self):
        """Write it down here: the project's conftest may end the process before pytest returns."""
        Path("reached.json").write_text(json.dumps({"reached": self.reached, "seconds": self.seconds}), "utf-8")


def _run(request):
    """Run the tests of one request; called in a fork, in a group of its own."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has a background job ignore interrupts
    output = os.open(_OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.dont_write_bytecode = not request["bytecode"]
    if sys.dont_write_bytecode:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # for the processes that the tests start
    if "hypothesis" in sys.modules:  # a busy machine is slow, which is no failure
        from hypothesis import HealthCheck, settings  # noqa: PLC0415 - a smaller project does without

        settings.register_profile("mutation", deadline=None, suppress_health_check=list(HealthCheck))
        settings.load_profile("mutation")
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:nbval",
        "-p",
        "no:xdist",
        "-p",
        "no:anyio",
        "-o",
        "addopts=--import-mode=importlib",
    ]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins that are loaded already
    code = pytest.main([*options, *request["tests"].split()], plugins=[Selection(request)])
    os._exit(int(code))


def main():
    """Answer requests until the input ends."""
    requests, answers = sys.stdin, os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    sys.path[0] = str(Path.cwd())  # the copy of the project, and not the folder of this file
    for name in _LOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # the tests of a smaller project do without
    fork = multiprocessing.get_context("fork")
    for line in requests:
        request = json.loads(line)
        Path("reached.json").unlink(missing_ok=True)
        process = fork.Process(target=_run, args=(request,))
        process.start()
        process.join(request["most_seconds"])
        code = process.exitcode
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a test that failed may leave processes that it started
        process.join()
        noted = Path("reached.json")
        answer = json.loads(noted.read_text("utf-8")) if noted.exists() and code is not None else {}
        answer |= {"code": code, "output": Path(_OUTPUT).read_text("utf-8", "replace")[-_SHOWN:]}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
