"""Paths given by a caller: local files and folders only.

Only a broker's address opens a connection. A path that is an address is rejected before anything is opened, also
in spellings that a library underneath could understand (``file:``, ``s3:``), and also where a ``pathlib.Path`` has
collapsed two slashes into one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["existing_file", "is_address", "local_path", "refuse_addresses"]

_SCHEMES = (
    "abfs|abfss|adl|az|azure|duckdb|ducklake|file|ftp|ftps|gcs|gs|hdfs|hf|http|https|jdbc|md|motherduck|mysql|oci|"
    "odbc|oss|postgres|postgresql|r2|s3|s3a|s3n|scp|sftp|smb|sqlite|ssh|wasb|wasbs|webdav|webhdfs"
)
"""Schemes of DuckDB's and fsspec's file systems and databases: rejected also without slashes after them."""

_ADDRESS = re.compile(rf"(?:{_SCHEMES}):|[a-z][a-z0-9+.\-]+:/", re.IGNORECASE)


_HINT = "files are not read or written over a network; give a local file or folder"


def is_address(text: str) -> bool:
    """Whether ``text`` is an address, such as ``https://...``, ``s3:...`` or ``file:...``, not a path.

    Examples
    --------
    >>> is_address("s3://bucket/t.parquet"), is_address("file:t.csv"), is_address("fills 2026-11-23T10:00.csv")
    (True, True, False)
    """
    return "://" in text or _ADDRESS.match(text) is not None


def local_path(path: str | os.PathLike[str], table: str) -> Path:
    """Return a local path, which need not exist; raise for an address.

    Parameters
    ----------
    path : as the caller gave it
    table : argument name for errors, such as ``"targets"``

    Raises
    ------
    InputError
        It is an address (``path_is_address``). Nothing was opened.

    Examples
    --------
    >>> local_path("https://example.com/targets.csv", "targets")
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: targets: 1 problem
      targets 'https://example.com/targets.csv' is an address, not a path; ... [path_is_address]
    """
    refuse_addresses({table: path})
    return Path(os.fsdecode(path))


def existing_file(path: str | os.PathLike[str], table: str) -> Path:
    """Return the path of an existing local file; ``table`` is the argument name for errors.

    Raises
    ------
    InputError
        It is an address (``path_is_address``), or there is no such file (``file_missing``).
    """
    file = local_path(path, table)
    try:
        found = file.is_file()
    except OSError:  # such as a name too long: the contents of a file in place of its name
        found = False
    if not found:
        raise InputError(table, [Problem("file_missing", f"there is no file {shown(os.fspath(path))}")])
    return file


def refuse_addresses(given: Mapping[str, object]) -> None:
    """Raise for every address among the arguments of a call, by name; other values are ignored.

    Examples
    --------
    >>> refuse_addresses({"orders": None, "quotes": "quotes/*.parquet"})
    """
    texts = {name: os.fsdecode(one) for name, one in given.items() if isinstance(one, (str, os.PathLike))}
    addresses = {name: text for name, text in texts.items() if is_address(text)}
    if addresses:
        problems = [
            Problem("path_is_address", f"{name} {shown(text)} is an address, not a path; {_HINT}")
            for name, text in addresses.items()
        ]
        raise InputError(next(iter(addresses)) if len(addresses) == 1 else "paths", problems)
