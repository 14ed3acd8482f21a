"""Break modules one line at a time, and see whether the module's own test file fails.

``python -m tests.mutation --packages risk --seed 1 --most 14`` draws up to 14 mutants of each module of a package
by the seed, runs the module's test file against each, and adds the outcomes to ``tests/mutation/results.tsv``; a
mutant that stands there is not tried again, so that a run can be stopped and continued. ``--again`` tries once
more those that survived and have no reason. ``--report`` sorts the file, and writes its summary into
``tests/mutation/README.md``. A survivor is a line that no test protects, or a change that makes no difference; a
person has to decide which, and writes the reason into the last column.

Mutants are made and run in a temporary copy of the project; the project itself is only read.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.mirror import file_of_tests, files_of_tests

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results.tsv"
SUMMARY = Path(__file__).parent / "README.md"
PACKAGES = {
    "portfolio": (
        "portfolio.alignment",
        "portfolio.sizing",
        "portfolio.lot_rounding",
        "portfolio.planner",
        "portfolio.plan_summary",
        "portfolio.order_costs",
        "portfolio.contracts",
        "portfolio.account_state",
        "portfolio.working_orders",
        "portfolio.held_back",
        "portfolio.target_terms",
        "portfolio.trade_bands",
        "portfolio.turnover",
        "portfolio.covariance",
        "portfolio.frontier",
        "portfolio.netting",
    ),
    "risk": (
        "risk.limits",
        "risk.rules",
        "risk.findings",
        "risk.pre_trade_checks",
        "risk.quote_age",
        "risk.splits",
        "risk.volumes",
        "risk.limits_file",
        "risk.margins",
        "risk.market_closed",
        "risk.quote_columns",
    ),
    "execution": (
        "execution.submission",
        "execution.resumption",
        "execution.run_setup",
        "execution.runner",
        "execution.run_state",
        "execution.run_handle",
        "execution.run_control",
        "execution.run_monitor",
        "execution.send_gate",
        "execution.run_lock",
        "execution.approval",
        "execution.recovery",
        "execution.recovery_rules",
        "execution.reconciliation",
        "execution.breaks",
        "execution.residuals",
        "execution.funding",
        "execution.buy_funding",
        "execution.settlement",
        "execution.order_limits",
        "execution.arrival_quotes",
        "execution.cancellation",
        "execution.cancel_watch",
        "execution.basket",
        "execution.crossings",
        "execution.currency_checks",
        "execution.gross_exposure",
        "execution.market_limits",
        "execution.order_previews",
        "execution.order_sender",
        "execution.reconnections",
        "execution.run_card",
        "execution.settlement_calendar",
        "execution.work_policy",
        "execution.work_plan",
        "execution.repricing",
        "execution.order_worker",
        "execution.plan_record",
        "execution.tickets",
        "execution.session_checks",
    ),
    "brokers": (
        "brokers.base",
        "brokers.mock",
        "brokers.scripted_fills",
        "brokers.static_market",
        "brokers.order_preview",
        "brokers.evidence",
        "brokers.factory",
        "background",
        "brokers.rate_limit",
        "brokers.sample_market",
        "brokers.ib.broker",
        "brokers.ib.connection",
        "brokers.ib.client",
        "brokers.ib.order_tracker",
        "brokers.ib.order_states",
        "brokers.ib.market_data",
        "brokers.ib.translate",
        "brokers.ib.account_guard",
        "brokers.ib.diagnostics",
        "brokers.ib.notebook_loop",
        "brokers.ib.instruments",
        "brokers.ib.quote_times",
        "brokers.ib.price_units",
        "brokers.ib.exchange_rates",
        "brokers.ib.run_lease",
    ),
    "fees": ("fees", "tariff_table"),
    "strategies": (
        "strategies.apportionment",
        "strategies.attribution",
        "strategies.division",
        "strategies.holdings",
    ),
    "calendars": (
        "calendars.auctions",
        "calendars.contract_hours",
        "calendars.hours",
        "calendars.listing_hours",
        "calendars.markets",
        "calendars.sessions",
        "calendars.start_time",
    ),
    "schema": (
        "schema.account_ids",
        "schema.arrow_tables",
        "schema.basket_file",
        "schema.basket_times",
        "schema.broker_files",
        "schema.cash_rows",
        "schema.extra_columns",
        "schema.files",
        "schema.frame_validator",
        "schema.html_card",
        "schema.inputs",
        "schema.keyed_values",
        "schema.order_ids",
        "schema.order_input",
        "schema.order_terms",
        "schema.paths",
        "schema.price_steps",
        "schema.prices",
        "schema.tables",
        "schema.tariff_input",
    ),
}
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
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
}
_UNARY = {ast.Not: "not ", ast.Invert: "~", ast.USub: "-"}
_TESTS_FAILED, _TESTS_BROKEN, _NO_TESTS = (
    1,
    2,
    5,
)  # exit codes of pytest: failures, errors before the first test, none
KILLED, SURVIVED, ENDLESS = "killed", "survived", "timeout"
_COLUMNS = ("package", "module", "line", "change", "place", "outcome", "reason")
_BEGIN, _END = "<!-- summary -->", "<!-- end of summary -->"


class Mutant(NamedTuple):
    """A module with one change: the line's number, its text, the changed text, and the whole module's.

    ``place`` distinguishes mutants of equal texts: the first is 1.
    """

    line: int
    shown: str
    source: str
    original: str = ""
    place: int = 1


class _Finder(ast.NodeVisitor):
    """Collects the changes that can be made, as (first byte, byte after the last, replacement).

    Nothing is changed in decorators and annotations, which no test of a line can see, nor is zip's ``strict=True``
    taken out, which asserts what no input can break.
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
            if keyword.arg not in {None, "strict"}:
                self.found.append((*self._with_comma(self._begin(keyword), self._end(keyword)), ""))
        self.generic_visit(node)

    def visit_keyword(self, node):
        if node.arg != "strict":
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
    finder, made, seen = _Finder(source), [], Counter()
    finder.visit(ast.parse(source))
    before = source.split("\n")
    for begin, end, new in sorted(finder.found):
        changed = (finder.data[:begin] + new.encode() + finder.data[end:]).decode()
        line = finder.data[:begin].count(b"\n") + 1
        try:
            ast.parse(changed)
        except SyntaxError:
            continue
        texts = before[line - 1].strip(), changed.split("\n")[line - 1].strip()
        seen[texts] += 1
        made.append(Mutant(line, texts[1], changed, texts[0], seen[texts]))
    return made


