"""The simulator shares no code with what it judges: it imports the standard library, fill rule and fees."""

import ast
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import stocklean_exec.simulator

FOLDER = Path(stocklean_exec.simulator.__file__).parent
ALLOWED = {"stocklean_exec.fill_model", "stocklean_exec.fees"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_imports_nothing_else(path):
    for name in imported(path):
        own = name.startswith("stocklean_exec.simulator") or name in ALLOWED
        assert own or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_has_its_test(path):
    if path.stem not in {"__init__", "__main__"}:
        assert (Path(__file__).parent / f"test_{path.stem}.py").exists()


def arrows():
    """Modules of the simulator and those that they import, for type checking too."""
    prefix = "stocklean_exec.simulator"
    known = {path.stem for path in FOLDER.glob("*.py")}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(prefix):
                below = node.module.removeprefix(prefix).lstrip(".")
                names = [below] if below else [alias.name for alias in node.names]
                yield from ((path.stem, name) for name in names if name in known)


def test_arrows_point_one_way_also_those_of_types():
    above = {}
    for upper, lower in arrows():
        above.setdefault(upper, set()).add(lower)
    TopologicalSorter(above).prepare()  # raises on a circle
    project = tomllib.loads((FOLDER.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one.get("containers") == ["stocklean_exec.simulator"]]
    floor_of = {name: number for number, layer in enumerate(layers) for name in layer.split(" : ")}
    assert set(floor_of) == {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert [(a, b) for a, b in arrows() if a != "__init__" and floor_of[a] >= floor_of[b]] == []


def test_importing_it_loads_no_client_library_and_no_pandas():
    code = "import sys, stocklean_exec.simulator; print(*sys.modules)"
    environment = {"PYTHONPATH": str(FOLDER.parent.parent)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert not {"ib_async", "ibapi", "pandas", "duckdb", "numpy"} & set(out.stdout.split())
