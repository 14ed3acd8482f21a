"""Break modules one line at a time, and see whether the module's own test file fails.

``python -m tests.mutation --modules gate,funding --seed 1 --most 25`` draws up to 25 mutants of each module by the
seed, runs ``tests/test_gate.py`` and ``tests/test_funding.py`` against them, and prints which survived. A survivor
is a line that no test protects, or a change that makes no difference; a person has to tell which.

Mutants are made and run in a temporary copy of the project; the project itself is only read.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_COPIED = (
    "tests",
    "docs",
    "requirements",
    "conftest.py",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
)
_OPERATORS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
}
_UNARY = {ast.Not: "not ", ast.Invert: "~", ast.USub: "-"}
_TESTS_FAILED, _TESTS_BROKEN = 1, 2  # exit codes of pytest: failures, and errors before the first test


class Mutant(NamedTuple):
    """A module with one change: where it is, the changed line, and the whole text."""

    line: int
    shown: str
    source: str


class _Finder(ast.NodeVisitor):
    """Collects the changes that can be made, as (first byte, byte after the last, replacement).

    Nothing is changed in decorators and annotations, which no test of a line can see.
    """

    def __init__(self, source):
        self.data, self.found = source.encode(), []
        self._starts = [0]
        for line in self.data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def _begin(self, node):
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node):
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def _swap(self, operator, left, right):
        """Swap the operator that stands between two nodes."""
        if type(operator) in _OPERATORS:
            old, new = _OPERATORS[type(operator)]
            place = self.data.find(old.encode(), self._end(left), self._begin(right))
            if place >= 0:
                self.found.append((place, place + len(old), new))

    def visit_Compare(self, node):
        for operator, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
            self._swap(operator, left, right)
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._swap(node.op, left, right)
        self.generic_visit(node)

    def visit_BinOp(self, node):
        self._swap(node.op, node.left, node.right)
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self._swap(node.op, node.target, node.value)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if type(node.op) in _UNARY:
            self.found.append((self._begin(node), self._begin(node) + len(_UNARY[type(node.op)]), ""))
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, (bool, int, float)):
            new = not node.value if isinstance(node.value, bool) else node.value + 1
            self.found.append((self._begin(node), self._end(node), repr(new)))

    def visit_Call(self, node):
        for keyword in node.keywords:
            if keyword.arg is not None:
                self.found.append((*self._with_comma(self._begin(keyword), self._end(keyword)), ""))
        self.generic_visit(node)

    def _with_comma(self, begin, end):
        """The place of an argument with the comma behind it, or else the one before it."""
        behind = end + len(self.data[end:]) - len(self.data[end:].lstrip())
        if self.data[behind : behind + 1] == b",":
            return begin, behind + 1
        before = self.data[:begin].rstrip()
        return (len(before) - 1, end) if before.endswith(b",") else (begin, end)

    def visit_ClassDef(self, node):
        for one in node.body:
            self.visit(one)

    def visit_FunctionDef(self, node):
        for one in (*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
            self.visit(one)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - named by ast

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)


def mutants(source):
    """Every one-line mutant of a module's text, in the sequence of its lines; each can be parsed."""
    finder, made = _Finder(source), []
    finder.visit(ast.parse(source))
    for begin, end, new in sorted(finder.found):
        changed = (finder.data[:begin] + new.encode() + finder.data[end:]).decode()
        line = finder.data[:begin].count(b"\n") + 1
        try:
            ast.parse(changed)
        except SyntaxError:
            continue
        made.append(Mutant(line, changed.split("\n")[line - 1].strip(), changed))
    return made


def passes(folder, tests, seconds):
    """Whether the tests pass in a copy of the project; False also when they take longer than ``seconds``."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode not in (0, _TESTS_FAILED, _TESTS_BROKEN):
        raise RuntimeError(f"{tests} could not be run: {output.decode()[-2_000:]}")
    return process.returncode == 0


def try_module(module, *, package="stocklean_exec", root=ROOT, seed=0, most=None, say=print):
    """Try up to ``most`` mutants of a module; return how many were killed, and those that survived.

    Raises
    ------
    RuntimeError
        The module's tests do not pass as it is, or cannot be run.
    """
    source = (root / package / f"{module}.py").read_text("utf-8")
    chosen = mutants(source)
    if most is not None and len(chosen) > most:
        chosen = sorted(Random(seed).sample(chosen, most))  # noqa: S311 - not a secret
    tests, survived = f"tests/test_{module}.py", []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (package, *_COPIED):
            if (root / part).is_dir():
                shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / part).exists():
                shutil.copy(root / part, folder / part)
        begin = time.perf_counter()
        if not passes(folder, tests, 600.0):
            raise RuntimeError(f"{tests} does not pass without a mutation")
        seconds = 10.0 + 5 * (time.perf_counter() - begin)  # a mutant may loop for ever; a busy machine is slow
        for mutant in chosen:
            (folder / package / f"{module}.py").write_text(mutant.source, "utf-8")
            lives = passes(folder, tests, seconds)
            survived += [mutant] * lives
            say(f"{'SURVIVED' if lives else 'killed  '} {package}/{module}.py:{mutant.line}: {mutant.shown}")
    say(f"{module}: {len(chosen) - len(survived)} of {len(chosen)} mutants killed")
    return len(chosen) - len(survived), survived


def main(arguments=None):
    """Try the modules that are named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--modules", required=True, help="names of modules, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn (0)")
    parser.add_argument("--most", type=int, help="mutants of each module; by default all")
    options = parser.parse_args(arguments)
    for module in options.modules.split(","):
        try_module(module, seed=options.seed, most=options.most, say=lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
