"""The simulator as a command: ``python -m stocklean_exec.simulator``.

Prints ``listening on 127.0.0.1:PORT`` when it is ready, and runs until it is interrupted or terminated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, get_args

from stocklean_exec.simulator.clock import Mode
from stocklean_exec.simulator.scenarios.scenario import explain
from stocklean_exec.simulator.server.server import start
from stocklean_exec.simulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_arguments", "main", "run"]

_BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's options to ``parser``, for a command line that has it as a subcommand."""
    parser.add_argument("--port", type=int, default=7497, help="where to listen; 0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address, unless --allow-remote")
    parser.add_argument("--allow-remote", action="store_true", help="let other computers connect")
    parser.add_argument("--account", default="DU0000001", help="account id, or several with commas")
    parser.add_argument("--cash", type=float, default=1_000_000.0, help="opening cash of each account")
    parser.add_argument("--quotes", metavar="FILE.csv", help="symbol, bid, ask, and more columns if known")
    parser.add_argument("--seed", type=int, default=0, help="what the synthetic quotes and ids follow from")
    parser.add_argument("--scenario", metavar="FILE", help="a TOML file, or the name of a shipped scenario")
    parser.add_argument("--state", metavar="FILE", help="keeps the venue over restarts")
    parser.add_argument("--journal", metavar="FILE", help="the venue's own record, one JSON line an event")
    parser.add_argument("--server-version", type=int, default=176, help="highest version spoken, 157 to 178")
    parser.add_argument("--clock", choices=get_args(Mode), default="virtual", help="see the manual")
    parser.add_argument("--explain", action="store_true", help="print what a scenario can say, and end")
    parser.add_argument("--start", metavar="TIME", help="first instant of a virtual clock")


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that parsed ``options`` ask for."""
    return Settings(
        accounts=tuple(name.strip() for name in options.account.split(",") if name.strip()),
        cash=options.cash,
        quotes=options.quotes,
        seed=options.seed,
        scenario=options.scenario,
        state=options.state,
        journal=options.journal,
        server_version=options.server_version,
        clock=options.clock,
        start=options.start,
    )


async def _serve(options: argparse.Namespace) -> None:
    server = await start(
        settings_of(options), host=options.host, port=options.port, allow_remote=options.allow_remote
    )
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
    print(f"listening on {options.host}:{server.port}", flush=True)  # noqa: T201 - what the caller waits for
    await stop.wait()
    await server.close()


def run(options: argparse.Namespace) -> int:
    """Run the simulator with parsed ``options`` until it is told to stop; the exit code."""
    if options.explain:
        print(explain())  # noqa: T201 - what was asked for
        return 0
    try:
        asyncio.run(_serve(options))
    except (ValueError, OSError) as problem:
        print(f"simulator: {problem}", file=sys.stderr)  # noqa: T201 - a command reports to its user
        return _BAD_INPUT
    except KeyboardInterrupt:
        return 0
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse ``argv`` (without the program's name) and run; the exit code: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="stocklean simulator", description="A simulated TWS for clients of the TWS API."
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
