"""The mutation program, on a package of a few lines: what it changes, and whom it calls a survivor."""

import pytest

from tests.mutation.__main__ import (
    Runner,
    add_result,
    drawn,
    main,
    mutants,
    read_results,
    report,
    statement,
    table,
    try_module,
)

SHOP = '''"""Prices."""


def is_large(amount: int = 3, *, most: int = 10) -> bool:
    """Whether 5 < amount."""
    return amount >= most


def loud(amount, printer):
    while amount > 0 and not printer.busy:
        amount -= 1
    printer.write(*zip(amount, amount, strict=True), end="")
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
    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 2")  # as in CI: the tests of the shop run in one process all the same
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
        (12, "printer.write(*zip(amount, amount, strict=True))"),
    ]


def test_a_mutant_differs_only_in_its_line_even_after_multibyte_characters():
    source = 'NAME = "é"; SIZE = 2 + 3\nLAST = 4\n'
    texts = [one.source for one in mutants(source)]
    assert texts == [
        'NAME = "é"; SIZE = 3 + 3\nLAST = 4\n',
        'NAME = "é"; SIZE = 2 - 3\nLAST = 4\n',
        'NAME = "é"; SIZE = 2 + 4\nLAST = 4\n',
        'NAME = "é"; SIZE = 2 + 3\nLAST = 5\n',
    ]


def test_a_mutant_is_identified_by_its_texts_and_position_among_equal_lines():
    made = mutants("def ok(a, b):\n    if a < 1:\n        return b\n    if a < 1:\n        return a\n")
    assert [(one.line, one.original, one.shown, one.place) for one in made] == [
        (2, "if a < 1:", "if a <= 1:", 1),
        (2, "if a < 1:", "if a < 2:", 1),
        (4, "if a < 1:", "if a <= 1:", 2),
        (4, "if a < 1:", "if a < 2:", 2),
    ]


def test_the_statement_of_a_line_has_all_its_lines_but_only_the_head_of_a_block():
    source = (
        "def pay(\n    amount,\n):\n    if (\n        amount\n    ):\n        print(\n            1\n        )\n"
    )
    assert [list(statement(source, line)) for line in (1, 5, 8)] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.slow
def test_tested_mutants_are_killed_others_survive_and_the_project_is_unchanged(shop):
    (shop / "shop/price.py").write_text(SMALL)
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    said, noted = [], []
    killed, survived = try_module(
        "price", package="shop", root=shop, say=said.append, note=lambda *both: noted.append(both)
    )
    assert (killed, [one.shown for one in survived]) == (2, ["SPARE = 2"])
    assert said == [
        "killed   shop/price.py:2: return amount > 10",
        "killed   shop/price.py:2: return amount >= 11",
        "SURVIVED shop/price.py:5: SPARE = 2",
        "price: 2 of 3 mutants killed",
    ]
    assert [(one.shown, outcome) for one, outcome in noted] == [
        ("return amount > 10", "killed"),
        ("return amount >= 11", "killed"),
        ("SPARE = 2", "survived"),
    ]
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_mutant_may_be_killed_by_a_test_not_recorded_as_reaching_its_line(shop):
    # The line runs when the module is imported, which the first test does: the second sees its value alone.
    (shop / "shop/price.py").write_text("LEAST = 3\n")
    (shop / "tests/test_price.py").write_text(
        "def test_imports():\n    import shop.price\n\ndef test_least():\n"
        "    from shop.price import LEAST\n    assert LEAST == 3\n"
    )
    assert try_module("price", package="shop", root=shop, say=str) == (1, [])


def test_a_seed_draws_the_same_mutants_independently_of_other_lines():
    some = drawn(mutants(SHOP), seed=3, most=4)
    assert len(some) == 4
    assert drawn(mutants(SHOP), seed=3, most=4) == some
    assert drawn(mutants(SHOP), seed=4, most=4) != some
    assert [one.line for one in some] == sorted(one.line for one in some)
    moved = drawn(mutants(f"# a new first line\n{SHOP}"), seed=3, most=4)
    assert [one.shown for one in moved] == [one.shown for one in some]
    assert drawn(mutants(SHOP), seed=3, most=None) == mutants(SHOP)


def _endings(shop, text, seconds=60.0, **options):
    (shop / "tests/test_price.py").write_text(text)
    with Runner(shop, "tests/test_price.py") as tests:
        return tests.run(seconds, **options)[0]


@pytest.mark.slow
def test_tests_that_do_not_end_are_stopped(shop):
    assert _endings(shop, "def test_endless():\n    while True:\n        pass\n", seconds=3.0) == "timeout"


@pytest.mark.slow
def test_a_process_that_is_killed_by_the_tests_is_a_failure(shop):
    text = "import os\n\ndef test_ends():\n    os.abort()\n"
    assert _endings(shop, text) == "killed"


@pytest.mark.slow
def test_speed_tests_are_excluded(shop):
    text = "import time\n\ndef test_fast():\n    assert time.perf_counter() < 0\n\ndef test_right():\n    pass\n"
    assert _endings(shop, text) == "survived"


@pytest.mark.slow
def test_single_tests_can_be_selected_or_excluded(shop):
    text = "def test_right():\n    pass\n\ndef test_wrong():\n    assert False\n"
    right = "tests/test_price.py::test_right"
    assert _endings(shop, text) == "killed"
    assert _endings(shop, text, only=[right]) == "survived"
    assert _endings(shop, text, without=[right]) == "killed"
    assert _endings(shop, text, only=["tests/test_price.py::test_none"]) is None


@pytest.mark.slow
def test_the_lines_that_each_test_reaches_are_reported(shop):
    (shop / "shop/price.py").write_text("def one():\n    return 1\n\n\ndef two():\n    return 2\n")
    (shop / "tests/test_price.py").write_text(
        "from shop.price import one, two\n\ndef test_one():\n    one()\n\ndef test_two():\n    two()\n"
    )
    with Runner(shop, "tests/test_price.py") as tests:
        _, answer = tests.run(60.0, watch=shop / "shop/price.py")
    assert answer["reached"] == {"tests/test_price.py::test_one": [1, 2], "tests/test_price.py::test_two": [5, 6]}
    assert set(answer["seconds"]) == set(answer["reached"])


@pytest.mark.slow
def test_tests_that_fail_without_a_mutation_are_an_error(shop):
    (shop / "tests/test_price.py").write_text("def test_wrong():\n    assert False\n")
    with pytest.raises(RuntimeError, match=r"tests/test_price\.py does not pass without a mutation"):
        try_module("price", package="shop", root=shop, say=str)


ROW = {
    "package": "risk",
    "module": "risk.limits",
    "line": "a",
    "change": "b",
    "place": "1",
    "outcome": "survived",
    "reason": "",
}


def test_the_last_outcome_of_a_mutant_counts_and_the_reason_of_a_survivor_stays(tmp_path):
    path = tmp_path / "results.tsv"
    why = "equivalent: nobody asks"
    for change, outcome, reason in (
        ("b", "survived", why),
        ("c", "survived", why),
        ("b", "survived", ""),
        ("c", "killed", ""),
    ):
        add_result(path, ROW | {"change": change, "outcome": outcome, "reason": reason})
    found = [(row["change"], row["outcome"], row["reason"]) for row in read_results(path).values()]
    assert found == [("b", "survived", why), ("c", "killed", "")]


def test_the_summary_counts_by_package():
    rows = [ROW, ROW | {"outcome": "killed"}, ROW | {"outcome": "timeout", "module": "checks"}]
    rows.append(ROW | {"package": "portfolio", "outcome": "killed", "module": "book"})
    rows.append(ROW | {"package": "portfolio", "outcome": "survived", "module": "book", "reason": "nobody asks"})
    assert table(rows).split("\n")[2:] == [
        "| portfolio | 1 | 2 | 1 | 0 | 1 | 0 | 0.0 |",
        "| risk | 2 | 3 | 2 | 1 | 0 | 1 | 33.3 |",
        "| all | 3 | 5 | 3 | 1 | 1 | 1 | 20.0 |",
    ]


def test_a_report_drops_deleted_lines_and_names_survivors_without_a_reason(tmp_path):
    (tmp_path / "shop/risk").mkdir(parents=True)
    (tmp_path / "shop/risk/limits.py").write_text("MOST = 1\nLEAST = 2\nUSUAL = 3\n")
    results, summary = tmp_path / "results.tsv", tmp_path / "README.md"
    summary.write_text("Above\n<!-- summary -->\nold\n<!-- end of summary -->\nbelow\n")
    for line, change, outcome in (
        ("GONE = 1", "GONE = 2", "survived"),
        ("LEAST = 2", "LEAST = 3", "killed"),
        ("MOST = 1", "MOST = 2", "survived"),
    ):
        add_result(results, ROW | {"line": line, "change": change, "outcome": outcome})
    missing = report(results, summary, root=tmp_path, package="shop")
    assert [row["line"] for row in missing] == ["MOST = 1"]
    assert [row["line"] for row in read_results(results).values()] == ["MOST = 1", "LEAST = 2"]
    assert summary.read_text().startswith("Above\n<!-- summary -->\n| package |")
    assert summary.read_text().endswith("| all | 1 | 2 | 1 | 0 | 0 | 1 | 50.0 |\n<!-- end of summary -->\nbelow\n")


def test_an_interrupted_mutation_run_continues_and_retries_survivors_on_request(shop, monkeypatch):
    (shop / "shop").rename(shop / "stocklean_exec")
    (shop / "stocklean_exec/price.py").write_text(SMALL)
    (shop / "tests/test_price.py").write_text(GOOD.replace("shop.price", "stocklean_exec.price"))
    monkeypatch.setattr("tests.mutation.__main__.ROOT", shop)
    tried = []

    def try_some(module, *, chosen, say, note):
        for one in chosen:
            tried.append((module, one.shown))
            note(one, "survived" if "SPARE" in one.shown else "killed")

    monkeypatch.setattr("tests.mutation.__main__.try_module", try_some)
    command = ["--modules", "price", "--results", str(shop / "results.tsv")]
    main([*command, "--most", "1"])
    main(command)
    assert sorted(tried) == [
        ("price", "SPARE = 2"),
        ("price", "return amount > 10"),
        ("price", "return amount >= 11"),
    ]
    tried.clear()
    main(command)
    assert tried == []
    main([*command, "--again"])
    assert tried == [("price", "SPARE = 2")]
