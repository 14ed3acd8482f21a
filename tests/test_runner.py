"""How a test run ends: with the runner's last line, at the interpreter's own end, so that coverage is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from coverage import Coverage

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_test_run_with_duckdb_and_scipy_ends_normally_and_writes_coverage(tmp_path):
    # Both bindings in one process: DuckDB's says so on stderr if anything keeps its objects alive to the end.
    data = tmp_path / "data"
    command = [sys.executable, "-m", "coverage", "run", f"--data-file={data}", "--include=stocklean_exec/*"]
    pytest = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/portfolio/test_lot_rounding.py",
        "tests/blotter/test_database_file.py",
    ]
    done = subprocess.run(
        [*command, *pytest, "-k", "(another_solver and 20000) or (test_database_file and schema)"],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},  # in one process, whatever the run around it asks for
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout.splitlines()[-1]
    assert done.stderr == ""
    found = Coverage(data_file=str(data))
    found.load()
    _, statements, _, missing, _ = found.analysis2(str(ROOT / "stocklean_exec" / "portfolio" / "lot_rounding.py"))
    assert 0 < len(missing) < len(statements)
