"""Hostile bytes: no input raises, the venue keeps running, and other clients are served.

Seeded, so that a failure can be reproduced. A run in the test suite is small; a large one is

    python tests/simulator/test_fuzz.py --frames 1000000 --seed 1
"""

import argparse
import csv
import random
import sys
import time
from pathlib import Path

import pytest

from stocklean_exec.simulator import Limits, Session, Settings, Venue
from stocklean_exec.simulator.protocol.framing import pack, pack_fields

WIRE = Path(__file__).parent.parent / "wire" / "client_requests.tsv"
NASTY = [
    *[
        "",
        "0",
        "-1",
        "1",
        "2147483647",
        "2147483648",
        "-2147483648",
        "1e308",
        "1.7976931348623157E308",
        "nan",
    ],
    *[
        "inf",
        "-inf",
        "1e-400",
        "9" * 400,
        "é",
        "\u2028",
        "'; --",
        "{}",
        "../..",
        "\n",
        " ",
        "0x7f",
        "1_0",
        "²",
    ],
    *["BUY", "SELL", "MKT", "LMT", "MOC", "STP", "GTD", "IOC", "FOK", "OPG", "20221229 10:00:00 US/Eastern"],
    *[
        "DU0000001",
        "SPY",
        "AAPL",
        "STK",
        "BAG",
        "SMART",
        "USD",
        "100000",
        "1.5",
        "400.1",
        "All",
        "$LEDGER:ALL",
    ],
]
KINDS = [
    "MKT",
    "MKT",
    "LMT",
    "LMT",
    "STP",
    "STP LMT",
    "MOC",
    "LOC",
    "MIDPRICE",
    "REL",
    "MIT",
    "LIT",
    "MTL",
    "TRAIL",
]
TIFS = ["DAY", "DAY", "", "GTC", "IOC", "FOK", "OPG", "GTD"]
SCENARIOS = [None, "noise", "corrections", "cancel_races", "partial_fills", "strict_tws", "blind_queries"]
SCENARIOS += ["slow_tws", "rough_wire", "link_down"]


def seeds():
    """Real requests to mutate."""
    with WIRE.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row["payload"].split("|")[:-1] for row in rows]


def likely_order(rng, fields, last_id):
    """Build an order that is often accepted or modified."""
    fields[1] = str(last_id + 1 if rng.random() < 0.7 else rng.randrange(1, last_id + 2))
    fields[2:4] = ["0", rng.choice(["AAPL", "SPY", "JNJ", "MRK", "PG", "RRC"])]
    fields[9:14] = ["SMART", "", "USD", "", ""]
    fields[16:19] = [rng.choice(["BUY", "SELL"]), str(rng.choice([1, 100, 3_000])), rng.choice(KINDS)]
    fields[19:22] = [
        rng.choice(["", "1.00", "999.00", "999.00"]),
        rng.choice(["5.00", "900.00"]),
        rng.choice(TIFS),
    ]
    fields[27] = rng.choice("1110")
    fields[69:71] = [rng.choice(["", "", "4.00"]), rng.choice(["", "", "1.5"])]
    if rng.random() < 0.1:
        fields[83:84] = [rng.choice(["Twap", "Vwap"]), "1", "endTime", rng.choice(["", "15:00:00 US/Eastern"])]
    fields[28] = rng.choice(["0", "0", "0", "0", str(last_id)])


def mutate(rng, corpus, last_id):
    """One frame that is nearly a request."""
    fields = list(rng.choice(corpus))
    if fields[0] == "3":
        likely_order(rng, fields, last_id)
    elif fields[0] == "4":
        fields[2] = str(rng.randrange(1, last_id + 2))
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        kind, at = rng.randrange(6), rng.randrange(len(fields))
        if kind <= 2:
            fields[at] = rng.choice(NASTY)
        elif kind == 3:
            fields = fields[:at] or ["3"]
        elif kind == 4:
            fields[at:at] = [rng.choice(NASTY)] * rng.choice([1, 1, 30])
        else:
            fields[0] = str(rng.randrange(-2, 120))
    payload = pack_fields(fields)[4:]
    if rng.random() < 0.05:
        payload = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
    return pack(payload)


def greet(venue, client_id, limits=None):
    """A started session."""
    session = Session(venue, limits)
    session.feed(b"API\0" + pack(b"v157..178") + pack_fields(["71", "2", str(client_id), ""]))
    session.take()
    return session


def portions(rng, data):
    """``data`` in chunks, as a network may deliver it."""
    if rng.random() < 0.9:
        yield data
        return
    while data:
        size = rng.randrange(1, len(data) + 1)
        yield data[:size]
        data = data[size:]


def fuzz(frames, seed):
    """Feed ``frames`` frames to venues; count the outcomes."""
    rng, corpus = random.Random(seed), seeds()  # noqa: S311 - to be repeatable, not secret
    counts = {"frames": 0, "bytes": 0, "closed": 0, "venues": 0, "orders": 0, "fills": 0}
    while counts["frames"] < frames:
        version = rng.randrange(157, 179)
        venue = Venue(Settings(seed=seed, scenario=rng.choice(SCENARIOS), server_version=version))
        counts["venues"] += 1
        honest = greet(venue, 1_000)
        session = greet(venue, 1)
        for _ in range(min(2_000, frames - counts["frames"])):
            if session.closed:
                counts["closed"] += 1
                session = greet(venue, rng.randrange(5), Limits(max_bad=50))
            for part in portions(rng, mutate(rng, corpus, venue.ledger.highest_id[session.client_id])):
                session.feed(part)
            if rng.random() < 0.001:
                session.feed(rng.randbytes(20))
            if rng.random() < 0.001:
                session.eof()
            counts["bytes"] += len(session.take())
            counts["frames"] += 1
        honest.take()
        honest.feed(pack_fields(["49", "1"]))
        assert honest.take()[4:6] == b"49", "an honest client is no longer served"
        assert venue.failures == [], venue.failures[0]
        counts["orders"] += len(venue.ledger.orders)
        counts["fills"] += len(venue.ledger.fills)
    return counts


@pytest.mark.slow
def test_hostile_frames_do_not_affect_the_venue_or_other_clients():
    counts = fuzz(6_000, seed=20221229)
    assert counts["frames"] == 6_000
    # Hostile frames reached the venue: orders were placed and filled, and connections were closed.
    assert min(counts["orders"], counts["fills"], counts["closed"]) > 10


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    begin = time.perf_counter()
    found = fuzz(given.frames, given.seed)
    seconds = time.perf_counter() - begin
    sys.stdout.write(f"{found} in {seconds:.1f} s, {given.frames / seconds:.0f} frames a second\n")
