"""Paths and addresses: what is refused, and that nothing is opened before it is."""

from __future__ import annotations

import socket
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.paths import existing_file, is_address, local_path, refuse_addresses

ADDRESSES = [
    "https://example.com/t.parquet",
    "HTTP://EXAMPLE.COM/t.csv",
    "s3://bucket/t.parquet",
    "hf://datasets/x/t.parquet",
    "md://paper",
    "file:///data/t.parquet",
    "file:t.parquet",
    "s3:bucket/t.parquet",
    "sqlite:t.db",
    "made-up+scheme://x",
    "/data/https://example.com/t.csv",
    Path("https://example.com/t.csv"),  # which is https:/example.com/t.csv
    Path("s3://bucket/t.parquet"),
    Path("unknown://x"),
]
PATHS = [
    "t.csv",
    "/data/t.csv",
    "../t[1].parquet",
    "quotes/**/*.parquet",
    "fills 2026-11-23T10:00.csv",
    "a:b.csv",
    "c:/t.csv",
    "x: y/z.csv",
    "~/t.csv",
    "",
    "10:/t",
]


@pytest.mark.parametrize("text", ADDRESSES, ids=str)
def test_an_address_is_refused(text):
    with pytest.raises(InputError, match="is an address, not a path; files are not read") as caught:
        local_path(text, "targets")
    assert caught.value.codes == ("path_is_address",)
    assert caught.value.table == "targets"


@pytest.mark.parametrize("text", PATHS)
def test_a_name_that_contains_a_colon_is_a_path(text):
    assert not is_address(text)
    assert local_path(text, "targets") == Path(text)


def test_every_address_of_a_call_is_named_at_once():
    given = {"orders": "https://a/o", "fills": None, "quotes": "q.parquet", "trades": Path("s3://b/t")}
    with pytest.raises(InputError) as caught:
        refuse_addresses(given)
    assert [problem.detail.split()[0] for problem in caught.value.problems] == ["orders", "trades"]


def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path):
    (tmp_path / "t.csv").touch()
    assert existing_file(tmp_path / "t.csv", "targets") == tmp_path / "t.csv"
    for path in (tmp_path, tmp_path / "u.csv", "symbol,weight" * 1_000):
        with pytest.raises(InputError, match="there is no file") as caught:
            existing_file(path, "targets")
        assert caught.value.codes == ("file_missing",)


EMPTY = pd.DataFrame({"client_order_id": [], "symbol": [], "side": [], "quantity": [], "price": []})


def with_blotter(call):
    with sx.open_blotter() as blotter:
        call(blotter)


def written_page(url):
    sx.CostReport("r", "<html>", None).save(url)


CALLS = {
    "read_targets": sx.read_targets,
    "read_positions": sx.read_positions,
    "read_quotes": sx.read_quotes,
    "read_limits": sx.read_limits,
    "quote_files": sx.quote_files,
    "trade_files": sx.trade_files,
    "trade_record": sx.trade_record,
    "open_blotter": sx.open_blotter,
    "read_blotter": sx.read_blotter,
    "export": lambda url: with_blotter(lambda blotter: blotter.export(url)),
    "orders": lambda url: sx.slippage(url, EMPTY),
    "fills": lambda url: sx.completion(EMPTY, url),
    "fills alone": lambda url: sx.markouts(url, EMPTY),
    "quotes": lambda url: sx.markouts(EMPTY, url),
    "trades": lambda url: sx.participation(EMPTY, EMPTY, url),
    "report of": lambda url: sx.report("r", url),
    "report to": lambda url: with_blotter(lambda blotter: sx.report(None, blotter, url)),
    "report's quotes": lambda url: with_blotter(lambda blotter: sx.report(None, blotter, quotes=url)),
    "report's trades": lambda url: with_blotter(lambda blotter: sx.report(None, blotter, trades=url)),
    "write_report": lambda url: with_blotter(lambda blotter: sx.write_report(None, blotter, url)),
    "a report that is saved": written_page,
    "targets of a rebalancing": lambda url: with_blotter(
        lambda blotter: sx.rebalance(url, sx.connect("mock://", quotes={"A": 1.0}), blotter, run_id="r")
    ),
    "a scenario": lambda url: sx.connect("sim://", quotes={"A": 1.0}, scenario=url),
}


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/x.parquet", "s3://bucket/x.parquet", "file:x.parquet"])
@pytest.mark.parametrize("name", CALLS)
def test_no_function_accepts_an_address_as_a_path(name, url, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was opened")

    def opened(path, *rest, then=Path.open, **more):
        return refuse() if path.name == "x.parquet" else then(path, *rest, **more)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("stocklean_exec.database.connect_to_files", refuse)
    with pytest.raises(InputError) as caught:
        CALLS[name](url)
    assert set(caught.value.codes) <= {"path_is_address", "blotter_path"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--out", "s3://bucket/demo"],
        ["status", "--blotter", "https://x/b.duckdb"],
        ["rebalance", "https://x/t.csv", "--broker", "mock://", "--blotter", "b.duckdb", "--run-id", "r"],
        *(
            [
                *("rebalance", "t.csv", "--broker", "mock://", "--blotter", "b.duckdb", "--run-id", "r"),
                *(option, "https://x/y"),
            ]
            for option in ("--limits", "--quotes", "--positions")
        ),
        ["report", "r", "--blotter", "b.duckdb", "--out", "https://x/r.html"],
        ["report", "r", "--blotter", "b.duckdb", "--out", "r.html", "--final-prices", "s3://x/q.csv"],
        *(["simulator", option, "https://x/y"] for option in ("--quotes", "--scenario", "--state", "--journal")),
    ],
    ids=" ".join,
)
def test_the_command_line_accepts_no_address_as_a_path(arguments, tmp_path, monkeypatch, capsys):
    from stocklean_exec.cli import main  # noqa: PLC0415 - for this test

    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("symbol,weight\nAAPL,0.5\n", "utf-8")
    sx.open_blotter("b.duckdb").close()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(arguments) == 2
    assert "is an address" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_duckdb_would_open_the_refused_addresses(tmp_path):
    # Otherwise the refusal would protect from nothing.
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 'A' AS symbol, 1.0 AS weight) TO '{tmp_path}/t.parquet'")
        for address in (f"file:{tmp_path}/t.parquet", f"file://{tmp_path}/t.parquet"):
            assert connection.execute("SELECT * FROM read_parquet(?)", [address]).fetchall() == [("A", 1.0)]
            with pytest.raises(InputError, match="is an address"):
                sx.read_targets(address)
