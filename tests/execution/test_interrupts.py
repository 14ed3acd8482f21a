"""Ctrl-C while a plan is being submitted over the wire, in a process of its own as a user has it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = """
import asyncio, signal, sys
import stocklean_exec as sx
from tests.wire_market import MARKET, THREE, approved_of

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has a background job ignore interrupts

def show(states):
    print(*states["status"], *states["filled_quantity"], flush=True)

with sx.connect("sim://?seed=7", quotes=MARKET) as broker, sx.open_blotter(sys.argv[1]) as blotter:
    place_all = broker.place_all

    async def one_and_no_more(tickets, gate):
        await place_all(tickets[:1], gate)
        print("sent", tickets[0].client_order_id, flush=True)
        await asyncio.Event().wait()

    broker.place_all = one_and_no_more
    try:
        sx.submit_orders(approved_of(THREE), broker, blotter, timeout=30)
    except KeyboardInterrupt as error:
        print(repr(error), flush=True)
    sx.reconcile(broker, blotter)  # asks for all that TWS has: what it said of the first order is on record then
    show(blotter.orders("r"))
    print(blotter.runs()["message"].item(), flush=True)
    broker.place_all = place_all
    show(sx.resume("r", broker, blotter, timeout=30))
    print(blotter.runs()["status"].item(), len(blotter.fills("r")), *broker.positions()["quantity"], flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_during_a_submission_is_raised_as_it_is_and_a_resume_ends_the_run(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "paper.duckdb")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout.readline() == "sent r-SPY-BUY\n"
            process.send_signal(signal.SIGINT)
            shown, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert shown.splitlines() == [
        "KeyboardInterrupt()",
        "FILLED NEW NEW 5.0 0.0 0.0",
        "interrupted by the caller or Ctrl-C; sx.resume('r', ...) or stocklean resume r continues the run",
        "FILLED FILLED FILLED 5.0 6.0 7.0",
        "done 3 7.0 5.0 6.0",  # KO, SPY and TLT
    ], errors
