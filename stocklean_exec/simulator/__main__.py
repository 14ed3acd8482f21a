"""The simulator as a command: ``python -m stocklean_exec.simulator``.

Prints ``listening on 127.0.0.1:PORT`` when ready, and runs until interrupted or terminated.
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
from stocklean_exec.simulator.settings import Settings, parse_amounts, parse_cash

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_arguments", "main", "run"]

_BAD_INPUT = 2  # exit code of argparse for wrong options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's options to ``parser``, for a command line that has it as a subcommand."""
    parser.add_argument("--port", type=int, default=7497, help="port to listen on; 0 for any free port")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address, unless --allow-remote")
    parser.add_argument("--allow-remote", action="store_true", help="accept connections from other computers")
    parser.add_argument("--account", default="DU0000001", help="account id, or several separated by commas")
    parser.add_argument("--base-currency", default="USD", metavar="CURRENCY", help="base currency of the accounts")
    parser.add_argument(
        "--cash",
        type=parse_cash,
        default=1_000_000.0,
        metavar="AMOUNTS",
        help="opening cash of each account: an amount in the base currency, or USD=100000,EUR=50000",
    )
    parser.add_argument(
        "--account-kind", choices=("margin", "cash"), default="margin", help="kind of each account"
    )
    parser.add_argument(
        "--settlement-days", type=int, choices=(0, 1, 2), default=0, help="weekdays until a sale is settled cash"
    )
    parser.add_argument(
        "--rates",
        type=parse_amounts,
        default={},
        metavar="RATES",
        help="exchange rates, base currency per unit: EUR=1.06,GBP=1.2; by default round sample rates",
    )
    parser.add_argument(
        "--quotes", metavar="FILE.csv", help="columns symbol, bid, ask, and optionally last, close and sizes"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the synthetic quotes and ids")
    parser.add_argument("--scenario", metavar="FILE", help="a TOML file, or the name of a shipped scenario")
    parser.add_argument("--state", metavar="FILE", help="persists the venue across restarts")
    parser.add_argument("--journal", metavar="FILE", help="journal of the venue, one JSON line per event")
    parser.add_argument("--server-version", type=int, default=176, help="highest server version, 157 to 178")
    parser.add_argument(
        "--clock", choices=get_args(Mode), default="virtual", help="virtual and brisk jump over waits"
    )
    parser.add_argument("--explain", action="store_true", help="print the scenario format and exit")
    parser.add_argument("--start", metavar="TIME", help="start time of a virtual clock")


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings in parsed ``options``."""
    return Settings(
        accounts=tuple(name.strip() for name in options.account.split(",") if name.strip()),
        base_currency=options.base_currency.upper(),
        cash=options.cash,
        rates=options.rates,
        account_kind=options.account_kind,
        settlement_days=options.settlement_days,
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
    print(f"listening on {options.host}:{server.port}", flush=True)  # noqa: T201 - callers wait for this line
    await stop.wait()
    await server.close()


def run(options: argparse.Namespace) -> int:
    """Run the simulator with parsed ``options`` until it is stopped; return the exit code."""
    if options.explain:
        print(explain())  # noqa: T201 - the requested output
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
    """Parse ``argv`` (without the program name) and run; exit code 0 for success, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="stocklean simulator", description="A simulated TWS for clients of the TWS API."
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
