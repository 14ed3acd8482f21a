from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import stocklean_exec as sx
from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers import factory
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.cli import _parser, main
from stocklean_exec.execution.run_lock import account_lock
from stocklean_exec.simulator import Simulator


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "targets.csv").write_text("symbol,weight\nAAPL,0.3\nJPM,0.2\n")
    return tmp_path


def shell(folder, *arguments, stdin=""):
    """Run a command in a separate process; exit code, standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "stocklean_exec", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "STOCKLEAN_PROGRESS": "0"},
    )
    return done.returncode, done.stdout, done.stderr


def rebalance(*more, targets="targets.csv", run_id="r1"):
    return [
        "rebalance", targets, "--broker", "mock://?seed=7", "--blotter", "b.duckdb", "--run-id", run_id, *more
    ]  # fmt: skip


def runs(folder):
    with sx.read_blotter(folder / "b.duckdb") as blotter:
        return blotter.runs().set_index("run_id")["status"].to_dict()


# -- real processes --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_writes_its_blotter_and_tables_and_prints_them(folder):
    code, out, err = shell(folder, "demo", "--out", "shown")
    assert (code, err) == (0, "")
    for words in ("Orders", "Slippage against arrival", "Completion", "PARTIAL", "price_unavailable", "Run:"):
        assert words in out
    tables = {file.name for file in (folder / "shown" / "tables").glob("*/*.parquet")}
    assert tables == {"runs.parquet", "orders.parquet", "order_events.parquet", "fills.parquet", "quotes.parquet"}
    with sx.read_blotter(folder / "shown" / "demo.duckdb") as blotter:
        assert blotter.runs()["status"].tolist() == ["partial"]
    code, _, err = shell(folder, "demo", "--out", "shown")
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_rebalance_from_the_shell_sends_once_and_prints_the_outcome(folder):
    code, out, err = shell(folder, *rebalance("--yes"))
    assert (code, err) == (0, "")
    assert "Run r1: done" in out
    code, out, err = shell(folder, *rebalance("--yes"))
    assert (code, err) == (0, "")
    with sx.read_blotter(folder / "b.duckdb") as blotter:
        assert blotter.orders()["status"].tolist() == ["FILLED", "FILLED"]
        assert (blotter.events()["kind"] == "sending").sum() == 2


@pytest.mark.slow
def test_a_halt_from_another_process_stops_a_rebalance_until_it_is_cleared(folder):
    with sx.open_blotter("b.duckdb"):  # this process owns the file: the halt goes beside it
        code, out, err = shell(folder, "halt", "--blotter", "b.duckdb", "--reason", "fat finger")
        assert (code, err) == (0, "")
        assert "fat finger" in out
    code, _, err = shell(folder, *rebalance("--yes"))
    assert code == 3
    assert "fat finger" in err
    assert "Traceback" not in err
    assert runs(folder) == {"r1": "blocked"}
    assert shell(folder, "clear-halt", "--blotter", "b.duckdb", "--reason", "checked")[0] == 0
    assert shell(folder, *rebalance("--yes"))[0] == 0
    assert runs(folder) == {"r1": "done"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "code", "status"),
    [(["--yes"], 3, "blocked"), (["--yes", "--limits", "free.toml"], 4, "failed")],
)
def test_in_a_closed_market_nothing_is_sent_without_asking_unless_it_is_ignored(folder, more, code, status):
    (folder / "hours.toml").write_text('[switches]\nhours = "exchange"\n')
    (folder / "free.toml").write_text('closed_market = "ignore"\n')
    saturday = "sim://?seed=7&clock=virtual&start=2022-12-31T12:00:00&scenario=hours.toml"
    command = rebalance("--timeout", "1", *more)
    command[command.index("--broker") + 1] = saturday
    assert main(command) == code
    assert runs(folder) == {"r1": status}
    with sx.read_blotter(folder / "b.duckdb") as blotter:
        assert (blotter.orders()["reason"] == "market_closed").all() == (code == 3)


@pytest.mark.slow
def test_a_start_at_a_time_waits_and_reads_the_limits_only_then(folder, monkeypatch, capsys):
    waited = []

    def wait(moment):
        waited.append(moment)
        (folder / "limits.toml").write_text('restricted = ["JPM"]\n')

    monkeypatch.setattr(clock, "wait_until", wait)
    soon = clock.now() + timedelta(minutes=5)
    at = f"{soon:%Y-%m-%d %H:%M:%S} UTC"
    assert main(rebalance("--yes", "--at", at, "--limits", "limits.toml")) == 4
    assert waited == [soon.replace(microsecond=0)]
    assert f"waiting until {at}" in capsys.readouterr().out
    with sx.read_blotter(folder / "b.duckdb") as blotter:
        assert blotter.orders().set_index("symbol")["status"].to_dict() == {"AAPL": "FILLED", "JPM": "REJECTED"}


@pytest.mark.slow
@pytest.mark.parametrize("at", ["2026-11-26 15:45 America/New_York", "2026-11-28 15:45 America/New_York"])
def test_a_day_without_trading_is_refused_before_anything_is_read(folder, monkeypatch, capsys, at):
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 25, 15, tzinfo=UTC))
    monkeypatch.setattr(clock, "wait_until", lambda moment: pytest.fail(f"waits until {moment}"))
    command = rebalance("--yes", "--at", at)
    command[command.index("--broker") + 1] = "ib://127.0.0.1:1?timeout=1"  # nothing listens there
    assert main(command) == 3
    assert "no market of the targets trades on that day" in capsys.readouterr().err
    assert not (folder / "b.duckdb").exists()


def test_a_start_that_has_passed_is_bad_input(folder, capsys):
    assert main(rebalance("--yes", "--at", "2020-01-02 15:45 UTC")) == 2
    assert "has passed" in capsys.readouterr().err


@pytest.mark.slow
def test_without_yes_and_without_a_terminal_nothing_is_sent(folder):
    code, out, err = shell(folder, *rebalance())
    assert code == 3
    assert "Type SUBMIT 2 to send 2 orders" in out
    assert "nothing was sent" in err
    assert runs(folder) == {}


@pytest.mark.slow
def test_an_unresolved_order_is_reported_by_the_exit_code(folder):
    main(rebalance("--yes"))
    with sx.open_blotter("b.duckdb") as blotter:
        plan = blotter.orders("r1").iloc[:1].assign(client_order_id="r2-AAPL-BUY", payload_hash="x")
        header = dict.fromkeys(("account", "nav", "parameters", "approved_by", "approved_at")) | {"plan_hash": "x"}
        blotter.record_plan(
            plan, {"run_id": "r2", "leg": 1, "mode": "mock", **header},
            [OrderEvent("intent", "r2", "r2-AAPL-BUY"), OrderEvent("sending", "r2", "r2-AAPL-BUY", attempt=1)],
        ).result()  # fmt: skip
    code, out, _ = shell(folder, "status", "--blotter", "b.duckdb")
    assert code == 5
    assert "1 orders are unresolved" in out
    assert shell(folder, "status", "r2", "--blotter", "b.duckdb")[0] == 5
    assert shell(folder, "status", "r1", "--blotter", "b.duckdb")[0] == 0


@pytest.mark.slow
def test_a_second_rebalance_of_an_account_is_refused_also_with_another_blotter(folder, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    with Simulator(seed=7) as venue, account_lock("DU0000001"):
        address = f"ib://127.0.0.1:{venue.port}?client_id=9&rate=0"
        terms = ["--broker", address, "--blotter", "c.duckdb", "--run-id", "r1"]
        assert main([*rebalance()[:2], *terms, "--yes"]) == 3
        assert f"process {os.getpid()}" in (err := capsys.readouterr().err)
        assert "rebalances this account now; nothing was sent from here" in err
        assert main([*rebalance()[:2], *terms, "--dry-run"]) == 0


@pytest.mark.slow
def test_a_second_command_with_one_blotter_names_the_first(folder, capsys):
    with sx.open_blotter("b.duckdb"):
        assert main(rebalance("--yes")) == 3
    assert f"is open in this process ({os.getpid()})" in capsys.readouterr().err


def test_every_option_of_a_rebalance_has_its_option_on_the_command_line():
    parameters = {name for one in (sx.plan_orders, sx.rebalance) for name in inspect.signature(one).parameters}
    parameters -= {
        "positions",
        "open_orders",
        "decided_at",
        "plan_options",
        "covariance",
    }  # tables, a time, and these themselves
    parameters -= {"account", "approve"}  # in the broker's address; --yes
    parameters -= {"work"}  # several options, each with a test
    known = set(vars(_parser().parse_args(rebalance())))
    assert parameters - known == set()


def test_the_lines_for_cron_are_commands(folder):
    text = (Path(__file__).parents[1] / "docs" / "cron.md").read_text("utf-8")
    text = re.sub(r"\$+\(date [^)]*\)", "2026-11-23", text)
    lines = re.findall(r"\.venv/bin/stocklean (rebalance [^'>\n]*)", text)
    assert len(lines) == 2
    for line in lines:
        options = _parser().parse_args(shlex.split(line))
        assert (options.yes, options.notify, options.broker) == (True, True, "ib://127.0.0.1:4002?client_id=7")


# -- in this process, which is the same code and faster ---------------------------------------------------------


@pytest.mark.slow
def test_a_dry_run_shows_the_plan_and_sends_and_records_nothing(folder, capsys):
    assert main(rebalance("--dry-run", "--yes")) == 0
    out = capsys.readouterr().out
    assert "r1-AAPL-BUY" in out
    assert "dry run: nothing was sent" in out
    assert runs(folder) == {}


@pytest.mark.slow
def test_a_rebalance_shows_the_margin_of_the_plan_where_orders_are_previewed(folder, capsys):
    assert main(rebalance("--dry-run", "--previews", "1")) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"Margin now, and at most after the plan \(previews: 1 of 2 orders, the oldest of .* UTC\)", out
    )
    assert re.search(r"initial_margin +0 +[\d,]+", out)
    assert main(rebalance("--dry-run")) == 0
    assert "Margin" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_report_of_a_run_is_one_file_also_while_another_process_trades(folder, capsys):
    assert main(rebalance("--yes")) == 0
    capsys.readouterr()
    with sx.open_blotter(folder / "b.duckdb"):  # its owner has it open
        code, out, err = shell(folder, "report", "r1", "--blotter", "b.duckdb", "--out", "pages/r1.html")
    assert (code, err) == (0, "")
    assert "2 orders, 2 with fills" in out
    assert (folder / "pages" / "r1.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_the_report_takes_final_prices_and_rates(folder, capsys):
    assert main(rebalance("--yes")) == 0
    (folder / "final.csv").write_text(
        "symbol,last,quoted_at\nAAPL,130,2022-12-28T21:00:00Z\nJPM,140,2022-12-28T21:00:00Z\n"
    )
    report = ["report", "r1", "--blotter", "b.duckdb", "--out", "r1.html"]
    assert main([*report, "--final-prices", "final.csv", "--fx", "USD=0.9"]) == 0
    assert "base currency" in (folder / "r1.html").read_text("utf-8")
    assert main([*report, "--fx", "USD=dear"]) == 2
    assert main([*report, "--fx", "USD"]) == 2
    assert main([*report, "--final-prices", "none.csv"]) == 2
    capsys.readouterr()


@pytest.mark.slow
def test_the_report_of_a_run_that_is_not_on_record_is_bad_input(folder, capsys):
    assert main(rebalance("--yes")) == 0
    assert main(["report", "other", "--blotter", "b.duckdb", "--out", "r.html"]) == 2
    assert main(["report", "r1", "--blotter", "none.duckdb", "--out", "r.html"]) == 2
    assert main(["report", "r1", "--blotter", "b.duckdb", "--out", "targets.csv/r.html"]) == 2
    assert not (folder / "r.html").exists()
    err = capsys.readouterr().err
    for words in ("not on record", "there is no file", "cannot be written"):
        assert words in err


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [("SUBMIT 2", 0), ("SUBMIT 1", 3), ("yes", 3), ("", 3)])
def test_a_person_confirms_by_typing_the_number_of_orders(folder, monkeypatch, answer, code):
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert main(rebalance()) == code
    assert len(runs(folder)) == (code == 0)


@pytest.mark.slow
def test_a_missing_standard_input_declines_the_confirmation(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(rebalance()) == 3
    assert runs(folder) == {}


@pytest.mark.slow
def test_no_confirmation_is_requested_while_the_blotter_is_halted(folder, monkeypatch):
    with sx.open_blotter("b.duckdb") as blotter:
        blotter.halt("drill")
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked"))
    assert main(rebalance()) == 3
    assert runs(folder) == {}


@pytest.mark.slow
def test_limits_that_block_every_order_give_a_blocked_run(folder, capsys):
    (folder / "limits.toml").write_text("max_order_notional = 1\n")
    assert main(rebalance("--yes", "--limits", "limits.toml")) == 3
    assert runs(folder) == {"r1": "blocked"}
    assert "max_notional" in capsys.readouterr().out


@pytest.mark.slow
def test_limits_that_block_some_orders_give_a_partial_run(folder):
    (folder / "limits.json").write_text('{"restricted": ["JPM"]}')
    assert main(rebalance("--yes", "--limits", "limits.json")) == 4
    assert runs(folder) == {"r1": "partial"}


@pytest.mark.slow
def test_a_resting_order_gives_a_failed_run(folder):
    (folder / "resting.csv").write_text("symbol,weight,order_type,limit_price\nAAPL,0.3,LMT,120.00\n")
    assert main(rebalance("--yes", targets="resting.csv")) == 4
    assert runs(folder) == {"r1": "failed"}


@pytest.mark.slow
def test_an_order_in_doubt_is_reported_by_the_exit_code(folder, monkeypatch, capsys):
    async def silent(self, ticket):
        """Take the order, and say nothing."""

    monkeypatch.setattr(MockBroker, "place", silent)
    assert main(rebalance("--yes")) == 5
    assert "UNKNOWN" in capsys.readouterr().out


@pytest.mark.slow
def test_quotes_and_positions_given_by_the_caller_are_used(folder, capsys):
    (folder / "quotes.csv").write_text(
        "symbol,bid,ask,quoted_at\nAAPL,99,101,2026-01-05T15:00:00Z\nJPM,50,50.02,2026-01-05T15:00:00Z\n"
    )
    (folder / "held.csv").write_text("symbol,quantity\nAAPL,5000\nOLD,3\n")
    options = ("--quotes", "quotes.csv", "--positions", "held.csv")
    assert main(rebalance("--yes", *options)) == 3  # OLD is held, is no target, and has no price: NAV is not known
    assert "OLD" in capsys.readouterr().err
    (folder / "held.csv").write_text("symbol,quantity\nAAPL,5000\n")
    assert main(rebalance("--yes", *options)) == 0
    with sx.read_blotter(folder / "b.duckdb") as blotter:
        # NAV 1,000,000 + 5,000 x 100; 30 % of it are 4,500 AAPL at 100; 20 % are 5,998 JPM at 50.01.
        orders = blotter.orders().set_index("client_order_id")
        assert orders.loc["r1-AAPL-SELL", ["quantity", "avg_fill_price"]].tolist() == [500.0, 99.0]
        assert orders.loc["r1-JPM-BUY", "avg_fill_price"] == pytest.approx(50.02)


@pytest.mark.slow
def test_a_portfolio_at_its_targets_sends_nothing(folder, capsys):
    (folder / "none.csv").write_text("symbol,quantity\nAAPL,10\n")
    (folder / "all.csv").write_text("symbol,weight\nAAPL,0.0012552\n")
    (folder / "quotes.csv").write_text("symbol,last,quoted_at\nAAPL,125.67,\n")
    code = main(
        rebalance(
            "--yes", "--positions", "none.csv", "--quotes", "quotes.csv", "--nav", "1001256", targets="all.csv"
        )
    )
    assert code == 0
    assert "nothing to do" in capsys.readouterr().out
    assert runs(folder) == {"r1": "done"}
    assert main(["status", "r1", "--blotter", "b.duckdb"]) == 0
    assert "nothing to trade: the plan has no orders" in capsys.readouterr().out
    assert main(["report", "r1", "--blotter", "b.duckdb", "--out", "r1.html"]) == 0
    assert capsys.readouterr().out == "r1.html: 0 orders, 0 with fills, no slippage, 0 flagged\n"


@pytest.mark.slow
def test_the_status_shows_all_runs_or_one(folder, capsys):
    main(rebalance("--yes"))
    main(rebalance("--yes", run_id="r2"))
    capsys.readouterr()
    assert main(["status", "--blotter", "b.duckdb"]) == 0
    out = capsys.readouterr().out
    assert "r1" in out
    assert "r2" in out
    assert main(["status", "r1", "--blotter", "b.duckdb"]) == 0
    out = capsys.readouterr().out
    assert "done" in out
    assert "r1-AAPL-BUY" in out
    assert "r2" not in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (rebalance("--yes", targets="lost.csv"), 2, "lost.csv"),
        (rebalance("--yes", targets="bad.csv"), 2, "weight"),
        (rebalance("--yes", targets="percent.csv"), 2, "percent"),
        (rebalance("--yes", run_id="a b"), 2, "run_id"),
        (rebalance("--yes", "--limits", "lost.toml"), 2, "lost.toml"),
        (rebalance("--yes", "--limits", "bad.toml"), 2, "max_notionl"),
        (rebalance("--yes", "--limits", "broken.toml"), 2, "broken.toml"),
        (rebalance("--yes", "--limits", "list.json"), 2, "not a table"),
        (rebalance("--yes", "--nav", "-5"), 2, "nav"),
        (rebalance("--yes", "--nav", "nan"), 2, "nav"),
        (rebalance("--yes", "--cash-buffer", "2"), 2, "cash_buffer"),
        (["rebalance", "targets.csv", "--broker", "nope://", "--blotter", "b.duckdb", "--run-id", "r"], 2, "nope"),
        (
            ["rebalance", "targets.csv", "--broker", "mock://", "--blotter", "no/b.duckdb", "--run-id", "r"],
            2,
            "folder",
        ),
        (["status", "--blotter", "lost.duckdb"], 2, "lost.duckdb"),
        (["status", "--blotter", "targets.csv"], 2, "DuckDB"),
        (["status", "nope", "--blotter", "good.duckdb"], 2, "nope"),
        (["halt", "--blotter", "lost.duckdb", "--reason", "x"], 2, "lost.duckdb"),
        (["halt", "--blotter", "good.duckdb", "--reason", " "], 2, "reason"),
        (["clear-halt", "--blotter", "lost.duckdb", "--reason", "x"], 2, "lost.duckdb"),
        (["demo", "--out", "targets.csv"], 2, "targets.csv"),
    ],
)
def test_bad_input_is_reported_in_plain_words(folder, capsys, arguments, code, words):
    (folder / "bad.csv").write_text("symbol,wieght\nAAPL,0.3\n")
    (folder / "percent.csv").write_text("symbol,weight\nAAPL,60\nJPM,40\n")
    (folder / "bad.toml").write_text("max_notionl = 5\n")
    (folder / "broken.toml").write_text("max_gross = \n")
    (folder / "list.json").write_text("[1]")
    sx.open_blotter("good.duckdb").close()
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_blotter_in_use_by_another_process_blocks(folder):
    with sx.open_blotter("b.duckdb"):
        code, _, err = shell(folder, *rebalance("--yes"))
    assert code == 3
    assert f"process {os.getpid()}" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_the_same_run_with_other_targets_is_bad_input(folder, capsys):
    main(rebalance("--yes"))
    (folder / "other.csv").write_text("symbol,weight\nAAPL,0.1\n")
    assert main(rebalance("--yes", targets="other.csv")) == 2
    assert "r1-AAPL-BUY" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["explode"], ["rebalance"], ["halt", "--blotter", "b"], ["status"]])
def test_an_incomplete_command_is_bad_input(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: stocklean" in capsys.readouterr().err


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert sx.__version__ in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupt_is_reported_in_one_line(folder, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert main(rebalance()) == 4
    assert capsys.readouterr().err.startswith("interrupted")
    with sx.open_blotter("b.duckdb") as blotter:  # it was given back
        assert len(blotter.orders()) == 0


# -- picking a run up ------------------------------------------------------------------------------------------


@pytest.fixture
def gateway():
    with Simulator(seed=7, clock="brisk") as running:
        yield f"ib://127.0.0.1:{running.port}?client_id=7"


@pytest.mark.slow
def test_a_run_that_was_held_back_is_resumed_from_the_command_line(folder, gateway, capsys):
    start = ["rebalance", "targets.csv", "--broker", gateway, "--blotter", "b.duckdb", "--run-id", "r1", "--yes"]
    sx.open_blotter("b.duckdb").close()
    assert main(["halt", "--blotter", "b.duckdb", "--reason", "wait"]) == 0
    assert main(start) == 3
    assert runs(folder) == {"r1": "blocked"}
    assert main(["resume", "r1", "--broker", gateway, "--blotter", "b.duckdb"]) == 3
    assert main(["clear-halt", "--blotter", "b.duckdb", "--reason", "go on"]) == 0
    capsys.readouterr()
    assert main(["resume", "r1", "--broker", gateway, "--blotter", "b.duckdb"]) == 0
    assert "Run r1: done" in capsys.readouterr().out
    assert main(["resume", "r1", "--broker", gateway, "--blotter", "b.duckdb"]) == 0  # any number of times
    with sx.read_blotter("b.duckdb") as blotter:
        assert blotter.orders("r1")["status"].tolist() == ["FILLED", "FILLED"]
        assert (blotter.events("r1")["kind"] == "sending").sum() == 2


@pytest.mark.slow
def test_a_plan_overtaken_by_a_later_run_is_resumed_only_on_request(folder, gateway, capsys):
    def start(run_id, targets="targets.csv"):
        arguments = ["--broker", gateway, "--blotter", "b.duckdb", "--run-id", run_id, "--yes"]
        return main(["rebalance", targets, *arguments])

    (folder / "fewer.csv").write_text("symbol,weight\nAAPL,0.03\nJPM,0.02\n")

    resume = ["resume", "r1", "--broker", gateway, "--blotter", "b.duckdb"]
    sx.open_blotter("b.duckdb").close()
    assert main(["halt", "--blotter", "b.duckdb", "--reason", "wait"]) == 0
    assert start("r1") == 3
    assert main(["clear-halt", "--blotter", "b.duckdb", "--reason", "go on"]) == 0
    assert start("r2", "fewer.csv") == 0
    capsys.readouterr()
    assert main(resume) == 3
    out = capsys.readouterr().out
    assert "Run r1: blocked" in out
    assert (
        "2 orders were held back: runs were planned later, with orders in the same symbols: r2 (AAPL, JPM)" in out
    )
    assert "stocklean resume r1 --send-overtaken" in out
    assert main([*resume, "--send-overtaken"]) == 0
    with sx.read_blotter("b.duckdb") as blotter:
        assert blotter.orders("r1")["status"].tolist() == ["FILLED", "FILLED"]


@pytest.mark.slow
def test_a_process_that_was_killed_is_resumed_by_another_one(folder, gateway):
    script = """
