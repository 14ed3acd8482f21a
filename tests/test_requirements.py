"""The lists of versions agree with pyproject.toml, and name no place that packages come from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LISTS = {"dev.lock": [*EXTRAS], "lowest.txt": ["test"]}
PIN = re.compile(r"([a-z0-9][a-z0-9.-]*)==([^ ;]+)( ; .+)?")


def lines_of(name):
    return (ROOT / "requirements" / name).read_text("utf-8").splitlines()


def pins(name):
    found = [PIN.fullmatch(line) for line in lines_of(name) if not line.lstrip().startswith("#")]
    assert all(found)
    return {pin[1]: Version(pin[2]) for pin in found}


def direct(name):
    texts = [*PROJECT["dependencies"], *(text for extra in LISTS[name] for text in EXTRAS[extra])]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("name", LISTS)
def test_a_requirements_list_has_names_and_versions_and_no_urls(name):
    assert len(pins(name)) > 50
    assert not [line for line in lines_of(name) if re.search(r"://|^-|\bfile:|@", line)]


@pytest.mark.parametrize("name", LISTS)
def test_a_requirements_list_has_every_dependency_in_an_allowed_version(name):
    found = pins(name)
    for requirement in direct(name):
        assert found[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lowest_versions_equal_the_declared_lower_bounds():
    found = pins("lowest.txt")
    for requirement in direct("lowest.txt"):
        (bound,) = (one.version for one in requirement.specifier if one.operator == ">=")
        version = str(found[canonicalize_name(requirement.name)])
        assert f"{version}.".startswith(f"{bound}."), requirement  # 3.0 is 3.0.0
