"""Two workers that begin one run at nearly the same time, by two addresses of one TWS: one of them sends it."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.campaign.starts import Start, Trial, check_trial, make_trial

ROOT = Path(__file__).parents[1]
TRIAL = Trial(1, {"KO": 0.01, "SPY": 0.02}, (Start("localhost", "own", 7, 0.0), Start("127.0.0.1", "own", 8, 0.1)))
ONCE = Counter({"s1-KO-BUY": 1, "s1-SPY-BUY": 1})


def starts(*options):
    """The program's exit code, and the counts of its table."""
    command = [sys.executable, "-m", "tests.campaign.starts", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    lines = [line.rsplit(maxsplit=1) for line in done.stdout.splitlines()]
    return (
        done.returncode,
        {line[0]: int(line[1]) for line in lines if line[-1].isdigit()},
        done.stdout + done.stderr,
    )


@pytest.mark.slow
def test_a_run_started_by_two_workers_with_two_addresses_is_sent_by_one():
    code, table, shown = starts("--trials", 6, "--first", 1_001, "--wide", 3)
    assert code == 0, shown
    assert (table["trials"], table["workers that sent the run"], table["references accepted twice"]) == (6, 6, 0)
    refused = ("the run lock", "orders that the broker has")
    others = ("refused for a client id in use", "nothing left to trade")
    assert sum(table[name] for name in (*(f"refused by {name}" for name in refused), *others)) == 6, shown


@pytest.mark.once
def test_with_a_run_lock_per_address_runs_are_sent_twice():
    code, table, shown = starts("--trials", 6, "--first", 1_001, "--wide", 3, "--apart", 0.02, "--off", "account")
    assert code == 1, shown
    assert table["references accepted twice"] > 0, shown


@pytest.mark.once
def test_of_two_computers_one_sends_a_run_by_the_client_ids_of_runs_at_tws():
    code, table, shown = starts("--trials", 4, "--first", 1, "--wide", 3, "--hosts")
    assert code == 0, shown
    assert (table["workers that sent the run"], table["references accepted twice"]) == (4, 0)
    assert table["refused by the run lock"] == 0, shown  # they share no folder
    code, table, shown = starts(
        "--trials", 4, "--first", 1, "--wide", 3, "--hosts", "--off", "lease", "--apart", 0.02
    )
    assert code == 1, shown
    assert table["references accepted twice"] > 0, shown


def test_every_spelling_of_the_address_is_drawn_and_none_twice_in_a_trial():
    trials = [make_trial(seed) for seed in range(300)]
    pairs = [[(start.host, start.port) for start in trial.starts] for trial in trials]
    assert all(one != other for one, other in pairs)
    hosts, ports = ("127.0.0.1", "localhost"), ("own", "forwarded")
    assert {spelling for pair in pairs for spelling in pair} == {(host, port) for host in hosts for port in ports}
    assert {len({start.client_id for start in trial.starts}) for trial in trials} == {1, 2}
    assert max(start.delay for trial in trials for start in trial.starts) <= 0.3


def test_the_checker_finds_nothing_if_one_worker_sent_the_run_once():
    for end in ("lock", "lease", "broker", "client id", "nothing left"):
        assert check_trial(TRIAL, ONCE, ["sent", end]) == {"doubled": 0, "wrong": []}


@pytest.mark.parametrize(
    ("accepted", "ends", "doubled", "wrong"),
    [
        (ONCE + ONCE, ["sent", "sent"], 2, "2 workers have sent the run"),
        (ONCE + Counter({"s1-KO-BUY": 1}), ["sent", "broker"], 1, "s1-KO-BUY was accepted 2 times"),
        (Counter({"s1-KO-BUY": 1}), ["sent", "lock"], 0, "s1-SPY-BUY was not sent"),
        (ONCE + Counter({"s1-TLT-BUY": 1}), ["sent", "lock"], 0, "s1-TLT-BUY is not an order of the run"),
        (Counter(), ["lock", "lock"], 0, "0 workers have sent the run"),
        (ONCE, ["sent", "failed"], 0, "a worker ended: failed"),
    ],
)
def test_the_checker_finds(accepted, ends, doubled, wrong):
    found = check_trial(TRIAL, accepted, ends)
    assert found["doubled"] == doubled
    assert wrong in found["wrong"]
