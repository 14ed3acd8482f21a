"""Shared by all tests: no progress bars, and the test runner has the last word."""

from __future__ import annotations

import os
import sys

import pytest

os.environ["STOCKLEAN_PROGRESS"] = "0"

_outcome = pytest.ExitCode.OK


def pytest_collection_modifyitems(items):
    if os.environ.get("STOCKLEAN_ONCE") == "0":  # as .ci/run says for every Python but the last
        for item in items:
            if item.get_closest_marker("once"):
                item.add_marker(pytest.mark.skip(reason="takes long: once in CI, on the oldest Python"))


def pytest_sessionfinish(exitstatus):
    global _outcome  # noqa: PLW0603 - hooks have no other way to tell each other
    _outcome = exitstatus


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    # SciPy's solver (the oracle of the rounding's tests) and DuckDB in one process make DuckDB's binding list
    # "leaked" objects on stderr when the interpreter ends, after the runner's last line. Neither the package nor
    # any test alone does so; that a program of a user ends without noise is tested in child processes.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(_outcome))
