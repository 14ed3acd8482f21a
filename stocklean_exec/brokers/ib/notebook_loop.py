"""What a notebook needs for a user's own synchronous calls of ib_async, and only then.

Nothing in this package needs it: its own blocking calls wait for a thread. But ``ib.connect()`` in a cell runs
the kernel's event loop within itself, which asyncio forbids. The usual recipe, ``util.startLoop()``, lets it with
nest_asyncio 1.6, and on ipykernel 7.1 and later that loses messages: cells that never run, clicks that never
arrive. Its successor nest_asyncio2 holds them back until the nested run is over, if it comes first.
"""

from __future__ import annotations

import asyncio
import sys

from stocklean_exec.errors import NotebookError

__all__ = ["enable_notebook"]


def enable_notebook() -> None:
    """Make a user's own synchronous ``ib.*`` calls safe in this kernel; call it in the first cell.

    The loop that runs is patched by nest_asyncio2, which from then on also answers to the name ``nest_asyncio``,
    so that a later ``util.startLoop()`` changes nothing. Without a running loop (a script, a test) there is
    nothing to do. Calling it again is harmless. It slows asyncio in the whole process; this package works
    without it.

    Raises
    ------
    NotebookError
        nest_asyncio has patched this kernel already, which cannot be taken back.

    Examples
    --------
    >>> enable_notebook()  # no loop is running here
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        raise NotebookError(
            "nest_asyncio (by util.startLoop() or by another package) has patched this kernel already, and "
            "cells and clicks can get lost. Restart the kernel, and call sx.enable_notebook() in the first cell; "
            "util.startLoop() is not needed then"
        )
    import nest_asyncio2  # noqa: PLC0415 - loaded when it is asked for; importing it patches nothing

    nest_asyncio2.apply(loop)
    sys.modules["nest_asyncio"] = nest_asyncio2
