"""``python -m tests.campaign``: see the package."""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "STOCKLEAN_PROGRESS": "0"}  # a process that is forked has one thread

from tests.campaign.report import main

if __name__ == "__main__":
    raise SystemExit(main())