def drawn(chosen, seed, most):
    """Up to ``most`` of the mutants, in the sequence of their lines: those whose hash with the seed is smallest.

    A mutant is drawn or not by its own text, so that editing a module changes the draw of the edited lines alone.
    """

    def rank(one):
        return hashlib.sha256(f"{seed} {one.place} {one.original} {one.shown}".encode()).digest()

    return sorted(sorted(chosen, key=rank)[:most], key=chosen.index)


def statement(source, line):
    """The lines, as a range, of the innermost statement around a line; of a block, its head alone."""
    best = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):  # outer statements come before the ones they contain
        if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
            body = getattr(node, "body", None)
            best = range(node.lineno, body[0].lineno if body and body[0].lineno > line else node.end_lineno + 1)
    return best


class Runner:
    """The tests of some files in a copy of the project, run as often as wanted in forks of one process.

    Parameters
    ----------
    folder : Path
        The copy of the project.
    tests : str
        The test files in it, with spaces between.
    """

    def __init__(self, folder, tests):
        self.tests, temporary = tests, folder / "temporary"
        temporary.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTEST_ADDOPTS": "",  # what the caller wants of its own run, such as several workers, is none of ours
            "STOCKLEAN_ONCE": "0",  # the slowest tests are left out
            "TMPDIR": str(temporary),  # removed with the copy, whatever the tests leave
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def run(self, most_seconds, *, only=None, without=(), watch=None, bytecode=False):
        """Run all tests, or ``only`` some in their sequence, or all ``without`` some, until the first failure.

        Returns
        -------
        tuple[str | None, dict]
            ``killed``, ``survived`` or ``timeout``, or None if there was no test; and the whole answer.

        Raises
        ------
        RuntimeError
            The tests cannot be run.
        """
        request = {"tests": self.tests, "most_seconds": most_seconds, "only": only, "without": list(without)}
        request |= {"watch": watch and str(watch), "bytecode": bytecode}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"code": 3, "output": "the server has ended"}')
        code = answer["code"]
        if code is None:
            return ENDLESS, answer
        if code not in {0, _TESTS_FAILED, _TESTS_BROKEN, _NO_TESTS} and code > 0:  # below 0: ended by a signal
            raise RuntimeError(f"{self.tests} could not be run: {answer['output']}")
        return {0: SURVIVED, _NO_TESTS: None}.get(code, KILLED), answer