import os, signal, sys
import stocklean_exec as sx
broker, blotter = sx.connect(sys.argv[1]), sx.open_blotter("b.duckdb")
check, calls = blotter.check_halt, []
def die():
    calls.append(1)
    if len(calls) == 3:  # once at the start, then before each order
        os.kill(os.getpid(), signal.SIGKILL)
    check()
blotter.check_halt = die
sx.rebalance("targets.csv", broker, blotter, run_id="r1", approve="me", dry_run=False)
"""
    died = subprocess.run([sys.executable, "-c", script, gateway], cwd=folder, check=False, capture_output=True)
    assert died.returncode == -9
    code, out, err = shell(folder, "status", "r1", "--blotter", "b.duckdb")
    assert (code, "unresolved" in out) == (5, True), err
    assert "sent; no answer of the broker is on record" in out
    assert "stocklean resume r1 --broker" in out
    code, out, err = shell(folder, "resume", "r1", "--broker", gateway, "--blotter", "b.duckdb")
    assert (code, "Run r1: done" in out) == (0, True), err


@pytest.mark.slow
def test_a_resume_waits_for_a_client_id_that_is_still_in_use(folder, gateway, monkeypatch, capsys):
    holder = sx.connect(gateway)
    with sx.open_blotter("b.duckdb") as blotter:
        sx.rebalance("targets.csv", holder, blotter, run_id="r1", approve="me", dry_run=False)
    monkeypatch.setattr(factory.time, "sleep", lambda _: holder.close())
    assert main(["resume", "r1", "--broker", gateway, "--blotter", "b.duckdb"]) == 0
    assert "(326). Close it, or connect with another client_id. Trying again for" in capsys.readouterr().err
    with sx.connect(gateway):
        main(["resume", "r1", "--broker", gateway, "--blotter", "b.duckdb", "--timeout", "1"])
    error = capsys.readouterr().err
    assert "client id 7 is in use" in error
    assert "Trying again" not in error  # there is no time for another try


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["resume", "r9", "--blotter", "b.duckdb"], 2, "there is no run 'r9'"),
        (["resume", "r1", "--blotter", "none.duckdb"], 2, "there is no blotter"),
    ],
)
def test_a_run_that_cannot_be_resumed_is_reported_in_plain_words(folder, gateway, capsys, arguments, code, words):
    sx.open_blotter("b.duckdb").close()
    assert main([*arguments, "--broker", gateway]) == code
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_missing_gateway_blocks_a_resume(folder, capsys):
    sx.open_blotter("b.duckdb").close()
    assert main(["resume", "r1", "--broker", "ib://127.0.0.1:9", "--blotter", "b.duckdb"]) == 3
    assert "nothing listens there" in capsys.readouterr().err


# -- what the exit code and the advice go by -------------------------------------------------------------------


class Halting(MockBroker):
    """Fills one order, then the blotter is halted."""

    send_window = 1

    async def place(self, ticket):
        await super().place(ticket)
        main(["halt", "--blotter", "b.duckdb", "--reason", "stop here"])


@pytest.mark.slow
def test_a_run_stopped_after_a_fill_is_not_reported_as_unsent(folder, monkeypatch, capsys):
    monkeypatch.setattr("stocklean_exec.brokers.factory.MockBroker", Halting)
    assert main(rebalance("--yes")) == 4
    err = capsys.readouterr().err
    assert "halted: " in err
    assert "stocklean resume r1 --broker 'mock://?seed=7' --blotter b.duckdb continues it" in err
    with sx.read_blotter("b.duckdb") as blotter:
        assert blotter.orders()["status"].tolist() == ["FILLED", "NEW"]


@pytest.mark.slow
def test_the_outcome_after_a_broker_failure_is_taken_from_the_record(folder, monkeypatch, capsys):
    class Failing(MockBroker):
        send_window = 1

        async def place(self, ticket):
            if self._orders:
                raise sx.BrokerError("gone")
            await super().place(ticket)

    monkeypatch.setattr("stocklean_exec.brokers.factory.MockBroker", Failing)
    assert main(rebalance("--yes")) == 5  # the second one may have arrived
    assert "stocklean resume r1" in capsys.readouterr().err
    assert main(["status", "--blotter", "b.duckdb"]) == 5
    assert "stocklean resume r1 --broker ADDRESS --blotter b.duckdb" in capsys.readouterr().out


@pytest.mark.slow
def test_an_unreadable_record_is_not_reported_as_nothing_sent(folder, monkeypatch, capsys):
    monkeypatch.setattr("stocklean_exec.brokers.factory.MockBroker", Halting)

    def unreadable(path):
        raise sx.BlotterError("damaged")

    monkeypatch.setattr("stocklean_exec.blotter.blotter.read_blotter", unreadable)
    assert main(rebalance("--yes")) == 5
    assert "it is unknown what was sent" in capsys.readouterr().err


@pytest.mark.slow
def test_the_advice_on_an_unfinished_run_is_to_resume_it(folder, capsys):
    sx.open_blotter("b.duckdb").close()
    main(["halt", "--blotter", "b.duckdb", "--reason", "wait"])
    assert main(rebalance("--yes")) == 3
    main(["clear-halt", "--blotter", "b.duckdb", "--reason", "go on"])
    (folder / "targets.csv").write_text("symbol,weight\nAAPL,0.4\nJPM,0.1\n")
    capsys.readouterr()
    assert main(rebalance("--yes")) == 2
    err = capsys.readouterr().err
    assert "run r1 is unfinished" in err
    assert "stocklean resume r1" in err


@pytest.mark.slow
def test_a_plan_under_another_run_id_warns_of_the_unfinished_run(folder, capsys):
    sx.open_blotter("b.duckdb").close()
    main(["halt", "--blotter", "b.duckdb", "--reason", "wait"])
    main(rebalance("--yes"))
    main(["clear-halt", "--blotter", "b.duckdb", "--reason", "go on"])
    capsys.readouterr()
    assert main(rebalance("--dry-run", run_id="r2")) == 0
    assert "run r1 is unfinished: its BUY of" in capsys.readouterr().out


@pytest.mark.slow
def test_sells_are_sent_without_their_buys_only_on_request(folder, capsys):
    (folder / "quotes.csv").write_text(
        "symbol,bid,ask,quoted_at\nOLD,9.99,10.01,2026-01-05T15:00:00Z\nNEW,20,20.02,2026-01-05T15:00:00Z\n"
    )
    (folder / "held.csv").write_text("symbol,quantity\nOLD,1000\n")
    (folder / "targets.csv").write_text("symbol,weight\nNEW,0.9\n")
    (folder / "limits.toml").write_text("min_cash_after = 1000000\n")
    more = ["--quotes", "quotes.csv", "--positions", "held.csv", "--unlisted", "close", "--limits", "limits.toml"]
    assert main(rebalance("--yes", *more)) == 3
    out = capsys.readouterr().out
    assert "one_sided_plan" in out
    assert "the 1 sells that were to pay for them were not sent" in out
    assert main(rebalance("--yes", "--one-sided", *more, run_id="r2")) == 4
    with sx.read_blotter("b.duckdb") as blotter:
        assert blotter.orders("r2").set_index("symbol")["status"].to_dict() == {"OLD": "FILLED", "NEW": "REJECTED"}


@pytest.mark.slow
def test_working_orders_are_refused_or_netted_from_the_command_line(folder, gateway, capsys):
    (folder / "targets.csv").write_text("symbol,weight,order_type,limit_price\nAAPL,0.1,LMT,100.00\n")
    start = ["rebalance", "targets.csv", "--broker", gateway, "--blotter", "b.duckdb", "--yes", "--run-id"]
    with sx.connect(gateway) as broker, sx.open_blotter("b.duckdb") as blotter:
        sx.rebalance("targets.csv", broker, blotter, run_id="r1", approve="ann", dry_run=False, timeout=0.5)
    assert main([*start, "r2"]) == 0  # with the working order, positions match the targets
    assert "nothing to do" in capsys.readouterr().out
    assert main([*start, "r3", "--on-open-orders", "reject"]) == 0
    assert "r1-AAPL-BUY, placed by client id 7); wait for them to finish" in capsys.readouterr().out
    (folder / "targets.csv").write_text("symbol,weight,order_type,limit_price\nAAPL,0.2,LMT,100.00\n")
    assert main([*start, "r4", "--on-open-orders", "reject"]) == 3
    assert "open_order_exists" in capsys.readouterr().out


@pytest.mark.slow
def test_a_plan_is_shown_with_its_warnings(folder):
    (folder / "t.csv").write_text("symbol,weight\nAAPL,0.3\nUSD,0.7\n", "utf-8")
    code, out, err = shell(folder, *rebalance("--dry-run", targets="t.csv"))
    assert (code, err) == (0, "")
    assert "warning: USD: USD is read as cash: 0.7 of NAV stays in cash; if the stock" in out
    assert out.index("Plan of r1") < out.index("warning:") < out.index("dry run")
    assert "r1-USD" not in out


# -- options of the plan ---------------------------------------------------------------------------------------


def test_the_options_of_a_plan_reach_it(folder, capsys):
    (folder / "targets.csv").write_text("symbol,weight\nAAA,0.33\n")
    (folder / "quotes.csv").write_text("symbol,bid,ask,quoted_at\nAAA,99.95,100.05,2026-11-23T15:00:00Z\n")
    more = ["--quotes", "quotes.csv", "--order-type", "LMT", "--limit-offset-bps", "50", "--fractional"]
    assert main([*rebalance("--yes", *more, "--reserve", "0", "--timeout", "0.1")]) == 0
    with sx.read_blotter("b.duckdb") as blotter:
        row = blotter.orders("r1").iloc[0]
    # 0.33 of 1,000,000 at 100; the limit is 0.5 % above the mid.
    assert row[["order_type", "limit_price", "quantity"]].tolist() == ["LMT", 100.5, 3300.0]
    assert main(rebalance("--dry-run", "--quotes", "quotes.csv", "--base-currency", "EUR", run_id="r2")) == 2
    assert "is USD, and not EUR" in capsys.readouterr().err


def test_trades_that_are_not_worth_making_are_left_out(folder, capsys):
    (folder / "targets.csv").write_text("symbol,weight\nAAA,0.3\nBBB,0.1\n")
    (folder / "quotes.csv").write_text(
        "symbol,bid,ask,quoted_at\nAAA,100,100,2026-11-23T15:00:00Z\nBBB,100,100,2026-11-23T15:00:00Z\n"
    )
    (folder / "held.csv").write_text("symbol,quantity\nAAA,2500\nBBB,1200\n")
    # NAV is 1,370,000, so that targets are 4,110 and 1,370 shares: 1,610 and 170 more, 11.8 and 1.2 % of NAV.
    more = ["--dry-run", "--quotes", "quotes.csv", "--positions", "held.csv", "--reserve", "0"]
    for options, bought, reasons in (
        ([], [1610, 170], ""),
        (["--band", "0.02"], [1610], "left out: 1 inside_band"),
        (["--band", "0.1", "--band-kind", "relative", "--band-to", "edge"], [1199, 33], "left out: 2 inside_band"),
        (["--band", "0.1", "--band-kind", "relative", "--band-to", "0"], [1610, 170], ""),
        (["--min-notional", "17001"], [1610], "left out: 1 below_min_notional"),
        (["--max-turnover", "0.1"], [1370], "left out: 2 turnover_cap"),
    ):
        assert main(rebalance(*more, *options)) == 0
        out = capsys.readouterr().out
        lines = [line.split() for line in out.splitlines() if line.strip().startswith("r1-")]
        assert [float(line[2].replace(",", "")) for line in lines] == bought, options
        assert reasons in out
        assert bool(reasons) == ("left out" in out)
    assert main(rebalance("--yes", *more[1:], "--band", "0.5")) == 0
    assert "nothing to do: every trade is left out" in capsys.readouterr().out
    assert main(rebalance(*more, "--band", "5", run_id="r2")) == 2
    assert "band 5.0 is not a fraction" in capsys.readouterr().err


def test_a_book_in_two_currencies_is_sent_from_the_command_line(folder, capsys):
    (folder / "targets.csv").write_text("symbol,weight,currency\nAAA,0.5,USD\nEEE,0.4,EUR\n")
    (folder / "quotes.csv").write_text(
        "symbol,bid,ask,currency,quoted_at\n"
        "AAA,99.95,100.05,USD,2026-11-23T15:00:00Z\nEEE,49.95,50.05,EUR,2026-11-23T15:00:00Z\n"
    )
    assert main(rebalance("--yes", "--quotes", "quotes.csv", "--fx", "EUR=1.25")) == 0
    assert "currency_debit" in capsys.readouterr().out
    with sx.read_blotter("b.duckdb") as blotter:
        quantities = blotter.orders("r1").set_index("symbol")["quantity"].to_dict()
    assert quantities == {"AAA": 5_000.0, "EEE": 6_400.0}  # 500,000 / 100, and 400,000 / (50 x 1.25)
    report = ["report", "r1", "--blotter", "b.duckdb", "--out", "r.html"]
    for more, words in (
        (
            [],
            "EUR, USD are different currencies; give what one unit of each is worth in the base currency",
        ),
        (["--fx", "EUR=1.25"], "no usable rate for USD; add it to --fx; the base currency itself is 1"),
        (["--fx", "EUR=1.25", "EUR=1.3", "USD=1"], "EUR is given several times"),
        (["--fx", "USD=1", "local"], "'local' is not of the form"),
        (["--fx", "EUR=1.25", "USD=1"], ""),
        (["--fx", "local"], ""),
    ):
        code = main([*report, *more])
        err = capsys.readouterr().err
        assert (code, words in err) == (2 if words else 0, True)
        assert "fx=" not in err


def test_an_unknown_run_is_answered_with_the_runs_on_record(folder, capsys):
    assert main(rebalance("--yes")) == 0
    record = ["--blotter", "b.duckdb"]
    for command in (
        ["report", "r9", *record, "--out", "r.html"],
        ["status", "r9", *record],
        ["resume", "r9", *record, "--broker", "mock://"],
    ):
        capsys.readouterr()
        assert main(command) == 2
        assert (
            "there is no run 'r9': it is not on record in b.duckdb; the latest runs are r1"
            in capsys.readouterr().err
        )


@pytest.mark.parametrize("text", ["EUR", "=1.1", "EUR=x", "EUR=0"])
def test_a_rate_that_cannot_be_read_is_an_error(folder, capsys, text):
    try:
        code = main(rebalance("--dry-run", "--fx", text))
    except SystemExit as error:  # from argparse
        code = error.code
    assert code == 2
    assert "EUR" in capsys.readouterr().err
