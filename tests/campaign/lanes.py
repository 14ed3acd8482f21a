"""Runs the campaign: one clean process that has imported everything is forked for every venue, worker and checker.

The parent starts no thread and opens no blotter, so a fork of it is as good as a fresh interpreter and costs
milliseconds. Lanes are forks that work through seeds side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.campaign.chases import run_chases
from tests.campaign.checker import check_run
from tests.campaign.children import (
    COPY,
    is_planned,
    pass_night,
    run_copier,
    run_reconciliation,
    run_venue,
    run_worker,
    set_hours,
)
from tests.campaign.plans import make_plan
from tests.campaign.safeguards import SAFEGUARDS, switch_off
from tests.campaign.schedules import run_schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Lane = Callable[[Sequence[int]], Iterator[dict[str, Any]]]

__all__ = ["Child", "chase_in_virtual_time", "run_campaign", "run_in_virtual_time", "run_seed", "side_by_side"]

_HANG_SECONDS = 60.0
_CLEAN_PASSES = 5
_VENUE_QUIET = 0.45  # longer than any wait in an order's script


class Child:
    """A forked process, and a pipe that it writes to.

    Parameters
    ----------
    work : what it does, with the descriptor that it writes to
    errors : file for its standard error
    """

    def __init__(self, work: Callable[[int], None], errors: Path) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(work, writing, errors)
        os.close(writing)
        self.pipe = reading
        self.received = b""
        self.code: int | None = None

    def receive(self, seconds: float) -> bool:
        """Wait for something on the pipe; False at its end or when the time is up."""
        if not select.select([self.pipe], [], [], max(seconds, 0.0))[0]:
            return False
        data = os.read(self.pipe, 1 << 16)
        self.received += data
        return bool(data)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; False if it goes on."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if select.select([self.pipe], [], [], left)[0] and not os.read(self.pipe, 1 << 16):
                self.reap()
        return True

    def reap(self) -> None:
        """Take note of the end."""
        if self.code is None:
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
            os.close(self.pipe)

    def kill(self) -> None:
        """End it at once."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.reap()


