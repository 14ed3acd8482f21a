"""What SECURITY.md says, tried on real files, modes, links, owners and sockets."""

from __future__ import annotations

import ast
import getpass
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from platformdirs import user_state_path

import stocklean_exec as sx
from stocklean_exec.blotter.kill_switch import HaltJournal
from stocklean_exec.cli import main
from stocklean_exec.commands.notification import Notifier, outcome
from stocklean_exec.errors import ApprovalError, BlotterError, BrokerError, InputError, LiveAccountError
from stocklean_exec.execution.approval import seal, verify
from stocklean_exec.execution.run_lock import run_lock
from stocklean_exec.simulator import Simulator
from stocklean_exec.simulator.server.server import FORBIDDEN_PORTS

ROOT = Path(__file__).resolve().parents[1]
POLICY = (ROOT / "SECURITY.md").read_text("utf-8")
ACCOUNT, MASKED = "DU7654321", "DU***321"
NOBODY = 65534
LIMITS = sx.Limits(max_order_notional=60_000)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def trade(blotter, *, by="ann", run_id="r"):
    """Buy 50 AAA at 100 through the mock filler; gives its end state."""
    broker = sx.connect(f"mock://?seed=7&account={ACCOUNT}", quotes={"AAA": 100.0}, cash=10_000)
    options = {"run_id": run_id, "approve": by, "dry_run": False, "limits": LIMITS}
    return sx.rebalance({"AAA": 0.5}, broker, blotter, **options)


def mode(path):
    return stat.S_IMODE(Path(path).lstat().st_mode)


def modes(folder):
    return {path.relative_to(folder).as_posix(): mode(path) for path in folder.rglob("*")}


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def blotter(tmp_path):
    with sx.open_blotter(tmp_path / "x.duckdb") as opened:
        trade(opened)
        yield opened


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "stocklean_exec"


# -- the document ----------------------------------------------------------------------------------------


def points():
    """Each point of the policy, with the tests that are named behind it."""
    body = POLICY[POLICY.index("## Files") :]
    return re.findall(r"^- ((?:(?!\n- |\n\n).)*)", body, re.MULTILINE | re.DOTALL)


