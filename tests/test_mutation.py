"""The mutation program, on a package of a few lines: what it changes, and whom it calls a survivor."""

import pytest

from tests.mutation.__main__ import mutants, passes, try_module

SHOP = '''"""Prices."""


def is_large(amount: int = 3, *, most: int = 10) -> bool:
    """Whether 5 < amount."""
    return amount >= most


def loud(amount, printer):
    while amount > 0 and not printer.busy:
        amount -= 1
    printer.write(amount, end="")
'''
SMALL = "def is_large(amount):\n    return amount >= 10\n\n\nSPARE = 1\n"
GOOD = """
from shop.price import is_large

def test_boundary():
    assert is_large(10)
    assert not is_large(9)
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
    )  # the shop needs none, and each takes its time to load
    for name, text in (("shop/price.py", SHOP), ("shop/__init__.py", ""), ("tests/test_price.py", GOOD)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_each_operator_number_and_keyword_argument_is_changed_once():
    assert [(one.line, one.shown) for one in mutants(SHOP)] == [
        (4, "def is_large(amount: int = 4, *, most: int = 10) -> bool:"),
        (4, "def is_large(amount: int = 3, *, most: int = 11) -> bool:"),
        (6, "return amount > most"),
        (10, "while amount >= 0 and not printer.busy:"),
        (10, "while amount > 1 and not printer.busy:"),
        (10, "while amount > 0 or not printer.busy:"),
        (10, "while amount > 0 and printer.busy:"),
        (11, "amount += 1"),
        (11, "amount -= 2"),
        (12, "printer.write(amount)"),
    ]


def test_a_mutant_differs_in_its_line_alone_also_behind_letters_of_two_bytes():
    source = 'NAME = "é"; SIZE = 2 + 3\nLAST = 4\n'
    texts = [one.source for one in mutants(source)]
    assert texts == [
        'NAME = "é"; SIZE = 3 + 3\nLAST = 4\n',
        'NAME = "é"; SIZE = 2 - 3\nLAST = 4\n',
        'NAME = "é"; SIZE = 2 + 4\nLAST = 4\n',
        'NAME = "é"; SIZE = 2 + 3\nLAST = 5\n',
    ]


def test_what_a_test_protects_is_killed_and_the_rest_survives_and_the_project_is_left_alone(shop):
    (shop / "shop/price.py").write_text(SMALL)
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    told = []
    killed, survived = try_module("price", package="shop", root=shop, say=told.append)
    assert (killed, [one.shown for one in survived]) == (2, ["SPARE = 2"])
    assert told == [
        "killed   shop/price.py:2: return amount > 10",
        "killed   shop/price.py:2: return amount >= 11",
        "SURVIVED shop/price.py:5: SPARE = 2",
        "price: 2 of 3 mutants killed",
    ]
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before


def test_a_seed_draws_the_same_mutants_each_time(shop, monkeypatch):
    monkeypatch.setattr("tests.mutation.__main__.passes", lambda *_: True)
    drawn = [try_module("price", package="shop", root=shop, seed=3, most=2, say=str)[1] for _ in range(2)]
    assert len(drawn[0]) == 2
    assert drawn[0] == drawn[1]


def test_tests_that_do_not_end_do_not_pass(shop):
    (shop / "tests/test_price.py").write_text("def test_endless():\n    while True:\n        pass\n")
    assert not passes(shop, "tests/test_price.py", seconds=2.0)


def test_tests_that_fail_without_a_mutation_judge_nothing(shop):
    (shop / "tests/test_price.py").write_text("def test_wrong():\n    assert False\n")
    with pytest.raises(RuntimeError, match=r"tests/test_price\.py does not pass without a mutation"):
        try_module("price", package="shop", root=shop, say=str)
