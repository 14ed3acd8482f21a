"""The simulator shares no code with what it tests: it imports only the standard library, fill model and fees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stocklean_exec.simulator

FOLDER = Path(stocklean_exec.simulator.__file__).parent
ALLOWED = {"stocklean_exec.fill_model", "stocklean_exec.fees", "stocklean_exec.tariff_table"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_simulator_module_imports_only_the_simulator_and_the_standard_library(path):
    for name in imported(path):
        own = name.startswith("stocklean_exec.simulator") or name in ALLOWED
        assert own or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.slow
def test_importing_the_simulator_loads_no_client_library_and_no_pandas():
    code = "import sys, stocklean_exec.simulator; print(*sys.modules)"
    environment = {"PYTHONPATH": str(FOLDER.parent.parent)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert not {"ib_async", "ibapi", "pandas", "duckdb", "numpy"} & set(out.stdout.split())