def test_every_point_names_tests_and_every_test_is_named_by_a_point():
    named = []
    for point in points():
        found = re.search(r"<!-- tests: ([\w, ]+) -->$", point)
        assert found, f"no test is named: {point}"
        named += found[1].split(", ")
    here = {
        node.name.removeprefix("test_")
        for node in ast.parse(Path(__file__).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert {*named} == here - {"every_point_names_tests_and_every_test_is_named_by_a_point"}


# -- files -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_blotter_files_are_private(tmp_path, open_umask):
    with sx.open_blotter(tmp_path / "x.duckdb") as blotter:
        trade(blotter)
        blotter.halt("lunch")
        found = modes(tmp_path)
    assert found == dict.fromkeys(["x.duckdb", "x.duckdb.wal", "x.duckdb.lock", "x.duckdb.halt"], 0o600)


@pytest.mark.slow
def test_blotter_that_others_could_read_is_closed(tmp_path):
    path = tmp_path / "x.duckdb"
    sx.open_blotter(path).close()
    path.chmod(0o664)
    with sx.open_blotter(path):
        assert mode(path) == 0o600


def basket(folder, **options):
    """Write one approved order of ``ACCOUNT`` as a basket file; gives the file."""
    run_id = options.pop("run_id", "r")
    orders = {"run_id": run_id, "symbol": ["AAA"], "side": "BUY", "quantity": 5.0, "order_type": "MKT"}
    frame = pd.DataFrame(orders | {"account": ACCOUNT})
    review = sx.review_orders(sx.check_orders(frame, LIMITS, quotes={"AAA": 100.0}, cash=10_000))
    review.approve_all(by="ann")
    sx.export_basket(review.result(), folder / "basket.csv", **options)
    return folder / "basket.csv"


def test_basket_file_is_private(tmp_path, open_umask):
    (tmp_path / "other.csv").write_text("not to be touched")
    (tmp_path / "basket.csv").symlink_to(tmp_path / "other.csv")
    with sx.open_blotter() as blotter:
        file = basket(tmp_path, blotter=blotter)
    assert mode(file) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["basket.csv", "other.csv"]
    assert (tmp_path / "other.csv").read_text() == "not to be touched"
    assert ACCOUNT in file.read_text()


def test_basket_file_has_no_formula(tmp_path):
    with pytest.raises(InputError, match="is a formula to a spreadsheet"):
        basket(tmp_path, run_id="-1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_simulator_files_are_private(tmp_path, open_umask):
    with Simulator(quotes={"AAA": 100.0}, journal=tmp_path / "j.jsonl", state=tmp_path / "s.json"):
        assert modes(tmp_path) == {"j.jsonl": 0o600, "s.json": 0o600}


@pytest.mark.slow
def test_export_and_report_are_private(blotter, tmp_path, open_umask):
    blotter.export(tmp_path / "out")
    sx.report("r", blotter, tmp_path / "r.html")
    assert mode(tmp_path / "r.html") == 0o600
    assert mode(tmp_path / "out") == 0o700
    found = modes(tmp_path / "out")
    assert len(found) == 10  # five tables, each in a folder of its own
    assert all(found[name] == (0o600 if name.endswith(".parquet") else 0o700) for name in found)


@pytest.mark.slow
def test_folder_of_a_blotter_is_not_checked(tmp_path):
    tmp_path.chmod(0o777)
    with sx.open_blotter(tmp_path / "x.duckdb") as blotter:
        HaltJournal(tmp_path / "x.duckdb").halt("from elsewhere")
        assert blotter.halted == "from elsewhere"
        (tmp_path / "x.duckdb.halt").unlink()
        assert blotter.halted is None


@pytest.mark.slow
def test_unreadable_halt_journal_is_a_halt(tmp_path):
    with sx.open_blotter(tmp_path / "x.duckdb") as blotter:
        journal = tmp_path / "x.duckdb.halt"
        journal.write_text("not a line of ours\n", "utf-8")
        assert "cannot be read" in blotter.halted
        journal.unlink()
        journal.mkdir()
        assert "cannot be read" in blotter.halted
        with pytest.raises(sx.HaltedError):
            trade(blotter)
        journal.rmdir()


@pytest.mark.slow
@as_root
def test_blotter_of_another_user_is_not_opened(tmp_path):
    path = tmp_path / "x.duckdb"
    sx.open_blotter(path).close()
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(BlotterError, match=f"belongs to user {NOBODY}"):
        sx.open_blotter(path)
    HaltJournal(path).halt("root says so")
    with sx.read_blotter(path) as snapshot:
        assert len(snapshot.runs()) == 0


@pytest.mark.slow
def test_links_in_place_of_what_is_written(tmp_path):
    path, victim = tmp_path / "x.duckdb", tmp_path / "victim"
    with sx.open_blotter(path) as blotter:
        trade(blotter)
        victim.write_text("kept", "utf-8")
        (tmp_path / "r.html").symlink_to(victim)
        sx.report("r", blotter, tmp_path / "r.html")
        (tmp_path / "x.duckdb.halt").symlink_to(victim)
        with pytest.raises(BlotterError):
            blotter.halt("lunch")
        (tmp_path / "x.duckdb.halt").unlink()
    assert not (tmp_path / "r.html").is_symlink()
    (tmp_path / "link.duckdb").symlink_to(path)
    with pytest.raises(InputError, match="blotter_symlink"):
        sx.open_blotter(tmp_path / "link.duckdb")
    (tmp_path / "x.duckdb.lock").unlink()
    (tmp_path / "x.duckdb.lock").symlink_to(victim)
    with pytest.raises(BlotterError, match="symbolic link, which is not followed"):
        sx.open_blotter(path)
    assert victim.read_text("utf-8") == "kept"


@pytest.mark.slow
def test_links_to_folders_and_to_input_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    sx.open_blotter(tmp_path / "folder" / "x.duckdb").close()
    assert (tmp_path / "real" / "x.duckdb").exists()
    (tmp_path / "t.csv").write_text("symbol,weight\nSPY,0.5\n", "utf-8")
    (tmp_path / "link.csv").symlink_to(tmp_path / "t.csv")
    assert sx.read_targets(tmp_path / "link.csv")["weight"].tolist() == [0.5]


@pytest.mark.slow
def test_blotter_is_not_encrypted(tmp_path):
    with sx.open_blotter(tmp_path / "x.duckdb") as blotter:
        trade(blotter)
        blotter.export(tmp_path / "out")
    with duckdb.connect(tmp_path / "x.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT DISTINCT account FROM planned_orders").fetchall() == [(ACCOUNT,)]
    with duckdb.connect() as connection:
        query = f"SELECT DISTINCT account FROM '{tmp_path}/out/orders/orders.parquet'"  # noqa: S608 - a test's own
        assert connection.execute(query).fetchall() == [(ACCOUNT,)]


@pytest.mark.slow
def test_snapshot_is_a_private_copy(tmp_path, monkeypatch, open_umask):
    sx.open_blotter(tmp_path / "x.duckdb").close()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with sx.read_blotter(tmp_path / "x.duckdb"):
        (copy,) = scratch.iterdir()
        assert mode(copy) == 0o700
    assert list(scratch.iterdir()) == []
    killed = "import os, sys, stocklean_exec as sx; b = sx.read_blotter(sys.argv[1]); os.kill(os.getpid(), 9)"
    env = os.environ | {"TMPDIR": str(scratch)}
    subprocess.run([sys.executable, "-c", killed, tmp_path / "x.duckdb"], env=env, cwd=ROOT, check=False)
    assert [mode(copy) for copy in scratch.iterdir()] == [0o700]


def parquet(path, weight):
    with duckdb.connect() as connection:  # under a name without a pattern's sign, which DuckDB would look up
        connection.execute(
            f"COPY (SELECT 'SPY' AS symbol, {weight} AS weight) TO '{path.parent}/new' (FORMAT parquet)"
        )
    (path.parent / "new").rename(path)


@pytest.mark.slow
def test_names_are_exact(tmp_path):
    parquet(tmp_path / "targets[1].parquet", 0.25)
    parquet(tmp_path / "targets1.parquet", 0.75)
    assert sx.read_targets(tmp_path / "targets[1].parquet")["weight"].tolist() == [0.25]
    with pytest.raises(InputError):
        sx.read_targets(tmp_path / "targets*.parquet")
    for name in ("2026-11-23", "2026-11-24"):
        sample = pd.DataFrame({"symbol": ["AAA"], "bid": [99.0], "ask": [101.0]})
        with duckdb.connect() as connection:
            connection.register("sample", sample.assign(quoted_at=pd.Timestamp(name, tz="UTC")))
            connection.execute(f"COPY sample TO '{tmp_path}/{name}.parquet' (FORMAT parquet)")
    fills = pd.DataFrame(
        {
            "exec_id": ["e"],
            "client_order_id": ["r-AAA-BUY"],
            "symbol": ["AAA"],
            "side": ["BUY"],
            "quantity": [10.0],
            "price": [101.0],
            "filled_at": pd.Timestamp("2026-11-24 00:00:01", tz="UTC"),
        }
    )
    found = sx.markouts(fills, tmp_path / "2026-*.parquet", horizons=[1])
    assert found["fills"].tolist() == [1]


@pytest.mark.slow
@pytest.mark.parametrize("address", ["https://example.com/t.csv", "s3://bucket/t.parquet", "file:/etc/passwd"])
def test_addresses_are_no_paths(address, blotter):
    for call in (sx.read_targets, sx.open_blotter, blotter.export, lambda path: sx.report("r", blotter, path)):
        with pytest.raises(InputError, match="is an address"):
            call(address)


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "ATTACH 'other.duckdb'",
        "LOAD httpfs",
        "SET lock_configuration = false",
    ],
)
def test_sql_reaches_nothing_else(statement, blotter):
    with pytest.raises(BlotterError, match="cannot be read"):
        blotter._frame(statement)


@pytest.mark.slow
def test_no_text_becomes_code():
    banned_modules = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "runpy", "code"}
    banned_calls = {"eval", "exec", "compile", "__import__", "read_pickle"}
    for file in (ROOT / "stocklean_exec").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = set()
            match node:
                case ast.Import(names=found):
                    names = {alias.name.split(".")[0] for alias in found} & banned_modules
                case ast.ImportFrom(module=str(module)):
                    names = {module.split(".")[0]} & banned_modules
                case ast.Call(func=ast.Name(name)) | ast.Call(func=ast.Attribute(attr="read_pickle" as name)):
                    names = {name} & banned_calls
            assert not names, (file.name, node.lineno, names)