def _be_child(work: Callable[[int], None], writing: int, errors: Path) -> None:
    code = 1
    try:
        descriptor = os.open(errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(descriptor, 2)
        work(writing)
        code = 0
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happens
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def run_seed(
    seed: int, *, off: str = "", also: Sequence[str] = (), alone: bool = False, keep: Path | None = None
) -> dict[str, Any]:
    """Execute one run and check it; ``keep`` is a folder for what it leaves."""
    plan = make_plan(seed, also=also, alone=alone)
    folder = Path(tempfile.mkdtemp(prefix=f"campaign-{seed}-")) if keep is None else keep
    folder.mkdir(exist_ok=True, parents=True)
    started = time.monotonic()
    try:
        return _Run(plan, folder, off).carry_out() | {"seconds": round(time.monotonic() - started, 2)}
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


class _Run:
    def __init__(self, plan: Any, folder: Path, off: str) -> None:
        self.plan, self.folder, self.off = plan, folder, off
        self.port = 0
        self.venue: Child | None = None
        self.kills: list[str] = []
        self.broken: list[str] = []

    def carry_out(self) -> dict[str, Any]:
        os.environ["XDG_STATE_HOME"] = str(self.folder / "state home")  # run locks of this run alone
        set_hours(self.plan, self.folder)
        try:
            self.open_venue(plain=False)
            for number, kill in enumerate(self.plan.workers):
                self.night(number)
                self.restore(number)
                self.work(kill, number)
                if number == 0:
                    self.between()
            self.end_faults()
            self.night(len(self.plan.workers))
            self.restore(len(self.plan.workers))
            self.finish()
            self.reconcile()
        finally:
            if self.venue is not None:
                self.venue.kill()
        return self.verdict()

    # -- the venue -------------------------------------------------------------------------------------------

    def open_venue(self, *, plain: bool) -> None:
        plan, folder, port = self.plan, self.folder, self.port
        venue = Child(lambda pipe: run_venue(plan, folder, port, pipe, plain=plain), folder / "errors")
        while not venue.received.endswith(b"\n"):
            if not venue.receive(_HANG_SECONDS):
                venue.kill()
                raise RuntimeError(f"the venue did not start: {(folder / 'errors').read_text()}")
        self.port = int(venue.received)
        self.venue = venue

    def reopen_venue(self, *, plain: bool) -> None:
        """The venue is killed and comes back with its state."""
        if self.venue is not None:
            self.venue.kill()
        self.open_venue(plain=plain)

    def between(self) -> None:
        if "reset_ids" in self.plan.between and self.venue is not None:
            time.sleep(self.plan.slow + 0.02)  # what the killed worker sent is still in the venue's queue
            os.kill(self.venue.pid, signal.SIGUSR1)

    def night(self, number: int) -> None:
        """Let the day of New York change before a worker, if its turn has come; the venue has come to rest."""
        if self.plan.night_before != number or not number or self.venue is None:
            return
        self._begin_day("night")

    def _begin_day(self, line: str) -> None:
        """Let all clocks jump, and wait until the venue has begun its day and noted so."""
        self._rest()
        pass_night(self.folder)
        if self.venue is not None:
            os.kill(self.venue.pid, signal.SIGUSR2)
        deadline = time.monotonic() + _HANG_SECONDS
        while line not in _lines(self.folder / "venue.log") and time.monotonic() < deadline:
            time.sleep(0.005)

    # -- workers ---------------------------------------------------------------------------------------------

    def work(self, kill: dict[str, Any], number: int = -1) -> int | None:
        plan, folder, port, off = self.plan, self.folder, self.port, self.off
        worker = Child(lambda pipe: run_worker(plan, folder, port, kill, pipe, off), folder / "errors")
        copier = self.copy(number)
        try:
            if number == 0 and plan.venue_dies_after is not None:
                worker.receive(_HANG_SECONDS)
                worker.wait(plan.venue_dies_after)
                self.reopen_venue(plain=True)
            if "after" in kill and worker.code is None:
                worker.receive(_HANG_SECONDS)
                if "stopped" in kill:
                    self._stop(worker, *kill["stopped"])
                if not worker.wait(kill["after"]):
                    worker.kill()
                    self.kills.append("random time")
            if "stopped" in kill:
                self._stop(worker, *kill["stopped"])
            if worker.code is None and not worker.wait(_HANG_SECONDS):
                self.broken.append("hung")
        finally:
            worker.kill()
            if copier is not None:
                copier.wait(_HANG_SECONDS if is_planned(self.folder) else 0.0)
                copier.kill()
        return worker.code

    def _stop(self, worker: Child, after: float, seconds: float) -> None:
        """Stop a worker for some seconds; it goes on as if nothing had happened."""
        if worker.wait(after):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(worker.pid, signal.SIGCONT)
        with (self.folder / "venue.log").open("a") as log:
            log.write("stopped\n")

    def copy(self, number: int) -> Child | None:
        """Copy the blotter in the life of a worker, if its turn has come."""
        if self.plan.copied is None or self.plan.copied[0] != number:
            return None
        folder, seconds = self.folder, self.plan.copied[1]
        return Child(lambda _: run_copier(folder, seconds), folder / "errors")

    def restore(self, number: int) -> None:
        """Put the copy in the blotter's place before a worker, if there is one and its turn has come.

        Nobody does so within the seconds that an order may be under way: the venue has come to rest.
        """
        copy, blotter = self.folder / COPY, self.folder / "run.duckdb"
        known = copy.with_suffix(".acks")
        if self.plan.copied is None or self.plan.restored_before != number or not known.exists():
            return
        self._rest()
        for suffix in (".wal", ".wal.checkpoint"):
            Path(f"{blotter}{suffix}").unlink(missing_ok=True)
        copy.replace(blotter)
        os.truncate(self.folder / "acks", int(known.read_text()))  # the rest is gone, as it must be
        with (self.folder / "venue.log").open("a") as log:
            log.write("restored\n")

    def end_faults(self) -> None:
        """Wait until the faults have ended and the venue is idle."""
        if self.plan.lasts and self.plan.venue_dies_after is None:
            self._rest()
            self.reopen_venue(plain=True)
        self._rest()

    def _rest(self) -> None:
        """Until the venue's journal has not grown for a while: longer than an order waits in its queue."""
        journal, quiet = self.folder / "journal.jsonl", max(_VENUE_QUIET, self.plan.slow + 0.1)
        size, since = -1, time.monotonic()
        while time.monotonic() - since < quiet:
            now = journal.stat().st_size
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.02)

    def finish(self) -> None:
        """Resume until no order is left open or in doubt and the venue is silent, a few times at most."""
        for _ in range(0 if self.plan.is_alone else _CLEAN_PASSES):
            code = self.work({})
            size = (self.folder / "journal.jsonl").stat().st_size
            is_open = _lines(self.folder / "notes")[-2:-1] == ["open"]
            self._rest()  # what went out just now may still wait in the venue's queue, a fill be corrected
            has_news = (self.folder / "journal.jsonl").stat().st_size > size
            if code == 0 and not is_open and not has_news:
                return

    def reconcile(self) -> None:
        """Reconcile, if the plan says so."""
        if self.plan.reconciled_by is None:
            return
        if self.plan.other_midnight:
            self._begin_day("other midnight")
        plan, folder, port, off = self.plan, self.folder, self.port, self.off
        child = Child(lambda _: run_reconciliation(plan, folder, port, off), folder / "errors")
        if not child.wait(_HANG_SECONDS) or child.code:
            self.broken.append(f"reconciliation: {_lines(folder / 'errors')[-3:]}")
        child.kill()

    # -- the verdict -----------------------------------------------------------------------------------------

    def verdict(self) -> dict[str, Any]:
        plan, folder = self.plan, self.folder
        checker = Child(self._check, folder / "errors")
        while not checker.received.endswith(b"\n") and checker.receive(_HANG_SECONDS):
            pass
        checker.kill()
        notes = _lines(folder / "notes")
        result: dict[str, Any] = {"seed": plan.seed, "faults": plan.faults, "scripts": plan.scripts}
        if checker.received:
            result |= json.loads(checker.received)
        else:
            result |= {"found": {"torn_files": 1}, "words": [f"no verdict: {_lines(folder / 'errors')[-3:]}"]}
        self.kills += [line.removeprefix("killed ") for line in notes if line.startswith("killed ")]
        self.broken += [line for line in notes if line.startswith("failed ")]
        ends = [line for line in notes if not line.startswith(("differs ", "rows "))]
        if not ends or ends[-1] != "finished":
            self.broken.append(f"the last worker did not finish: {ends[-1:]}")
        if self.broken:
            result["found"]["broken_workers"] = len(self.broken)
            result["words"] += [f"broken_workers: {text[-600:]}" for text in self.broken]
        found: dict[str, int] = {}
        for line in notes:
            if line.startswith("found "):
                for pair in line.split()[1:]:
                    state, count = pair.rsplit(":", 1)
                    found[state] = found.get(state, 0) + int(count)
        happened: dict[str, int] = {}
        for line in _lines(folder / "venue.log"):
            happened[line] = happened.get(line, 0) + 1
        return result | {"kills": self.kills, "found_states": found, "happened": happened}

    def _check(self, pipe: int) -> None:
        if self.off and SAFEGUARDS[self.off].fits is not None:
            switch_off(self.off, self.folder)  # the state of an order is derived where it is read
        os.write(pipe, json.dumps(check_run(self.plan, self.folder)).encode() + b"\n")


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []


