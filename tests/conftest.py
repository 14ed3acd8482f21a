"""Shared by all tests: no progress bars, and frames made by hand."""

from __future__ import annotations

import os

os.environ["STOCKLEAN_PROGRESS"] = "0"
