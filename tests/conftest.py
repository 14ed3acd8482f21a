"""Shared by all tests: no progress bars, and a simulated power cut."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["STOCKLEAN_PROGRESS"] = "0"
settings.register_profile("stocklean", deadline=None)  # on a busy machine an example is slow, and not wrong
settings.load_profile("stocklean")


TESTS = Path(__file__).parent
NOT_FAST = {"slow", "once", "browser", "paper"}


def pytest_collection_modifyitems(items):
    for item in items:  # `pytest -m fast`: unit tests of this folder, without what takes long by its mark
        # Canaries are about the newest versions of other people's packages.
        is_unit = TESTS in item.path.parents and not {"benchmarks", "canaries"} & {*item.path.parts}
        if is_unit and not NOT_FAST & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.fast)
    if os.environ.get("STOCKLEAN_ONCE") == "0":  # as .ci/run says for every Python but the last
        for item in items:
            if item.get_closest_marker("once"):
                item.add_marker(pytest.mark.skip(reason="takes long: once in CI, on the oldest Python"))


class PowerCut:
    """What a disk holds after a power cut: the contents and names that were synced by ``os.fsync``, no more.

    It is as strict as POSIX: syncing a file keeps its contents, syncing its folder keeps its name. DuckDB's files
    keep their contents, because DuckDB syncs them itself where Python cannot see it; their names need the folder.
    """

    def __init__(self, folder, monkeypatch):
        self.folder, self._fsync = folder, os.fsync
        self._contents, self._names = {}, self._listing()
        monkeypatch.setattr(os, "fsync", self._sync)

    def _listing(self):
        return {path.name: path.stat().st_ino for path in self.folder.iterdir()}

    def _sync(self, descriptor):
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            if status.st_ino == self.folder.stat().st_ino:
                self._names = self._listing()
            return
        for path in self.folder.iterdir():
            if path.stat().st_ino == status.st_ino:
                self._contents[status.st_ino] = path.read_bytes()

    def cut(self):
        """Cut the power: remove names, and restore contents, as of their last sync."""
        for name, number in self._listing().items():
            path = self.folder / name
            if self._names.get(name) != number:
                path.unlink()
            elif path.suffix != ".duckdb":
                path.write_bytes(self._contents.get(number, b""))


@pytest.fixture
def power(tmp_path, monkeypatch):
    """A power cut that can be made in ``tmp_path``."""
    return PowerCut(tmp_path, monkeypatch)


def _properties(file, name):
    text = (Path(__file__).parents[1] / "stocklean_exec" / "static" / file).read_text("utf-8")
    (block,) = [
        block for block in re.findall(r"/\*\*.*?\*/", text, re.DOTALL) if f"@typedef {{object}} {name}\n" in block
    ]
    return set(re.findall(r"@property {.*} \[?(\w+)", block))


@pytest.fixture
def typedef():
    """``typedef(file, name)``: names of the properties of an object type that the front end declares."""
    return _properties
