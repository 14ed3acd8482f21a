"""Checks file paths given to a venue (quotes, scenario, state, journal): local files only, no URLs."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["AddressError", "local_file", "private"]

# A pathlib.Path collapses two slashes into one.
_ADDRESS = re.compile(r"(?:data|file|ftps?|gs|hf|https?|s3):|[a-z][a-z0-9+.\-]+:/", re.IGNORECASE)


class AddressError(ValueError):
    """A URL was given in place of a file path."""


def local_file(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` as a local path; the file need not exist.

    Raises
    ------
    AddressError
        When it is a URL; nothing is opened.

    Examples
    --------
    >>> local_file("https://example.com/day.toml")
    Traceback (most recent call last):
    ...
    stocklean_exec.simulator.files.AddressError: 'https://example.com/day.toml' is an address, not a file's path
    """
    text = os.fsdecode(path)
    if "://" in text or _ADDRESS.match(text):
        raise AddressError(f"{text!r} is an address, not a file's path")
    return Path(text)


def private(path: str, flags: int) -> int:
    """Open a file that, if it is created, only its owner may read; the ``opener`` of :func:`open`."""
    return os.open(path, flags, 0o600)
