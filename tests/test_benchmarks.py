"""Every benchmark runs, small; what it measures is read by a person."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.extras import need

PLAYWRIGHT, POLARS, PYPFOPT = ("playwright", "browser"), ("polars", "bench"), ("pypfopt", "bench")
NEEDS = {
    "bench_analysis": POLARS,
    "bench_live": PLAYWRIGHT,
    "bench_planning": PYPFOPT,
    "bench_review": PLAYWRIGHT,
}
BENCHMARKS = sorted((Path(__file__).parent / "benchmarks").glob("bench_*.py"))


@pytest.mark.once
@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.stem)
def test_the_benchmark_runs_with_small_inputs(script):
    if script.stem in NEEDS:
        need(*NEEDS[script.stem])
    done = subprocess.run([sys.executable, script, "--small"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
