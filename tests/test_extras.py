"""Tests that need an extra say so, and pass by no accident where CI is set."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.extras import need

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


def test_an_installed_module_is_returned():
    assert need("json", "test").loads("[1]") == [1]


def test_without_the_extra_a_test_is_skipped_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=re.escape("no_such_module is missing; install")) as caught:
        need("no_such_module.part", "browser")
    assert "pip install -e '.[browser]'" in str(caught.value)


def test_without_the_extra_a_test_fails_where_ci_is_set(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=re.escape("pip install -e '.[bench]'")):
        need("no_such_module", "bench")


@pytest.mark.slow
def test_every_extra_that_a_test_names_exists():
    named = set()
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name("need"), args=[_, ast.Constant(extra)]):
                    named.add(extra)
    assert {"browser", "dev"} <= named <= {*EXTRAS}


def test_the_readme_installs_every_extra_that_the_whole_suite_needs():
    (command,) = re.findall(
        r"^python3 -m venv .*\[(.*)\]\" && pytest$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    # what these two install is in the test extra too
    names = {re.split(r"[<>=!]", one)[0] for one in EXTRAS["test"]}
    assert {re.split(r"[<>=!]", one)[0] for one in EXTRAS["plots"] + EXTRAS["notify"]} <= names
    assert {*command.split(",")} == {*EXTRAS} - {"plots", "notify"}
