"""Every bad input that the package handles: what is done about it, and its code.

``ERROR``: one exception for the whole call that lists all offenders; nothing was done. ``REJECTED``: a row that
stays in the table with a reason. ``WARNING``: kept, and listed by ``input_warnings``. ``BLOCK`` and ``WARN``:
verdicts of the checks. ``FINE``: taken as it is. The lists are in ``tests/bad_inputs``.
"""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import stocklean_exec as sx
from tests.bad_inputs.files import FILES, PARQUET
from tests.bad_inputs.instruments import INSTRUMENTS
from tests.bad_inputs.makers import PRICES, plan
from tests.bad_inputs.options import OPTIONS, STATES
from tests.bad_inputs.orders import ORDERS
from tests.bad_inputs.positions import POSITIONS
from tests.bad_inputs.prices import PRICE_LINES
from tests.bad_inputs.targets import TARGETS

CASES = [
    (f"{line}-{ascii(case.name)[1:-1][:30]}", case)
    for table in (TARGETS, POSITIONS, PRICE_LINES, INSTRUMENTS, ORDERS, OPTIONS, STATES)
    for line, cases in table.items()
    for case in cases
]


def cases_of(*kinds):
    return [pytest.param(case, id=name) for name, case in CASES if case.kind in kinds]


@pytest.mark.parametrize("case", cases_of("ERROR"))
def test_an_invalid_table_is_one_error_that_names_every_problem(case):
    with pytest.raises(sx.InputError) as caught:
        case.call()
    assert case.code in caught.value.codes
    if case.at is not None:
        found = [problem for problem in caught.value.problems if problem.code == case.code]
        named = [(problem.row, problem.symbol, problem.column) for problem in found]
        assert len(found) == len(case.at)
        assert all(at in where for at, where in zip(case.at, named, strict=True))


@pytest.mark.parametrize("case", cases_of("REJECTED"))
def test_a_row_that_cannot_trade_is_kept_with_its_reason_and_others_continue(case):
    orders = case.call()
    refused = orders[orders["status"] == "REJECTED"]
    assert refused["symbol"].tolist() == case.at
    assert refused["reason"].tolist() == [case.code] * len(case.at)
    if case.code != "rejected":
        assert refused["detail"].str.startswith(case.detail or f"{case.code}: ").all()
    assert set(orders["status"]) <= {"REJECTED", "NEW"}


@pytest.mark.parametrize("case", cases_of("WARNING"))
def test_harmless_oddities_are_kept_with_a_warning(case):
    warnings = sx.input_warnings(case.call())
    found = warnings[warnings["code"] == case.code]
    assert len(found) == (1 if case.at is None else len(case.at))
    where = found[["row", "symbol", "column"]].to_numpy().tolist()
    assert case.at is None or all(at in places for at, places in zip(case.at, where, strict=True))


@pytest.mark.parametrize("case", cases_of("BLOCK", "WARN"))
def test_findings_of_the_checks_are_verdicts(case):
    orders = case.call()
    found = orders[orders["reasons"].fillna("").str.split(", ").map(lambda codes: case.code in codes)]
    assert found["symbol"].tolist() == (case.at or ["AAA"])
    assert set(found["verdict"]) == {case.kind.lower()}
    if case.at == ["AAA"]:
        assert orders.loc[orders["symbol"] == "BBB", "verdict"].tolist() == ["pass"]


@pytest.mark.parametrize("case", cases_of("FINE"))
def test_unusual_but_unambiguous_input_is_accepted(case):
    frame = case.call()
    assert "REJECTED" not in set(frame.get("status", ()))


# -- the list is complete ------------------------------------------------------------------------------------

PACKAGE = Path(sx.__file__).parent
MODULES = (
    "schema.frame_validator",
    "schema.inputs",
    "schema.order_input",
    "schema.order_terms",
    "schema.prices",
    "portfolio.account_state",
    "portfolio.alignment",
    "portfolio.planner",
    "portfolio.sizing",
    "schema.files",
    "risk.limits_file",
)
SNAKE = re.compile(r"[a-z]+(?:_[a-z]+)+")

NO_CODES = {
    *(name for table in sx.TABLES.values() for name in table.names),
    *inspect.signature(sx.plan_orders).parameters,
    *sx.plan_summary(plan()(), {"AAA": 0.5}, None, PRICES, nav=10_000).index,
    *(
        "as_of",
        "lot_size",
        "tick_size",
        "planned_quantity",
        "limit_reference_price",
        "order_types",
    ),  # optional columns of a table
    "to_pandas",  # a method of other libraries' tables
    *("account_state", "taken_at"),  # the name of a table; a column of the rates
    *("input_warnings", "held_back", "open_orders"),  # attributes of a frame; the name of a table
    *("strategy_crosses", "order_types"),  # an attribute of a frame; a column of a broker's quotes
} - {"lot_size"}  # which is a code too


def codes_in_source(module):
    """Every text with an underscore in the code of a module that is not the name of something else."""
    tree = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))
    exported = set(import_module(f"stocklean_exec.{module}").__all__)
    texts = {
        match[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        # a code stands alone, or at the start of a detail
        if (match := re.match(rf"{SNAKE.pattern}(?=$|: )", node.value))
    }
    return texts - exported - NO_CODES


def codes_of_cases():
    cases = [case for _, case in CASES]
    by_file = {code for *_, code in (*FILES, *PARQUET)} | {"file_missing", "parquet_format", "limits_format"}
    return {case.code for case in cases} | {case.detail.split(":")[0] for case in cases} | by_file


@pytest.mark.parametrize("module", MODULES)
def test_every_reason_code_in_the_source_is_produced_by_a_listed_case(module):
    assert codes_in_source(module) - codes_of_cases() == set()


def test_the_search_finds_reason_codes_in_the_source():
    found = {code for module in MODULES for code in codes_in_source(module)}
    assert {
        "weight_missing",
        "quote_crossed",
        "price_zero",
        "tif_invalid",
        "insufficient_cash",
        "csv_format",
    } <= found
    assert len(found) > 70
