"""The command line: output, options and errors."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stocklean_exec.simulator import read_journal
from stocklean_exec.simulator.__main__ import main
from stocklean_exec.simulator.protocol.framing import pack, pack_fields

ROOT = Path(__file__).parent.parent.parent


def launch(*options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "stocklean_exec.simulator", "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def served(*options, requests):
    """The answers of a fresh process to ``requests``, which end in reqCurrentTime."""
    with launch(*options) as process:
        line = process.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:")
        port = int(line.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"API\0" + pack(b"v157..178"))
            connection.sendall(b"".join(pack_fields(fields) for fields in requests))
            data = b""
            while b"\0\0\0\x1049\x001\x00" not in data:
                data += connection.recv(65_536)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        return data


@pytest.mark.slow
def test_two_processes_with_one_seed_send_the_same_bytes(recorded, tmp_path):
    requests = recorded["ib_async", 176]
    journals = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    first, second = (served("--seed", "7", "--journal", str(path), requests=requests) for path in journals)
    assert first == second
    assert journals[0].read_bytes() == journals[1].read_bytes()
    assert [one["event"] for one in read_journal(journals[0])][:3] == ["order", "execution", "commission"]


@pytest.mark.slow
def test_a_killed_process_continues_from_its_state(join, make_venue, tmp_path):
    order = join(make_venue(server_version=178)).order_fields(1, symbol="AAPL", order_type="LMT", limit="1.00")
    start = ["71", "2", "1", ""]
    options = ["--state", str(tmp_path / "state"), "--server-version", "176"]
    with launch(*options) as process:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"API\0" + pack(b"v157..178") + pack_fields(start) + pack_fields(order))
            data = b""
            while b"Submitted\0" not in data.replace(b"PreSubmitted", b""):
                data += connection.recv(65_536)
            process.kill()
    again = served(*options, requests=[start, ["5", "1"], ["49", "1"]])
    assert b"\0Submitted\0" in again
    assert b"9\x001\x002\0" in again


CLIENT_THAT_DIES = """
import os, signal, socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
connection.sendall(bytes.fromhex(sys.argv[2]))
data = b""
while b"Submitted" not in data:  # the first order was accepted, the others are queued
    data += connection.recv(65_536)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_orders_of_a_killed_client_are_still_processed(join, make_venue, tmp_path):
    scenario = tmp_path / "slow.toml"
    scenario.write_text("[switches]\nqueue_seconds = 0.1\n", encoding="utf-8")
    peer = join(make_venue(server_version=178))
    orders = [peer.order_fields(number, symbol="AAPL", order_ref=f"r{number}") for number in range(1, 6)]
    sent = b"API\0" + pack(b"v157..176") + b"".join(pack_fields(one) for one in [["71", "2", "1", ""], *orders])
    files = ["--journal", str(tmp_path / "j"), "--state", str(tmp_path / "state")]
    with launch("--clock", "wall", "--scenario", str(scenario), *files) as process:
        port = process.stdout.readline().rsplit(":", 1)[1].strip()
        client = subprocess.run([sys.executable, "-c", CLIENT_THAT_DIES, port, sent.hex()], check=False)
        assert client.returncode == -signal.SIGKILL
        with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as again:
            start = pack_fields(["71", "2", "1", ""])
            again.sendall(b"API\0" + pack(b"v157..176") + start)
            data = b""
            while data.count(b"59\0" + b"1\0") < 1 or b"r5\0" not in data:
                data += again.recv(65_536)  # the same client, reconnected, receives the remaining reports
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    executed = [one["order_ref"] for one in read_journal(tmp_path / "j") if one["event"] == "execution"]
    assert list(dict.fromkeys(executed)) == ["r1", "r2", "r3", "r4", "r5"]


@pytest.mark.slow
def test_options_reach_the_venue(recorded, tmp_path):
    quotes = tmp_path / "quotes.csv"
    quotes.write_text("symbol,bid,ask\nAAPL,10.00,10.10\n", encoding="utf-8")
    options = ["--account", "DU7654321", "--quotes", str(quotes), "--server-version", "178"]
    options += ["--state", str(tmp_path / "state"), "--scenario", "partial_fills"]
    options += ["--base-currency", "gbp", "--cash", "GBP=4600,USD=500", "--rates", "USD=0.8"]
    requests = [["71", "2", "1", ""], ["62", "1", "8", "All", "NetLiquidation"], ["49", "1"]]
    data = served(*options, requests=requests)
    assert b"178\0" in data
    assert b"DU7654321\0" in data
    assert b"5000.00\0GBP" in data
    assert (tmp_path / "state").exists()


def test_the_scenario_format_can_be_printed(capsys):
    assert main(["--explain"]) == 0
    assert "link_down" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "7496"], "live TWS"),
        (["--port", "4001"], "live IB Gateway"),
        (["--port", "0", "--host", "192.0.2.1"], "allow_remote"),
        (["--port", "0", "--server-version", "200"], "200"),
        (["--port", "0", "--quotes", "no/such.csv"], "no/such.csv"),
        (["--port", "0", "--scenario", "no/such.toml"], "no/such.toml"),
        (["--port", "0", "--account", ""], "at least one account"),
    ],
)
def test_bad_input_is_reported_with_exit_code_2(capsys, options, words):
    assert main(options) == 2
    assert words in capsys.readouterr().err
