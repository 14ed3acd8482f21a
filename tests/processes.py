"""Other Python processes in a test: one that holds what the test wants to be held elsewhere."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def holding(code, *arguments, says, env=None):
    """A process that runs ``code``, from the line ``says`` that it prints once it holds; killed at the end.

    Its standard input is open, so that ``sys.stdin.read()`` keeps it alive.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    with process:
        try:
            assert process.stdout.readline() == f"{says}\n"
            yield process
        finally:
            process.kill()
