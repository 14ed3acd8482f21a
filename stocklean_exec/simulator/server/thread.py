"""A simulator in a separate thread with its own event loop, for tests, notebooks and ``sim://``.

Methods of :class:`Simulator` may be called from any thread; access to the venue runs in the simulator's thread.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields, replace
from html import escape
from typing import TYPE_CHECKING, Any, Self, TypeVar

from stocklean_exec.simulator.scenarios.scenario import load_scenario
from stocklean_exec.simulator.server.server import Server, start
from stocklean_exec.simulator.settings import Limits, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from stocklean_exec.simulator.exchange.venue import Venue

__all__ = ["Simulator"]

_START_SECONDS = 30.0  # a choice: a start takes well under a second, so a longer wait means a hang
T = TypeVar("T")


class Simulator:
    """A simulator in a separate thread, for tests, notebooks and ``sim://`` connections.

    Parameters
    ----------
    settings : initial settings of the venue
    host, port, allow_remote, limits : see :func:`start`
    **options : fields of :class:`~stocklean_exec.simulator.settings.Settings`, as a shortcut; ``account`` is one
        account or several separated by commas

    Examples
    --------
    >>> with Simulator(seed=7) as simulator:
    ...     simulator.port > 0, simulator.accounts
    (True, ('DU0000001',))
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        limits: Limits | None = None,
        **options: Any,  # noqa: ANN401 - the fields of Settings
    ) -> None:
        account = options.pop("account", None)
        if account is not None:
            options["accounts"] = tuple(name.strip() for name in str(account).split(","))
        unknown = set(options) - {one.name for one in fields(Settings)}
        if unknown:
            raise TypeError(f"unknown settings: {', '.join(sorted(unknown))}")
        self.settings = replace(settings or Settings(), **options)
        self.host = host
        self._port = port
        self._allow_remote = allow_remote
        self._limits = limits
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._failure: Exception | None = None
        self._ready = threading.Event()
        self._stopping = asyncio.Event()

    @property
    def accounts(self) -> tuple[str, ...]:
        """Account names."""
        return self.settings.accounts

    @property
    def port(self) -> int:
        """Port it listens on; 0 before the start if any free port was requested."""
        return self._server.port if self._server is not None else self._port

    @property
    def venue(self) -> Venue:
        """The venue. Access it only through :meth:`call` while the simulator is running."""
        if self._server is None:
            raise RuntimeError("the simulator is not running")
        return self._server.venue

    def start(self) -> Self:
        """Start the thread, and wait until the server is listening.

        Raises
        ------
        ValueError, OSError
            As :func:`start`.
        """
        if self._thread is not None:
            raise RuntimeError("the simulator is running")
        self._ready.clear()
        self._stopping = asyncio.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="tws-simulator", daemon=True)
        self._thread.start()
        self._ready.wait(_START_SECONDS)
        self._raise_failure()
        return self

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._thread = None
            raise self._failure

    def stop(self) -> None:
        """Close the server and end the thread. Does nothing when the simulator is not running."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        loop.call_soon_threadsafe(self._stopping.set)
        thread.join(_START_SECONDS)
        self._thread = self._loop = self._server = None

    def __repr__(self) -> str:
        state = f"{self.host}:{self.port}" if self._server is not None else "not running"
        many = "" if len(self.accounts) == 1 else "s"
        return f"<Simulator {state}, {len(self.accounts)} account{many}>"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()

    def call(self, action: Callable[[Venue], T]) -> T:
        """Run ``action`` on the venue in the simulator's thread, send all replies, and return the result.

        Examples
        --------
        >>> with Simulator() as simulator:
        ...     simulator.call(lambda venue: venue.server_version)
        176
        """
        server, loop = self._server, self._loop
        if server is None or loop is None:
            raise RuntimeError("the simulator is not running")

        async def act() -> T:
            result = action(server.venue)
            server.venue.run_until_idle()
            server.flush()
            return result

        return asyncio.run_coroutine_threadsafe(act(), loop).result(_START_SECONDS)

    def advance(self, seconds: float) -> None:
        """Advance a virtual or manual clock by ``seconds``."""
        self.call(lambda venue: venue.clock.advance(seconds))

    def move(self, symbol: str, **quote: float) -> None:
        """Change the quote of a symbol: bid, ask, last, close, bid_size, ask_size."""
        self.call(lambda venue: venue.move(symbol, **quote))

    def event(self, do: str, **options: Any) -> None:  # noqa: ANN401 - see the scenario's events
        """Run one event of :data:`~stocklean_exec.simulator.scenarios.steps.EVENTS` now."""
        (entry,) = load_scenario({"event": [{"at": 0, "do": do, **options}]}).events
        self.call(lambda venue: venue.events.run(entry))

    def fault(self, **entry: Any) -> None:  # noqa: ANN401 - see the scenario's faults
        """Add a fault: ``on``, ``do`` and the selectors of the message."""
        (checked,) = load_scenario({"fault": [entry]}).faults
        self.call(lambda venue: venue.faults.add(checked))

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as problem:  # noqa: BLE001 - raised by start()
            self._failure = problem
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = await start(
            self.settings,
            host=self.host,
            port=self._port,
            allow_remote=self._allow_remote,
            limits=self._limits,
        )
        self._ready.set()
        server = self._server
        await self._stopping.wait()
        await server.close()
