"""Paths of files that a venue is given: quotes, a scenario, its state, its journal. Never an address."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["AddressError", "local_file"]

# A pathlib.Path makes one slash of two.
_ADDRESS = re.compile(r"(?:data|file|ftps?|gs|hf|https?|s3):|[a-z][a-z0-9+.\-]+:/", re.IGNORECASE)


class AddressError(ValueError):
    """An address where the path of a file was asked for."""


def local_file(path: str | os.PathLike[str]) -> Path:
    """Take the path of a file on this computer, which need not exist.

    Raises
    ------
    AddressError
        It is an address; nothing was opened.

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
