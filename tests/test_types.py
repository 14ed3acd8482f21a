"""What mypy and pyright say of user code, where the package is installed from its wheel as users install it.

``tests/typing/uses.py`` must pass; ``tests/typing/misuses.py`` must fail at every line that ends in ``# error``,
and nowhere else. Without pandas-stubs every frame is Any to mypy: a line that fails only over the type of a frame
ends in ``# error with stubs``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import stocklean_exec as sx
from tests.extras import need

ROOT = Path(__file__).resolve().parents[1]
USES, MISUSES = (ROOT / "tests" / "typing" / name for name in ("uses.py", "misuses.py"))


def _run(*command, cwd=ROOT):
    clean = {name: value for name, value in os.environ.items() if name not in ("MYPYPATH", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env=clean, check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    need("hatchling", "dev")
    folder = tmp_path_factory.mktemp("wheel")
    code, output = _run("pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    assert code == 0, output
    (built,) = folder.glob("*.whl")
    return built


def _environment(folder, wheel, *, stubs):
    """A virtual environment with the wheel, and links to what else is installed here: nothing is downloaded."""
    venv.create(folder, with_pip=False)
    variables = {"base": str(folder), "platbase": str(folder)}
    site, here = Path(sysconfig.get_path("purelib", vars=variables)), Path(sysconfig.get_path("purelib"))
    left_out = ("stocklean", "_editable", "__pycache__", *(() if stubs else ("pandas-stubs", "pandas_stubs")))
    for found in here.iterdir():
        if not found.name.startswith(left_out):
            (site / found.name).symlink_to(found)
    code, output = _run("pip", "install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    assert code == 0, output
    return folder / "bin" / "python"


@pytest.fixture(scope="module", params=["with stubs", "without stubs"])
def project(request, wheel, tmp_path_factory):
    """A folder of user code, the Python that runs it, and whether pandas-stubs are installed."""
    stubs = request.param == "with stubs"
    folder = tmp_path_factory.mktemp("project")
    python = _environment(folder / "venv", wheel, stubs=stubs)
    for file in (USES, MISUSES):
        text = file.read_text("utf-8")
        if not stubs:  # the class in pandas' own source takes no type argument
            text = text.replace('"pd.Series[float]"', "pd.Series")
        (folder / file.name).write_text(text, "utf-8")
    return folder, python, stubs


def _marked(stubs):
    lines = MISUSES.read_text("utf-8").splitlines()
    ends = ("# error", "# error with stubs") if stubs else ("# error",)
    return {number for number, line in enumerate(lines, 1) if line.endswith(ends)}


def _pandas_import(file):
    return file.read_text("utf-8").splitlines().index("import pandas as pd") + 1


@pytest.mark.once
def test_mypy_accepts_right_calls_and_refuses_wrong_ones(project):
    need("mypy", "dev")
    folder, python, stubs = project
    command = ("mypy", "--strict", "--config-file=", "--cache-dir=.mypy_cache", f"--python-executable={python}")
    _, output = _run(*command, "uses.py", "misuses.py", cwd=folder)
    found = {"uses.py": set(), "misuses.py": set()}
    for file, line, text in re.findall(r"^(\w+\.py):(\d+): error: (.*)$", output, re.MULTILINE):
        if "[import-untyped]" in text:  # of the user's own import of pandas, and all that the lack of stubs costs
            assert not stubs
            assert int(line) == _pandas_import(folder / file)
        else:
            found[file].add(int(line))
    assert found["uses.py"] == set(), output
    assert found["misuses.py"] == _marked(stubs), output


@pytest.mark.once
def test_pyright_accepts_right_calls_and_refuses_wrong_ones(project):
    need("basedpyright", "dev")
    folder, python, _ = project
    # the rules of pyright; those of basedpyright are more
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    command = ("basedpyright", "--outputjson", "--pythonpath", str(python))
    _, output = _run(*command, "uses.py", "misuses.py", cwd=folder)
    found = {"uses.py": set(), "misuses.py": set()}
    for finding in json.loads(output)["generalDiagnostics"]:
        found[Path(finding["file"]).name].add(finding["range"]["start"]["line"] + 1)
    assert found["uses.py"] == set(), output
    assert found["misuses.py"] == _marked(stubs=True), output  # it reads pandas' own source


def test_the_accepted_calls_name_every_public_function():
    tree = ast.parse(USES.read_text("utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sx"
    }
    public = {name: getattr(sx, name) for name in sx.__all__}
    functions = {name for name, value in public.items() if callable(value) and not isinstance(value, type)}
    assert functions - used == set()
    assert len(functions) > 50
