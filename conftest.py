"""A state folder for the tests alone, whichever of tests, doctests and notebooks are run."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Run locks lie in the user's state folder. Tests, and the processes and kernels that they start, leave the real
# one alone, and sessions side by side have the same account and run ids without keeping each other out.
_state = tempfile.mkdtemp(prefix="stocklean-tests-")
os.environ["XDG_STATE_HOME"] = _state
atexit.register(shutil.rmtree, _state, ignore_errors=True)
