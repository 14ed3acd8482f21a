"""A run that holds a client id at TWS: two brokers of one simulator stand for two computers."""

import asyncio

import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.ib.run_lease import lease_client_id
from stocklean_exec.errors import RunElsewhereError
from stocklean_exec.simulator import Simulator
from tests.wire_market import MARKET, approved_of, connect

ONE = [("SPY", "BUY", 5.0, "MKT")]
LEASED = {"run_client_ids": range(900, 1000)}


@pytest.fixture
def venue():
    with Simulator(seed=7, quotes=MARKET, clock="brisk") as running:
        yield running


def test_a_run_has_one_client_id_within_the_range_on_every_computer():
    numbers = [lease_client_id("DU0000001", f"run-{number}", range(900, 910)) for number in range(200)]
    assert numbers == [lease_client_id("DU0000001", f"run-{number}", range(900, 910)) for number in range(200)]
    assert set(numbers) == set(range(900, 910))
    assert lease_client_id("DU0000002", "run-1", range(900, 10_000)) != lease_client_id(
        "DU0000001", "run-1", range(900, 10_000)
    )


def test_the_client_id_of_a_run_is_the_same_in_every_version():
    # printf DU0000001/run-1 | sha256sum begins with f8f641620560f7fc, which is 72 modulo 100.
    assert lease_client_id("DU0000001", "run-1", range(900, 1000)) == 900 + 0xF8F641620560F7FC % 100 == 972


@pytest.mark.slow
def test_a_run_that_another_computer_holds_is_refused_before_anything_is_sent(venue):
    async def race(holder, other, blotter):
        async with holder.hold_run("r"):
            with pytest.raises(RunElsewhereError, match=r"stands for run r at TWS, is in use.*Nothing was sent"):
                await sx.submit_orders_async(approved_of(ONE), other, blotter, timeout=5)
            assert blotter.orders()["state"].tolist() == ["INTENT"]
        return await sx.resume_async("r", other, blotter, timeout=5)  # the holder has finished

    with (
        connect(venue, client_id=7, **LEASED) as holder,
        connect(venue, client_id=8, **LEASED) as other,
        sx.open_blotter() as blotter,
    ):
        states = asyncio.run(race(holder, other, blotter))
        assert states["status"].tolist() == ["FILLED"]
        assert holder.positions()["quantity"].tolist() == [5.0]


@pytest.mark.slow
def test_a_lost_lease_is_taken_again_before_anything_more_is_sent(venue):
    async def lose(broker):
        async with broker.hold_run("r"):
            (lease,) = broker._leases.values()
            is_lost, loop, report = asyncio.Event(), asyncio.get_running_loop(), lease._report_lost

            def on_lost():
                report()
                loop.call_soon_threadsafe(is_lost.set)

            lease._report_lost = on_lost
            broker._loop.loop.call_soon_threadsafe(lease._connection._ib.client.conn.transport.abort)
            await is_lost.wait()
            assert (lease.is_held, "holds a run at TWS is gone" in broker.fault) == (False, True)
            await broker.restore_connection(5.0)
            assert (lease.is_held, broker.fault) == (True, "")
        assert not broker._leases

    with connect(venue, **LEASED) as broker:
        asyncio.run(lose(broker))
        asyncio.run(lose(broker))  # it was given back