def _try_one(tests, mutant, source, answer):
    """Run first the tests that were seen to reach the mutant's line, the quickest first, and then the rest."""
    lines, seconds = set(statement(source, mutant.line)), answer["seconds"]
    near = sorted((name for name, reached in answer["reached"].items() if lines & set(reached)), key=seconds.get)
    for only, without in ((near, ()), (None, near)):
        if only == []:
            continue
        chosen = only or [name for name in seconds if name not in without]
        # A mutant may loop forever, and a busy machine is slow; the seconds are those of a run that was watched.
        outcome, _ = tests.run(20.0 + 3 * sum(map(seconds.get, chosen)), only=only, without=without)
        if outcome not in {SURVIVED, None}:
            return outcome
    return SURVIVED


def find(module, package, root):
    """The file of a module such as ``risk.limits``."""
    return root.joinpath(package, *module.split(".")).with_suffix(".py")


def try_module(module, *, package="stocklean_exec", root=ROOT, chosen=None, say=print, note=None):
    """Try mutants of a module, by default all; return how many were killed, and those that survived.

    Parameters
    ----------
    note : Callable[[Mutant, str], object], optional
        Called with each mutant and its outcome.

    Raises
    ------
    RuntimeError
        The module's tests do not pass as it is, or cannot be run.
    """
    place = find(module, package, root).relative_to(root)
    source = (root / place).read_text("utf-8")
    chosen = mutants(source) if chosen is None else chosen
    files, survived = " ".join(map(str, files_of_tests(place, root) or [file_of_tests(place)])), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (package, *_COPIED):
            if (root / part).is_dir():
                shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / part).exists():
                shutil.copy(root / part, folder / part)
        with Runner(folder, files) as tests:
            outcome, answer = tests.run(1_200.0, watch=folder / place, bytecode=True)
            if outcome != SURVIVED:
                raise RuntimeError(f"{files} does not pass without a mutation: {answer['output']}")
            for stale in (folder / place).parent.glob(f"__pycache__/{module.rsplit('.', 1)[-1]}.*"):
                stale.unlink()
            for mutant in chosen:
                (folder / place).write_text(mutant.source, "utf-8")
                outcome = _try_one(tests, mutant, source, answer)
                survived += [mutant] * (outcome == SURVIVED)
                shown = "SURVIVED" if outcome == SURVIVED else f"{outcome:8}"
                say(f"{shown} {place}:{mutant.line}: {mutant.shown}")
                if note is not None:
                    note(mutant, outcome)
    say(f"{module}: {len(chosen) - len(survived)} of {len(chosen)} mutants killed")
    return len(chosen) - len(survived), survived


def _key(row):
    return row["module"], row["line"], row["change"], row["place"]