# -- run locks -------------------------------------------------------------------------------------------


def test_run_locks_lie_in_a_private_state_folder(state, open_umask, monkeypatch):
    with run_lock(ACCOUNT, "r"):
        found = modes(state)
        assert mode(state) == 0o700
        assert found.pop("locks") == 0o700
        assert [*found.values()] == [0o600]
    monkeypatch.delenv("XDG_STATE_HOME")
    home = Path("~/.local/state/stocklean_exec").expanduser()
    assert user_state_path("stocklean_exec", appauthor=False) == home


def exposed(locks, how):
    if how == "mode":
        locks.chmod(0o750)
    elif how == "owner":
        os.chown(locks, NOBODY, NOBODY)
    else:
        locks.rename(locks.with_name("elsewhere"))
        locks.symlink_to(locks.with_name("elsewhere"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mode", "link", pytest.param("owner", marks=as_root)])
def test_exposed_state_folders_are_refused(how, state, tmp_path):
    with run_lock(ACCOUNT, "r"):
        pass
    exposed(state / "locks", how)
    with (
        sx.open_blotter(tmp_path / "x.duckdb") as blotter,
        Simulator(quotes={"AAA": 100.0}, clock="brisk") as simulator,
        sx.connect(f"ib://127.0.0.1:{simulator.port}") as broker,
    ):
        with pytest.raises(BlotterError, match="Nothing was sent"):
            sx.rebalance({"AAA": 0.5}, broker, blotter, run_id="r", approve="ann", dry_run=False)
        assert len(broker.open_orders()) == 0
        assert len(broker.positions()) == 0


def test_another_state_folder_has_locks_of_its_own(state, tmp_path, monkeypatch):
    with run_lock(ACCOUNT, "r"):
        with pytest.raises(sx.RunElsewhereError), run_lock(ACCOUNT, "r"):
            pass
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
        with run_lock(ACCOUNT, "r") as other:
            other.check()


# -- network ---------------------------------------------------------------------------------------------

WATCH = """
import json, sys
seen = []
def hook(event, values):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        seen.append([event, *values[1][:2]] if isinstance(values[1], tuple) else [event, str(values[1])])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request"):
        seen.append([event, str(values[0]), None])
sys.addaudithook(hook)
"""


def watched(body, folder, *, cut_off=False):
    """Run a program that notes every connection, bind and name look-up; without any network if it is cut off."""
    program = WATCH + textwrap.dedent(body) + "\nprint('seen', json.dumps(seen))"
    command = [sys.executable, "-c", program]
    if cut_off:
        command = ["unshare", "--net", *command]  # not even loopback is up: what native code tries fails too
    env = os.environ | {"PYTHONPATH": str(ROOT), "STOCKLEAN_PROGRESS": "0"}
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("seen ")[2])


MAIN_JOB = """
    import stocklean_exec as sx
    with open("t.csv", "w") as stream:
        stream.write("symbol,weight\\nAAA,0.5\\n")
    targets = sx.read_targets("t.csv")
    broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0}, cash=10_000)
    with sx.open_blotter("x.duckdb") as blotter:
        quotes, limits = broker.quotes(targets), sx.Limits(max_order_notional=60_000)
        orders = sx.plan_orders(targets, broker.positions(), quotes, nav=broker.nav(), run_id="r")
        checked = sx.check_orders(orders, limits, quotes=quotes, cash=broker.cash(), blotter=blotter)
        review = sx.review_orders(checked, broker, blotter, by="ann")
        review._repr_mimebundle_()
        review.approve_all()
        states = sx.submit_orders(review.result(), broker, blotter)
        assert states["status"].tolist() == ["FILLED"]
        sx.slippage(states, blotter.fills("r"))
        sx.report("r", blotter, "r.html")
        blotter.export("out")
        blotter.halt("lunch")
    with sx.read_blotter("x.duckdb") as snapshot:
        assert len(snapshot.fills()) == 1
"""


def can_cut_off():
    command = ["unshare", "--net", "true"]
    return shutil.which("unshare") is not None and subprocess.run(command, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("cut_off", [False, True], ids=["watched", "without any network"])
def test_nothing_connects_but_a_connection(cut_off, tmp_path):
    if cut_off and not can_cut_off():
        pytest.skip("a namespace without network needs root and Linux's unshare")
    assert watched(MAIN_JOB, tmp_path, cut_off=cut_off) == []
    knock = """
        import socket
        try:
            socket.create_connection(("127.0.0.1", 9), 0.1)
        except OSError:
            pass
    """
    assert ["socket.connect", "127.0.0.1", 9] in watched(knock, tmp_path)  # the watch sees what it is for


@pytest.mark.slow
def test_sim_stays_on_this_computer(tmp_path):
    seen = watched(
        """
        import stocklean_exec as sx
        with sx.connect("sim://", quotes={"AAA": 100.0}) as broker:
            broker.nav()
        """,
        tmp_path,
    )
    assert {event for event, *_ in seen} >= {"socket.bind", "socket.connect"}
    assert {host for _, host, _ in seen} == {"127.0.0.1"}


def test_simulator_refuses_other_addresses():
    with pytest.raises(ValueError, match="allow_remote"):
        Simulator(host="0.0.0.0").start()  # noqa: S104 - to see it refused
    assert {*FORBIDDEN_PORTS} == {7496, 4001}
    for port in FORBIDDEN_PORTS:
        with pytest.raises(ValueError, match="belongs to a live"):
            Simulator(port=port, allow_remote=True).start()


@pytest.mark.slow
def test_ib_connects_to_its_host_alone(tmp_path):
    with Simulator(quotes={"AAA": 100.0}) as simulator:
        seen = watched(
            f"""
            import stocklean_exec as sx
            with sx.connect("ib://127.0.0.1:{simulator.port}") as broker:
                broker.nav()
            """,
            tmp_path,
        )
        reached = [one for one in seen if one[0] == "socket.connect"]
        assert reached == [["socket.connect", "127.0.0.1", simulator.port]]
        assert {host for _, host, *_ in seen} == {"127.0.0.1"}


@pytest.mark.slow
def test_other_computers_must_be_named(tmp_path):
    seen = watched(
        """
        import stocklean_exec as sx
        for host in ("192.0.2.7", "tws.example.com"):
            try:
                sx.connect(f"ib://{host}:4002")
            except sx.StockleanError as error:
                assert "remote=1" in str(error)
            else:
                raise SystemExit("it was not refused")
        """,
        tmp_path,
    )
    assert seen == []


@pytest.mark.slow
def test_doctor_knocks_on_this_computer(tmp_path):
    seen = watched("import stocklean_exec as sx\nsx.doctor()", tmp_path)
    ports = [[host, port] for event, host, port in seen if event == "socket.connect"]
    assert sorted(ports) == [["127.0.0.1", port] for port in (4001, 4002, 7496, 7497)]
    assert {host for _, host, _ in seen} == {"127.0.0.1"}


def test_port_asks_no_password():
    with Simulator(quotes={"AAA": 100.0}, cash=5_000.0) as simulator:
        address = f"ib://127.0.0.1:{simulator.port}"
        with sx.connect(f"{address}?client_id=1"), sx.connect(f"{address}?client_id=2") as other:
            assert other.cash() == 5_000.0


@pytest.mark.parametrize("login", ["me:secret@", "me@"])
def test_credentials_are_refused(login):
    with pytest.raises(InputError, match="takes no user or password"):
        sx.connect(f"ib://{login}127.0.0.1:4002")


def test_live_account_must_be_named_twice(monkeypatch):
    with Simulator(account="U7654321", quotes={"AAA": 100.0}) as simulator:
        address = f"ib://127.0.0.1:{simulator.port}"  # no port of a live login
        monkeypatch.delenv("STOCKLEAN_ALLOW_LIVE", raising=False)
        for allowed in (None, "U7654321"):
            with pytest.raises(LiveAccountError):
                sx.connect(address, allow_live=allowed)
        monkeypatch.setenv("STOCKLEAN_ALLOW_LIVE", "U7654321")
        for allowed in (None, "U1111111"):
            with pytest.raises(LiveAccountError):
                sx.connect(address, allow_live=allowed)
        with sx.connect(address, allow_live="U7654321") as broker:
            assert broker.account == "U7654321"


# -- messages ----------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration folder of this test alone, without addresses."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("STOCKLEAN_NOTIFY", raising=False)
    (tmp_path / "config" / "stocklean_exec").mkdir(parents=True)
    return tmp_path / "config" / "stocklean_exec"


def test_notify_addresses_come_from_private_places(config, tmp_path, monkeypatch):
    (config / "notify").write_text("json://127.0.0.1:9/of-the-file\n")
    for exposed in (0o640, 0o604):
        (config / "notify").chmod(exposed)
        with pytest.raises(InputError, match="is open to other users"):
            Notifier.of_user({})
    (config / "notify").chmod(0o600)
    Notifier.of_user({})
    (config / "notify").rename(tmp_path / "elsewhere")
    (config / "notify").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="cannot be read"):
        Notifier.of_user({})
    Notifier.of_user({"STOCKLEAN_NOTIFY": "json://127.0.0.1:9/of-the-environment"})
    with pytest.raises(SystemExit):  # the option takes no value
        main(["resume", "r", "--broker", "mock://", "--blotter", "b.duckdb", "--notify=json://127.0.0.1:9/x"])


@pytest.mark.slow
@pytest.mark.parametrize("address", ["json://:my-token@127.0.0.1:9/hook", "unheard-of://my-token", "my-token"])
def test_notify_addresses_are_not_disclosed(config, blotter, tmp_path, monkeypatch, capfd, caplog, address):
    monkeypatch.setenv("STOCKLEAN_NOTIFY", address)
    blotter.close()
    arguments = ["--broker", f"mock://?account={ACCOUNT}", "--blotter", str(tmp_path / "x.duckdb")]
    assert main(["resume", "r", *arguments, "--notify-detail"]) == 0
    out, err = capfd.readouterr()
    assert "my-token" not in out + err + caplog.text
    assert "address 1" in err
    assert b"my-token" not in (tmp_path / "x.duckdb").read_bytes()


def test_message_has_counts_alone():
    run = {"status": "partial", "account": ACCOUNT, "message": f"no cash for AAA in {ACCOUNT}"}
    row = {"side": "BUY", "symbol": "AAA", "quantity": 50.0, "filled_quantity": 0.0, "status": "CANCELLED"}
    orders = pd.DataFrame([row | {"reason": "not_funded"}])
    message = outcome("r", 4, run, orders, f"AAA of {ACCOUNT}")
    assert message.body == "r: partial (exit code 4)\n1 orders: 1 cancelled\nthe blotter is halted"
    detailed = outcome("r", 4, run, orders, None, detail=True).body
    assert MASKED in detailed
    assert ACCOUNT not in detailed
    assert Notifier(["json://127.0.0.1:9/dead"]).send(message, 5.0) == ["address 1 did not take the message"]


# -- approval and the kill switch ------------------------------------------------------------------------


@pytest.mark.slow
def test_approver_is_what_the_caller_said(tmp_path):
    with sx.open_blotter(tmp_path / "x.duckdb") as blotter:
        trade(blotter, by="the chief risk officer")
        assert blotter.runs()["approved_by"].tolist() == ["the chief risk officer"]


def test_seal_is_a_checksum():
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["AAA"],
            "side": "BUY",
            "quantity": [10.0],
            "order_type": "MKT",
            "decision_price": 100.0,
        }
    )
    review = sx.review_orders(sx.check_orders(orders, LIMITS, quotes={"AAA": 100.0}, cash=10_000), by="ann")
    review.approve_all()
    changed = review.result().assign(quantity=20.0)
    with pytest.raises(ApprovalError):
        verify(changed)
    verify(seal(changed))


