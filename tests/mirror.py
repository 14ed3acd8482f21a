"""Tests mirror the tree: which files have the tests of a module."""

from __future__ import annotations

from pathlib import Path


def modules(root: Path, package: str) -> list[Path]:
    """Every module of the package, relative to ``root``."""
    return sorted(path.relative_to(root) for path in (root / package).rglob("*.py"))


def file_of_tests(module: Path) -> Path:
    """Where the tests of a module are: its own path below ``tests``, with ``test_`` before its name."""
    return Path("tests", *module.parts[1:-1], f"test_{module.stem.strip('_')}.py")


def files_of_tests(module: Path, root: Path) -> list[Path]:
    """The existing test files of a module: its own, and beside it those of its parts.

    A part has the name of the module and more: ``test_planner_properties.py`` is of ``planner``, unless there is
    a module ``planner_properties``.
    """
    first = file_of_tests(module)
    others = {file_of_tests(one) for one in modules(root, module.parts[0])}
    parts = sorted(path.relative_to(root) for path in (root / first.parent).glob(f"{first.stem}_*.py"))
    return [path for path in (first, *parts) if path == first or path not in others if (root / path).exists()]
