"""What a test needs beyond the ``test`` extra: skipped without it, and a failure where CI is set."""

from __future__ import annotations

import os
from importlib import import_module

import pytest


def need(module, extra):
    """Import a module that one of pyproject's extras installs, for a test that cannot do without it.

    Without it the test, or at import time the whole file of tests, is skipped with the command that installs it.
    Where the variable CI is set it fails: a build that forgot an extra must not pass for having run those tests.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name
    text = f"{missing} is missing; install the extra that has it: pip install -e '.[{extra}]'"
    if os.environ.get("CI"):
        pytest.fail(text, pytrace=False)
    return pytest.skip(text, allow_module_level=True)
