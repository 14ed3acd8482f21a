"""A venue reads and writes local files only: an address is refused in place of any path."""

from pathlib import Path

import pytest

from stocklean_exec.simulator import Simulator, read_journal
from stocklean_exec.simulator.exchange.journal import Journal
from stocklean_exec.simulator.exchange.persistence import StateFile
from stocklean_exec.simulator.files import AddressError, local_file
from stocklean_exec.simulator.scenarios.listings import read_listings
from stocklean_exec.simulator.scenarios.scenario import load_scenario

ADDRESSES = ["https://x/y", "s3:bucket/y", "file:y", "other://x/y", Path("https://x/y"), Path("other://x/y")]


@pytest.mark.parametrize("take", [local_file, load_scenario, read_listings, StateFile, Journal, read_journal])
@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_an_address_is_refused(take, address):
    with pytest.raises(AddressError, match="is an address, not a file's path"):
        take(address)


@pytest.mark.parametrize("option", ["quotes", "scenario", "state", "journal"])
def test_a_simulator_does_not_start_with_an_address(option):
    with pytest.raises(AddressError):
        Simulator(**{option: "https://x/y"}).start()


@pytest.mark.parametrize("text", ["day.toml", "/data/day 10:00.toml", "venue-2026-11-23T10:00.state", "c:/x"])
def test_a_name_that_contains_a_colon_is_a_path(text):
    assert local_file(text) == Path(text)
