"""A work policy from the command line."""

import argparse
import dataclasses

import pytest

import stocklean_exec as sx
from stocklean_exec.cli import main
from stocklean_exec.commands.work_options import add_work_options, work_of

QUOTES = "symbol,bid,ask,last,quoted_at\nTLT,49.9,50.1,50,2026-11-25T15:00:00Z\n"


def parse(*arguments):
    parser = argparse.ArgumentParser()
    add_work_options(parser)
    return parser.parse_args(arguments)


def test_without_options_there_is_no_policy():
    assert work_of(parse()) is None


def test_each_field_of_a_policy_has_an_option():
    given = {
        "--reprice-seconds": "10",
        "--reprice-to": "far",
        "--reprices": "3",
        "--deadline": "15:45 America/New_York",
        "--at-deadline": "MKT",
        "--slices": "2",
        "--work-start": "60",
        "--work-end": "600",
        "--collar-bps": "20",
        "--max-efficiency-ratio": "10",
    }
    assert len(given) == len(dataclasses.fields(sx.WorkPolicy))
    assert work_of(parse(*(part for pair in given.items() for part in pair))) == sx.WorkPolicy(
        reprice_seconds=10.0,
        reprice_to="far",
        reprices=3,
        deadline="15:45 America/New_York",
        at_deadline="MKT",
        slices=2,
        start=60.0,
        end=600.0,
        collar_bps=20.0,
        max_efficiency_ratio=10.0,
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("symbol,weight\nTLT,0.5\n")
    (tmp_path / "q.csv").write_text(QUOTES)


def rebalance(*more, order_type="LMT"):
    plain = ["rebalance", "t.csv", "--broker", "mock://?cash=10000", "--blotter", "b.duckdb", "--run-id", "r"]
    limits = ["--order-type", order_type, *(["--limit-offset-bps", "-5"] if order_type == "LMT" else [])]
    return [*plain, "--quotes", "q.csv", *limits, "--yes", *more]


def test_a_rebalance_is_worked_and_its_rest_counts_as_done(folder, capsys):
    assert main(rebalance("--deadline", "30", "--at-deadline", "MKT")) == 0
    out = capsys.readouterr().out
    assert "worked: after 30 s cancelled, and a market order for the rest (1 order)" in out
    assert "Run r: done" in out


def test_options_that_do_not_go_together_are_bad_input(folder, capsys):
    assert main(rebalance("--reprices", "3")) == 2
    assert "needs reprice_seconds" in capsys.readouterr().err


def test_orders_that_the_policy_cannot_work_are_bad_input_also_in_a_dry_run(folder, capsys):
    assert main(rebalance("--reprice-seconds", "5", "--dry-run", order_type="MKT")) == 2
    assert "TLT: r-TLT-BUY is MKT DAY: only limits of plain LMT orders" in capsys.readouterr().err
