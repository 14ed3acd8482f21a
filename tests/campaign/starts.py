"""Two workers begin the same run at nearly the same time, each by another spelling of one TWS's address.

A trial is a simulator and a forwarder, through which it is reached by a second port, in processes of their own;
and two worker processes that begin within 0.3 s of each other, each with its own blotter file, its own folder of
temporary files, its own spelling of the address, and mostly its own client id. Both do the same run. Checked by
the simulator's journal: every order of the run was accepted once.

``python -m tests.campaign.starts --trials 300`` runs it, ``--trials 1 --first S`` does one trial again, and
``--off account`` locks the run by host, port and account, as if each address had an account of its own: that
must fail. With ``--hosts`` the workers share no folder at all, as on two computers: only the client ids of runs at
TWS keep one of them from sending; ``--hosts --off lease`` leaves these out, and must fail.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "STOCKLEAN_PROGRESS": "0"}  # a process that is forked has one thread

import argparse
import asyncio
import contextlib
import gc
import json
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stocklean_exec as sx
from stocklean_exec.errors import BrokerError, RunElsewhereError
from stocklean_exec.simulator import read_journal
from tests.campaign.children import LIMITS, run_venue
from tests.campaign.lanes import Child, side_by_side
from tests.campaign.plans import QUOTES, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["ENDS", "Start", "Trial", "check_trial", "main", "make_trial"]

ENDS = ("sent", "lock", "lease", "broker", "client id", "nothing left")
"""How a worker may end: it sent the run; or it was refused by the run lock, by the client id that stands for the
run at TWS, by orders that the broker has, or because its own client id was in use; or there was nothing left to
trade when it planned."""

_APART = 0.3  # seconds: within these, the broker often has no order of the first worker to show to the second one
_PATIENCE = 10.0
_HANG_SECONDS = 60.0


@dataclass(frozen=True)
class Start:
    """How one worker begins; ``port`` names the TWS's own or that of the forwarder, ``delay`` is in seconds."""

    host: str
    port: str
    client_id: int
    delay: float


@dataclass(frozen=True)
class Trial:
    """One trial: everything that is drawn from its seed. ``targets`` are weights by symbol."""

    seed: int
    targets: dict[str, float]
    starts: tuple[Start, Start]

    @property
    def run_id(self) -> str:
        """Name of the run that both workers do."""
        return f"s{self.seed}"


def make_trial(seed: int, apart: float = _APART) -> Trial:
    """The trial of a seed, whose workers begin within ``apart`` seconds.

    Examples
    --------
    >>> make_trial(7) == make_trial(7), make_trial(7) == make_trial(8)
    (True, False)
    """
    rng = random.Random(f"start {seed}")  # noqa: S311 - a schedule, and no secret
    targets = {name: rng.randint(5, 20) / 1_000 for name in rng.sample(sorted(QUOTES), rng.randint(3, 6))}
    spellings = [(host, port) for host in ("127.0.0.1", "localhost") for port in ("own", "forwarded")]
    client_ids = (7, 7) if rng.random() < 0.15 else (7, 8)
    delays = [0.0, round(rng.uniform(0.0, apart), 3)]
    rng.shuffle(delays)
    chosen = zip(rng.sample(spellings, 2), client_ids, delays, strict=True)
    one, other = (Start(host, port, client_id, delay) for (host, port), client_id, delay in chosen)
    return Trial(seed, targets, (one, other))


# -- what the processes do -----------------------------------------------------------------------------------


def _forward(port: int, pipe: int) -> None:
    """Be a second port of what listens on ``port``, until killed; writes the port to ``pipe``."""
    parent = os.getppid()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async def serve() -> None:
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        os.write(pipe, f"{server.sockets[0].getsockname()[1]}\n".encode())
        while os.getppid() == parent:  # noqa: ASYNC110 - its end is not reported
            await asyncio.sleep(1.0)

    asyncio.run(serve())


