"""A progress bar for longer work: a widget in a notebook, a line in a terminal, else nothing.

``STOCKLEAN_PROGRESS=0`` disables it, for notebook tests and cron.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm.auto import tqdm  # type: ignore[import-untyped]  # shipped without types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(
    total: int, label: str, *, show: bool | None = None, also: Callable[[int, str], None] | None = None
) -> Iterator[Callable[[int, str], None]]:
    """Yield a function ``(done, text)`` that updates a bar of ``total`` steps.

    Parameters
    ----------
    show : by default in a notebook or a terminal
    also : called with the same, after the bar
    """
    if show is None:
        show = os.environ.get("STOCKLEAN_PROGRESS", "1") != "0" and (_in_notebook() or sys.stderr.isatty())
    # Work of less than half a second (a stated choice) shows no bar, which would only flicker.
    with tqdm(total=total, desc=label, unit="order", disable=not show, delay=0.5, leave=False) as bar:

        def move(done: int, text: str = "") -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(done - bar.n)
            if also is not None:
                also(done, text)

        yield move


def _in_notebook() -> bool:
    kernel = sys.modules.get("ipykernel")
    return kernel is not None and "ipykernel.kernelapp" in sys.modules