def run_campaign(
    seeds: Sequence[int], *, wide: int, off: str = "", also: Sequence[str] = (), alone: bool = False
) -> Iterator[dict[str, Any]]:
    """The results of many runs, as they come, from ``wide`` lanes."""

    def lane(mine: Sequence[int]) -> Iterator[dict[str, Any]]:
        for seed in mine:
            try:
                yield run_seed(seed, off=off, also=also, alone=alone)
            except Exception as error:  # noqa: BLE001 - the harness itself failed; that is no pass
                yield {"seed": seed, **_failed(error)}

    return side_by_side(lane, seeds, wide)


def run_in_virtual_time(
    seeds: Sequence[int], *, wide: int, off: str = "", also: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The results of many schedules of :mod:`tests.campaign.schedules`, from ``wide`` lanes."""

    def lane(mine: Sequence[int]) -> Iterator[dict[str, Any]]:
        switch_off(off, Path(os.devnull))
        return run_schedules(mine, also=also)

    return side_by_side(lane, seeds, wide)


def chase_in_virtual_time(seeds: Sequence[int], *, wide: int) -> Iterator[dict[str, Any]]:
    """The results of many runs of :mod:`tests.campaign.chases`, with their time of the processor."""

    def lane(mine: Sequence[int]) -> Iterator[dict[str, Any]]:
        since = time.process_time()
        for one in run_chases(mine):
            now = time.process_time()
            yield one | {"cpu_seconds": round(now - since, 3)}
            since = now

    return side_by_side(lane, seeds, wide)


def _failed(error: Exception) -> dict[str, Any]:
    return {"found": {"broken_workers": 1}, "words": [f"{type(error).__name__}: {error}"], "kills": []}


def side_by_side(lane: Lane, seeds: Sequence[int], wide: int) -> Iterator[dict[str, Any]]:
    """Share the seeds among ``wide`` forks, and give their results as they come."""
    children = []
    for number in range(wide):
        mine = seeds[number::wide]
        children.append(Child(partial(_send_results, lane, mine), Path(os.devnull)))
    pipes = {child.pipe: child for child in children}
    waiting = {child.pipe: b"" for child in children}
    missing = set(seeds)
    try:
        while pipes:
            for pipe in select.select(list(pipes), [], [])[0]:
                data = os.read(pipe, 1 << 16)
                if not data:
                    pipes.pop(pipe).reap()
                    continue
                *lines, waiting[pipe] = (waiting[pipe] + data).split(b"\n")
                for line in lines:
                    result = json.loads(line)
                    missing.discard(result["seed"])
                    yield result
        for seed in sorted(missing):
            yield {"seed": seed, "found": {"broken_workers": 1}, "words": ["its lane has died"], "kills": []}
    finally:
        for child in pipes.values():
            child.kill()


def _send_results(lane: Lane, seeds: Sequence[int], pipe: int) -> None:
    for result in lane(seeds):
        data = json.dumps(result).encode() + b"\n"
        while data:
            data = data[os.write(pipe, data) :]
