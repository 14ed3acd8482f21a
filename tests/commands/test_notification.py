"""What a run from cron reports, to whom, and that nothing which happens to the message affects the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import apprise
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.cli import main
from stocklean_exec.commands import notification
from stocklean_exec.commands.notification import Message, Notifier, address_file, outcome
from stocklean_exec.errors import InputError

HELLO = Message("run-1: done", "run-1: done", "success")


class Hook(ThreadingHTTPServer):
    """A web hook on this computer that keeps what it is sent; ``slow`` answers once it is released."""

    daemon_threads = True

    def __init__(self, status=200, *, slow=False):
        self.received, self.status, self.release = [], status, threading.Event()
        if not slow:
            self.release.set()
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self):
        return f"json://:secret-token@127.0.0.1:{self.server_port}/hook"

    def __exit__(self, *_):
        self.release.set()
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.release.wait(30.0)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    with Hook() as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("STOCKLEAN_NOTIFY", raising=False)
    (tmp_path / "targets.csv").write_text("symbol,weight\nAAPL,0.3\nJPM,0.2\n")
    return tmp_path


def private(text, mode=0o600):
    file = address_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def rebalance(*more, run_id="r1", broker="mock://?seed=7&account=DU7654321"):
    return ["rebalance", "targets.csv", "--broker", broker, "--blotter", "b.duckdb", "--run-id", run_id, *more]


# -- the message -----------------------------------------------------------------------------------------------


def orders_of(*statuses):
    return pd.DataFrame(
        {
            "status": statuses,
            "side": "BUY",
            "symbol": "SPY",
            "quantity": 5.0,
            "filled_quantity": 2.0,
            "reason": "no funds in DU7654321",
        }
    )


@pytest.mark.parametrize(
    ("code", "statuses", "halted", "title", "level"),
    [
        (0, ["FILLED"], None, "r: partial", "success"),
        (4, ["FILLED", "CANCELLED"], None, "r: partial", "warning"),
        (5, ["FILLED", "UNKNOWN"], None, "r: unresolved", "failure"),
        (3, ["NEW"], "lunch", "r: halted", "failure"),
        (2, [], None, "r: partial", "failure"),
    ],
)
def test_title_and_level_say_what_a_person_has_to_do(code, statuses, halted, title, level):
    message = outcome("r", code, {"status": "partial"}, orders_of(*statuses), halted)
    assert (message.title, message.level) == (title, level)
    assert f"exit code {code}" in message.body


def test_a_message_has_counts_and_neither_account_nor_symbol_nor_reason():
    run = {"status": "partial", "account": "DU7654321", "message": "5 orders of DU7654321 in SPY"}
    message = outcome("r", 4, run, orders_of("FILLED", "CANCELLED", "FILLED"), "SPY is wrong")
    assert message.body == ("r: partial (exit code 4)\n3 orders: 2 filled, 1 cancelled\nthe blotter is halted")


def test_details_are_the_masked_account_and_the_orders_that_are_not_filled():
    run = {"status": "partial", "account": "DU7654321", "message": "too little in DU7654321"}
    message = outcome("r", 4, run, orders_of("FILLED", *["CANCELLED"] * 22), "SPY is wrong", detail=True)
    lines = message.body.splitlines()
    assert lines[2:5] == ["the blotter is halted: SPY is wrong", "account DU***321", "too little in DU***321"]
    assert lines[5] == "BUY 5 SPY: CANCELLED, 2 filled (no funds in DU***321)"
    assert lines[-1] == "and 2 more"
    assert len(lines) == 5 + 20 + 1


def test_a_run_that_is_not_on_record_is_reported_too():
    message = outcome("r", 2, None, orders_of(), None, detail=True)
    assert message == Message("r: not on record", "r: not on record (exit code 2)\n0 orders", "failure")


# -- addresses -------------------------------------------------------------------------------------------------


def test_addresses_of_the_environment_come_before_those_of_the_file(folder, hook):
    private("json://127.0.0.1:9/dead\n")
    given = {"STOCKLEAN_NOTIFY": f"{hook.address}\n  {hook.address}"}
    assert Notifier.of_user(given).send(HELLO) == []
    assert [one["title"] for one in hook.received] == ["run-1: done"] * 2
    assert hook.received[0] | {"version": 0} == {
        "version": 0, "title": "run-1: done", "message": "run-1: done", "attachments": [], "type": "success"
    }  # fmt: skip


def test_the_private_file_has_one_address_a_line_and_comments(folder, hook):
    private(f"# the phone\n\n  {hook.address}  \n")
    assert Notifier.of_user({}).send(HELLO) == []
    assert len(hook.received) == 1


def test_without_an_address_the_error_says_where_to_put_one(folder):
    with pytest.raises(InputError, match=r"no address in STOCKLEAN_NOTIFY, .*/stocklean_exec/notify"):
        Notifier.of_user({})


@pytest.mark.parametrize("mode", [0o644, 0o620])
def test_a_file_that_others_can_read_is_not_used(folder, mode):
    private("json://127.0.0.1:9/dead\n", mode)
    with pytest.raises(InputError, match="is open to other users"):
        Notifier.of_user({})


def test_a_link_and_a_folder_are_no_file_of_addresses(folder):
    file = private("")
    file.unlink()
    file.symlink_to(folder / "targets.csv")
    with pytest.raises(InputError, match="cannot be read"):
        Notifier.of_user({})
    file.unlink()
    file.mkdir(mode=0o700)
    with pytest.raises(InputError, match="is not a regular file"):
        Notifier.of_user({})


def test_an_address_that_cannot_be_used_is_named_by_its_number_alone(folder, caplog):
    with pytest.raises(InputError) as caught:
        Notifier(["json://127.0.0.1:9/dead", "nonsense://token-1", "token-2"])
    assert [problem.detail for problem in caught.value.problems] == [
        "address 2 is of a kind that Apprise does not know, or cannot be read",
        "address 3 is of a kind that Apprise does not know, or cannot be read",
    ]
    assert caplog.text == ""


def test_without_apprise_the_error_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(InputError, match=r"stocklean_exec\[notify\]"):
        Notifier(["json://127.0.0.1:9/dead"])


# -- sending ---------------------------------------------------------------------------------------------------


def test_a_refused_message_is_reported_without_its_address(folder, capfd):
    with Hook(500) as refusing:
        assert Notifier([refusing.address]).send(HELLO) == ["address 1 did not take the message"]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_slow_address_is_given_up_and_does_not_hold_up_another(folder, hook):
    with Hook(slow=True) as slow:
        began = time.monotonic()
        assert Notifier([slow.address, hook.address]).send(HELLO, 0.3) == [
            "address 1 has not answered within 0.3 s"
        ]
        assert time.monotonic() - began < 3.0
        assert len(hook.received) == 1


def test_a_plugin_that_fails_is_a_message_that_was_not_taken(folder, monkeypatch, hook):
    notifier = Notifier([hook.address])
    monkeypatch.setattr(apprise.Apprise, "notify", lambda *_, **__: 1 / 0)
    assert notifier.send(HELLO) == ["address 1 did not take the message"]


# -- with a command --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_is_reported_after_its_record_is_closed(folder, monkeypatch, hook, capsys):
    def send(notifier, message, seconds=notification.SECONDS):
        sx.open_blotter("b.duckdb").close()  # nobody has it open any more
        sent.append(message)
        return []

    sent = []
    monkeypatch.setenv("STOCKLEAN_NOTIFY", hook.address)
    monkeypatch.setattr(Notifier, "send", send)
    assert main(rebalance("--yes", "--notify")) == 0
    assert sent == [Message("r1: done", "r1: done (exit code 0)\n2 orders: 2 filled", "success")]
    assert main(rebalance("--yes", "--notify", "--dry-run", run_id="r2")) == 0
    assert len(sent) == 1
    assert main(["halt", "--blotter", "b.duckdb", "--reason", "lunch"]) == 0
    assert main(rebalance("--yes", "--notify", run_id="r3")) == 3
    assert sent[-1].title == "r3: halted"
    assert main(["resume", "r3", *rebalance()[2:6], "--notify-detail"]) == 3
    assert sent[-1].body.splitlines()[2] == "the blotter is halted: lunch"
    (folder / "targets.csv").write_text("symbol,weight\nAAPL,many\n")
    assert main(rebalance("--yes", "--notify", run_id="r4")) == 2
    assert sent[-1].body == "r4: not on record (exit code 2)\n0 orders\nthe blotter is halted"
    assert "secret-token" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("address", [None, "nonsense://secret-token", "json://:secret-token@127.0.0.1:9/dead"])
def test_no_notification_fails_a_run(folder, monkeypatch, capfd, address):
    if address is not None:
        monkeypatch.setenv("STOCKLEAN_NOTIFY", address)
    assert main(rebalance("--yes", "--notify")) == 0
    out, err = capfd.readouterr()
    assert "Run r1: done" in out
    assert len(err.splitlines()) == 1
    assert "notification" in err
    assert "secret-token" not in err
    with sx.read_blotter("b.duckdb") as blotter:
        assert blotter.runs()["status"].tolist() == ["done"]
    assert b"secret-token" not in (folder / "b.duckdb").read_bytes()


def test_apprise_that_fails_to_load_does_not_fail_a_run(monkeypatch, capsys):
    monkeypatch.setenv("STOCKLEAN_NOTIFY", "json://:secret-token@127.0.0.1:9/dead")
    monkeypatch.setattr(apprise.Apprise, "add", lambda *_: 1 / 0)
    assert notification.notifier_of_user() is None
    assert capsys.readouterr().err == "no notification will be sent: Apprise failed (ZeroDivisionError)\n"


def test_a_record_that_cannot_be_read_is_a_line_of_its_own(folder, hook, capsys):
    (folder / "b.duckdb").write_text("no blotter")
    notification.report_outcome(Notifier([hook.address]), "r", "b.duckdb", 5, detail=False)
    assert "notification: the record cannot be read" in capsys.readouterr().err
    assert hook.received == []


@pytest.mark.slow
def test_a_dead_hook_does_not_hold_up_the_exit_of_the_command(folder):
    with Hook(slow=True) as slow:
        program = (
            "from stocklean_exec.commands import notification as n; "
            f"print(n.Notifier([{slow.address!r}] * 2).send(n.Message('t', 'b', 'info'), 0.2))"
        )
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ},
        )  # fmt: skip
        assert "has not answered" in done.stdout
        assert time.monotonic() - began < 20.0  # the hook answers after thirty


def test_apprise_is_not_loaded_without_an_address(folder, capsys):
    program = (
        "import sys; from stocklean_exec.commands.notification import notifier_of_user; "
        "notifier_of_user(); print('apprise' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
