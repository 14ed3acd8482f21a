"""Persists a venue across restarts: a file of JSON lines, one line per change of a record.

A record is written whenever it changes; on reading, the last line of each key wins. The file is compacted when it
is opened, through a second file and a rename, so that it is readable after a kill at any moment. An incomplete
last line is ignored.

The file holds plain records; their meaning is defined in :mod:`~stocklean_exec.simulator.exchange.ledger`.
"""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, Any

from stocklean_exec.simulator.files import local_file, private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["StateError", "StateFile"]

_FORMAT = "tws-simulator-state-1"


class StateError(ValueError):
    """A state file that this version cannot read."""


class StateFile:
    """Records by (table, key), on disk.

    Parameters
    ----------
    path : the file; created if missing

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "venue.state"
    >>> first = StateFile(path)
    >>> first.put("ids", "next", 7); first.put("ids", "next", 8); first.close()
    >>> again = StateFile(path)
    >>> again.table("ids")
    {'next': 8}
    >>> again.close()
    >>> folder.cleanup()
    """

    def __init__(self, path: str | Path) -> None:
        self._path = local_file(path)
        self._records: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            self._load()
        self._stream: IO[str] | None = self._rewrite()

    def table(self, name: str) -> dict[str, Any]:
        """All records of a table as of the opening of the file, in the order first written."""
        return self._records.get(name, {})

    def put(self, table: str, key: str, record: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write a record."""
        if self._stream is not None:
            self._stream.write(json.dumps([table, key, record]) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _load(self) -> None:
        lines = self._path.read_text(encoding="utf-8").splitlines()
        if lines and json.loads(lines[0] if lines[0].startswith("[") else "[]")[:1] != [_FORMAT]:
            raise StateError(f"{self._path} is not a state file of the simulator")
        for line in lines[1:]:
            try:
                table, key, record = json.loads(line)
            except ValueError:
                break
            self._records.setdefault(table, {})[key] = record

    def _rewrite(self) -> IO[str]:
        short = self._path.with_name(self._path.name + ".new")
        stream = open(short, "w", encoding="utf-8", opener=private)  # noqa: SIM115 - Path.open takes no opener
        stream.write(json.dumps([_FORMAT]) + "\n")
        for table, records in self._records.items():
            stream.writelines(json.dumps([table, key, record]) + "\n" for key, record in records.items())
        stream.flush()
        os.fsync(stream.fileno())
        short.replace(self._path)
        return stream
