"""What several benchmarks measure and display with."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np


def clocked(work, repeats=15):
    """Median milliseconds on the clock, and least milliseconds of the processor."""
    wall, cpu = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return float(np.median(wall)) * 1e3, min(cpu) * 1e3


def browser_tools():
    """Load what the browser tests are made with."""
    file = Path(__file__).parents[1] / "browser" / "conftest.py"
    spec = importlib.util.spec_from_file_location("browser_tools", file)
    tools = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tools)
    return tools