def _work(
    trial: Trial, number: int, folder: Path, ports: dict[str, int], off: str, pipe: int, *, hosts: bool
) -> None:
    """Do the run as a person's program would, and write to ``pipe`` how it ended."""
    start = trial.starts[number]
    own = folder / f"worker {number}"
    own.mkdir()
    os.environ["TMPDIR"] = str(own)
    if hosts:
        os.environ["XDG_STATE_HOME"] = str(own / "state home")
    tempfile.tempdir = None
    time.sleep(start.delay)
    address = f"ib://{start.host}:{ports[start.port]}?client_id={start.client_id}"
    if hosts and off != "lease":
        address += "&run_client_ids=900-999"
    end, text = _rebalance(trial, address, own / "run.duckdb", off)
    os.write(pipe, json.dumps({"end": end, "text": text[:400]}).encode() + b"\n")


def _rebalance(trial: Trial, address: str, path: Path, off: str) -> tuple[str, str]:
    try:
        with (
            sx.open_blotter(path) as blotter,
            sx.connect(address) as broker,
        ):
            if off == "account":
                broker.lock_account = f"{address}/{broker.account}"
            states = sx.rebalance(
                trial.targets,
                broker,
                blotter,
                run_id=trial.run_id,
                approve="starts",
                dry_run=False,
                limits=LIMITS,
                timeout=_PATIENCE,
            )
    except RunElsewhereError as error:
        text = str(error)
        by_lease = "lease" if "stands for run" in text else "lock"
        return ("broker" if "the broker already has" in text else by_lease), text
    except BrokerError as error:
        return ("client id" if "client id" in str(error) else "failed"), str(error)
    except Exception as error:  # noqa: BLE001 - a bug of ours, to be counted
        return "failed", f"{type(error).__name__}: {error}"
    if states.empty:
        return "nothing left", ""
    ends = states["status"].tolist()
    return ("sent" if set(ends) == {"FILLED"} else "failed"), f"{ends} {states['reason'].dropna().tolist()}"


# -- one trial -----------------------------------------------------------------------------------------------


def _run_trial(trial: Trial, off: str, *, hosts: bool) -> dict[str, Any]:
    seed = trial.seed
    with tempfile.TemporaryDirectory(prefix=f"starts-{seed}-") as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state home")  # shared by both workers, and by no other trial
        errors = folder / "errors"
        children: list[Child] = []

        def begin(work: Callable[[int], None]) -> Child:
            children.append(Child(work, errors))
            return children[-1]

        def receive_line(child: Child) -> bytes:
            while not child.received.endswith(b"\n"):
                if not child.receive(_HANG_SECONDS):
                    raise RuntimeError(
                        f"a process of trial {seed} said nothing: {errors.read_text('utf-8')[-400:]}"
                    )
            return child.received

        try:
            plan = Plan(seed, scenario={"order": []})
            ports = {"own": int(receive_line(begin(lambda pipe: run_venue(plan, folder, 0, pipe, plain=True))))}
            ports["forwarded"] = int(receive_line(begin(partial(_forward, ports["own"]))))
            workers = [begin(partial(_work, trial, number, folder, ports, off, hosts=hosts)) for number in (0, 1)]
            results = [json.loads(receive_line(worker)) for worker in workers]
        finally:
            for child in children:
                child.kill()
        accepted = Counter(
            row["order_ref"] for row in read_journal(folder / "journal.jsonl") if row["event"] == "order"
        )
    ends = [one["end"] for one in results]
    return {
        "seed": seed,
        **check_trial(trial, accepted, ends),
        "ends": ends,
        "words": [one["text"] for one in results],
    }


