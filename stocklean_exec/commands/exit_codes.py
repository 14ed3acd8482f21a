"""Exit codes of the commands."""

from __future__ import annotations

__all__ = ["BAD_INPUT", "BLOCKED", "DONE", "NOT_COMPLETE", "UNRESOLVED"]

# 2 is what argparse ends with on a wrong command line; the others follow in the order of their urgency.
DONE, BAD_INPUT, BLOCKED, NOT_COMPLETE, UNRESOLVED = 0, 2, 3, 4, 5
