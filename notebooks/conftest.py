"""Notebooks under test show no progress bars: their timing would be part of the stored output."""

import os

os.environ["STOCKLEAN_PROGRESS"] = "0"
