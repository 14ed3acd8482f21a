"""The coverage program, on a package of a few lines."""

from pathlib import Path

import pytest

from tests.coverage.__main__ import ROOT, measure, name_of, shown
from tests.mirror import file_of_tests, files_of_tests, modules

PRICE = '''"""Prices."""


def is_large(amount):
    if amount >= 10:
        return True
    return False


def double(amount):
    """Twice as much.

    >>> double(2)
    4
    """
    return 2 * amount
'''
TESTS = """
from shop.inner.price import is_large

def test_large():
    assert is_large(10)
"""
OTHERS = """
from shop.inner.price import is_large

def test_small():
    assert not is_large(9)
"""
MODULE = Path("shop/inner/price.py")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 2")  # as in CI: the tests of the shop run in one process all the same
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the shop needs none, and each takes time to load
    monkeypatch.delenv("PYTHONPATH", raising=False)
    files = {
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--doctest-modules"\npythonpath = ["."]\n',
        "shop/__init__.py": "",
        "shop/inner/__init__.py": "",
        str(MODULE): PRICE,
        "tests/inner/test_price.py": TESTS,
        "tests/test_others.py": OTHERS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.slow
def test_a_module_is_covered_by_its_own_tests_and_doctests_alone(shop):
    # Six statements, of which line 7 does not run; and two ways out of the condition, of which one is taken.
    result = measure(MODULE, shop)
    assert (result.module, result.missing, result.is_passed) == ("inner.price", [7], True)
    assert result.percent == pytest.approx(100 * (5 + 1) / (6 + 2))


@pytest.mark.slow
def test_failing_tests_are_reported_and_coverage_is_still_measured(shop, capsys):
    (shop / "tests/inner/test_price.py").write_text(TESTS.replace("is_large(10)", "is_large(9)"))
    result = measure(MODULE, shop)
    assert (result.missing, result.is_passed) == ([6], False)
    assert "1 failed" in capsys.readouterr().err


def test_a_module_without_tests_is_not_run(shop):
    (shop / "shop/__main__.py").write_text("raise SystemExit(3)\n")
    assert modules(shop, "shop")[1] == Path("shop/__main__.py")
    assert measure(Path("shop/__main__.py"), shop) == ("__main__", 0.0, [], True)


def test_consecutive_lines_are_shown_as_ranges():
    assert shown([]) == ""
    assert shown([1, 3, 4, 5, 9, 10]) == "1, 3-5, 9-10"


def test_module_and_test_file_names_follow_the_directory_tree():
    assert name_of(Path("stocklean_exec/execution/funding.py")) == "execution.funding"
    assert file_of_tests(Path("stocklean_exec/fees.py")) == Path("tests/test_fees.py")
    assert file_of_tests(Path("stocklean_exec/simulator/__main__.py")) == Path("tests/simulator/test_main.py")
    have_none = [
        module for module in modules(ROOT, "stocklean_exec") if not (ROOT / file_of_tests(module)).exists()
    ]
    assert not [module for module in have_none if module.stem not in ("__init__", "__main__", "_version")]


def test_the_tests_of_a_module_may_be_in_several_files_beside_each_other(shop):
    for name in ("test_price_parts", "test_prices", "test_price_list"):
        (shop / f"tests/inner/{name}.py").write_text("")
    (shop / "shop/inner/price_list.py").write_text("")  # has tests of its own
    found = [Path("tests/inner/test_price.py"), Path("tests/inner/test_price_parts.py")]
    assert files_of_tests(MODULE, shop) == found
    assert files_of_tests(Path("shop/inner/price_list.py"), shop) == [Path("tests/inner/test_price_list.py")]
    assert files_of_tests(Path("shop/other.py"), shop) == []
