"""What ``import stocklean_exec`` costs in a new process, beside ``import pandas``: median of several runs.

Run ``python tests/benchmarks/bench_import.py``; ``--small`` takes fewer runs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

STATEMENTS = ("pass", "import pandas", "import stocklean_exec", "import pandas, stocklean_exec")


def seconds(statement):
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="fewer runs")
    runs = 3 if parser.parse_args().small else 15
    taken = {statement: [] for statement in STATEMENTS}
    for _ in range(runs):  # in turn, so that a slow moment of the machine hits all of them
        for statement in STATEMENTS:
            taken[statement].append(seconds(statement))
    print(f"{'statement':35} {'median ms':>10} {'over a bare python':>20}")
    bare = statistics.median(taken["pass"])
    for statement, times in taken.items():
        median = statistics.median(times)
        print(f"{statement:35} {1e3 * median:10.1f} {1e3 * (median - bare):20.1f}")


if __name__ == "__main__":
    main()
