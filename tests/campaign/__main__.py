"""``python -m tests.campaign``: see the package."""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "STOCKLEAN_PROGRESS": "0"}  # a process that is forked has one thread

import stocklean_exec as sx
from tests.campaign.report import main

for name in sx.__all__:
    getattr(sx, name)  # imported once here, and not by each process that is forked

if __name__ == "__main__":
    raise SystemExit(main())