def check_trial(trial: Trial, accepted: Counter[str], ends: list[str]) -> dict[str, Any]:
    """Count the orders that were accepted more than once, and say what else must not be.

    Examples
    --------
    >>> trial = Trial(1, {"KO": 0.01}, (Start("localhost", "own", 7, 0.0), Start("127.0.0.1", "own", 8, 0.1)))
    >>> check_trial(trial, Counter({"s1-KO-BUY": 1}), ["lock", "sent"])
    {'doubled': 0, 'wrong': []}
    >>> check_trial(trial, Counter({"s1-KO-BUY": 2}), ["sent", "sent"])
    {'doubled': 1, 'wrong': ['s1-KO-BUY was accepted 2 times', '2 workers have sent the run']}
    """
    wanted = {f"{trial.run_id}-{symbol}-BUY" for symbol in trial.targets}
    wrong = [f"{name} was accepted {count} times" for name, count in sorted(accepted.items()) if count > 1]
    wrong += [f"{name} was not sent" for name in sorted(wanted - set(accepted))]
    wrong += [f"{name} is not an order of the run" for name in sorted(set(accepted) - wanted)]
    if ends.count("sent") != 1:
        wrong.append(f"{ends.count('sent')} workers have sent the run")
    wrong += [f"a worker ended: {end}" for end in ends if end not in ENDS]
    return {"doubled": sum(count - 1 for count in accepted.values()), "wrong": wrong}


def _run_trials(
    seeds: Sequence[int], *, wide: int, off: str, apart: float, hosts: bool
) -> Iterator[dict[str, Any]]:
    def lane(mine: Sequence[int]) -> Iterator[dict[str, Any]]:
        for seed in mine:
            try:
                yield _run_trial(make_trial(seed, apart), off, hosts=hosts)
            except Exception as error:  # noqa: BLE001 - the harness itself failed; that is no pass
                yield {"seed": seed, "wrong": [f"{type(error).__name__}: {error}"], "words": []}

    return side_by_side(lane, seeds, wide)


# -- the command line ----------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials and print their table; 1 if an order was accepted twice, or a run not sent by one worker."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.starts", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--wide", type=int, default=4, help="trials side by side; most of a trial is waiting")
    parser.add_argument("--apart", type=float, default=_APART, help="seconds within which both workers begin")
    parser.add_argument("--hosts", action="store_true", help="workers that share no folder, as on two computers")
    parser.add_argument(
        "--off", default="", choices=["", "account", "lease"], help="lock by address and account, or no client ids"
    )
    options = parser.parse_args(argv)
    gc.collect()
    gc.freeze()  # what is here now is shared with every fork
    started, results = time.monotonic(), []
    seeds = range(options.first, options.first + options.trials)
    for one in _run_trials(seeds, wide=options.wide, off=options.off, apart=options.apart, hosts=options.hosts):
        results.append(one)
        if _failed(one):
            print(f"{one.get('wrong')} {one.get('ends')}: {' / '.join(one['words'])}")
            print(f"  python -m tests.campaign.starts --trials 1 --first {one['seed']}", flush=True)
    print(table(results, time.monotonic() - started))
    return int(any(map(_failed, results)))


def _failed(one: dict[str, Any]) -> bool:
    return bool(one.get("wrong", True))  # a lane that has died says nothing of what was wrong


def table(results: list[dict[str, Any]], seconds: float) -> str:
    """The results of all trials."""
    ends = Counter(end for one in results for end in one.get("ends", ()))
    rows = {
        "trials": len(results),
        "trials that failed": sum(map(_failed, results)),
        "references accepted twice": sum(one.get("doubled", 0) for one in results),
        "workers that sent the run": ends["sent"],
        "refused by the run lock": ends["lock"],
        "refused by the run's client id at TWS": ends["lease"],
        "refused by orders that the broker has": ends["broker"],
        "refused for a client id in use": ends["client id"],
        "nothing left to trade": ends["nothing left"],
        "failed": sum(count for end, count in ends.items() if end not in ENDS),
        "seconds": round(seconds),
    }
    return "\n".join(f"{name:40}{count:8}" for name, count in rows.items())


if __name__ == "__main__":
    raise SystemExit(main())
