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


def read_limits(path: str | os.PathLike[str]) -> Limits:
    """Limits from a TOML or JSON file with the names of :class:`~stocklean_exec.Limits`."""
    file = existing_file(path, "limits")
    try:
        text = file.read_text("utf-8")
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InputError("limits", [Problem("limits_format", f"{file.name}: {error}")]) from None
    if not isinstance(values, dict):
        raise InputError("limits", [Problem("limits_format", f"{file.name} is not a table of limits")])
    return Limits.of(values)