def read_results(path):
    """The rows of a results file by mutant; the last row of one counts, and a survivor keeps its reason."""
    rows = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                earlier = rows.get(_key(row), {"reason": ""})
                if row["outcome"] == SURVIVED and not row["reason"]:
                    row["reason"] = earlier["reason"]
                rows[_key(row)] = row
    return rows


def _lines(rows, *, head):
    text = io.StringIO()
    writer = csv.DictWriter(
        text, _COLUMNS, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n"
    )
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def add_result(path, row):
    """Add a row at the end, so that two runs can write into one file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_lines([row], head=path.stat().st_size == 0))


def table(rows):
    """The summary of the rows as a Markdown table: per package the mutants made, killed and surviving.

    A survivor with a reason makes no difference; one without a reason is a test that is missing.
    """
    lines = [
        "| package | modules | made | killed | by timeout | survived, no difference | survived, no test | % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for package in (*PACKAGES, "all"):
        mine = [row for row in rows if package in {row["package"], "all"}]
        if mine:
            count, modules = Counter(row["outcome"] for row in mine), len({row["module"] for row in mine})
            missing = sum(row["outcome"] == SURVIVED and not row["reason"] for row in mine)
            figures = package, modules, len(mine), count[KILLED] + count[ENDLESS], count[ENDLESS]
            figures += count[SURVIVED] - missing, missing, f"{100 * missing / len(mine):.1f}"
            lines.append(f"| {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


def report(results, summary, root=ROOT, package="stocklean_exec"):
    """Sort the results, drop those of lines that are no more, and write the summary.

    Returns
    -------
    The survivors that lack a reason.
    """
    order, kept = [name for names in PACKAGES.values() for name in names], []
    rows = read_results(results)
    for module in order:
        if any(key[0] == module for key in rows):
            for one in mutants(find(module, package, root).read_text("utf-8")):
                row = rows.get((module, one.original, one.shown, str(one.place)))
                kept += [row] if row else []
    results.write_text(_lines(kept, head=True), "utf-8")
    text = summary.read_text("utf-8")
    before, after = text.split(_BEGIN)[0], text.split(_END)[1]
    summary.write_text(f"{before}{_BEGIN}\n{table(kept)}\n{_END}{after}", "utf-8")
    return [row for row in kept if row["outcome"] == SURVIVED and not row["reason"]]


def main(arguments=None):
    """Try the modules that are named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--modules", default="", help="names of modules, separated by commas")
    parser.add_argument("--packages", default="", help=f"names of packages ({', '.join(PACKAGES)}) instead")
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn (0)")
    parser.add_argument("--most", type=int, help="mutants of each module; by default all")
    parser.add_argument("--again", action="store_true", help="try again survivors without a reason, and no others")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file of the outcomes")
    parser.add_argument("--report", action="store_true", help="sort the outcomes and write the summary")
    options = parser.parse_args(arguments)
    modules = list(filter(None, options.modules.split(",")))
    modules += [name for package in filter(None, options.packages.split(",")) for name in PACKAGES[package]]
    package_of = {name: package for package, names in PACKAGES.items() for name in names}
    for module in modules:
        known = read_results(options.results)
        source = find(module, "stocklean_exec", ROOT).read_text("utf-8")
        todo = []
        for one in mutants(source) if options.again else drawn(mutants(source), options.seed, options.most):
            row = known.get((module, one.original, one.shown, str(one.place)))
            unexplained = row is not None and row["outcome"] == SURVIVED and not row["reason"]
            if unexplained if options.again else row is None:
                todo.append(one)

        def note(mutant, outcome, module=module):
            row = (package_of.get(module, ""), module, mutant.original, mutant.shown, mutant.place, outcome, "")
            add_result(options.results, dict(zip(_COLUMNS, row, strict=True)))

        if todo:
            try_module(module, chosen=todo, say=lambda text: print(text, flush=True), note=note)
    if options.report:
        for row in report(options.results, SUMMARY):
            print(f"no reason: {row['module']}: {row['line']}  ->  {row['change']}")


if __name__ == "__main__":
    main()
