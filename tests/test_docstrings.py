"""Docstrings and comments in the shape that they were written in: a re-wrap that breaks one is found here.

A text is looked at as it stands in the file, line by line, so that an error names the line.
"""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest

import stocklean_exec as sx
from stocklean_exec.tca import api

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "stocklean_exec"
FILES = sorted(PACKAGE.rglob("*.py"))
NOT_PROSE = ("- ", ">>>", "...", "==", "--", "├")  # what is no prose: lists, examples, borders, drawings
SECTIONS = ("Parameters", "Returns", "Raises", "Examples", "Notes", "Attributes", "Yields", "References", "Warns")
WIDTH, ROOM = 115, 25  # of a line; and room that no line of a paragraph leaves that was wrapped by hand
RULE = re.compile(r"=+( +=+)+")
ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*) : \S")


def _docstrings(tree):
    """Each docstring's owner, its first line, and its lines without the indentation that they share."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node, node.body[0].lineno, text.split("\n")


def _indent(line):
    return len(line) - len(line.lstrip())


def _sections(lines):
    """The body of each section by its name."""
    starts = [row for row, line in enumerate(lines) if line in SECTIONS]
    return {lines[row]: lines[row + 2 : end] for row, end in pairwise([*starts, len(lines)])}


def _entries(lines):
    """The names that a section of parameters describes; a line that describes none is None."""
    for line in lines:
        if line and not line.startswith(" "):
            found = ENTRY.match(line)
            yield from found[1].replace("*", "").split(", ") if found else [None]


def _arguments(node):
    if isinstance(node, ast.ClassDef):
        made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        if not made:
            return {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
        (node,) = made
    given = node.args
    several = [extra for extra in (given.vararg, given.kwarg) if extra]
    return {item.arg for item in [*given.posonlyargs, *given.args, *given.kwonlyargs, *several]} - {"self", "cls"}


def _underlines(lines):
    for row, line in enumerate(lines):
        if line.strip() in SECTIONS and (line != line.strip() or lines[row + 1 : row + 2] != ["-" * len(line)]):
            yield row, f"{line.strip()} is a section without its underline"
        if re.match(rf" *({'|'.join(SECTIONS)}) -+", line):
            yield row, "a section's underline is in the line of its name"


def _lists(lines):
    for row, (line, after) in enumerate(pairwise(lines)):
        inside = line.lstrip().startswith("- ") and after.strip() and not after.lstrip().startswith("- ")
        if inside and _indent(after) < _indent(line) + 2:
            yield row + 1, "an item of a list goes on at its margin"


def _tables(lines):
    rules = [row for row, line in enumerate(lines) if RULE.fullmatch(line.strip())]
    shapes = [lines[row] for row in rules]
    while rules:
        alike = [row for row, shape in zip(rules, shapes, strict=True) if shape == shapes[0]]
        if len(alike) not in (2, 3) or alike != rules[: len(alike)]:
            yield rules[0], "a table's borders differ, or one is missing"
            return
        columns = [found.span() for found in re.finditer("=+", shapes[0])]
        for row in range(alike[0] + 1, alike[-1]):
            line = lines[row]
            gaps = [line[end:start] for (_, end), (start, _) in pairwise(columns)]
            cells = [line[start : start + 1].strip() for start, _ in columns[1:]]
            if row not in alike and (any(gap.strip() for gap in gaps) or not all(cells)):
                yield row, "a row of a table is not in its columns"
        rules, shapes = rules[len(alike) :], shapes[len(alike) :]


def _paragraphs(lines, indent):
    """Lines of prose that end long before the margin, though the paragraph continues."""
    literal = table = False
    for row, (line, after) in enumerate(pairwise(lines)):
        if RULE.fullmatch(line.strip()):
            table = not table
        if line and not line.startswith(" "):
            literal = False
        literal = literal or line.endswith("::")
        prose = line.strip() and after.strip() and not after.lstrip().startswith(NOT_PROSE)
        if not prose or literal or table or line.lstrip().startswith(NOT_PROSE[1:]):
            continue
        goes_on = _indent(after) == _indent(line) and "  " not in line.strip() and not ENTRY.match(after.strip())
        room = WIDTH - indent - len(line) - 1 - len(after.split()[0])
        if goes_on and room > ROOM and not line.endswith((".", ":")):
            yield row, "a line of a paragraph ends early"


def _parameters(node, lines):
    if "Parameters" not in _sections(lines) or isinstance(node, ast.Module):
        return
    named = list(_entries(_sections(lines)["Parameters"]))
    if None in named:
        yield 0, "the section of parameters holds a line that describes none"
    unknown = {name for name in named if name} - _arguments(node)
    if unknown:
        yield 0, f"there is no parameter {', '.join(sorted(unknown))}"


def _faults(text):
    for node, first, lines in _docstrings(ast.parse(text)):
        indent = 0 if isinstance(node, ast.Module) else node.col_offset + 4
        shown = lines[: lines.index("Examples")] if "Examples" in lines else lines
        found = [*_underlines(lines), *_lists(shown), *_tables(shown), *_paragraphs(shown, indent)]
        for row, fault in [*found, *_parameters(node, lines)]:
            yield f"line {first + row}: {fault}"
    for number, line in enumerate(text.split("\n"), 1):
        if re.fullmatch(r"\s*# -{20,}", line):
            yield f"line {number}: the rule of a heading stands on a line of its own"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_docstrings_and_headings_of_a_file_are_complete(file):
    assert list(_faults(file.read_text("utf-8"))) == []


_WHOLE = '''
def f(a, b=1):
    """Do it.

    - one item
      of two lines

    Parameters
    ----------
    a, b : numbers

    Returns
    -------
    Numbers

    ====  ==========
    a     what it is
          at length
    b     the other
    ====  ==========
    """
'''


def test_a_complete_docstring_has_no_fault():
    assert list(_faults(_WHOLE)) == []


@pytest.mark.parametrize(
    ("whole", "broken", "fault"),
    [
        ("      of two lines", "    of two lines", "line 6: an item of a list goes on at its margin"),
        ("Parameters\n    ---", "Parameters ---", "line 8: a section's underline is in the line of its name"),
        ("    ----------\n", "    --------\n", "line 8: Parameters is a section without its underline"),
        ("a, b : numbers", "a, c : numbers", "line 3: there is no parameter c"),
        ("a, b : numbers", "a, b : numbers\n    of any kind", "line 3: the section of parameters holds a line"),
        ("          at length", "    at length", "line 18: a row of a table is not in its columns"),
        ("b     the other", "b         the other", "line 19: a row of a table is not in its columns"),
        ("b     the other", "b  the other", "line 19: a row of a table is not in its columns"),
        ("the other\n    ====  ==========", "the other\n    ====  =====", "line 16: a table's borders differ"),
        ("Do it.", "Do it,\n    and more", "line 3: a line of a paragraph ends early"),
        ("def f", "# -- parts\n# ---------------------------\ndef f", "line 3: the rule of a heading"),
    ],
)
def test_a_broken_docstring_is_found(whole, broken, fault):
    assert _WHOLE.count(whole) >= 1
    found = list(_faults(_WHOLE.replace(whole, broken, 1)))
    assert [text for text in found if text.startswith(fault)], found


def _public_functions():
    for name in sx.__all__:
        value = getattr(sx, name)
        if inspect.isfunction(value):
            yield name, value
        if inspect.isclass(value):
            yield name, value
            for own, method in vars(value).items():
                if inspect.isfunction(method) and not own.startswith("_"):
                    yield f"{name}.{own}", method


@pytest.mark.parametrize(
    ("name", "function"), [pytest.param(name, value, id=name) for name, value in _public_functions()]
)
def test_a_public_function_that_describes_parameters_describes_them_all(name, function):
    lines = inspect.getdoc(function).split("\n")
    sections = _sections(lines)
    if "Parameters" in sections:
        described = set(_entries(sections["Parameters"]))
        assert described == {*inspect.signature(function).parameters} - {"self"}, name


@pytest.mark.parametrize("name", api.__all__)
def test_every_cost_analysis_function_describes_its_parameters_and_inputs(name):
    text = getattr(sx, name).__doc__
    assert {"Parameters", "Notes"} <= {*_sections(text.split("\n"))}  # as it is: Python 3.13 has indented none


# Constants that say it all: ranks, signs, units of time.
SELF_EVIDENT = {"PASS", "_DAY", "_EPOCH", "_LONG_AGO", "_MICROSECOND", "_MINUTE", "_SIGN", "MICROS"}


def _numbers_without_a_reason(text):
    """Numeric constants of a module or class that neither a comment at their group nor a docstring explains."""
    tree, lines = ast.parse(text), text.splitlines()
    for body in (tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))):
        for row, node in enumerate(body):
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            first = target.elts[0] if isinstance(target, ast.Tuple) else target
            name = getattr(first, "id", "")
            called = {getattr(call.func, "id", "") for call in ast.walk(node.value) if isinstance(call, ast.Call)}
            is_number = any(
                isinstance(part, ast.Constant) and type(part.value) in (int, float)
                for part in ast.walk(node.value)
            )
            if not name.isupper() or name in SELF_EVIDENT or not is_number or called - {"timedelta", "frozenset"}:
                continue
            group = next((line for line in range(node.lineno - 1, 0, -1) if not lines[line - 1].strip()), 0)
            after = body[row + 1 : row + 2]
            is_described = any(isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in after)
            if not is_described and not any("#" in line for line in lines[group : node.end_lineno]):
                yield name


def test_a_constant_without_a_reason_is_found():
    assert list(_numbers_without_a_reason("import os\n_TRIES = 5\n_WAIT = timedelta(seconds=2)\n")) == [
        "_TRIES",
        "_WAIT",
    ]
    assert list(_numbers_without_a_reason("import os\n_TRIES = 5  # a choice\n_NAME = 'x'\n")) == []
    assert list(_numbers_without_a_reason('import os\n_TRIES, _ROUNDS = 5, 3\n"""A choice."""\n')) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_number_that_is_a_constant_has_its_reason_beside_it(file):
    assert list(_numbers_without_a_reason(file.read_text("utf-8"))) == []
