"""Limits from a TOML or JSON file."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.risk.limits import Limits
from stocklean_exec.schema.paths import existing_file

if TYPE_CHECKING:
    import os

__all__ = ["read_limits"]

_TOO_LONG = "more than a megabyte; limits are a page of text"
_MAX_BYTES = 1_000_000  # a stated choice: there are some twenty limits, and a list of restricted symbols


def read_limits(path: str | os.PathLike[str]) -> Limits:
    """Limits from a TOML or JSON file with the names of :class:`~stocklean_exec.Limits`."""
    file = existing_file(path, "limits")
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(_TOO_LONG)  # noqa: TRY301 - reported below, as other invalid files
        text = data.decode("utf-8")
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except RecursionError:
        text = f"{file.name} is nested too deeply; limits are one level of names and numbers"
        raise InputError("limits", [Problem("limits_format", text)]) from None
    except (OSError, ValueError) as error:
        raise InputError("limits", [Problem("limits_format", f"{file.name}: {error}")]) from None
    if not isinstance(values, dict):
        raise InputError("limits", [Problem("limits_format", f"{file.name} is not a table of limits")])
    return Limits.of(values)