@pytest.mark.slow
def test_any_process_may_halt_and_clear(tmp_path):
    path = tmp_path / "x.duckdb"
    with sx.open_blotter(path) as blotter:
        for command in ("halt", "clear-halt"):
            arguments = [command, "--blotter", path, "--reason", "drill"]
            done = subprocess.run([sys.executable, "-m", "stocklean_exec", *arguments], cwd=ROOT, check=False)
            assert done.returncode == 0
            assert blotter.halted == ("drill" if command == "halt" else None)
    with sx.read_blotter(path) as snapshot:
        recorded = snapshot.events()
        assert recorded["kind"].tolist() == ["halted", "halt_cleared"]
        assert recorded["occurred_at"].notna().all()
        assert (recorded["code"].str.len() > 0).all()  # the user's name
        assert recorded["message"].tolist() == ["drill", "drill"]


@pytest.mark.slow
def test_any_process_may_ask_to_cancel(tmp_path, open_umask):
    rests = pd.DataFrame({"symbol": ["AAA", "BBB"], "action": "rest"})
    quotes = {"AAA": 100.0, "BBB": 100.0}
    broker = sx.connect(f"mock://?account={ACCOUNT}", quotes=quotes, cash=10_000, fill_plan=rests)
    options = {"approve": "ann", "dry_run": False, "limits": LIMITS, "timeout": 0.1, "foreign_orders": "net"}
    with sx.open_blotter() as other, sx.open_blotter(tmp_path / "x.duckdb") as blotter:
        sx.rebalance({"BBB": 0.1}, broker, other, run_id="theirs", **options)
        sx.rebalance({"AAA": 0.1}, broker, blotter, run_id="r", **options)
        arguments = ["cancel", "r", "--broker", "mock://", "--blotter", str(tmp_path / "x.duckdb")]
        done = subprocess.run(
            [sys.executable, "-m", "stocklean_exec", *arguments], capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert broker.open_orders()["client_order_id"].tolist() == ["theirs-BBB-BUY"]
        events = blotter.events("r")
        (who,) = events.loc[events["kind"] == "run_cancelled", "code"]
        assert who == getpass.getuser()
        assert mode(tmp_path / "x.duckdb.cancel") == 0o600


def test_global_cancel_is_never_requested():
    package = ROOT / "stocklean_exec"
    files = [file for file in package.rglob("*.py") if "simulator" not in file.parts]
    assert [file for file in files if "GlobalCancel" in file.read_text("utf-8")] == []


# -- what is disclosed -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_report_discloses_trades_and_masks_accounts(blotter):
    page = sx.report("r", blotter).html
    assert "parameters" in page
    for shown in ("AAA", "BUY", "50", "10000", "ann", "60000", "mock://"):
        assert shown in page, shown
    assert ACCOUNT not in page
    assert MASKED in page  # within the broker's address


@pytest.mark.slow
def test_report_runs_nothing(tmp_path):
    hostile = "<script>fetch('https://example.com')</script>"
    with sx.open_blotter(tmp_path / "x.duckdb") as blotter:
        trade(blotter, by=hostile)
        page = sx.report("r", blotter).html
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in page


def review_of(blotter, **options):
    broker = sx.connect(f"mock://?account={ACCOUNT}", quotes={"AAA": 100.0}, cash=10_000)
    orders = sx.plan_orders({"AAA": 0.5}, broker.positions(), broker.quotes(), nav=broker.nav(), run_id="v")
    checked = sx.check_orders(orders, LIMITS, quotes=broker.quotes(), cash=broker.cash())
    return sx.review_orders(checked, broker, blotter, by="ann", **options), broker


@pytest.mark.slow
def test_displays_mask_accounts(blotter):
    review, broker = review_of(blotter)
    review.approve_all()
    run = sx.start_run(review.result(), broker, blotter)
    run.wait()
    view = run.view()
    view.wait()
    shown = [
        broker._repr_html_(),
        blotter._repr_html_(),
        run._repr_html_(),
        json.dumps(review._repr_mimebundle_()),
    ]
    shown += [json.dumps(view._repr_mimebundle_()), repr(broker), repr(review), repr(run)]
    assert all(ACCOUNT not in text for text in shown)
    assert sum(MASKED in text for text in shown) >= 4
    assert "of 1 ended" in view._repr_html_()
    open_review, _ = review_of(blotter, show_account=True)
    assert open_review.shown_account == ACCOUNT
    assert review.shown_account == MASKED


@pytest.mark.slow
def test_review_saves_no_order_in_a_notebook(blotter):
    review, _ = review_of(blotter)
    bundle = review._repr_mimebundle_()
    saved = json.dumps(
        [bundle, {k: v for k, v in review._widget.get_state().items() if k not in ("_esm", "_css")}]
    )
    for secret in (ACCOUNT, "v-AAA-BUY", "AAA"):
        assert secret not in saved


@pytest.mark.slow
def test_frames_show_accounts_in_full(blotter):
    for frame in (blotter.orders(), blotter.fills(), blotter.runs()):
        assert ACCOUNT in frame.to_html()
        assert ACCOUNT not in frame.drop(columns="account").drop(columns="parameters", errors="ignore").to_html()
    broker = sx.connect(f"mock://?account={ACCOUNT}", quotes={"AAA": 100.0}, positions={"AAA": 5})
    assert ACCOUNT in broker.positions().to_html()


def test_errors_mask_accounts(monkeypatch):
    monkeypatch.delenv("STOCKLEAN_ALLOW_LIVE", raising=False)
    with Simulator(account="U7654321,U7654322") as simulator:
        address = f"ib://127.0.0.1:{simulator.port}"
        for wanted in ("?account=U7654321", "?account=U9999999", ""):
            with pytest.raises(BrokerError) as caught:
                sx.connect(f"{address}{wanted}")
            text = str(caught.value).replace("account=DU1234567", "")  # the example in it
            assert re.search(r"U.\*\*\*\d{3}", text)
            assert not re.search(r"U\d{7}", text)


def test_doctor_warns_of_logs(monkeypatch, capsys):
    import logging  # noqa: PLC0415 - this test's own

    log = logging.getLogger("ib_async")
    monkeypatch.setattr(log, "level", logging.DEBUG)
    sx.doctor()
    assert "account numbers and complete orders are printed" in capsys.readouterr().out
