"""How much of each module is run by its own tests and its own docstrings, and by nothing else.

``python -m tests.coverage`` takes every module of the package, ``--modules fees,execution.funding`` some of them.
What counts are the test files that mirror a module (``tests/test_fees.py`` for ``stocklean_exec/fees.py``, in
folders too, and ``tests/test_fees_*.py``) and its doctests: what other tests happen to run on their way says
nothing about whether they would notice a mistake there.

Lines and branches count; what only a child process of a test runs does not.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from coverage import Coverage
from tests.mirror import files_of_tests, modules

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "stocklean_exec"
_NOTHING_COLLECTED = 5  # exit code of pytest


class Result(NamedTuple):
    """One module: percent of its lines and branches that ran, the lines that did not, how its tests ended."""

    module: str
    percent: float
    missing: list[int]
    is_passed: bool


def name_of(module: Path) -> str:
    """``execution.funding`` for ``stocklean_exec/execution/funding.py``."""
    return ".".join(module.with_suffix("").parts[1:])


def measure(module: Path, root: Path = ROOT) -> Result:
    """Run a module's tests and doctests under coverage."""
    doctests = [] if module.stem == "__main__" else [module]  # to import one is to run its program
    places = [str(place) for place in (*files_of_tests(module, root), *doctests)]
    if not places:
        return Result(name_of(module), 0.0, [], is_passed=True)
    with tempfile.TemporaryDirectory(prefix="stocklean-coverage-") as folder:
        data = f"{folder}/data"
        options = [f"--data-file={data}", "--branch", f"--include={module}"]
        command = [
            sys.executable,
            "-m",
            "coverage",
            "run",
            *options,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
        ]
        # Without the options of the run around it: in several workers nothing would be measured.
        environment = {**os.environ, "PYTEST_ADDOPTS": ""}
        done = subprocess.run(
            [*command, *places], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        is_passed = done.returncode in (0, _NOTHING_COLLECTED)
        if not is_passed:
            print(done.stdout[-2_000:], done.stderr[-2_000:], file=sys.stderr)
        if not Path(data).exists():
            return Result(name_of(module), 0.0, [], is_passed=False)
        found = Coverage(data_file=data, config_file=str(root / "pyproject.toml"))
        found.load()
        file = str(root / module)
        missing = found.analysis2(file)[3]
        percent = found.report(morfs=[file], file=io.StringIO())
    return Result(name_of(module), percent, missing, is_passed)


def shown(lines: list[int]) -> str:
    """Numbers of lines, consecutive ones as a range: ``3-5, 9``."""
    groups: list[list[int]] = []
    for line in lines:
        if groups and line == groups[-1][-1] + 1:
            groups[-1].append(line)
        else:
            groups.append([line])
    return ", ".join(f"{group[0]}-{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups)


def main() -> int:
    """Print one line for each module; 1 if tests failed, or a module is below ``--least``."""
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__)
    parser.add_argument("--modules", help="names with commas, such as fees,execution.funding; all by default")
    parser.add_argument("--least", type=float, default=0.0, metavar="PERCENT", help="what each must reach")
    options = parser.parse_args()
    found = {name_of(module): module for module in modules(ROOT, PACKAGE)}
    wanted = options.modules.split(",") if options.modules else list(found)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        parser.error(f"no such module: {', '.join(unknown)}")
    is_good = True
    for name in wanted:
        result = measure(found[name])
        is_good = is_good and result.is_passed and result.percent >= options.least
        note = "" if result.is_passed else "TESTS FAILED  "
        print(f"{name:32} {result.percent:6.1f} %  {note}{shown(result.missing)}", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
