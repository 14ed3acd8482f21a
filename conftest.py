"""A state folder for the tests alone, whichever of tests, doctests and notebooks are run."""

from __future__ import annotations

import os
import tempfile

# Run locks lie in the user's state folder. Tests, and the processes and kernels that they start, leave the real
# one alone, and sessions side by side have the same account and run ids without keeping each other out.
_state = tempfile.TemporaryDirectory(prefix="stocklean-tests-")
os.environ["XDG_STATE_HOME"] = _state.name


def pytest_unconfigure() -> None:
    """Remove it when the tests are over."""
    _state.cleanup()
