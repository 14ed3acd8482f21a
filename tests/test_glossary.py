"""Every state, status and code that a user can meet is in the glossary, and the glossary invents none."""

import ast
import itertools
import re
from pathlib import Path

import pytest

from stocklean_exec.blotter.order_state import STATUS_OF_STATE, derive_run_status
from stocklean_exec.portfolio.held_back import held_back
from stocklean_exec.risk.findings import VERDICTS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "stocklean_exec"
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text("utf-8")
TREES = [ast.parse(file.read_text("utf-8")) for file in sorted(PACKAGE.rglob("*.py"))]


def constants(node):
    """(name, value) of each constant that a statement of a module assigns, alone or in a row."""
    match node:
        case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(value)):
            yield name, value
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            for one, value in zip(names, values, strict=True):
                if isinstance(value, ast.Constant):
                    yield ast.unparse(one), value.value


CONSTANTS = dict(itertools.chain.from_iterable(constants(node) for tree in TREES for node in tree.body))
UNSENT = ("refused", "withdrawn")
YIELDING = {"_refusals", "_limit_refusals", "_slice_problems", "support_problems"} | {
    f"_{what}_problems" for what in ("tif", "aux", "offset", "time", "hours", "algo")
}
"""Functions that yield a code and a text for each reason."""


def section(title):
    return re.split(r"^## ", GLOSSARY.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def first_cells(title):
    """Codes in the first column of a section's table."""
    rows = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)}


def words(node):
    """The texts that an argument can be: itself, a constant's value, or either branch of a choice."""
    match node:
        case ast.Constant(str(text)):
            return {text}
        case ast.Name(name) if isinstance(CONSTANTS.get(name), str):
            return {CONSTANTS[name]}
        case ast.IfExp(body=one, orelse=other):
            return words(one) | words(other)
    return set()


def calls(pattern):
    return (node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Call) and pattern(node.func))


def findings():
    """(code, verdict) of every ``findings.block(...)`` and ``findings.warn(...)``."""
    found = set()
    for verdict in VERDICTS[1:]:
        for call in calls(lambda to, verdict=verdict: ast.unparse(to) == f"findings.{verdict}"):
            found |= {(code, verdict) for code in words(call.args[0])}
    return found


def breaks():
    """The severities that each kind of row of a comparison can have; none where they are worked out."""
    found = {}
    for call in calls(lambda to: isinstance(to, ast.Name) and to.id == "_row"):
        for kind in words(call.args[0]) if len(call.args) > 1 else ():
            found.setdefault(kind, set()).update(words(call.args[1]))
    return found


def yielded():
    """Codes that functions yield with a text, and those of caps on notional."""
    found = set()
    for tree in TREES:
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) if name in YIELDING:
                    for part in ast.walk(node):
                        match part:
                            case ast.Yield(value=ast.Tuple(elts=[code, _])):
                                found |= words(code)
                case ast.Tuple(elts=[ast.Constant(str(code)), *_]) if code.endswith("_notional_cap"):
                    found.add(code)
    return found


def reasons():
    """Codes of orders that are refused, withdrawn, held back or not worked further."""
    found = set()
    for call in calls(lambda to: isinstance(to, ast.Name) and to.id in ("OrderRefusedError", "_note")):
        found |= words(call.args[0])
    for call in calls(lambda to: isinstance(to, ast.Name) and to.id == "problem"):
        found |= words(call.args[0])
    for call in calls(lambda to: ast.unparse(to) == "self._message"):
        found |= words(call.args[1]) if len(call.args) > 1 else set()
    for call in calls(lambda to: isinstance(to, ast.Name) and to.id == "OrderEvent"):
        if call.args and words(call.args[0]) & {*UNSENT}:
            found |= {code for one in call.keywords if one.arg == "code" for code in words(one.value)}
    return found | yielded()


def test_the_glossary_lists_every_order_state_with_its_status():
    rows = re.findall(r"^\|(.*?)\| `(\w+)` \|", section("Order status and state"), re.MULTILINE)
    found, status = {}, ""
    for cell, state in rows:
        status = cell.strip("` ") or status
        found[state] = status
    assert found.pop("RESOLVED") == "the decided one"
    assert found == STATUS_OF_STATE


def test_the_glossary_lists_every_run_status():
    statuses = ["NEW", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "UNKNOWN"]
    orders = [*itertools.combinations(statuses, 1), *itertools.combinations(statuses, 2)]
    names = ("any_filled", "started", "ended", "blocked", "cancelled")
    derived = {
        derive_run_status(order, **dict(zip(names, flags, strict=True)))
        for order in orders
        for flags in itertools.product([False, True], repeat=len(names))
    }
    assert first_cells("Run status") == derived


@pytest.mark.parametrize(("code", "verdict"), sorted(findings()), ids=lambda value: value)
def test_the_glossary_lists_every_finding_with_its_verdict(code, verdict):
    assert re.search(rf"^\| `{code}` \| {verdict} \|", section("Findings of the checks"), re.MULTILINE)


@pytest.mark.slow
def test_the_glossary_lists_no_other_findings():
    assert len(findings()) > 20
    assert first_cells("Findings of the checks") == {code for code, _ in findings()}


@pytest.mark.slow
def test_the_glossary_lists_every_reason_for_an_unsent_order():
    assert reasons() >= {"not_funded", "run_cancelled", "rate_cap", "day_notional_cap", "tick_unknown"}
    here = first_cells("Reasons of orders that were not sent") | first_cells("Findings of the checks")
    assert reasons() - here == set()
    assert first_cells("Reasons of orders that were not sent") - reasons() == set()


@pytest.mark.slow
def test_the_glossary_lists_every_break_with_its_severity():
    here = dict(re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", section("Breaks"), re.MULTILINE))
    assert here.pop("order_caught_up") == "info"  # made of what resume found out
    assert {*breaks()} == {*here}
    for kind, severities in breaks().items():
        assert {*here[kind].split(", ")} <= (severities or {"halt", "warn"}), kind


def test_the_glossary_lists_every_reason_why_a_plan_leaves_out_a_trade():
    named = {"inside_band", "below_min_notional", "turnover_cap", "below_one_lot", "not_affordable", "odd_lot"}
    assert first_cells("Trades that a plan leaves out") == named
    for code in named:
        assert f"``{code}``" in held_back.__doc__
